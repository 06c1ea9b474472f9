from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pydantic
import pytest
import torch
from diffusers.models.embeddings import Timesteps
from hypothesis import given, settings
from hypothesis import strategies as st

from videoldm.conditioners.config import SV3D_P_CAMERA, SV3D_U_MICRO, SVD_MICRO, CameraConfig, MicroConfig
from videoldm.conditioners.micro import (
    FASTEST,
    KNEE,
    MAX_BUCKET,
    bucket_of_motion,
    camera_angles,
    camera_vector,
    micro_vector,
    motion_of_bucket,
    orbit_azimuths,
    per_clip,
    warn_if_untrained,
)
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
    with pytest.warns(UserWarning, match="motion_bucket_id is 300, the model was trained on 0 to 255"):
        warn_if_untrained({"motion_bucket": per_clip([127, 300])}, SVD_MICRO)


@given(slow=st.floats(0, 5), fast=st.floats(0, 5))
def test_more_motion_never_has_a_lower_bucket(slow: float, fast: float) -> None:
    slow, fast = sorted((slow, fast))
    assert 0 <= bucket_of_motion(slow) <= bucket_of_motion(fast) <= 255


def test_the_ends_of_the_scale_and_its_documented_middle() -> None:
    assert bucket_of_motion(0) == 0
    assert bucket_of_motion(FASTEST) == bucket_of_motion(1e9) == 255
    assert bucket_of_motion(FASTEST * 0.97) < 255
    assert bucket_of_motion(0.1) == pytest.approx(127, abs=15)
    # Each knee more adds one to the argument of the logarithm.
    assert bucket_of_motion(3 * KNEE) == pytest.approx(2 * bucket_of_motion(KNEE), abs=1)


@pytest.mark.parametrize("motion", [-0.1, math.nan, math.inf])
def test_impossible_motion_is_refused(motion: float) -> None:
    with pytest.raises(InputError, match=r"motion is .*, it should be a finite number >= 0"):
        bucket_of_motion(motion)


def test_every_bucket_has_a_motion_of_its_own() -> None:
    assert [bucket_of_motion(motion_of_bucket(bucket)) for bucket in range(MAX_BUCKET + 1)] == list(range(256))
    with pytest.raises(InputError, match="motion bucket is 256, it should be 0 to 255"):
        motion_of_bucket(256)


NUM_FRAMES = 21
NOISE_LEVEL = torch.tensor([1e-5])


