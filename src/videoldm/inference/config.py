"""How networks run: precision, the ladder of speeds, memory plans; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from videoldm.core.config import Config
from videoldm.diffusion.config import AlignYourSteps, Constant, Guidance, Interval, Karras, Schedule

Precision = Literal["float32", "float16", "bfloat16"]
Speed = Literal["exact", "fast", "faster", "turbo"]


class Reuse(Config):
    """Compute deep features of the UNet in every `interval`-th call and extrapolate them in the calls between.

    depth: number of outermost layers on either way that run in every call, at least 1; more are slower and more exact.
    """

    interval: PositiveInt
    depth: PositiveInt = 1


class Tiles(Config):
    """Decode a picture in overlapping squares, blended linearly where they overlap, in the memory of one of them.

    NOT exact: group norms use the statistics of a tile, and attention sees nothing beyond it. PSNR against the exact
    decode of 384x256 by mini: 62 dB for tiles of 256 with overlap 64, 46 dB for 128 with 32, 35 dB for 128 with 0.
    """

    size_px: PositiveInt = 512
    overlap_px: NonNegativeInt = 128

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap_px >= self.size_px:
            raise ValueError(f"overlap_px is {self.overlap_px}, it should be less than size_px ({self.size_px})")
        return self


RunPhase = Literal["encode", "denoise", "decode"]
"""The phases of a run: conditions of the clip are encoded, its latents denoised, its pixels decoded."""

Measure = Literal["idle-networks-leave", "decode-from-host", "unet-by-block"]
"""Measures that save memory of the device and leave the clip unchanged, bit by bit; the cheapest in time comes first.

idle-networks-leave: keep a network in memory only while it works, and read its files again for the next clip.
decode-from-host: keep the clip's stored map in the host's memory while decoding (GPU only).
unet-by-block: keep the weights of the UNet in the host's memory and copy them block by block (GPU only).
"""


class Decoding(Config):
    """How decoding is divided.

    chunk_size: number of frames at a time, without effect on the result except rounding; None suits it to the device.
    tiles: NOT exact (see `Tiles`); None decodes pictures as a whole.
    """

    chunk_size: PositiveInt | None = None
    tiles: Tiles | None = None


class MemoryPlan(Config):
    """The measures that save memory, and how decoding is divided."""

    measures: tuple[Measure, ...] = ()
    decoding: Decoding = Decoding()

    def has(self, measure: Measure) -> bool:
        """Return whether a measure is taken."""
        return measure in self.measures

    def with_measure(self, measure: Measure) -> Self:
        """Return the plan with one more measure."""
        return self.model_copy(update={"measures": (*self.measures, measure)})


ALL_IN_MEMORY = MemoryPlan()
"""The plan without any measure."""


class Rung(Config):
    """Changes to a model's default sampling that make it faster; None and False change nothing.

    max_steps: upper limit of the number of steps.
    uses_ays: replace SVD's noise levels by those of Align Your Steps, found for SVD; other models keep theirs.
    takes_student: sample from the model's student of few steps, where it ships one, which all else leaves as it is.
    guidance_interval: noise levels with guidance, unless the model has its own interval; others need one branch only.
    """

    max_steps: PositiveInt | None = None
    uses_ays: bool = False
    takes_student: bool = False
    guidance_interval: Interval | None = None
    reuse: Reuse | None = None

    def changes(self, *, num_inference_steps: int, schedule: Schedule, guidance: Guidance) -> dict[str, Any]:
        """Return the changed values of a model's sampling, by name; a student is left as it is."""
        if num_inference_steps <= FEW_STEPS and guidance == NO_GUIDANCE:  # too far apart for features to be reused
            return {}
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


FEW_STEPS, NO_GUIDANCE = 8, Guidance(scale=Constant(scale=1.0))
"""A model sampled in so few steps and without guidance is a student."""
SVD_SCHEDULE = Karras()
ABOVE_ALL = 1000.0
"""Above the levels of any model, as guidance at the highest levels decides what a clip shows."""

LADDER: Mapping[Speed, Rung] = MappingProxyType(
    {
        "exact": Rung(),
        "fast": Rung(guidance_interval=Interval(lo=0.5, hi=ABOVE_ALL), reuse=Reuse(interval=2)),
        "faster": Rung(max_steps=16, guidance_interval=Interval(lo=1, hi=ABOVE_ALL), reuse=Reuse(interval=2)),
        "turbo": Rung(
            max_steps=10,
            uses_ays=True,
            takes_student=True,
            guidance_interval=Interval(lo=1, hi=ABOVE_ALL),
            reuse=Reuse(interval=2),
        ),
    }
)
"""Chosen on mini and by counted operations of SVD; docs/speed.md has the figures."""
