"""From raw videos to a trained model: curated, exported, checked and trained on, as a user would type it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import CommandLine
from curated_exports import FORMATS, change_index, export, made_dataset
from safetensors.torch import load_file
from tiny_model_folder import NUM_FRAMES, SIZE, UNET, task_config

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.core.random import generator
from videoldm.dataset.config import Bucket
from videoldm.dataset.exports import open_export
from videoldm.dataset.source import window_of
from videoldm.diffusion.config import LogNormal
from videoldm.tasks.conditioning import training_conditioning
from videoldm.tasks.config import TaskName
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Inputs
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.data.config import CachedLatents, CuratedData, EncodedAnew
from videoldm.training.dry_run import steps_line
from videoldm.training.objective import Losses
from videoldm.training.recipe import Recipe
from videoldm.training.run import check, run
from videoldm.training.stages.diffusion.config import DiffusionStage, FromScratch
from videoldm.training.stages.diffusion.objective import DiffusionObjective
from videoldm.video.picture import fit_picture

MAIN = Bucket(height=SIZE, width=SIZE, num_frames=NUM_FRAMES, fps=Fraction(5), batch_size=4)
OTHER = Bucket(height=SIZE, width=SIZE, num_frames=2, fps=Fraction(10), batch_size=2)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("curated")
    dataset = made_dataset(folder)
    return {form: export(dataset, folder / form, form) for form in FORMATS}


@pytest.fixture(scope="module")
def encoders(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both encoders, as their own stage exports them."""
    folder = tmp_path_factory.mktemp("encoders") / "export"
    for name in ("text_encoder", "image_encoder"):
        shutil.copytree(tiny_model / name, folder / name)
    return folder


def recipe(
    data: CuratedData, tiny_model: Path, encoders: Path, *, task: TaskName = "text-to-video", num_samples: int = 16
) -> Recipe:
    concat_channels = UNET.in_channels if task == "image-to-video" else 0
    return Recipe(
        name="curated",
        summary="tiny",
        stage=DiffusionStage(
            model=task_config(task),
            unet=UNET.model_copy(update={"concat_channels": concat_channels}),
            start=FromScratch(),
            autoencoder=str(tiny_model / "autoencoder"),
            encoders=str(encoders),
            data=data,
            validation=data,
            noise_levels=LogNormal(p_mean=0.0, p_std=1.0),
            dropout=DropoutConfig(joint=0.2),
            num_validation_clips=1,
        ),
        training=TrainingConfig(
            num_samples=num_samples,
            batch_size=4,
            optimizer=OptimizerConfig(learning_rate=1e-3),
            log_every_samples=8,
            validate_every_samples=num_samples,
            checkpoint_every_samples=8,
        ),
    )


def curated(folder: Path, **changes: Any) -> CuratedData:
    return CuratedData(folder=str(folder), buckets=(MAIN, OTHER)).model_copy(update=changes)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("form", ["parquet-index", "webdataset"])
def test_check_and_train(
    cli: CommandLine, exports: dict[str, Path], tiny_model: Path, encoders: Path, form: str
) -> None:
    mine = recipe(curated(exports[form]), tiny_model, encoders, num_samples=8)
    assert from_yaml(Recipe, to_yaml(mine)) == mine
    Path("mine.yaml").write_text(to_yaml(mine))

    table = cli.succeeds("dataset", "check", "mine.yaml")
    assert "16x16, 3 frames at 5" in table
    found = json.loads(cli.succeeds("dataset", "check", "mine.yaml", "--json"))
    assert [bucket["clips"] for bucket in found["data"]["buckets"]] == [6, 6]
    assert found["data"]["left_out"] == found["validation"]["left_out"] == []

    cli.succeeds("train", "mine.yaml", "-o", "run")
    assert Path("run/export/text-to-video/unet/model.safetensors").is_file()
    assert {"stage.data", "stage.validation"} < set(json.loads(Path("run/inputs.json").read_text()))
    records = log_of(Path("run"))
    assert records[-1]["samples"] >= 8
    assert any(record.get("validation/loss") for record in records)


def test_batches_of_buckets_must_be_divisible(
    exports: dict[str, Path], tiny_model: Path, encoders: Path, tmp_path: Path
) -> None:
    mine = recipe(curated(exports["files"]), tiny_model, encoders)
    in_parts = mine.model_copy(update={"training": mine.training.model_copy(update={"accumulation_steps": 4})})
    check(mine, tmp_path / "run", tmp_path)
    with pytest.raises(InputError, match=r"buckets\.1\.batch_size is 2, should be a multiple of 4: training\.acc"):
        check(in_parts, tmp_path / "run", tmp_path)


