"""Frame rate, amount of motion and noise level as a condition; fills `Conditioning.vector`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.config import CameraConfig, MicroConfig, MicroSignal
from videoldm.core.errors import InputError
from videoldm.models.unet.conditions import sinusoids

Signals = Mapping[MicroSignal, Float[Tensor, "b _"]]
"""Each signal's values: one column where they hold for the whole clip, or one column a frame."""


def micro_vector(signals: Signals, config: MicroConfig, *, num_frames: int) -> Float[Tensor, "b num_frames d"]:
    """The sinusoids of each signal's raw values, side by side in the config's order; there is nothing to learn.

    The frame rate enters as fps - 1 and the noise level as sigma itself, not its logarithm. Where all signals are
    constant the result is an expanded view. Raises InputError unless `signals` holds exactly those of the config, all
    numbers finite, fps > 0, the others >= 0. SVD, App. D, and its released code.
    """
    _check_signals(signals, num_frames, config)
    raw = [signals[name] - 1 if name == "fps" else signals[name] for name in config.signals]
    num_columns = max(values.shape[1] for values in raw)
    embedded = [sinusoids(values, config.embedding_dim).expand(-1, num_columns, -1) for values in raw]
    return torch.cat(embedded, dim=-1).expand(-1, num_frames, -1)


def per_clip(values: Sequence[float]) -> Float[Tensor, "b 1"]:
    """One value a clip, as `micro_vector` takes it."""
    return torch.tensor([float(value) for value in values])[:, None]


def warn_if_untrained(signals: Signals, config: MicroConfig) -> None:
    """Warn about frame rates and motion buckets that training never showed the model."""
    low, high = config.trained_fps
    for fps in _outside(signals.get("fps"), low, high):
        warnings.warn(f"fps is {fps:g}, the model was trained on {low:g} to {high:g}", stacklevel=2)
    for bucket in _outside(signals.get("motion_bucket"), 0, config.trained_max_motion_bucket):
        limit = f"{config.trained_max_motion_bucket:g}"
        warnings.warn(f"motion bucket is {bucket:g}, the model was trained on 0 to {limit}", stacklevel=2)


def _check_signals(signals: Signals, num_frames: int, config: MicroConfig) -> None:
    if set(signals) != set(config.signals):
        raise InputError(f"signals are {sorted(signals)}, this model takes {sorted(config.signals)}")
    for name, values in signals.items():
        if values.shape[1] not in (1, num_frames):
            raise InputError(f"{name} has {values.shape[1]} values a clip, it should have 1 or {num_frames}")
        allowed = values.isfinite() & ((values > 0) if name == "fps" else (values >= 0))
        if not bool(allowed.all()):
            wrong = float(values[~allowed][0])
            raise InputError(f"{name} is {wrong:g}, it should be a finite number {'>' if name == 'fps' else '>='} 0")


def _outside(values: Tensor | None, low: float, high: float) -> list[float]:
    """The different values below `low` or above `high`."""
    return [] if values is None else values[(values < low) | (values > high)].unique().tolist()


MAX_BUCKET = 255
# The scale is close to linear below KNEE, logarithmic above it, and ends at FASTEST; both in short sides per second.
KNEE = 0.02
FASTEST = 1.0


def bucket_of_motion(motion: float) -> int:
    """The bucket 0 to 255 of a clip's motion in short sides per second; faster than FASTEST is 255.

    Raises InputError if the motion is negative or not finite.
    """
    if not (math.isfinite(motion) and motion >= 0):
        raise InputError(f"motion is {motion:g}, it should be a finite number >= 0")
    return min(MAX_BUCKET, round(MAX_BUCKET * math.log1p(motion / KNEE) / math.log1p(FASTEST / KNEE)))


def motion_of_bucket(bucket: int) -> float:
    """The motion in short sides per second in the middle of a bucket; `bucket_of_motion` gives the bucket back.

    Raises InputError if there is no such bucket.
    """
    if not 0 <= bucket <= MAX_BUCKET:
        raise InputError(f"motion bucket is {bucket}, it should be 0 to {MAX_BUCKET}")
    return KNEE * math.expm1(bucket / MAX_BUCKET * math.log1p(FASTEST / KNEE))


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
    _check_angles(elevation_deg, azimuth_deg)
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


def _check_angles(elevation_deg: Tensor, azimuth_deg: Tensor) -> None:
    num_columns, num_frames = elevation_deg.shape[1], azimuth_deg.shape[1]
    if num_columns not in (1, num_frames):
        raise InputError(f"elevation has {num_columns} values a clip, it should have 1 or {num_frames}")
    allowed = elevation_deg.abs() <= 90
    if not bool(allowed.all()):
        raise InputError(f"elevation is {float(elevation_deg[~allowed][0]):g}, it should be -90 to 90 degrees")
    finite = azimuth_deg.isfinite()
    if not bool(finite.all()):
        raise InputError(f"azimuth is {float(azimuth_deg[~finite][0]):g}, it should be a finite number of degrees")
