"""Which measures a clip needs to be made in the memory that there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from videoldm.core.config import GIB
from videoldm.core.errors import InputError
from videoldm.diffusion.guidance import frame_scales
from videoldm.inference.config import Measure, MemoryPlan
from videoldm.inference.memory.forecast import ClipSize, Forecaster, first_fit
from videoldm.tasks.config import SamplingConfig, TaskName
from videoldm.tasks.files import ModelFiles

SIZE_STEP_PX = 64


def forecaster(files: ModelFiles, task: TaskName, *, device: str, dtype: torch.dtype) -> Forecaster:
    """Forecasts for a model whose UNet computes in `dtype`; reads no weights."""
    parts = files.parts(task)
    return Forecaster(
        unet=parts.unet.empty().to(dtype),
        autoencoder=parts.autoencoder.empty(),
        encoders=[encoder.empty() for encoder in parts.encoders],
        num_tokens=1 if parts.text_encoder is None else parts.text_encoder.part.config.max_tokens,
        device=torch.device(device).type,
    )


def clip_size(num_frames: int, height: int, width: int, sampling: SamplingConfig, *, has_picture: bool) -> ClipSize:
    """What a clip needs memory for."""
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
    """The first of the measures by which every one of the clips can be made in `limit` bytes of the device.

    Raises InputError, which names what could be made, if one of them cannot.
    """
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
        f"{clip.num_frames} frames of {clip.width}x{clip.height} need at least {needed(clip) / GIB:.2f} GiB with all "
        f"measures, there are {limit / GIB:.2f} GiB for the model (see --vram); what fits: "
        f"{' or '.join(what_fits)}"
    )


def _fewer_frames(clip: ClipSize, fits: Callable[[ClipSize], bool]) -> str:
    found = _largest(1, clip.num_frames - 1, lambda count: fits(replace(clip, num_frames=count)))
    return f"{found} frames of this size" if found else ""


def _smaller(clip: ClipSize, fits: Callable[[ClipSize], bool]) -> str:
    """The largest picture of about the same shape."""

    def size(steps: int) -> ClipSize:
        height = steps * SIZE_STEP_PX
        width = max(1, round(clip.width * height / clip.height / SIZE_STEP_PX)) * SIZE_STEP_PX
        return replace(clip, height=height, width=width)

    found = _largest(1, (clip.height - 1) // SIZE_STEP_PX, lambda steps: fits(size(steps)))
    return f"{clip.num_frames} frames of {size(found).width}x{size(found).height}" if found else ""


def _largest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """The largest number from `low` to `high` that fits, if what fits is all up to some number."""
    found = None
    while low <= high:
        middle = (low + high) // 2
        if fits(middle):
            found, low = middle, middle + 1
        else:
            high = middle - 1
    return found
