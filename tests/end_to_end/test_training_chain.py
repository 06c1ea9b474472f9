"""All stages in their order, tiny: each trains, exports and feeds the next; the result is shipped and generates."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_model_folder import AUTOENCODER, IMAGE, TEXT, UNET, task_config

from videoldm.cli.main import main
from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.diffusion.config import LogNormal
from videoldm.generation.choices import Choices
from videoldm.generation.clips import generate
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.load import load_model
from videoldm.measures.config import FeatureNetworkConfig
from videoldm.measures.feature_network import load_feature_network
from videoldm.models.unet.config import NoTemporalLayers
from videoldm.recipes.ship import ship, shipped_parts
from videoldm.synthetic.vocabulary import LABELS
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.data.config import PannedPictures, WorldData
from videoldm.training.data.samples import first_frame
from videoldm.training.objective import Losses
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel, FromScratch, Start
from videoldm.training.stages.diffusion.objective import DiffusionObjective
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.judge.config import JudgeStage
from videoldm.training.stages.stage import Stage

DATA = WorldData(num_clips=64, num_frames=3, height=16, width=16)
VALIDATION = DATA.model_copy(update={"split": "validation"})
pytestmark = pytest.mark.usefixtures("few_validation_losses")
LONG_TEXT = TEXT.model_copy(update={"max_tokens": 64})  # whole captions
BOTH = {"data": DATA, "validation": VALIDATION}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs after all stages."""
    folder, pictures = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("pictures")
    Image.effect_noise((32, 32), 80).save(pictures / "noise.png")
    stages: dict[str, Callable[[], Stage]] = {
        "mini-autoencoder": lambda: AutoencoderStage(model=AUTOENCODER, **BOTH),
        "mini-encoders": lambda: EncodersStage(text=LONG_TEXT, image=IMAGE, **BOTH),
        "mini-judge": lambda: JudgeStage(model=FeatureNetworkConfig(heads=LABELS, frame_px=16, widths=(8,)), **BOTH),
        "mini-image": lambda: diffusion(folder, "text-to-image", FromScratch()),
        "mini-video": lambda: diffusion(folder, "text-to-video", FromModel(model=str(folder / "mini-image/export"))),
        "mini-text-to-video": lambda: diffusion(
            folder, "text-to-video", FromModel(model=str(folder / "mini-video/export"))
        ),
        "mini-image-to-video": lambda: diffusion(
            folder, "image-to-video", FromModel(model=str(folder / "mini-video/export"))
        ).model_copy(update={"panned_pictures": PannedPictures(folder=str(pictures), num_clips=64)}),
    }
    for name, stage in stages.items():
        recipe = Recipe(name=name, summary="tiny", stage=stage(), training=training())
        assert from_yaml(Recipe, to_yaml(recipe)) == recipe
        run(recipe, folder / name, folder / "cache")
    return folder


def training() -> TrainingConfig:
    """Two steps."""
    return TrainingConfig(
        num_samples=8,
        batch_size=4,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        log_every_samples=4,
        validate_every_samples=8,
        checkpoint_every_samples=8,
    )


def diffusion(runs: Path, task: str, start: Start) -> DiffusionStage:
    """A diffusion stage on what the earlier stages exported."""
    model = task_config(task)
    changes = {
        "text-to-image": {"temporal": NoTemporalLayers()},
        "text-to-video": {},
        "image-to-video": {"concat_channels": UNET.in_channels},
    }
    return DiffusionStage(
        model=model.model_copy(update={"num_frames": 1}) if task == "text-to-image" else model,
        unet=UNET.model_copy(update=changes[task]),
        start=start,
        autoencoder=str(runs / "mini-autoencoder/export"),
        encoders=str(runs / "mini-encoders/export"),
        noise_levels=LogNormal(p_mean=0.0, p_std=1.0),
        dropout=DropoutConfig(joint=0.2),
        num_validation_clips=1,
        **BOTH,
    )


def test_every_stage_logs_validates_and_exports(runs: Path) -> None:
    for place in shipped_parts().values():
        name = place.parts[0]
        assert (runs / place).is_dir()
        log = (runs / name / "log.jsonl").read_text()
        assert '"loss"' in log
        assert '"validation/' in log
    assert (runs / "mini-video/validation/000000000008/clips.png").is_file()
    assert (runs / "mini-image-to-video/validation/000000000008/000.mp4").is_file()


def test_video_model_starts_with_the_image_models_weights(runs: Path) -> None:
    from videoldm.checkpoints.layouts.native import load_unet

    start = FromModel(model=str(runs / "mini-image/export"))
    fresh = DiffusionObjective(diffusion(runs, "text-to-video", start), seed=0, cache=runs / "cache")
    image = load_unet(runs / "mini-image/export/text-to-image/unet")
    video = fresh.players[0].module.state_dict()
    assert all(torch.equal(video[name], value) for name, value in image.state_dict().items())


def test_shipped_folder_is_16_bit_and_generates(runs: Path, tmp_path: Path) -> None:
    size = ship(runs, tmp_path / "model")
    assert 0 < size < 25_000_000
    stored = [tensor for path in (tmp_path / "model").rglob("*.safetensors") for tensor in load_file(path).values()]
    assert {tensor.dtype for tensor in stored if tensor.is_floating_point()} == {torch.float16}
    judge = load_feature_network(tmp_path / "model/judge")
    assert judge.accuracy["shape"].num_clips == 64
    model = load_model(str(tmp_path / "model"), "text-to-video")
    request = Choices(seed=1).request(ClipInputs(prompt="a red cube moves left"), model.files.ref, model.config)
    clip = generate(model, [request])
    assert clip.shape == (1, 3, 3, 16, 16)
    assert bool(clip.isfinite().all())


