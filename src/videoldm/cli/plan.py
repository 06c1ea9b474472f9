"""What `videoldm generate` is going to do: everything that can be found out before the model loads."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoldm.cli.device import find_device
from videoldm.cli.generate_options import GenerateOptions, tiles_of
from videoldm.cli.inputs import find_pictures
from videoldm.cli.options import option_name
from videoldm.cli.outputs import check_outputs, output_paths, slug, stems_of
from videoldm.cli.plan_memory import Chosen, Outlook, look_ahead
from videoldm.core.errors import InputError
from videoldm.core.files import check_writable
from videoldm.inference.config import Decoding, Precision
from videoldm.tasks.cameras import elevations_of
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.files import ModelFiles
from videoldm.tasks.folder import NativeFolder
from videoldm.tasks.lora import LoraChoice, parse_loras
from videoldm.tasks.open import open_model
from videoldm.tasks.repeat import open_model_of, stored_settings
from videoldm.tasks.request import MAX_SEED, Choices, Request, check_size

BESIDE_FROM = frozenset(
    {"from_", "image", "model", "output", "device", "vram", "json_", "contact_sheet", "allow_pickle"}
)
"""What may be said when the settings come from an earlier clip."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture or prompt: its clips, one a path, and either finished requests or what they will be made from."""

    label: str
    paths: Sequence[Path]
    image: Path | None = None
    prompt: str | None = None
    choices: Choices | None = None
    """What was chosen for this one alone; None for what was chosen for all."""
    requests: Sequence[Request] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is to be made; all of it with the same model, size and steps."""

    items: Sequence[Item]
    files: ModelFiles
    loras: tuple[LoraChoice, ...]
    config: TaskModelConfig
    device: str
    dtype: Precision
    outlook: Outlook
    """Of the memory."""
    is_compiled: bool


def plan_new(options: GenerateOptions) -> Plan:
    """The clips that the options ask for."""
    check_source(options)
    pictures = [] if options.image is None else find_pictures(options.image)
    files = files_of(options)
    task = task_for(files, has_picture=options.image is not None)
    config = files.config(task)
    check_request_size(options, config, files.size_factor)
    warn_of_idle_options(options, task)
    num_frames = options.num_frames or config.num_frames
    elevations_of(options.elevations_deg, options.azimuths_deg, config, num_frames)

    stems = stems_of(pictures) or [slug(options.prompt or "")]
    ending = usual_ending(task, num_frames)
    paths = output_paths(options.output, [[f"{stem}-{seed}{ending}" for seed in seeds_of(options)] for stem in stems])
    output_fps = options.output_fps or options.fps or config.signals.fps
    flat = [path for row in paths for path in row]
    check_outputs(flat, inputs=pictures, num_frames=num_frames, output_fps=output_fps)
    items = (
        [Item(label=str(path), paths=row, image=path) for path, row in zip(pictures, paths, strict=True)]
        if options.prompt is None
        else [Item(label=options.prompt, paths=paths[0], prompt=options.prompt)]
    )
    check_contact_sheet(options.contact_sheet, taken=[*flat, *pictures])
    return make_plan(options, items, files, config)


def check_source(options: GenerateOptions) -> None:
    """Refuse anything but a picture or a sentence."""
    image, prompt = options.image, options.prompt
    if image is None and prompt is None:
        raise InputError("nothing to make a clip from: give a picture, or a sentence with --prompt")
    if image is not None and prompt is not None:
        raise InputError(
            f"a picture ({image}) and --prompt {prompt!r} exclude each other: give one of them, texts in quotes"
        )
    if prompt is not None and not prompt.strip():
        raise InputError(f"--prompt is {prompt!r}, it should say what the clip shows")


def warn_of_idle_options(options: GenerateOptions, task: TaskName) -> None:
    """Say which of the options that were given change nothing."""
    reasons: dict[str, str] = {}
    if options.image is None:
        reasons |= dict.fromkeys(("resize", "noise_aug_strength"), "without a picture")
    if task == "text-to-image":
        reasons |= dict.fromkeys(("fps", "motion_bucket_id"), "on a picture")
    if task == "multi-view":
        reasons["motion_bucket_id"] = "on a turn around an object"
    for field, reason in reasons.items():
        if field in options.model_fields_set:
            warnings.warn(f"{option_name(field)} has no effect {reason}", stacklevel=1)


def seeds_of(options: GenerateOptions) -> Sequence[int]:
    """The seeds of the clips of one picture or prompt."""
    last = options.seed + options.num_videos_per_prompt - 1
    if last > MAX_SEED:
        raise InputError(f"--seed is {options.seed}, the seed of the last clip should be at most {MAX_SEED}")
    return range(options.seed, last + 1)


def files_of(options: GenerateOptions) -> ModelFiles:
    """The model that the options name."""
    return open_model(
        options.model,
        variant=options.variant,
        unet=options.unet,
        tokenizer=options.tokenizer,
        allow_pickle=options.allow_pickle,
    )


def make_plan(options: GenerateOptions, items: Sequence[Item], files: ModelFiles, config: TaskModelConfig) -> Plan:
    """The plan for new clips of one model."""
    device = find_device(options.device)
    dtype = options.dtype or usual_precision(files, device)
    loras = () if options.lora is None else parse_loras(options.lora)
    outlook = look_ahead(
        options,
        [Chosen.of(item.choices or options, config) for item in items],
        Decoding(
            chunk_size=options.decode_chunk_size,
            tiles=None if options.decode_tiles is None else tiles_of(options.decode_tiles),
        ),
        files,
        config.task,
        device=device,
        dtype=dtype,
        is_compiled=options.compile_,
    )
    return Plan(
        items=items,
        files=files,
        loras=loras,
        config=config,
        device=device,
        dtype=dtype,
        outlook=outlook,
        is_compiled=options.compile_,
    )


def check_request_size(options: Choices, config: TaskModelConfig, factor: int) -> None:
    """Raise InputError for sizes that the model cannot make."""
    height, width = options.height or config.height, options.width or config.width
    try:
        check_size(height, width, factor=factor)
    except InputError as error:
        raise InputError(f"--{error}") from None


def plan_repetition(options: GenerateOptions) -> Plan:
    """The clip whose settings are stored in --from."""
    assert options.from_ is not None
    others = sorted(options.model_fields_set - BESIDE_FROM)
    if others:
        raise InputError(f"{option_name(others[0])} cannot be changed beside --from, which repeats a clip exactly")
    device = find_device(options.device)
    model = options.model if "model" in options.model_fields_set else None
    settings = stored_settings(
        options.from_,
        image=options.image,
        model=model,
        device=device.split(":")[0],
        allow_pickle=options.allow_pickle,
    )
    request = settings.request
    files = open_model_of(request, allow_pickle=options.allow_pickle)
    stem = Path(options.from_.removesuffix(".json")).stem
    [[path]] = output_paths(options.output, [[f"{stem}-again{usual_ending(request.task, request.num_frames)}"]])
    inputs = [Path(options.from_), *([Path(request.image)] if request.image else [])]
    check_outputs([path], inputs=inputs, num_frames=request.num_frames, output_fps=request.output_fps)
    check_contact_sheet(options.contact_sheet, taken=[path, *inputs])
    item = Item(label=options.from_, paths=[path], requests=[request])
    outlook = look_ahead(
        options,
        [request],
        settings.decoding,
        files,
        request.task,
        device=device,
        dtype=settings.dtype,
        is_compiled=settings.compiled,
    )
    return Plan(
        items=[item],
        files=files,
        loras=request.loras,
        config=files.config(request.task),
        device=device,
        dtype=settings.dtype,
        outlook=outlook,
        is_compiled=settings.compiled,
    )


def task_for(files: ModelFiles, *, has_picture: bool) -> TaskName:
    """What to do with what is given; with a sentence a picture, if the model can draw those only."""
    if has_picture:
        return "multi-view" if "multi-view" in files.tasks else "image-to-video"
    draws_only = "text-to-image" in files.tasks and "text-to-video" not in files.tasks
    return "text-to-image" if draws_only else "text-to-video"


def usual_ending(task: TaskName, num_frames: int) -> str:
    """Of what has no name from the user."""
    return ".png" if task == "text-to-image" and num_frames == 1 else ".mp4"


def usual_precision(files: ModelFiles, device: str) -> Precision:
    """Our own small models compute in float32, so that each machine makes the same clips; others in what is fast."""
    if isinstance(files, NativeFolder):
        return "float32"
    from videoldm.inference.precision import default_precision

    return default_precision(device)


def check_contact_sheet(path: str | None, *, taken: Sequence[Path]) -> None:
    """Find out now whether the contact sheet can be written."""
    if path is None:
        return
    if Path(path).resolve() in {other.resolve() for other in taken}:
        raise InputError(f"--contact-sheet is {path!r}, which is an input or an output: give it another name")
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"--contact-sheet is {path!r}, its name should end in .png")
    check_writable(path)
