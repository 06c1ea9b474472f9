"""Choices of how networks run; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from videoldm.core.config import Config
from videoldm.diffusion.config import AlignYourSteps, Guidance, Interval, Karras, Schedule

Precision = Literal["float32", "float16", "bfloat16"]
Speed = Literal["exact", "fast", "faster", "turbo"]


class Reuse(Config):
    """Deep features of the UNet are computed in every `interval`-th call and carried on through the calls between.

    depth: how many of the outermost layers on either way run in every call, from 1 up; the more, the slower and finer.
    """

    interval: PositiveInt
    depth: PositiveInt = 1


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


RunStage = Literal["encode", "denoise", "decode"]
"""The stages of a run: conditions of the clip, its latents, its pixels."""

Measure = Literal["idle-networks-leave", "decode-from-host", "unet-by-block"]
"""Ways to need less memory of the device for the same clip, bit by bit, the cheapest in time first.

idle-networks-leave: a network is in memory only while it works; its files are read again for the next clip.
decode-from-host: the map of the clip that decoding keeps lies in the host's memory (GPU only).
unet-by-block: weights of the UNet lie in the host's memory and come block by block (GPU only).
"""


class Decoding(Config):
    """How decoding is cut.

    chunk_size: frames at a time, to the same result but for rounding; None suits it to the device.
    tiles: NOT exact, see there; None decodes the picture as a whole.
    """

    chunk_size: PositiveInt | None = None
    tiles: Tiles | None = None


class MemoryPlan(Config):
    """What is done to need less memory."""

    measures: tuple[Measure, ...] = ()
    decoding: Decoding = Decoding()

    def has(self, measure: Measure) -> bool:
        """Whether a measure is taken."""
        return measure in self.measures

    def with_measure(self, measure: Measure) -> Self:
        """The plan with one more measure."""
        return self.model_copy(update={"measures": (*self.measures, measure)})


ALL_IN_MEMORY = MemoryPlan()
"""No measure is taken."""


class Rung(Config):
    """How a clip is sampled faster than the model's defaults do it; None and False change nothing.

    max_steps: more steps than these are cut down to them.
    uses_ays: Align Your Steps' levels take the place of SVD's, for which they were found; other models keep theirs.
    guidance_interval: noise levels with guidance, unless the model names its own; at the others one branch does.
    """

    max_steps: PositiveInt | None = None
    uses_ays: bool = False
    guidance_interval: Interval | None = None
    reuse: Reuse | None = None

    def changes(self, *, num_inference_steps: int, schedule: Schedule, guidance: Guidance) -> dict[str, Any]:
        """New values, by name, for what this rung changes about a model's sampling."""
        changes: dict[str, Any] = {}
        if self.max_steps is not None and num_inference_steps > self.max_steps:
            changes["num_inference_steps"] = self.max_steps
            if self.uses_ays and schedule == SVD_SCHEDULE:
                changes["schedule"] = AlignYourSteps()
        if self.guidance_interval is not None and guidance.interval is None:
            changes["guidance"] = guidance.model_copy(update={"interval": self.guidance_interval})
        if self.reuse is not None:
            changes["reuse"] = self.reuse
        return changes


SVD_SCHEDULE = Karras()
ABOVE_ALL = 1000.0
"""Higher than any model's levels: guidance at the highest ones decides what a clip shows."""

LADDER: Mapping[Speed, Rung] = MappingProxyType(
    {
        "exact": Rung(),
        "fast": Rung(guidance_interval=Interval(lo=0.5, hi=ABOVE_ALL), reuse=Reuse(interval=2)),
        "faster": Rung(max_steps=16, guidance_interval=Interval(lo=1, hi=ABOVE_ALL), reuse=Reuse(interval=2)),
        "turbo": Rung(
            max_steps=10, uses_ays=True, guidance_interval=Interval(lo=1, hi=ABOVE_ALL), reuse=Reuse(interval=2)
        ),
    }
)
"""Chosen on mini and by counted operations of SVD; docs/speed.md has the figures."""
