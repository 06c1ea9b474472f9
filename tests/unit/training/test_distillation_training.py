"""Distilling a tiny model: what learns, what is exported, and how a student is sampled from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import CommandLine
from made_clips import frames
from odd_pictures import noise
from PIL import Image
from safetensors.torch import load_file
from tiny_model_folder import NUM_FRAMES, SIZE

from videoldm.checkpoints.layouts.diffusers_config import EulerScheduler
from videoldm.core.config import from_yaml, read_config, to_yaml
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.diffusion.config import Constant, Guidance, KarrasToZero
from videoldm.generation.load import load_model
from videoldm.models.adapters.config import AllLayersLora
from videoldm.pipelines.as_checkpoint import as_checkpoint
from videoldm.pipelines.folder import NativeFolder
from videoldm.pipelines.open import open_model
from videoldm.pipelines.reference import ModelRef
from videoldm.recipes.registry import RECIPES
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.training.config import ExecutionConfig, OptimizerConfig, Sharded, TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.dry_run import parameter_counts
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.distillation.config import (
    Consistency,
    DistillationStage,
    LoraStudent,
    Solution,
    Student,
    Target,
    WholeStudent,
)
from videoldm.training.stages.distillation.objective import DistillationObjective

DATA = WorldData(num_clips=64, num_frames=NUM_FRAMES, height=SIZE, width=SIZE)
LORA = LoraStudent(preset=AllLayersLora(rank=2))
TRAINING = TrainingConfig(
    num_samples=8,
    batch_size=4,
    optimizer=OptimizerConfig(learning_rate=1e-2),
    log_every_samples=4,
    validate_every_samples=8,
    checkpoint_every_samples=4,
)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_validation_losses")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def recipe_of(
    model: Path, *, student: Student, task: TaskName = "text-to-video", target: Target | None = None
) -> Recipe:
    stage = DistillationStage(
        teacher=str(model),
        task=task,
        student=student,
        num_steps=2,
        target=target or Consistency(teacher_steps=2),
        data=DATA,
        validation=DATA.model_copy(update={"split": "validation"}),
        num_validation_clips=1,
    )
    recipe = Recipe(name="student", summary="tiny", stage=stage, training=TRAINING)
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    return recipe


@pytest.fixture(scope="module")
def whole(tiny_model: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a whole student."""
    return run(recipe_of(tiny_model, student=WholeStudent()), tmp_path_factory.mktemp("whole"), cache)


