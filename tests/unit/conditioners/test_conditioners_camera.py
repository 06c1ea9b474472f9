from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from videoldm.conditioners.config import SV3D_P_CAMERA, SV3D_U_MICRO, CameraConfig
from videoldm.conditioners.micro import camera_angles, camera_vector, micro_vector, orbit_azimuths, per_clip
from videoldm.core.errors import InputError

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