def test_the_export_tells_what_it_is_and_the_run_has_a_page(
    exports: dict[str, Path], tiny_model: Path, encoders: Path, tmp_path: Path
) -> None:
    run(recipe(curated(exports["files"]), tiny_model, encoders, num_samples=8), tmp_path / "run", tmp_path)
    card, page = (tmp_path / "run" / name for name in ("export/README.md", "index.html"))
    assert "pipeline_tag: text-to-video" in card.read_text()
    assert "validation/motion_of_clips" in page.read_text()
    assert re.search(r'src="validation/\d{12}/000\.mp4"', page.read_text())


def test_batch_is_that_of_the_buckets(cli: CommandLine) -> None:
    line = cli.refuses("train", "mini-finetune", "training.batch_size=4")
    assert "training.batch_size is 4, the largest batch of stage.data.buckets is 8" in line
    both = ("training.batch_size=4", "stage.data.buckets.0.batch_size=4")
    changed = from_yaml(Recipe, cli.succeeds("train", "mini-finetune", *both, "--print-config"))
    assert steps_line(changed).endswith(" steps of 4")


def test_other_videos_and_those_held_out_are_of_one_folder(cli: CommandLine) -> None:
    line = cli.refuses("train", "mini-finetune", "stage.data.folder=mine")
    assert "data.folder is 'mine', validation.folder 'clips'" in line
    both = ("stage.data.folder=mine", "stage.validation.folder=mine")
    assert cli.refuses("train", "mini-finetune", *both).startswith(
        "stage.data: mine: does not exist, it should be an export of curated clips"
    )


def test_finished_run_needs_its_clips_no_more(
    cli: CommandLine, exports: dict[str, Path], tiny_model: Path, encoders: Path
) -> None:
    shutil.copytree(exports["files"], "clips")
    Path("mine.yaml").write_text(to_yaml(recipe(curated(Path("clips")), tiny_model, encoders, num_samples=8)))
    cli.succeeds("train", "mine.yaml", "-o", "run")
    shutil.rmtree("clips")
    assert cli.succeeds("train", "mine.yaml", "-o", "run") == "run/export\n"


def test_batch_that_diverges_is_told_with_its_clips(
    exports: dict[str, Path], tiny_model: Path, encoders: Path, tmp_path: Path
) -> None:
    stage = recipe(curated(exports["files"]), tiny_model, encoders).stage
    objective = stage.objective(seed=0, cache=tmp_path)
    objective.prepare()
    bucket = MAIN if objective.batch_size_at(0) == MAIN.batch_size else OTHER
    assert re.fullmatch(rf"clip \S+ of \S+\.mp4, {bucket.name}, window 0", objective.describe(0))
    objective.close()


def test_mini_recipe_takes_curated_clips_instead_of_the_world(cli: CommandLine, exports: dict[str, Path]) -> None:
    bucket = "{height: 64, width: 64, num_frames: 14, fps: 10, batch_size: 4}"
    data = [
        f"stage.{key}={{kind: curated, folder: {exports['files']}, buckets: [{bucket}]}}"
        for key in ("data", "validation")
    ]
    outcome = cli("dataset", "check", "mini-video", *data, "training.batch_size=4", "--json")
    assert outcome.code == 2
    assert json.loads(outcome.out)["data"]["left_out"][0]["reason"] == "smaller than 64x64"
    assert "no clip is for the bucket 64x64, 14 frames at 10 (smaller than 64x64: 6)" in outcome.err


def test_folders_are_checked_against_published_sizes(cli: CommandLine, exports: dict[str, Path]) -> None:
    outcome = cli("dataset", "check", exports["webdataset"])
    assert outcome.code == 2
    assert "576x320, 14 frames at 6" in outcome.out
    small = "buckets=[{height: 16, width: 32, num_frames: 4, fps: 6, batch_size: 2}]"
    assert " 6 " in cli.succeeds("dataset", "check", exports["webdataset"], small)
    assert "no clip is for" in cli("dataset", "check", exports["files"], small, "buckets.0.num_frames=90").err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["dataset"], "dataset: the command is missing: give check or --help"),
        (["dataset", "chek"], "dataset: unknown command 'chek', did you mean check?"),
        (["dataset", "check", "no/such"], "no/such: there is no such folder"),
        (["dataset", "check", "mini-video"], "mini-video: trains on no curated clips"),
        (["dataset", "check", "mini-judge"], "mini-judge: trains on no curated clips"),
        (["dataset", "check", "."], ".: is not an export of curated clips"),
    ],
)
def test_what_cannot_be_checked_is_told(cli: CommandLine, words: list[str], line: str) -> None:
    assert cli.refuses(*words).startswith(line)


