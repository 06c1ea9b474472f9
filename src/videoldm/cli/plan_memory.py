"""`--vram`: which measures the clips of a plan need, and what that will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from videoldm.cli.generate_options import GenerateOptions
from videoldm.core.config import GIB
from videoldm.core.progress import notice
from videoldm.inference.config import Decoding, MemoryPlan, Precision, RunStage
from videoldm.tasks.config import FROM_PICTURE, SamplingConfig, TaskModelConfig, TaskName
from videoldm.tasks.files import ModelFiles
from videoldm.tasks.request import Choices


@dataclass(frozen=True)
class Outlook:
    """The measures, and the most bytes of the device that each stage is going to take."""

    plan: MemoryPlan
    forecast: Mapping[RunStage, int]
    is_asked_for: bool
    """Whether the user has a limit, and so wants to know what becomes of it."""

    def report(self, peaks: Mapping[RunStage, int]) -> None:
        """Print what was forecast and what it was, if anybody asked or anything had to be done."""
        if not (self.is_asked_for or self.plan.measures):
            return
        stages = [f"{stage} {_gib(self.forecast[stage])} ({_gib(peaks.get(stage))})" for stage in self.forecast]
        measures = ", ".join(self.plan.measures) or "none"
        notice(f"memory in GiB, forecast (measured): {', '.join(stages)}; measures: {measures}")


class Wanted(Protocol):
    """What of a clip decides how much memory it takes."""

    @property
    def num_frames(self) -> int:
        """Length of the clip."""
        ...

    @property
    def height(self) -> int:
        """Of the pixels."""
        ...

    @property
    def width(self) -> int:
        """Of the pixels."""
        ...

    @property
    def sampling(self) -> SamplingConfig:
        """Its guidance and what is reused between its steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """See `Wanted`."""

    num_frames: int
    height: int
    width: int
    sampling: SamplingConfig

    @classmethod
    def of(cls, choices: Choices, config: TaskModelConfig) -> Chosen:
        """A user's choices completed by a model's defaults."""
        return cls(
            num_frames=choices.num_frames or config.num_frames,
            height=choices.height or config.height,
            width=choices.width or config.width,
            sampling=choices.sampling(config.sampling),
        )


def look_ahead(
    options: GenerateOptions,
    wanted: Sequence[Wanted],
    decoding: Decoding,
    files: ModelFiles,
    task: TaskName,
    *,
    device: str,
    dtype: Precision,
    is_compiled: bool,
) -> Outlook:
    """The outlook for clips of one model.

    Raises InputError if one of the clips cannot be made, naming what could be.
    """
    from videoldm.inference.memory.forecast import measures_on
    from videoldm.inference.memory.meter import usable_bytes
    from videoldm.inference.precision import DTYPES
    from videoldm.tasks.memory import clip_size, forecaster, plan_memory

    limit = usable_bytes(device, options.vram)
    forecast = forecaster(files, task, device=device, dtype=DTYPES[dtype])
    has_picture = task in FROM_PICTURE
    sizes = [clip_size(one.num_frames, one.height, one.width, one.sampling, has_picture=has_picture) for one in wanted]
    clips = list(dict.fromkeys(sizes))
    plan = plan_memory(
        forecast,
        clips,
        MemoryPlan(decoding=decoding),
        measures_on(forecast.device, is_compiled=is_compiled),
        limit=limit,
    )
    peaks = [forecast(clip, plan) for clip in clips]
    stages: dict[RunStage, int] = {stage: max(peak[stage] for peak in peaks) for stage in peaks[0]}
    return Outlook(plan, stages, is_asked_for="vram" in options.model_fields_set)


def _gib(num_bytes: int | None) -> str:
    return "not known" if num_bytes is None else f"{num_bytes / GIB:.2f}"
