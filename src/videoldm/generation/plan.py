"""Plans: everything that can be found out about clips to make before a model is loaded; torch-free."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.core.files import check_writable
from videoldm.generation.choices import Choices, chosen_shape, elevations_of
from videoldm.generation.inputs import ClipInputs, check_inputs, files_of, inputs_of_each, task_for
from videoldm.generation.memory_plan import ClipShape, MemoryOutlook, look_ahead
from videoldm.generation.output_paths import check_outputs, output_paths, stems_of
from videoldm.generation.repetition import check_weights, stored_settings
from videoldm.generation.request import MAX_SEED, Request, check_size
from videoldm.inference.config import Decoding, Precision
from videoldm.inference.device import find_device
from videoldm.pipelines.folder import NativeFolder
from videoldm.pipelines.lora import LoraChoice, parse_loras
from videoldm.pipelines.open import at_speed, open_to_sample
from videoldm.pipelines.reference import ModelFiles, ModelRef
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how clips are computed; None leaves it to the machine and the model."""

    device: str | None = None
    """cpu, cuda, cuda:1 and so on."""
    dtype: Precision | None = None
    """Precision of the UNet."""
    vram_gib: float | None = None
    """Memory that may be used, in GiB."""
    is_compiled: bool = False
    decoding: Decoding = field(default_factory=Decoding)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Where results go."""

    output: str | None = None
    """A file for one clip, a folder for several; None for the default folder."""
    contact_sheet: str | None = None
    """A picture of frames of all clips."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture or prompt: its clips, one a path, and either finished requests or the choices to make them from."""

    label: str
    paths: Sequence[Path]
    inputs: ClipInputs
    choices: Choices = field(default_factory=Choices)
    requests: Sequence[Request] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is to be made; all of it with the same model."""

    items: Sequence[Item]
    files: ModelFiles
    loras: tuple[LoraChoice, ...]
    config: TaskModelConfig
    device: str
    dtype: Precision
    outlook: MemoryOutlook
    is_compiled: bool

    @property
    def num_clips(self) -> int:
        """Number of clips of all items."""
        return sum(len(item.paths) for item in self.items)


def plan_new(
    model: ModelRef,
    inputs: ClipInputs,
    choices: Choices,
    runtime: Runtime,
    targets: Targets,
    *,
    loras: str | None = None,
    num_clips: int = 1,
) -> Plan:
    """Plan `num_clips` clips with consecutive seeds of a picture, of every picture of a folder, or of a sentence.

    Raises InputError for whatever would keep them from being made.
    """
    check_inputs(inputs)
    inputs_of_items = inputs_of_each(inputs)
    files = open_to_sample(model)
    task = task_for(files, inputs)
    files = at_speed(files, task.name, choices.speed)
    config = files.config(task.name)
    check_choices(choices, config, files)
    warn_of_idle_options(choices, task)

    num_frames = choices.num_frames or config.num_frames
    sources = files_of(inputs_of_items)
    stems, ending = stems_of(inputs_of_items), task.default_ending(num_frames)
    names = [[f"{stem}-{seed}{ending}" for seed in _seeds(choices, num_clips)] for stem in stems]
    paths = output_paths(targets.output, names)
    flat = [path for row in paths for path in row]
    check_outputs(flat, inputs=sources, num_frames=num_frames, output_fps=choices.playback_rate(config))
    check_contact_sheet(targets, taken=[*flat, *sources])
    items = [
        Item(label=one.label, paths=row, inputs=one, choices=choices)
        for one, row in zip(inputs_of_items, paths, strict=True)
    ]
    return plan_checked(items, files, config, runtime, loras=loras)


def plan_repetition(
    source: str,
    runtime: Runtime,
    targets: Targets,
    *,
    moved: ClipInputs,
    model: str | None = None,
) -> Plan:
    """Plan the clip whose settings are stored in `source`, its `moved` files and model from elsewhere if given."""
    device = find_device(runtime.device)
    settings = stored_settings(source, moved=moved, model=model, device=device.split(":")[0])
    request = settings.request
    files = open_to_sample(request.model)
    check_weights(files, settings, source)
    stem = Path(source.removesuffix(".json")).stem
    ending = task_named(request.task).default_ending(request.num_frames)
    [[path]] = output_paths(targets.output, [[f"{stem}-again{ending}"]])
    sources = [Path(source), *request.files]
    check_outputs([path], inputs=sources, num_frames=request.num_frames, output_fps=request.output_fps)
    check_contact_sheet(targets, taken=[path, *sources])
    runtime = Runtime(
        device=device,
        dtype=settings.dtype,
        vram_gib=runtime.vram_gib,
        is_compiled=settings.compiled,
        decoding=settings.decoding,
    )
    item = Item(label=source, paths=[path], inputs=request, requests=[request])
    return _plan([item], [request], files, files.config(request.task), runtime, loras=request.loras)


def plan_checked(
    items: Sequence[Item], files: ModelFiles, config: TaskModelConfig, runtime: Runtime, *, loras: str | None
) -> Plan:
    """Plan the new clips of checked items."""
    shapes = [chosen_shape(item.choices, config) for item in items]
    return _plan(items, shapes, files, config, runtime, loras=() if loras is None else parse_loras(loras))


def _plan(
    items: Sequence[Item],
    shapes: Sequence[ClipShape],
    files: ModelFiles,
    config: TaskModelConfig,
    runtime: Runtime,
    *,
    loras: tuple[LoraChoice, ...],
) -> Plan:
    device = find_device(runtime.device)
    dtype = runtime.dtype or default_precision_of(files, device)
    outlook = look_ahead(
        shapes,
        files,
        config.task,
        decoding=runtime.decoding,
        device=device,
        dtype=dtype,
        vram_gib=runtime.vram_gib,
        is_compiled=runtime.is_compiled,
    )
    return Plan(
        items=items,
        files=files,
        loras=loras,
        config=config,
        device=device,
        dtype=dtype,
        outlook=outlook,
        is_compiled=runtime.is_compiled,
    )


def check_choices(choices: Choices, config: TaskModelConfig, files: ModelFiles) -> None:
    """Raise InputError for sizes and camera angles that the model cannot make."""
    shape = chosen_shape(choices, config)
    check_size(shape.height, shape.width, factor=files.size_factor)
    elevations_of(choices.elevations_deg, choices.azimuths_deg, config, shape.num_frames)


def check_contact_sheet(targets: Targets, *, taken: Sequence[Path]) -> None:
    """Raise InputError if the contact sheet cannot be written."""
    path = targets.contact_sheet
    if path is None:
        return
    if Path(path).resolve() in {other.resolve() for other in taken}:
        raise InputError(f"contact_sheet is {path!r}, which is an input or an output: give it another name")
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"contact_sheet is {path!r}, its name should end in .png")
    check_writable(path)


def warn_of_idle_options(choices: Choices, task: Task) -> None:
    """Warn of given options that change nothing for the task."""
    for name, reason in task.idle_options.items():
        if name in choices.model_fields_set:
            warnings.warn(f"{name} has no effect {reason}", stacklevel=1)


def default_precision_of(files: ModelFiles, device: str) -> Precision:
    """Return float32 for our own small models, so that each machine makes the same clips; for others what is fast."""
    if isinstance(files, NativeFolder):
        return "float32"
    from videoldm.inference.precision import default_precision

    return default_precision(device)


def _seeds(choices: Choices, num_clips: int) -> Sequence[int]:
    last = choices.seed + num_clips - 1
    if last > MAX_SEED:
        raise InputError(f"seed is {choices.seed}, the seed of the last clip should be at most {MAX_SEED}")
    return range(choices.seed, last + 1)
