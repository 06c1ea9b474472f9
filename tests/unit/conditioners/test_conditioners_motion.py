from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoldm.conditioners.micro import FASTEST, KNEE, MAX_BUCKET, bucket_of_motion, motion_of_bucket
from videoldm.core.errors import InputError


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
