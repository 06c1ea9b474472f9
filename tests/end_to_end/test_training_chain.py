"""All stages in their order, tiny: each trains, exports and feeds the next; the result is shipped and generates."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_model import AUTOENCODER, IMAGE, TEXT, UNET, task_config

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import from_yaml, to_yaml
from videoldm.diffusion.config import LogNormal
from videoldm.measures.features.config import FeatureNetworkConfig
from videoldm.measures.features.store import load_feature_network
from videoldm.models.unet.config import NoTemporalLayers
from videoldm.recipes.ship_mini import PARTS, ship
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS, COLOURS, OBJECT_MOTIONS, SHAPES
from videoldm.tasks.generate import generate
from videoldm.tasks.model import load_model
from videoldm.tasks.request import Choices
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.config import (
    AutoencoderStage,
    DiffusionStage,
    EncodersStage,
    FromImageModel,
    FromScratch,
    FromVideoModel,
    JudgeStage,
    Stage,
    Start,
    WorldData,
)

HEADS = {"shape": SHAPES, "colour": tuple(COLOURS), "motion": OBJECT_MOTIONS, "camera": CAMERA_MOTIONS}
DATA = WorldData(num_clips=64, num_frames=3, height=16, width=16)
VALIDATION = DATA.model_copy(update={"split": "validation"})
BOTH = {"data": DATA, "validation": VALIDATION}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs after all stages."""
    folder = tmp_path_factory.mktemp("runs")
    stages: dict[str, Callable[[], Stage]] = {
        "mini-autoencoder": lambda: AutoencoderStage(model=AUTOENCODER, **BOTH),
        "mini-encoders": lambda: EncodersStage(text=TEXT, image=IMAGE, **BOTH),
        "mini-judge": lambda: JudgeStage(model=FeatureNetworkConfig(heads=HEADS, frame_px=16, widths=(8,)), **BOTH),
        "mini-image": lambda: diffusion(folder, "text-to-image", FromScratch()),
        "mini-video": lambda: diffusion(
            folder, "text-to-video", FromImageModel(folder=str(folder / "mini-image/export"))
        ),
        "mini-image-to-video": lambda: diffusion(
            folder, "image-to-video", FromVideoModel(folder=str(folder / "mini-video/export"))
        ),
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
    for place in PARTS.values():
        name = place.split("/", maxsplit=1)[0]
        assert (runs / place).is_dir()
        log = (runs / name / "log.jsonl").read_text()
        assert '"loss"' in log
        assert '"validation/' in log
    assert (runs / "mini-video/validation/000000000008/clips.png").is_file()
    assert (runs / "mini-image-to-video/validation/000000000008/000.mp4").is_file()


def test_video_model_starts_with_the_image_models_weights(runs: Path) -> None:
    from videoldm.checkpoints.native import load_unet
    from videoldm.training.stages.diffusion import DiffusionObjective

    start = FromImageModel(folder=str(runs / "mini-image/export"))
    fresh = DiffusionObjective(diffusion(runs, "text-to-video", start), seed=0, cache=runs / "cache")
    image, _ = load_unet(runs / "mini-image/export/unet")
    video = fresh.module.state_dict()
    assert all(torch.equal(video[name], value) for name, value in image.state_dict().items())


def test_shipped_folder_is_16_bit_and_generates(runs: Path, tmp_path: Path) -> None:
    size = ship(runs, tmp_path / "model")
    assert 0 < size < 25_000_000
    stored = [tensor for path in (tmp_path / "model").rglob("*.safetensors") for tensor in load_file(path).values()]
    assert {tensor.dtype for tensor in stored if tensor.is_floating_point()} == {torch.float16}
    judge = load_feature_network(tmp_path / "model/judge")
    assert judge.accuracy["shape"].num_clips == 64
    model = load_model(str(tmp_path / "model"), "text-to-video")
    request = Choices(seed=1).request("model", model.config, prompt="a red cube moves left")
    clip = generate(model, [request])
    assert clip.shape == (1, 3, 3, 16, 16)
    assert bool(clip.isfinite().all())


def test_running_again_changes_nothing(runs: Path) -> None:
    before = (runs / "mini-judge/log.jsonl").read_bytes()
    recipe = from_yaml(Recipe, (runs / "mini-judge/config.yaml").read_text())
    run(recipe, runs / "mini-judge", runs / "cache")
    assert (runs / "mini-judge/log.jsonl").read_bytes() == before
