"""Numbers as a condition: frame rate, motion bucket, noise level, camera angles; fills `Conditioning.vector`.

**Motion buckets.** How SVD maps its motion scores to buckets was never published, so this scale is our own. Its input
is the mean length of the optical flow over all pixels of a clip, in short sides of the frame per second: 0.1 means that
the picture moves on average by a tenth of its height (landscape) each second, which is about the middle of the scale.

**Cameras** look at an object from all around, at a constant distance. The last frame is the given picture.
"""

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
"""Values of each signal: one column if they hold for the whole clip, or one for each frame."""

MAX_BUCKET = 255
# The scale is close to linear below KNEE, logarithmic above it, and ends at FASTEST; both in short sides per second.
KNEE = 0.02
FASTEST = 1.0


def micro_vector(signals: Signals, config: MicroConfig, *, num_frames: int) -> Float[Tensor, "b num_frames d"]:
    """Embed each signal in sinusoids, concatenated in the config's order; nothing is learned.

    The frame rate enters as fps - 1 and the noise level as sigma itself, not its logarithm. If all signals are constant
    the result is an expanded view. Raises InputError unless `signals` holds exactly those of the config, all values
    finite, fps > 0 and the others >= 0. SVD, App. D, and its released code.
    """
    _check_signals(signals, num_frames, config)
    raw = [signals[name] - 1 if name == "fps" else signals[name] for name in config.signals]
    num_columns = max(values.shape[1] for values in raw)
    embedded = [sinusoids(values, config.embedding_dim).expand(-1, num_columns, -1) for values in raw]
    return torch.cat(embedded, dim=-1).expand(-1, num_frames, -1)


def per_clip(values: Sequence[float]) -> Float[Tensor, "b 1"]:
    """Return one value for each clip as a signal of `micro_vector`."""
    return torch.tensor([float(value) for value in values])[:, None]


def warn_if_untrained(signals: Signals, config: MicroConfig) -> None:
    """Warn about frame rates and motion buckets outside the range that the model was trained on."""
    low, high = config.trained_fps
    for fps in _outside(signals.get("fps"), low, high):
        warnings.warn(f"fps is {fps:g}, the model was trained on {low:g} to {high:g}", stacklevel=2)
    for bucket in _outside(signals.get("motion_bucket"), 0, config.trained_max_motion_bucket):
        limit = f"{config.trained_max_motion_bucket:g}"
        warnings.warn(f"motion_bucket_id is {bucket:g}, the model was trained on 0 to {limit}", stacklevel=2)


def bucket_of_motion(motion: float) -> int:
    """Return the bucket, 0 to 255, of a clip's motion in short sides per second; faster than FASTEST is 255.

    Raises InputError if the motion is negative or not finite.
    """
    if not (math.isfinite(motion) and motion >= 0):
        raise InputError(f"motion is {motion:g}, it should be a finite number >= 0")
    return min(MAX_BUCKET, round(MAX_BUCKET * math.log1p(motion / KNEE) / math.log1p(FASTEST / KNEE)))


def motion_of_bucket(bucket: int) -> float:
    """Return the motion in short sides per second at the middle of a bucket; the inverse of `bucket_of_motion`.

    Raises InputError if there is no such bucket.
    """
    if not 0 <= bucket <= MAX_BUCKET:
        raise InputError(f"motion bucket is {bucket}, it should be 0 to {MAX_BUCKET}")
    return KNEE * math.expm1(bucket / MAX_BUCKET * math.log1p(FASTEST / KNEE))


def orbit_azimuths(num_frames: int) -> Float[Tensor, " t"]:
    """Return the azimuths in degrees of a full turn in equal steps, which ends at 0, the given picture."""
    return torch.arange(1, num_frames + 1, dtype=torch.float64) * 360 / num_frames % 360


def camera_vector(
    noise_level: Float[Tensor, " b"],
    elevation_deg: Float[Tensor, "b _"],
    azimuth_deg: Float[Tensor, "b t"],
    config: CameraConfig,
) -> Float[Tensor, "b t d"]:
    """Embed the given picture's noise level, each frame's polar angle and its azimuth in sinusoids, in this order.

    Elevations are one column if they hold for the whole clip, or one for each frame; only differences of azimuths
    matter. Angles enter in radians, polar ones from the zenith. Raises InputError for angles that are not finite,
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
    """Return polar angles from the zenith and azimuths relative to the last frame, in [0, 2 pi), both in radians."""
    azimuth = azimuth_deg.double()
    return (90 - elevation_deg.double()).deg2rad(), ((azimuth - azimuth[:, -1:]) % 360).deg2rad()


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
    """Return the distinct values below `low` or above `high`."""
    return [] if values is None else values[(values < low) | (values > high)].unique().tolist()


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
