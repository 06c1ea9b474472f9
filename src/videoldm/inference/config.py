"""Choices of how networks run; torch-free."""

from typing import Literal, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from videoldm.core.config import Config

Precision = Literal["float32", "float16", "bfloat16"]


class Tiles(Config):
    """Decode a picture in overlapping squares, blended linearly where they overlap, in the memory of one of them.

    NOT exact: group norms see the statistics of a tile, and attention nothing beyond it. Distance to the exact decode
    of 384x256 pictures by mini: 62 dB for tiles of 256 with overlap 64, 46 dB for 128 with 32, 35 dB for 128 with 0.
    """

    size_px: PositiveInt = 512
    overlap_px: NonNegativeInt = 128

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap_px >= self.size_px:
            raise ValueError(f"overlap_px = {self.overlap_px} must be less than size_px = {self.size_px}")
        return self
