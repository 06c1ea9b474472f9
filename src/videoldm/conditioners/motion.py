"""From measured motion to the motion bucket that the model is told.

How SVD maps its motion scores to buckets was never published, so this scale is our own. Its input is the mean length
of the optical flow over all pixels of a clip, in short sides of the frame per second: 0.1 means that the picture moves
on average by a tenth of its height (landscape) each second, which is about the middle of the scale.
"""

from __future__ import annotations

import math

from videoldm.core.errors import InputError

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