@pytest.fixture(scope="module")
def shipped(tiny_model: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its student, where the stage says that it belongs."""
    folder = tmp_path_factory.mktemp("shipped") / "model"
    shutil.copytree(tiny_model, folder)
    parts = recipe_of(tiny_model, student=WholeStudent()).stage.exported_parts
    assert parts == {"students/2-steps/text-to-video": "text-to-video"}
    for part, place in parts.items():
        shutil.copytree(whole / place, folder / part)
    return folder


@pytest.mark.parametrize(
    ("student", "target", "task"),
    [
        (WholeStudent(), Consistency(teacher_steps=3), "text-to-video"),
        (WholeStudent(), Solution(teacher_steps=2), "image-to-video"),
        (LORA, Consistency(teacher_steps=3), "image-to-video"),
    ],
)
def test_the_student_learns_and_the_teacher_stays(
    tiny_model: Path, cache: Path, student: Student, target: Target, task: TaskName
) -> None:
    recipe = recipe_of(tiny_model, student=student, task=task, target=target)
    objective = recipe.stage.objective(seed=0, cache=cache)
    assert isinstance(objective, DistillationObjective)
    (player,) = objective.players
    samples = objective._validation.held_out(0, 1, (0, 0))
    positions = range(4)
    before = objective.losses(positions).per_sample.detach()
    assert torch.equal(objective.losses(positions).per_sample, before)  # nothing but the number of a sample decides
    alone = torch.cat([objective.losses([one]).per_sample.detach() for one in positions])
    torch.testing.assert_close(alone, before, rtol=1e-4, atol=1e-6)
    teacher = objective._student.teacher
    x, sigma = samples.latents, torch.ones(1)
    conditioning = objective._task.conditioning(
        objective._model, objective._task.training_inputs(samples.clips), num_frames=NUM_FRAMES
    )
    with torch.no_grad():
        guide = teacher(x, sigma, conditioning)
        assert torch.allclose(objective._model.denoiser(x, sigma, conditioning), guide, atol=1e-6)
    optimizer = torch.optim.SGD(player.module.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        objective.losses(positions).per_sample.mean().backward()
        optimizer.step()
    trained = [parameter for parameter in player.module.parameters() if parameter.requires_grad]
    assert len(trained) > 10
    assert all(parameter.grad is not None for parameter in trained)
    with torch.no_grad():
        assert torch.equal(teacher(x, sigma, conditioning), guide)
        assert not torch.allclose(objective._model.denoiser(x, sigma, conditioning), guide, atol=1e-6)


def test_a_whole_student_is_a_model_of_few_steps_without_guidance(whole: Path, cli: CommandLine) -> None:
    sampling = load_model(str(whole), "text-to-video").config.sampling
    assert sampling.num_inference_steps == 2
    assert sampling.schedule == KarrasToZero(sigma_min=0.1, sigma_max=5.0)
    assert sampling.guidance == Guidance(scale=Constant(scale=1.0))
    words = ["generate", "--prompt", "a red cube", "--model", whole]
    cli.succeeds(*words, "-o", "plain.mkv")
    cli.succeeds(*words, "--speed", "turbo", "-o", "turbo.mkv")  # nothing is left to give up
    assert np.array_equal(frames(Path("plain.mkv")), frames(Path("turbo.mkv")))


def test_a_run_that_was_interrupted_ends_the_same(whole: Path, tiny_model: Path, cache: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_model, student=WholeStudent())
    run(recipe.model_copy(update={"training": TRAINING.model_copy(update={"num_samples": 4})}), tmp_path, cache)
    (tmp_path / "config.yaml").write_text(to_yaml(recipe))
    shutil.rmtree(tmp_path / "export")  # the run is not finished any more
    run(recipe, tmp_path, cache)
    first, again = (
        load_file(folder / "text-to-video/unet/model.safetensors") for folder in (whole, tmp_path / "export")
    )
    assert all(torch.equal(first[key], value) for key, value in again.items())


def test_turbo_takes_the_student_that_ships_with_a_model(
    shipped: Path, tiny_model: Path, whole: Path, cli: CommandLine
) -> None:
    words = ["generate", "--prompt", "a red cube"]
    cli.succeeds(*words, "--model", whole, "-o", "student.mkv")
    cli.succeeds(*words, "--model", tiny_model, "-o", "teacher.mkv")
    cli.succeeds(*words, "--model", shipped, "-o", "exact.mkv")
    cli.succeeds(*words, "--model", shipped, "--speed", "turbo", "-o", "turbo.mkv")
    cli.succeeds("generate", "--from", "turbo.mkv", "-o", "again.mkv")
    student, teacher, exact, turbo, again = (
        frames(Path(f"{name}.mkv")) for name in ("student", "teacher", "exact", "turbo", "again")
    )
    assert np.array_equal(exact, teacher)
    assert np.array_equal(turbo, student)
    assert np.array_equal(again, turbo)
    assert not np.array_equal(turbo, exact)
    assert load_model(str(shipped), "text-to-video", speed="turbo").config.sampling.num_inference_steps == 2
    told = json.loads(cli.succeeds("info", shipped, "--json"))
    assert told["students/2-steps"]["text-to-video"]["sampling"]["num_inference_steps"] == 2
    assert "students/2-steps/text-to-video/unet" in told["components"]


def test_a_task_without_student_and_a_list_of_two_networks(shipped: Path, cli: CommandLine) -> None:
    Image.fromarray(noise(SIZE, SIZE, seed=0)).save("photo.png")
    cli.succeeds("generate", "photo.png", "--model", shipped, "--speed", "turbo", "-o", "cat.mkv")
    assert open_model(str(shipped)).tasks == ["text-to-video", "image-to-video"]
    Path("list.csv").write_text("prompt,speed\na cube,turbo\na ball,exact\n")
    error = cli.refuses("generate", "--items", "list.csv", "--model", shipped)
    assert "clips at speed turbo and exact, of two networks" in error


def test_a_student_in_another_layout_says_how_it_is_sampled(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_model, folder)
    config = read_config(folder / "image-to-video/model.json", TaskModelConfig)
    student = config.model_copy(update={"sampling": config.sampling.distilled(4)})
    write_json(folder / "image-to-video/model.json", student.model_dump(mode="json"))
    files = open_model(str(folder))
    assert isinstance(files, NativeFolder)
    scheduler = as_checkpoint(files).scheduler
    assert isinstance(scheduler, EulerScheduler)
    assert (scheduler.sigma_min, scheduler.sigma_max) == (0.1, 5.0)
    assert "--num-inference-steps 4 --guidance-scale 1 --schedule karras_to_zero" in capsys.readouterr().err


def test_a_lora_makes_the_student_of_the_model_itself(
    tiny_model: Path, cache: Path, tmp_path: Path, cli: CommandLine
) -> None:
    export = run(recipe_of(tiny_model, student=LORA), tmp_path / "run", cache)
    few = ("--num-inference-steps", 2, "--guidance-scale", 1, "--schedule", "karras_to_zero")
    words = ["generate", "--prompt", "a red cube", "--model", tiny_model, *few]
    cli.succeeds(*words, "-o", "without.mkv")
    for style in ("peft", "diffusers"):
        cli.succeeds(*words, "--lora", export / style, "-o", f"{style}.mkv")
    assert np.array_equal(frames(Path("peft.mkv")), frames(Path("diffusers.mkv")))
    assert not np.array_equal(frames(Path("peft.mkv")), frames(Path("without.mkv")))
    assert "--schedule karras_to_zero" in (export / "README.md").read_text()
    model = shutil.copytree(tiny_model, tmp_path / "model")
    ((part, place),) = recipe_of(tiny_model, student=LORA).stage.exported_parts.items()
    shutil.copytree(export / place, model / part)
    cli.succeeds("generate", "--prompt", "a red cube", "--model", model, "--speed", "turbo", "-o", "turbo.mkv")
    assert np.array_equal(frames(Path("turbo.mkv")), frames(Path("peft.mkv")))
    words = [
        "generate",
        "--prompt",
        "a red cube",
        "--model",
        model,
        "--speed",
        "turbo",
        "--lora",
        f"{export / 'peft'}:-1",
    ]
    cli.succeeds(*words, "-o", "undone.mkv")  # a LoRA of the user's is added to the student's own
    assert np.abs(frames(Path("undone.mkv")).astype(int) - frames(Path("without.mkv")).astype(int)).max() <= 1
    assert "lora" in json.loads(cli.succeeds("info", export / place, "--json"))["components"]
    described = json.loads(cli.succeeds("info", model, "--json"))
    assert described["components"][f"{part}/lora"]["config"]["peft_type"] == "LORA"


def test_a_student_is_another_one_when_its_teacher_is(tiny_model: Path, tmp_path: Path) -> None:
    """A LoRA is nothing without the UNet that it changes."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    student = model / "students/2-steps/text-to-video"
    shutil.copytree(model / "text-to-video", student, ignore=shutil.ignore_patterns("unet"))
    write_json(student / "lora/adapter_config.json", {})
    (files,) = NativeFolder(ref=ModelRef(name=str(model)), folder=model).students
    before = files.content_hash("text-to-video")
    with (model / "text-to-video/unet/model.safetensors").open("ab") as weights:
        weights.write(b"0")
    assert files.content_hash("text-to-video") != before


def test_what_cannot_be_trained_is_refused(tiny_model: Path, cache: Path) -> None:
    recipe = recipe_of(tiny_model, student=LORA)
    sharded = TRAINING.model_copy(update={"execution": ExecutionConfig(distributed=Sharded())})
    with pytest.raises(InputError, match="a LoRA is small"):
        from_yaml(Recipe, to_yaml(recipe.model_copy(update={"training": sharded})))
    size = {"height": SIZE + 4}
    stage = recipe.stage.model_copy(update={"data": DATA.model_copy(update=size)})
    with pytest.raises(InputError, match=r"stage.data has a height of 20"):
        stage.objective(seed=0, cache=cache)


def test_dry_runs_count_teacher_and_student(tiny_model: Path) -> None:
    paper = parameter_counts(RECIPES["distil-image-to-video"]().stage)
    teacher = paper.pop("teacher")
    assert (teacher.trained, teacher.frozen) == (0, sum(count.trained + count.frozen for count in paper.values()))
    assert teacher.frozen > 1.5e9
    of_whole, of_lora = (recipe_of(tiny_model, student=student).stage for student in (WholeStudent(), LORA))
    whole, lora = (stage.step_memory(TRAINING, num_samples=1) for stage in (of_whole, of_lora))
    size = 4 * parameter_counts(of_whole)["teacher"].frozen
    assert (whole.weights, whole.optimizer, whole.others - lora.others) == (size, 2 * size, size)
    assert lora.weights < 1.5 * size  # the teacher's weights are its own
    assert lora.optimizer == 2 * 4 * parameter_counts(of_lora)["lora"].trained
