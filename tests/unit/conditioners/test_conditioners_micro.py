from __future__ import annotations

import math
import warnings
from fractions import Fraction

import pydantic
import pytest
import torch
from diffusers.models.embeddings import Timesteps
from hypothesis import given, settings
from hypothesis import strategies as st

from videoldm.conditioners.config import SVD_MICRO, MicroConfig
from videoldm.conditioners.micro import micro_vector, per_clip, warn_if_untrained
from videoldm.core.errors import InputError

SVD = {"fps": per_clip([7]), "motion_bucket": per_clip([127]), "noise_level": per_clip([0.02])}


def test_vector_holds_the_known_numbers_of_svd() -> None:
    vector = micro_vector(SVD, SVD_MICRO, num_frames=14)
    assert vector.shape == (1, 14, 768)
    fps, motion, noise = vector[0, 0].split(256)
    for values, start, known in [
        (fps, 0, [0.96017, 0.765001, 0.46479]),
        (fps, 128, [-0.279415, -0.644029, -0.885421]),
        (motion, 0, [0.232359, 0.364341, -0.999764]),
        (noise, 0, [0.9998]),
        (noise, 128, [0.019999]),
    ]:
        torch.testing.assert_close(values[start : start + len(known)], torch.tensor(known), rtol=0, atol=2e-5)


def test_vector_equals_the_embedding_that_diffusers_feeds() -> None:
    embed = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)
    expected = embed(torch.tensor([6.0, 127.0, 0.02])).flatten()
    torch.testing.assert_close(micro_vector(SVD, SVD_MICRO, num_frames=1)[0, 0], expected, rtol=0, atol=1e-6)


def test_constant_signals_take_no_memory_over_the_frames() -> None:
    vector = micro_vector(SVD, SVD_MICRO, num_frames=14)
    assert vector.stride(1) == 0
    assert torch.equal(vector[:, 0], vector[:, 13])


def test_values_may_differ_from_frame_to_frame_and_clip_to_clip() -> None:
    signals = {
        "fps": per_clip([7, Fraction(24000, 1001)]),
        "motion_bucket": torch.tensor([[1.0, 2.0, 3.0], [40.0, 50.0, 60.0]]),
        "noise_level": per_clip([0.0, 0.1]),
    }
    vector = micro_vector(signals, SVD_MICRO, num_frames=3)
    for clip, fps, noise in ((0, 7, 0.0), (1, 24000 / 1001, 0.1)):
        for frame in range(3):
            bucket = signals["motion_bucket"][clip, frame].item()
            alone = {
                "fps": per_clip([fps]),
                "motion_bucket": per_clip([bucket]),
                "noise_level": per_clip([noise]),
            }
            torch.testing.assert_close(vector[clip, frame], micro_vector(alone, SVD_MICRO, num_frames=1)[0, 0])


def test_a_model_can_take_fewer_signals_and_narrower_ones() -> None:
    config = MicroConfig(signals=("fps", "motion_bucket"), embedding_dim=8)
    vector = micro_vector({"motion_bucket": per_clip([127]), "fps": per_clip([7])}, config, num_frames=2)
    assert config.vector_dim == 16
    assert vector.shape == (1, 2, 16)
    frequencies = 10000 ** (-torch.arange(4) / 4)
    torch.testing.assert_close(vector[0, 0, :4], (6 * frequencies).cos())
    torch.testing.assert_close(vector[0, 0, 12:], (127 * frequencies).sin())


@settings(max_examples=20, deadline=None)
@given(fps=st.floats(0.5, 240), bucket=st.floats(0, 511), noise=st.floats(0, 10))
def test_each_pair_lies_on_the_unit_circle(fps: float, bucket: float, noise: float) -> None:
    signals = {
        "fps": per_clip([fps]),
        "motion_bucket": per_clip([bucket]),
        "noise_level": per_clip([noise]),
    }
    cosines, sines = micro_vector(signals, SVD_MICRO, num_frames=1).reshape(3, 2, 128).unbind(1)
    torch.testing.assert_close(cosines**2 + sines**2, torch.ones(3, 128), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("fps", 0.0, "fps is 0, it should be a finite number > 0"),
        ("fps", -3.0, "fps is -3"),
        ("fps", math.nan, "fps is nan"),
        ("fps", math.inf, "fps is inf"),
        ("motion_bucket", -1.0, "motion_bucket is -1, it should be a finite number >= 0"),
        ("motion_bucket", math.nan, "motion_bucket is nan"),
        ("noise_level", -0.02, "noise_level is -0.02"),
        ("noise_level", math.inf, "noise_level is inf"),
    ],
)
def test_impossible_values_are_refused(name: str, value: float, message: str) -> None:
    # Also when only one clip of several is wrong.
    signals = {key: torch.cat([given, given]) for key, given in SVD.items()}
    signals[name][1] = value
    with pytest.raises(InputError, match=message):
        micro_vector(signals, SVD_MICRO, num_frames=2)


def test_missing_unknown_and_wrongly_long_signals_are_refused() -> None:
    with pytest.raises(InputError, match=r"signals are \['fps'\], this model takes \['fps', 'motion_bucket', 'noise_"):
        micro_vector({"fps": per_clip([7])}, SVD_MICRO, num_frames=2)
    with pytest.raises(InputError, match=r"this model takes \['fps'\]"):
        micro_vector(SVD, MicroConfig(signals=("fps",)), num_frames=2)
    with pytest.raises(InputError, match="fps has 3 values a clip, it should have 1 or 2"):
        micro_vector({**SVD, "fps": torch.full((1, 3), 7.0)}, SVD_MICRO, num_frames=2)


@pytest.mark.parametrize("signals", [("motion_bucket", "fps"), ("fps", "fps"), ()])
def test_signals_in_another_order_are_no_config(signals: tuple[str, ...]) -> None:
    with pytest.raises(pydantic.ValidationError, match="in this order"):
        MicroConfig(signals=signals)


def test_untrained_values_are_warned_about_and_trained_ones_are_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fps, bucket in ((6, 0), (31, 255)):
            warn_if_untrained({"fps": per_clip([fps]), "motion_bucket": per_clip([bucket])}, SVD_MICRO)
        warn_if_untrained({"noise_level": per_clip([1])}, SVD_MICRO)
    for fps in (5, 32):
        with pytest.warns(UserWarning, match=f"fps is {fps}, the model was trained on 6 to 31"):
            warn_if_untrained({"fps": per_clip([fps])}, SVD_MICRO)
    with pytest.warns(UserWarning, match="motion bucket is 300, the model was trained on 0 to 255"):
        warn_if_untrained({"motion_bucket": per_clip([127, 300])}, SVD_MICRO)
