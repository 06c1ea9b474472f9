"""Choices of how networks run; torch-free."""

from typing import Literal

from pydantic import PositiveInt

from videoldm.core.config import Config

Precision = Literal["float32", "float16", "bfloat16"]
Speed = Literal["exact", "fast", "faster", "turbo"]


class Reuse(Config):
    """Deep features of the UNet are computed in every `interval`-th call and carried on through the calls between.

    depth: how many of the outermost layers on either way run in every call, from 1 up; the more, the slower and finer.
    """

    interval: PositiveInt
    depth: PositiveInt = 1
