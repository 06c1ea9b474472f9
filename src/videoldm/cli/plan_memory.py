"""`--vram`: which measures the clips of a plan need, and what that will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videoldm.cli.generate_options import GenerateOptions
from videoldm.core.progress import notice
from videoldm.inference.config import MemoryPlan, Precision, RunStage
from videoldm.tasks.config import FROM_PICTURE, TaskModelConfig
from videoldm.tasks.files import ModelFiles
from videoldm.tasks.request import Choices

GIB = 2**30


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


def look_ahead(
    options: GenerateOptions,
    choices: Sequence[Choices],
    files: ModelFiles,
    config: TaskModelConfig,
    *,
    device: str,
    dtype: Precision,
) -> Outlook:
    """The outlook for clips of one model; raises InputError if one of them cannot be made, naming what could be."""
    from videoldm.inference.memory.forecast import measures_on
    from videoldm.inference.memory.limits import usable_bytes
    from videoldm.inference.precision import DTYPES
    from videoldm.tasks.memory import clip_size, forecaster, plan_memory

    limit = usable_bytes(device, options.vram)
    given = MemoryPlan(decode_chunk_size=options.decode_chunk_size, tiles=options.decode_tiles)
    forecast = forecaster(files, config.task, device=device, dtype=DTYPES[dtype])
    clips = {
        clip_size(
            choice.num_frames or config.num_frames,
            choice.height or config.height,
            choice.width or config.width,
            choice.sampling(config.sampling),
            has_picture=config.task in FROM_PICTURE,
        )
        for choice in choices
    }
    measures = measures_on(forecast.device, is_compiled=options.compile_)
    plan = plan_memory(forecast, list(clips), given, measures, limit=limit)
    peaks = [forecast(clip, plan) for clip in clips]
    stages: dict[RunStage, int] = {stage: max(peak[stage] for peak in peaks) for stage in peaks[0]}
    return Outlook(plan, stages, is_asked_for="vram" in options.model_fields_set)


def _gib(num_bytes: int | None) -> str:
    return "not known" if num_bytes is None else f"{num_bytes / GIB:.2f}"
