"""Motion buckets told and conditioned on: the table, its use in sampling, its measurement at the end of training."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tiny_model_folder import UNET, task_config
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig, MotionCalibration
from videoldm.conditioners.micro import motion_of_bucket
from videoldm.core.config import Config
from videoldm.core.reading import read_json
from videoldm.diffusion.config import LogNormal
from videoldm.generation.load import load_model
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs
from videoldm.training.data.config import Fixed, WorldData
from videoldm.training.stages.diffusion import motion_calibration
from videoldm.training.stages.diffusion.config import DiffusionStage, FromScratch, MotionProbe
from videoldm.training.stages.diffusion.motion_calibration import calibration_of, with_calibration
from videoldm.training.stages.diffusion.objective import DiffusionObjective

WORLD = WorldData(num_clips=64, num_frames=3, height=16, width=16)
TABLE = MotionCalibration(told=(10, 30), conditioned=(0, 100))


def test_between_measured_buckets_the_relation_is_linear_and_beyond_them_constant() -> None:
    assert [TABLE.conditioned_on(told) for told in (0, 10, 15, 30, 255)] == [0, 0, 25, 100, 100]


@pytest.mark.parametrize(
    ("told", "conditioned", "problem"),
    [
        ((1, 2), (3,), "told has 2 buckets, conditioned 1"),
        ((2, 1), (3, 4), "strictly increasing"),
        ((), (), "at least 1"),
    ],
)
def test_tables_that_make_no_sense_are_refused(
    told: tuple[float, ...], conditioned: tuple[float, ...], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        MotionCalibration(told=told, conditioned=conditioned)


def test_buckets_that_add_no_motion_are_left_out() -> None:
    found = calibration_of([5, 9, 9, 7, 20, 18], [0, 20, 40, 60, 80, 100])
    assert found == MotionCalibration(told=(5, 9, 20), conditioned=(0, 20, 80))


def test_sampling_conditions_on_what_the_table_says(tiny_model: Path) -> None:
    model = load_model(str(tiny_model), "image-to-video")
    told, conditioned = inputs_of(15), inputs_of(25)
    calibrated = with_calibration(model, TABLE)
    assert torch.equal(sample_clips(calibrated, told), sample_clips(model, conditioned))
    assert not torch.equal(sample_clips(model, told), sample_clips(model, conditioned))


def inputs_of(bucket: float) -> Inputs:
    """One picture under a motion bucket."""
    pictures = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)
    return Inputs(samples=[(3,)], pictures=pictures, fps=[7.0], motion_bucket=[bucket], noise_level=[0.02])


def test_an_export_holds_the_measured_table(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model whose clips move half as much as they are told to, in buckets of the slow end of the scale."""
    asked: list[float] = []

    def sampled(model: VideoModel, inputs: Inputs) -> Tensor:
        assert model.config.micro.motion_calibration is None
        assert set(inputs.noise_level) == {model.config.signals.noise_level}
        asked.extend(inputs.motion_bucket)
        return torch.tensor(inputs.motion_bucket)[:, None, None, None, None].expand(-1, 3, 3, 16, 16)

    def half_the_motion(video: Tensor, fps: Fraction) -> Tensor:
        del fps
        return torch.tensor(motion_of_bucket(round(float(video[0, 0, 0, 0]) / 2)))

    monkeypatch.setattr(motion_calibration, "sample_clips", sampled)
    monkeypatch.setattr(motion_calibration, "video_motion", half_the_motion)
    stage = stage_of(tiny_model, MotionProbe(num_clips=5, buckets=(80, 0, 40)))
    probed = DiffusionObjective(stage, seed=7, cache=tmp_path / "cache")
    probed.measure()
    probed.export(tmp_path / "export")
    assert asked == [0] * 5 + [40] * 5 + [80] * 5
    written = read_json(tmp_path / "export" / "image-to-video" / "model.json")
    micro = TaskModelConfig.model_validate(written).micro
    assert micro.motion_calibration == MotionCalibration(told=(0, 20, 40), conditioned=(0, 40, 80))
    assert task_config("image-to-video").micro.motion_calibration is None


def stage_of(model: Path, probe: MotionProbe) -> DiffusionStage:
    """A stage whose model is probed at its end."""
    return DiffusionStage(
        unet=UNET.model_copy(update={"concat_channels": UNET.in_channels}),
        start=FromScratch(),
        autoencoder=str(model),
        encoders=str(model),
        data=WORLD,
        validation=WORLD,
        noise_levels=LogNormal(p_mean=0.0, p_std=1.0),
        dropout=DropoutConfig(joint=0.2),
        model=task_config("image-to-video"),
        motion_probe=probe,
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"model": task_config("image-to-video").model_copy(update={"num_frames": 1})},
            "is not conditioned on measured",
        ),
        (
            {"data": WORLD.model_copy(update={"signals": Fixed(fps=7, motion_bucket=50)})},
            "is not conditioned on",
        ),
        ({"motion_probe": MotionProbe(num_clips=65, buckets=(0, 40))}, "num_clips is 65, validation has 64"),
    ],
)
def test_what_cannot_be_measured_is_refused(tiny_model: Path, changes: dict[str, Config], problem: str) -> None:
    stage = stage_of(tiny_model, MotionProbe(buckets=(0, 40))).model_copy(update=changes)
    with pytest.raises(ValidationError, match=problem):
        DiffusionStage.model_validate(stage.model_dump())
