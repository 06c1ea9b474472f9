from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoldm.conditioners.motion import (
    BUCKET_OF_LEVEL,
    FASTEST,
    KNEE,
    bucket_of,
    bucket_of_motion,
    motion_of_bucket,
)
from videoldm.core.errors import InputError


@given(bucket=st.integers(0, 255))
def test_buckets_there_and_back(bucket: int) -> None:
    assert bucket_of_motion(motion_of_bucket(bucket)) == bucket


@given(slow=st.floats(0, 5), fast=st.floats(0, 5))
def test_more_motion_never_has_a_lower_bucket(slow: float, fast: float) -> None:
    slow, fast = sorted((slow, fast))
    assert 0 <= bucket_of_motion(slow) <= bucket_of_motion(fast) <= 255


def test_the_ends_of_the_scale_and_its_documented_middle() -> None:
    assert bucket_of_motion(0) == 0
    assert bucket_of_motion(FASTEST) == bucket_of_motion(1e9) == 255
    assert bucket_of_motion(FASTEST * 0.97) < 255
    assert motion_of_bucket(0) == 0
    assert motion_of_bucket(255) == pytest.approx(FASTEST)
    # Median of a set of real clips.
    assert bucket_of_motion(0.107) == pytest.approx(127, abs=10)
    # Each knee more adds one to the argument of the logarithm.
    assert bucket_of_motion(3 * KNEE) == pytest.approx(2 * bucket_of_motion(KNEE), abs=1)


@pytest.mark.parametrize("motion", [-0.1, math.nan, math.inf])
def test_impossible_motion_is_refused(motion: float) -> None:
    with pytest.raises(InputError, match=r"motion is .*, it should be a finite number >= 0"):
        bucket_of_motion(motion)


def test_buckets_by_name_or_number() -> None:
    assert [bucket_of(level) for level in ("low", "medium", "high")] == list(BUCKET_OF_LEVEL.values())
    assert bucket_of("medium") == 127
    assert sorted(BUCKET_OF_LEVEL.values()) == list(BUCKET_OF_LEVEL.values())
    assert bucket_of("80") == bucket_of(80) == 80


@pytest.mark.parametrize("value", ["huge", "", "nan", "-1", math.nan, -5, math.inf])
def test_other_buckets_are_refused(value: str | float) -> None:
    with pytest.raises(InputError, match="it should be low, medium, high or a number from 0 to 255"):
        bucket_of(value)
