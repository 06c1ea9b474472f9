"""Models for Python: loaded by name, on the device and in the memory that is there."""

from __future__ import annotations

from dataclasses import replace

import torch

from videoldm.checkpoints.storage.trust import pickles_trusted
from videoldm.core.errors import InputError
from videoldm.generation.batch import enough_memory
from videoldm.generation.memory_plan import look_ahead
from videoldm.inference.config import ALL_IN_MEMORY, LADDER, Decoding, MemoryPlan, Precision, Speed
from videoldm.inference.device import find_device
from videoldm.inference.precision import DTYPES
from videoldm.pipelines.load import LoadedModel, load_opened
from videoldm.pipelines.lora import parse_loras
from videoldm.pipelines.open import at_speed, open_to_sample
from videoldm.pipelines.reference import ModelFiles, ModelRef, require_task
from videoldm.tasks.config import TaskName


def load_model(
    name: ModelRef | str,
    task: TaskName | None = None,
    *,
    variant: str | None = None,
    lora: str = "",
    device: str | torch.device | None = "cpu",
    dtype: Precision = "float32",
    vram: float | None = None,
    speed: Speed = "exact",
    allow_pickle: bool = False,
) -> LoadedModel:
    """Return a model by any name that `open_model` knows, for one of its tasks; None means its only one.

    lora: LoRAs to merge into it, as in "camera.safetensors:0.8,style.safetensors".
    device: cpu, cuda, cuda:1 and so on; None means the first GPU if there is one.
    dtype: precision of the UNet; all else computes in float32.
    vram: GiB of the device's memory for clips of the model's own size: measures that change nothing but the time are
        taken until they fit. None means no limit, and all networks stay in memory.
    speed: rung of the speed ladder for clips that do not name one; "exact" gives up nothing. A student that ships with
        the model is loaded for the rung that takes it.
    allow_pickle: also read .ckpt, .bin and .pt files, their tensors only.

    Raises InputError if there is no such model, LoRA, device, precision or rung, or the model cannot do the task or
    does not fit.
    """
    for option, value, known in (("dtype", dtype, DTYPES), ("speed", speed, LADDER)):
        if value not in known:
            raise InputError(f"{option} is {value!r}, it should be {', '.join(known)}")
    if isinstance(name, ModelRef) and variant is not None:
        raise InputError(f"variant is {variant!r}, beside a ModelRef, which names one itself: leave it out")
    ref = ModelRef(name=name, variant=variant) if isinstance(name, str) else name
    with pickles_trusted(when=allow_pickle):
        files = open_to_sample(ref)
    if task is None:
        if len(files.tasks) != 1:
            raise InputError(f"model {ref.name} can do {', '.join(files.tasks) or 'nothing'}: name one of them")
        [task] = files.tasks
    require_task(files, task)
    files = at_speed(files, task, speed)
    place = find_device(None if device is None else str(device))
    with enough_memory(f"the networks of {ref.name}"):
        loaded = load_opened(
            files,
            task,
            loras=parse_loras(lora) if lora else (),
            device=place,
            dtype=DTYPES[dtype],
            memory=ALL_IN_MEMORY if vram is None else _memory_plan(files, task, vram, speed, device=place, dtype=dtype),
        )
    return replace(loaded, speed=speed)


def _memory_plan(
    files: ModelFiles, task: TaskName, vram_gib: float, speed: Speed, *, device: str, dtype: Precision
) -> MemoryPlan:
    config = files.config(task)
    return look_ahead(
        [config.model_copy(update={"sampling": config.sampling.at(speed)})],
        files,
        task,
        decoding=Decoding(),
        device=device,
        dtype=dtype,
        vram_gib=vram_gib,
        is_compiled=False,
    ).plan
