"""Memory of a generation: what clips are going to take, and which measures make them fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from videoldm.core.config import GIB
from videoldm.core.errors import InputError
from videoldm.core.progress import notice
from videoldm.core.wording import counted
from videoldm.inference.config import Decoding, Measure, MemoryPlan, Precision, RunPhase
from videoldm.pipelines.reference import ModelFiles
from videoldm.tasks.config import SamplingConfig, TaskName
from videoldm.tasks.registry import task_named

if TYPE_CHECKING:
    import torch

    from videoldm.inference.memory.forecast import ClipSize, Forecaster

SIZE_STEP_PX = 64


@dataclass(frozen=True)
class MemoryOutlook:
    """The measures to take, and the most bytes of the device that each phase of a run is going to use."""

    plan: MemoryPlan
    forecast: Mapping[RunPhase, int]

    def report(self, peaks: Mapping[RunPhase, int], *, is_asked_for: bool) -> None:
        """Print forecast and measured bytes, if anybody asked or measures were taken."""
        if not (is_asked_for or self.plan.measures):
            return
        parts = [f"{part} {_gib(self.forecast[part])} ({_gib(peaks.get(part))})" for part in self.forecast]
        measures = ", ".join(self.plan.measures) or "none"
        notice(f"memory in GiB, forecast (measured): {', '.join(parts)}; measures: {measures}")


class ClipShape(Protocol):
    """Properties of a clip that decide how much memory it takes; requests and model configurations have them."""

    @property
    def num_frames(self) -> int:
        """Length of the clip."""
        ...

    @property
    def height(self) -> int:
        """Height in pixels."""
        ...

    @property
    def width(self) -> int:
        """Width in pixels."""
        ...

    @property
    def sampling(self) -> SamplingConfig:
        """Guidance, and what is reused between steps."""
        ...


def look_ahead(
    clips: Sequence[ClipShape],
    files: ModelFiles,
    task: TaskName,
    *,
    decoding: Decoding,
    device: str,
    dtype: Precision,
    vram_gib: float | None,
    is_compiled: bool,
) -> MemoryOutlook:
    """Return the outlook for clips of one model in `vram_gib` of the device's memory; None means what is free.

    Raises InputError if one of the clips cannot be made, naming what could be.
    """
    from videoldm.inference.memory.forecast import measures_on
    from videoldm.inference.memory.meter import usable_bytes
    from videoldm.inference.precision import DTYPES

    limit = usable_bytes(device, vram_gib)
    forecast = forecaster(files, task, device=device, dtype=DTYPES[dtype])
    has_picture = task_named(task).joins_latents
    sizes = [clip_size(one.num_frames, one.height, one.width, one.sampling, has_picture=has_picture) for one in clips]
    distinct = list(dict.fromkeys(sizes))
    measures = measures_on(forecast.device, is_compiled=is_compiled)
    plan = plan_memory(forecast, distinct, MemoryPlan(decoding=decoding), measures, limit=limit)
    peaks = [forecast(clip, plan) for clip in distinct]
    return MemoryOutlook(plan, {part: max(peak[part] for peak in peaks) for part in peaks[0]})


def forecaster(files: ModelFiles, task: TaskName, *, device: str, dtype: torch.dtype) -> Forecaster:
    """Return forecasts for a model whose UNet computes in `dtype`; no weights are read."""
    import torch

    from videoldm.inference.memory.forecast import Forecaster

    parts = files.parts(task)
    return Forecaster(
        unet=parts.unet.empty().to(dtype),
        autoencoder=parts.autoencoder.empty(),
        encoders=[encoder.empty() for encoder in parts.encoders],
        num_tokens=1 if parts.text_encoder is None else parts.text_encoder.part.config.max_tokens,
        device=torch.device(device).type,
    )


def clip_size(num_frames: int, height: int, width: int, sampling: SamplingConfig, *, has_picture: bool) -> ClipSize:
    """Return what a clip needs memory for."""
    from videoldm.diffusion.guidance import frame_scales
    from videoldm.inference.memory.forecast import ClipSize

    is_guided = bool((frame_scales(sampling.guidance.scale, num_frames) != 1).any())
    return ClipSize(
        num_frames=num_frames,
        height=height,
        width=width,
        num_branches=2 if is_guided else 1,
        has_picture=has_picture,
        reuse=sampling.reuse,
    )


def plan_memory(
    forecast: Forecaster, clips: Sequence[ClipSize], given: MemoryPlan, measures: Sequence[Measure], *, limit: int
) -> MemoryPlan:
    """Return the first of the measures by which every one of the clips can be made in `limit` bytes of the device.

    Raises InputError, which names what could be made, if one of them cannot.
    """
    from videoldm.inference.memory.forecast import first_fit

    plan: MemoryPlan | None = given
    for clip in clips:
        is_possible = forecast.at_least(clip) <= limit
        plan = first_fit(limit, partial(forecast, clip), plan, measures) if is_possible else None
        if plan is None:
            raise InputError(
                _refusal(forecast, clip, given.model_copy(update={"measures": tuple(measures)}), limit=limit)
            )
    return plan


def _refusal(forecast: Forecaster, clip: ClipSize, everything: MemoryPlan, *, limit: int) -> str:
    def needed(clip: ClipSize) -> int:
        least = forecast.at_least(clip)
        return least if least > limit else max(forecast(clip, everything).values())

    def fits(clip: ClipSize) -> bool:
        return needed(clip) <= limit

    smallest = replace(clip, num_frames=1, height=SIZE_STEP_PX, width=SIZE_STEP_PX)
    what_fits = [text for text in (_fewer_frames(clip, fits), _smaller(clip, fits)) if text]
    if not what_fits:
        is_enough = "which fits" if fits(smallest) else "nothing of this model fits"
        what_fits = [f"1 frame of 64x64 needs {needed(smallest) / GIB:.2f} GiB, {is_enough}"]
    return (
        f"{counted(clip.num_frames, 'frame')} of {clip.width}x{clip.height} need{'s' if clip.num_frames == 1 else ''} "
        f"at least {needed(clip) / GIB:.2f} GiB with all "
        f"measures, there are {limit / GIB:.2f} GiB for the model (vram); what fits: "
        f"{' or '.join(what_fits)}"
    )


def _fewer_frames(clip: ClipSize, fits: Callable[[ClipSize], bool]) -> str:
    found = _largest(1, clip.num_frames - 1, lambda count: fits(replace(clip, num_frames=count)))
    return f"{counted(found, 'frame')} of this size" if found else ""


def _smaller(clip: ClipSize, fits: Callable[[ClipSize], bool]) -> str:
    """Name the largest picture of about the same shape that fits."""

    def size(steps: int) -> ClipSize:
        height = steps * SIZE_STEP_PX
        width = max(1, round(clip.width * height / clip.height / SIZE_STEP_PX)) * SIZE_STEP_PX
        return replace(clip, height=height, width=width)

    found = _largest(1, (clip.height - 1) // SIZE_STEP_PX, lambda steps: fits(size(steps)))
    return f"{counted(clip.num_frames, 'frame')} of {size(found).width}x{size(found).height}" if found else ""


def _largest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """Return the largest number from `low` to `high` that fits, where all up to some number do; None if none does."""
    found = None
    while low <= high:
        middle = (low + high) // 2
        if fits(middle):
            found, low = middle, middle + 1
        else:
            high = middle - 1
    return found


def _gib(num_bytes: int | None) -> str:
    return "not known" if num_bytes is None else f"{num_bytes / GIB:.2f}"
