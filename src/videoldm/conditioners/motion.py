"""From measured motion to the motion bucket that the model is told, and back.

How SVD maps its motion scores to buckets was never published, so this scale is our own. Its input is the mean length
of the optical flow over all pixels of a clip, in short sides of the frame per second: 0.1 means that the picture moves
on average by a tenth of its height (landscape) each second. Ordinary clips lie between 0.005 (a fixed camera, little
moves) and 0.6 (a fast pan), half of them below about 0.1, which is where the middle of the scale is.
"""

from __future__ import annotations

import math
from typing import Literal

from videoldm.core.errors import InputError

MAX_BUCKET = 255
# The scale is close to linear below KNEE, logarithmic above it, and ends at FASTEST; both in short sides per second.
KNEE = 0.02
FASTEST = 1.0

MotionLevel = Literal["low", "medium", "high"]
# "medium" is the default of the released SVD.
BUCKET_OF_LEVEL: dict[MotionLevel, int] = {"low": 40, "medium": 127, "high": 200}


def bucket_of_motion(motion: float) -> int:
    """The bucket 0 to 255 of a clip's motion in short sides per second; faster than FASTEST is 255.

    Raises InputError if the motion is negative or not finite.
    """
    if not (math.isfinite(motion) and motion >= 0):
        raise InputError(f"motion is {motion:g}, it should be a finite number >= 0")
    return min(MAX_BUCKET, round(MAX_BUCKET * math.log1p(motion / KNEE) / math.log1p(FASTEST / KNEE)))


def motion_of_bucket(bucket: float) -> float:
    """The motion in short sides per second that a bucket stands for."""
    return KNEE * math.expm1(bucket / MAX_BUCKET * math.log1p(FASTEST / KNEE))


def bucket_of(value: MotionLevel | float | str) -> float:
    """A bucket given as a number or by its name; raises InputError for anything else."""
    for level, bucket in BUCKET_OF_LEVEL.items():
        if value == level:
            return bucket
    try:
        bucket = float(value)
    except ValueError:
        bucket = math.nan
    if not (math.isfinite(bucket) and bucket >= 0):
        names = ", ".join(BUCKET_OF_LEVEL)
        raise InputError(f"motion bucket is {value!r}, it should be {names} or a number from 0 to {MAX_BUCKET}")
    return bucket
