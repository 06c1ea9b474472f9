"""A task that is defined in this file alone is trained, shipped in a model folder, listed, sampled and repeated."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from command_line import CommandLine
from jaxtyping import Float
from made_clips import frames
from tiny_model_folder import UNET, task_config
from tiny_recipes import BOTH, SIDE
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.conditioners.given_frames import frame_mask
from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core.config import from_yaml, to_yaml
from videoldm.diffusion.conditioning import FIELDS, Conditioning
from videoldm.diffusion.config import LogNormal
from videoldm.generation.load import load_model
from videoldm.tasks.conditioning import (
    empty_prompt,
    given_latents,
    text_conditioning,
    training_conditioning,
    unconditional,
)
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import register, task_named, unregister
from videoldm.tasks.task import Inputs, Need, Task, TrainingClips
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.diffusion.config import DiffusionStage, FromScratch

GIVEN_FRAME = -1


class EndingInPicture(Task):
    """A clip from a sentence and a picture, which is its last frame: neither is optional, and a mask says where."""

    name = "ending-in-picture"
    needs = frozenset({Need.TEXT, Need.PICTURE})
    encoders = ("text_encoder",)
    joins_latents = True
    reads_frame_mask = True

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Return caption and last frame of each clip."""
        return Inputs(
            samples=clips.samples,
            prompts=[record.caption for record in clips.records],
            pictures=clips.frames([GIVEN_FRAME])[:, 0],
            fps=[float(record.fps) for record in clips.records],
            motion_bucket=[bucket_of_motion(record.motion) for record in clips.records],
            noise_level=[0.0] * len(clips.records),
        )

    def conditioning(self, model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
        """Return the prompt's tokens, and the picture's latent at its place, zeros elsewhere."""
        assert inputs.pictures is not None
        count = len(inputs.samples)
        mask = frame_mask([[GIVEN_FRAME]] * count, num_frames).to(model.device)
        latent = given_latents(model, inputs, inputs.pictures[:, None])
        text = text_conditioning(model, inputs, num_frames=num_frames)
        return text.replace(concat=mask[:, :, None, None, None] * latent, frame_mask=mask)

    def null_context(self, model: VideoModel) -> Float[Tensor, "1 n d"]:
        """Return the tokens of the empty prompt."""
        return empty_prompt(model)


@pytest.fixture(scope="module", autouse=True)
def task() -> Generator[Task]:
    """The task, known for the tests of this file."""
    task = register(EndingInPicture())
    yield task
    unregister(task)


@pytest.fixture(scope="module")
def recipe(tiny_model: Path, task: Task) -> Recipe:
    """A run of 4 steps."""
    unet = {"concat_channels": UNET.in_channels, "reads_frame_mask": True}
    stage = DiffusionStage(
        model=task_config(EndingInPicture.name),
        unet=UNET.model_copy(update=unet),
        start=FromScratch(),
        autoencoder=str(tiny_model),
        encoders=str(tiny_model),
        noise_levels=LogNormal(p_mean=0.0, p_std=1.0),
        dropout=DropoutConfig(joint=0.2),
        num_validation_clips=1,
        **BOTH,
    )
    training = TrainingConfig(num_samples=8, batch_size=2, optimizer=OptimizerConfig(learning_rate=1e-3))
    return Recipe(name="ending", summary="clips that end in a picture", stage=stage, training=training)


@pytest.fixture(scope="module")
def model(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory, few_validation_losses: None) -> Path:
    """The model folder that the run exports."""
    folder = tmp_path_factory.mktemp("ending")
    return run(recipe, folder / "run", folder / "cache")


def test_recipe_is_printed_and_read_back(cli: CommandLine, recipe: Recipe) -> None:
    Path("ending.yaml").write_text(to_yaml(recipe))
    assert "ending: clips that end in a picture" in cli.succeeds("train", "ending.yaml", "--dry-run")
    assert from_yaml(Recipe, cli.succeeds("train", "ending.yaml", "--print-config"), source="ending.yaml") == recipe


def test_model_is_listed_sampled_and_repeated(cli: CommandLine, model: Path, cat: Path) -> None:
    described = json.loads(cli.succeeds("info", model, "--json"))
    assert list(described["tasks"]) == [EndingInPicture.name]
    given = ("--model", model, "--prompt", "a red cube moves to the left")
    cli.succeeds("generate", cat, *given, "-o", "clip.mkv")
    cli.succeeds("generate", "--from", "clip.mkv", "-o", "again.mkv", "--vram", "16")
    assert (frames(Path("clip.mkv")) == frames(Path("again.mkv"))).all()
    cli.succeeds("generate", cat, "--model", model, "--prompt", "a green ball", "-o", "other.mkv")
    assert (frames(Path("clip.mkv")) != frames(Path("other.mkv"))).any()

    line = f"model {model} makes nothing from a picture, it can do {EndingInPicture.name} (from a picture and a text)"
    assert cli.refuses("generate", cat, "--model", model) == line
    assert cli.refuses("generate", *given).startswith(f"model {model} makes nothing from a text")


def test_pictures_of_a_list_have_their_prompts(cli: CommandLine, model: Path, cat: Path) -> None:
    Path("list.csv").write_text("image,prompt\ncat.png,a red cube\ncat.png,a green ball\n")
    cli.succeeds("generate", "--items", "list.csv", "--model", model, "-o", "clips/")
    first, second = sorted(Path("clips").glob("*.mp4"))
    assert (frames(first) != frames(second)).any()


def test_training_and_sampling_agree(model: Path, task: Task) -> None:
    """Contract 2 holds for it, and guidance drops what training's joint dropout drops."""
    loaded = load_model(str(model))
    pictures = torch.linspace(-1, 1, 2 * 3 * SIDE * SIDE).view(2, 3, SIDE, SIDE)
    record = type("Record", (), {"caption": "a red cube", "fps": 7, "motion": 0.1})
    clips = TrainingClips(
        samples=[(0, 0), (0, 1)],
        records=[record, record],
        read_frames=lambda row, positions: pictures[row].expand(len(positions), -1, -1, -1),
    )
    dropped, kept = (
        training_conditioning(task, loaded, clips, num_frames=3, dropout=DropoutConfig(joint=share))
        for share in (1.0, 0.0)
    )
    with torch.no_grad():
        sampled = task.conditioning(loaded, task.training_inputs(clips), num_frames=3)
        without = unconditional(task, loaded)(sampled)
    for left, right in ((kept, sampled), (dropped, without)):
        for name in FIELDS:
            ours, theirs = getattr(left, name), getattr(right, name)
            assert (ours is None) == (theirs is None), name
            assert ours is None or torch.equal(ours, theirs), name
    assert kept.frame_mask.tolist() == [[0, 0, 1]] * 2
    assert not dropped.frame_mask.any()


def test_a_stage_must_give_the_network_what_the_task_gives(recipe: Recipe) -> None:
    values = recipe.stage.model_dump()
    for changes, line in (
        ({"concat_channels": 0}, "unet.concat_channels is 0, ending-in-picture joins latents of given frames"),
        ({"reads_frame_mask": False}, "unet.reads_frame_mask is False, ending-in-picture gives a frame mask"),
    ):
        with pytest.raises(ValueError, match=line):
            DiffusionStage.model_validate(values | {"unet": values["unet"] | changes})


def test_unknown_tasks_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown task 'ending-in-pictures', did you mean ending-in-picture"):
        task_named("ending-in-pictures")
