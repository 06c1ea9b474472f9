"""Where the camera stands in each frame as a condition; fills `Conditioning.vector`.

Cameras look at an object from all around, at one distance. The last frame is the one whose picture is given.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.config import CameraConfig, MicroConfig
from videoldm.conditioners.micro import micro_vector
from videoldm.core.errors import InputError
from videoldm.models.unet.embeddings import sinusoids


def orbit_azimuths(num_frames: int) -> Float[Tensor, " t"]:
    """Degrees of a whole turn in equal steps, which ends at 0, the given picture."""
    return torch.arange(1, num_frames + 1, dtype=torch.float64) * 360 / num_frames % 360


def camera_vector(
    noise_level: Float[Tensor, " b"],
    elevation_deg: Float[Tensor, "b _"],
    azimuth_deg: Float[Tensor, "b t"],
    config: CameraConfig,
) -> Float[Tensor, "b t d"]:
    """Sinusoids of the given picture's noise level, then of each frame's polar angle, then of its azimuth.

    Elevations are one column where they hold for the whole clip, or one column a frame; only differences of azimuths
    count. Angles enter in radians, polar ones from the zenith. Raises InputError for angles that are not finite,
    elevations beyond the poles and negative noise levels. SV3D (arXiv 2403.12008), section 3, and its released code.
    """
    num_frames = azimuth_deg.shape[1]
    _check(elevation_deg, azimuth_deg)
    micro = MicroConfig(signals=("noise_level",), embedding_dim=config.noise_dim)
    noise = micro_vector({"noise_level": noise_level[:, None]}, micro, num_frames=num_frames)
    angles = [sinusoids(radians, config.angle_dim) for radians in camera_angles(elevation_deg, azimuth_deg)]
    return torch.cat([noise, *(embedded.expand(-1, num_frames, -1) for embedded in angles)], dim=-1)


def camera_angles(
    elevation_deg: Float[Tensor, "b _"], azimuth_deg: Float[Tensor, "b t"]
) -> tuple[Float[Tensor, "b _"], Float[Tensor, "b t"]]:
    """Polar angles from the zenith and azimuths from the last frame's, in [0, 2 pi), both in radians."""
    azimuth = azimuth_deg.double()
    return (90 - elevation_deg.double()).deg2rad(), ((azimuth - azimuth[:, -1:]) % 360).deg2rad()


def _check(elevation_deg: Tensor, azimuth_deg: Tensor) -> None:
    num_columns, num_frames = elevation_deg.shape[1], azimuth_deg.shape[1]
    if num_columns not in (1, num_frames):
        raise InputError(f"elevation has {num_columns} values a clip, it should have 1 or {num_frames}")
    allowed = elevation_deg.abs() <= 90
    if not bool(allowed.all()):
        raise InputError(f"elevation is {float(elevation_deg[~allowed][0]):g}, it should be -90 to 90 degrees")
    finite = azimuth_deg.isfinite()
    if not bool(finite.all()):
        raise InputError(f"azimuth is {float(azimuth_deg[~finite][0]):g}, it should be a finite number of degrees")