@pytest.mark.parametrize("latents", [CachedLatents(windows_per_clip=2), EncodedAnew()])
def test_interrupted_run_with_a_broken_clip_resumes_exactly(
    *,
    exports: dict[str, Path],
    tiny_model: Path,
    encoders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    latents: CachedLatents | EncodedAnew,
) -> None:
    folder = shutil.copytree(exports["files"], tmp_path / "files")
    [broken] = folder.glob(f"*/{open_export(folder).clip(2).name.split()[1]}.mp4")
    broken.write_bytes(broken.read_bytes()[:1500])
    mine = recipe(curated(folder, latents=latents), tiny_model, encoders)
    whole = run(mine, tmp_path / "whole", tmp_path / "cache")
    assert "is skipped, the next one takes its place" in capsys.readouterr().err
    assert log_of(tmp_path / "whole")[-1]["validation/skipped_clips"] == 1

    losses = DiffusionObjective.losses

    def interrupted(self: DiffusionObjective, positions: Sequence[int]) -> Losses:
        if positions[0] >= 10:
            raise KeyboardInterrupt
        return losses(self, positions)

    monkeypatch.setattr(DiffusionObjective, "losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(mine, tmp_path / "parts", tmp_path / "cache")
    monkeypatch.undo()
    resumed = run(mine, tmp_path / "parts", tmp_path / "cache")
    again, expected = (load_file(one / "text-to-video/unet/model.safetensors") for one in (resumed, whole))
    assert all(torch.equal(again[name], value) for name, value in expected.items())


def test_run_is_not_continued_with_other_clips(
    cli: CommandLine, exports: dict[str, Path], tiny_model: Path, encoders: Path
) -> None:
    shutil.copytree(exports["files"], "clips")
    Path("mine.yaml").write_text(to_yaml(recipe(curated(Path("clips")), tiny_model, encoders, num_samples=8)))
    cli.succeeds("train", "mine.yaml", "-o", "run")
    shutil.rmtree("run/export")  # the run is not finished any more
    change_index(Path("clips"), lambda row, number: row | ({"image_caption": "another"} if number == 0 else {}))
    line = cli.refuses("train", "mine.yaml", "-o", "run")
    assert line.startswith("run: its run began with other files in clips (stage.data): bring them back")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("stage.data.buckets.0.num_frames=4", "no bucket has the model's 16x16 and 3 frames"),
        ("stage.data.captions.kind=none", "captions are none, text-to-video needs them"),
        ("stage.data.captions.image=2", "stage.data.captions.image is 2"),
        ("stage.data.signals.kind=fixed stage.data.signals.fps=7", "stage.data.signals.motion_bucket is missing"),
        ("stage.data.buckets.1.num_frames=3 stage.data.buckets.1.fps=5", "twice"),
        ("stage.data.folder=nothing", "nothing: does not exist, it should be an export of curated clips"),
        ("stage.data.buckets.1.num_frames=200", "no clip is for the bucket 16x16, 200 frames at 10"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_made(
    *, cli: CommandLine, exports: dict[str, Path], tiny_model: Path, encoders: Path, change: str, line: str
) -> None:
    Path("mine.yaml").write_text(to_yaml(recipe(curated(exports["files"]), tiny_model, encoders)))
    assert line in cli.refuses("train", "mine.yaml", *change.split(), "-o", "run")


@pytest.mark.parametrize("latents", [CachedLatents(), EncodedAnew(windows_per_clip=1)])
def test_training_is_conditioned_as_sampling_from_the_first_frame(
    exports: dict[str, Path], tiny_model: Path, encoders: Path, tmp_path: Path, latents: CachedLatents | EncodedAnew
) -> None:
    """Bit for bit, a batch of one: the frame as `generate` would be given it, with the level and stream of training.

    Also from stored windows, as their first frame has all its 8 bits.
    """
    data = curated(exports["files"], latents=latents, buckets=(MAIN,))
    stage = recipe(data, tiny_model, encoders, task="image-to-video").stage
    objective = stage.objective(seed=0, cache=tmp_path)
    objective.prepare()
    assert isinstance(objective, DiffusionObjective)
    task, model, source = task_named("image-to-video"), objective._model, open_export(exports["files"])
    objective._data.reader.announce([5])
    clips = objective._data.samples([5], is_image=False).clips
    trained = training_conditioning(task, model, clips, num_frames=NUM_FRAMES, dropout=DropoutConfig())

    [record] = clips.records
    [index] = [number for number, clip in enumerate(source.clips()) if clip.captions["image"] == record.image_caption]
    start_s = window_of(source.clip(index).duration_s, MAIN, 0, 1).start_s
    picture = fit_picture(source.frames(index, [start_s])[0], SIZE, SIZE)
    level = float(torch.randn((), generator=generator(0, "augmentation level", 5)).mul(0.5).sub(3.0).exp())
    told = task.training_inputs(clips)
    assert told.noise_level == pytest.approx([level], rel=1e-6)
    asked = Inputs(
        samples=[(0, 5)],
        pictures=picture[None],
        fps=[5.0],
        motion_bucket=told.motion_bucket,
        noise_level=told.noise_level,
    )
    with torch.no_grad():
        sampled = task.conditioning(model, asked, num_frames=NUM_FRAMES)
    for name in ("context", "vector", "concat"):
        ours, theirs = getattr(trained, name), getattr(sampled, name)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, msg=name)