@pytest.mark.parametrize("name", ["mini-autoencoder", "mini-encoders", "mini-judge", "mini-image-to-video"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_interrupted_stage_resumes_exactly(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    recipe = from_yaml(Recipe, (runs / name / "config.yaml").read_text())
    changes = {"precision": precision, "checkpoint_every_samples": 4}
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})
    # The first runs were in float32.
    whole = runs / name / "export" if precision == "float32" else run(recipe, tmp_path / "whole", runs / "cache")
    objective = type(recipe.stage.objective(seed=0, cache=runs / "cache"))
    losses = objective.losses

    def interrupted(self: Any, positions: Sequence[int]) -> Losses:
        if positions[0] >= 4:
            raise KeyboardInterrupt
        return losses(self, positions)

    monkeypatch.setattr(objective, "losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "parts", runs / "cache")
    monkeypatch.undo()
    resumed = run(recipe, tmp_path / "parts", runs / "cache")
    for path in whole.rglob("*.safetensors"):
        again = load_file(resumed / path.relative_to(whole))
        assert all(torch.equal(again[key], value) for key, value in load_file(path).items()), path


def test_killed_run_resumes_exactly(runs: Path, tmp_path: Path) -> None:
    """A real SIGKILL, wherever in the run it falls."""
    recipe = from_yaml(Recipe, (runs / "mini-judge/config.yaml").read_text())
    changes = {"num_samples": 200, "checkpoint_every_samples": 4, "validate_every_samples": 200}
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})
    (tmp_path / "judge.yaml").write_text(to_yaml(recipe))
    words = ["train", str(tmp_path / "judge.yaml"), "-o", str(tmp_path / "run"), "--cache", str(runs / "cache")]
    process = subprocess.Popen([sys.executable, "-m", "videoldm.cli.main", *words], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and len(list((tmp_path / "run/checkpoints").glob("0*"))) < 2:
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "run/export").exists()
    assert main(words) == 0
    whole = run(recipe, tmp_path / "whole", runs / "cache")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "run/export" / name).read_bytes() == (whole / name).read_bytes()


def test_run_whose_inputs_changed_is_not_continued(runs: Path, tmp_path: Path) -> None:
    recipe = from_yaml(Recipe, (runs / "mini-image/config.yaml").read_text())
    shutil.copytree(runs / "mini-encoders/export", tmp_path / "encoders")
    assert isinstance(recipe.stage, DiffusionStage)
    stage = recipe.stage.model_copy(update={"encoders": str(tmp_path / "encoders")})
    recipe = recipe.model_copy(update={"stage": stage})
    run(recipe, tmp_path / "run", runs / "cache")
    shutil.rmtree(tmp_path / "run/export")  # the run is not finished any more
    weights = tmp_path / "encoders/text_encoder/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"its run began with other files in .*/encoders \(stage.encoders\)"):
        run(recipe, tmp_path / "run", runs / "cache")


@pytest.mark.parametrize("key", ["in_channels", "out_channels", "context_dim"])
def test_unet_that_does_not_fit_is_refused_before_anything_is_rendered(runs: Path, tmp_path: Path, key: str) -> None:
    stage = diffusion(runs, "text-to-video", FromScratch())
    wrong = stage.model_copy(update={"unet": UNET.model_copy(update={key: 3})})
    with pytest.raises(InputError, match=f"stage.unet.{key} is 3, stage.autoencoder and stage.encoders need "):
        DiffusionObjective(wrong, seed=0, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_missing_pictures_are_told_before_anything_is_rendered(runs: Path, tmp_path: Path) -> None:
    stage = diffusion(runs, "image-to-video", FromModel(model=str(runs / "mini-video/export")))
    (tmp_path / "empty").mkdir()
    wrong = stage.model_copy(update={"panned_pictures": PannedPictures(folder=str(tmp_path / "empty"), num_clips=64)})
    with pytest.raises(InputError, match="empty: is a folder without pictures"):
        DiffusionObjective(wrong, seed=0, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("world-*"))


def test_clips_longer_than_the_model_give_windows(runs: Path) -> None:
    stage = diffusion(runs, "image-to-video", FromModel(model=str(runs / "mini-video/export")))
    longer = stage.model_copy(update={"data": DATA.model_copy(update={"num_frames": 7})})
    objective = DiffusionObjective(longer, seed=0, cache=runs / "cache")
    starts = {first_frame(7 - 3, (0, position)) for position in range(40)}
    assert starts == {0, 1, 2, 3, 4}
    losses = objective.losses(range(4)).per_sample
    assert losses.shape == (4,)
    assert bool(losses.isfinite().all())


def test_running_again_changes_nothing(runs: Path) -> None:
    before = (runs / "mini-judge/log.jsonl").read_bytes()
    recipe = from_yaml(Recipe, (runs / "mini-judge/config.yaml").read_text())
    run(recipe, runs / "mini-judge", runs / "cache")
    assert (runs / "mini-judge/log.jsonl").read_bytes() == before
