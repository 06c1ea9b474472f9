"""Ranges of numbers that configurations share; none of them admits NaN or infinity."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("should be odd")
    return value


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OddInt = Annotated[int, Field(ge=1), AfterValidator(_odd)]
"""Sizes of kernels that keep the length of what they are moved over."""
Share = Annotated[float, Field(ge=0, le=1)]
"""From none (0) to all (1)."""

GIB = 2**30
"""Bytes in a gibibyte, in which memory is sold."""
