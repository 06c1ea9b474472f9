"""The speed ladder: what each rung gives up to be faster; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import PositiveInt

from videoldm.core.config import Config
from videoldm.diffusion.config import AlignYourSteps, Guidance, Interval, Karras, Schedule
from videoldm.inference.config import Reuse, Speed


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