def sinusoids(value: float, dim: int) -> list[float]:
    """Cosines, then sines, of a number times 10000^(-i / half): the formula, one number at a time."""
    angles = [value * 10_000 ** (-i / (dim // 2)) for i in range(dim // 2)]
    return [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]


def test_an_orbit_is_one_turn_in_equal_steps_that_ends_at_the_given_picture() -> None:
    azimuths = orbit_azimuths(NUM_FRAMES)
    np.testing.assert_allclose(azimuths, np.linspace(0, 360, NUM_FRAMES + 1)[1:] % 360, atol=1e-12)
    assert azimuths[-1] == 0
    assert orbit_azimuths(1).tolist() == [0]


def test_angles_are_radians_from_the_zenith_and_from_the_last_frame() -> None:
    polar, azimuth = camera_angles(torch.tensor([[10.0, -30.0, 90.0]]), torch.tensor([[350.0, 20.0, 30.0]]))
    torch.testing.assert_close(polar, torch.tensor([[80.0, 120.0, 0.0]]).double() * math.pi / 180)
    torch.testing.assert_close(azimuth, torch.tensor([[320.0, 350.0, 0.0]]).double() * math.pi / 180)


def test_angles_of_an_orbit_are_those_of_the_official_formula() -> None:
    degrees = np.linspace(0, 360, NUM_FRAMES + 1)[1:] % 360
    expected = [np.deg2rad((degree - degrees[-1]) % 360) for degree in degrees]
    polar, azimuth = camera_angles(torch.tensor([[10.0]]), orbit_azimuths(NUM_FRAMES)[None])
    np.testing.assert_allclose(azimuth[0], expected, atol=1e-12)
    np.testing.assert_allclose(polar[0], [np.deg2rad(90 - 10)], atol=1e-12)


def test_the_vector_is_noise_level_polar_angle_azimuth_in_each_frame() -> None:
    elevation = torch.linspace(-20, 40, NUM_FRAMES)[None]
    azimuth = orbit_azimuths(NUM_FRAMES)[None]
    vector = camera_vector(NOISE_LEVEL, elevation, azimuth, SV3D_P_CAMERA)
    assert vector.shape == (1, NUM_FRAMES, 1280)
    for frame in (0, 7, NUM_FRAMES - 1):
        polar_rad = math.radians(90 - float(elevation[0, frame]))
        azimuth_rad = math.radians(float(azimuth[0, frame]))
        expected = sinusoids(1e-5, 256) + sinusoids(polar_rad, 512) + sinusoids(azimuth_rad, 512)
        torch.testing.assert_close(vector[0, frame], torch.tensor(expected), rtol=0, atol=1e-6)


def test_a_constant_elevation_is_one_column() -> None:
    azimuth = orbit_azimuths(NUM_FRAMES)[None]
    once = camera_vector(NOISE_LEVEL, torch.tensor([[12.0]]), azimuth, SV3D_P_CAMERA)
    often = camera_vector(NOISE_LEVEL, torch.full((1, NUM_FRAMES), 12.0), azimuth, SV3D_P_CAMERA)
    assert torch.equal(once, often)


def test_turning_all_cameras_changes_nothing() -> None:
    elevation, azimuth = torch.tensor([[12.0]]), orbit_azimuths(NUM_FRAMES)[None]
    turned = camera_vector(NOISE_LEVEL, elevation, azimuth + 77, SV3D_P_CAMERA)
    torch.testing.assert_close(turned, camera_vector(NOISE_LEVEL, elevation, azimuth, SV3D_P_CAMERA))


def test_clips_of_a_batch_have_their_own_cameras() -> None:
    levels, elevation = torch.tensor([1e-5, 0.1]), torch.tensor([[5.0], [-5.0]])
    azimuth = torch.stack([orbit_azimuths(4), -orbit_azimuths(4)])
    config = CameraConfig(noise_dim=4, angle_dim=6)
    together = camera_vector(levels, elevation, azimuth, config)
    assert together.shape == (2, 4, config.vector_dim) == (2, 4, 16)
    for row in range(2):
        clip = slice(row, row + 1)
        assert torch.equal(together[clip], camera_vector(levels[clip], elevation[clip], azimuth[clip], config))


def test_without_cameras_there_is_the_noise_level_alone() -> None:
    vector = micro_vector({"noise_level": per_clip([1e-5])}, SV3D_U_MICRO, num_frames=NUM_FRAMES)
    assert vector.shape == (1, NUM_FRAMES, 256)
    torch.testing.assert_close(vector[0, 3], torch.tensor(sinusoids(1e-5, 256)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("elevation", "azimuth", "message"),
    [
        ([[95.0]], [[0.0, 0.0]], "elevation is 95, it should be -90 to 90 degrees"),
        ([[0.0, -90.5]], [[0.0, 0.0]], "elevation is -90.5"),
        ([[math.nan]], [[0.0, 0.0]], "elevation is nan"),
        ([[0.0]], [[0.0, math.inf]], "azimuth is inf, it should be a finite number of degrees"),
        ([[0.0, 1.0, 2.0]], [[0.0, 0.0]], "elevation has 3 values a clip, it should have 1 or 2"),
    ],
)
def test_impossible_angles_are_refused(elevation: list[list[float]], azimuth: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        camera_vector(NOISE_LEVEL, torch.tensor(elevation), torch.tensor(azimuth), SV3D_P_CAMERA)


def test_a_negative_noise_level_is_refused() -> None:
    with pytest.raises(InputError, match="noise_level is -1"):
        camera_vector(torch.tensor([-1.0]), torch.tensor([[0.0]]), torch.zeros(1, 2), SV3D_P_CAMERA)
