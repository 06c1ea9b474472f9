"""What `videoldm generate` is going to do: everything that can be found out before the model loads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from videoldm.cli.device import find_device
from videoldm.cli.generate_options import GenerateOptions
from videoldm.cli.inputs import find_pictures
from videoldm.cli.options import option_name
from videoldm.cli.outputs import check_outputs, output_paths, slug, stems_of
from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.core.files import check_writable
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.folder import content_hash, find_model, size_factor, task_config
from videoldm.tasks.request import MAX_SEED, Request, Settings, check_picture, check_size

BESIDE_FROM = frozenset({"from_", "image", "model", "output", "device", "json_", "contact_sheet"})
"""What may be said when the settings come from an earlier clip."""
BYTES_PER_PIXEL = 3 * 4
MAX_BATCH = 4
"""Clips of one picture or prompt that are sampled together; more gain little speed and take more memory."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture or prompt: its clips, one a path, and either finished requests or what they will be made from."""

    label: str
    paths: Sequence[Path]
    image: Path | None = None
    prompt: str | None = None
    requests: Sequence[Request] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is to be made; all of it with the same model, size and steps."""

    items: Sequence[Item]
    model: str
    config: TaskModelConfig
    device: str


def plan_new(options: GenerateOptions) -> Plan:
    """The clips that the options ask for."""
    image, prompt = options.image, options.prompt
    if (image is None) == (prompt is None):
        raise InputError(
            "nothing to make a clip from: give a picture, or a sentence with --prompt"
            if image is None
            else f"a picture ({image}) and --prompt {prompt!r} exclude each other: give one of them, texts in quotes"
        )
    if prompt is not None and not prompt.strip():
        raise InputError(f"--prompt is {prompt!r}, it should say what the clip shows")
    pictures = [] if image is None else find_pictures(image)
    folder = find_model(options.model)
    config = task_config(options.model, folder, "text-to-video" if image is None else "image-to-video")
    height, width = options.height or config.height, options.width or config.width
    try:
        check_size(height, width, factor=size_factor(folder))
    except InputError as error:
        raise InputError(f"--{error}") from None
    for field in ("resize", "noise_aug_strength"):
        if image is None and field in options.model_fields_set:
            warnings.warn(f"{option_name(field)} has no effect without a picture", stacklevel=1)
    num_frames = options.num_frames or config.num_frames
    check_memory(min(options.num_videos_per_prompt, MAX_BATCH), num_frames, height, width)

    seeds = [options.seed + index for index in range(options.num_videos_per_prompt)]
    if seeds[-1] > MAX_SEED:
        raise InputError(f"--seed is {options.seed}, the seed of the last clip should be at most {MAX_SEED}")
    stems = stems_of(pictures) or [slug(prompt or "")]
    paths = output_paths(options.output, [[f"{stem}-{seed}.mp4" for seed in seeds] for stem in stems])
    output_fps = options.output_fps or options.fps or config.signals.fps
    flat = [path for row in paths for path in row]
    check_outputs(flat, inputs=pictures, num_frames=num_frames, output_fps=output_fps)
    items = (
        [Item(label=prompt, paths=paths[0], prompt=prompt)]
        if prompt is not None
        else [Item(label=str(path), paths=row, image=path) for path, row in zip(pictures, paths, strict=True)]
    )
    check_contact_sheet(options.contact_sheet, taken=[*flat, *pictures])
    return Plan(items=items, model=options.model, config=config, device=find_device(options.device))


def plan_repetition(options: GenerateOptions) -> Plan:
    """The clip whose settings are stored in --from."""
    assert options.from_ is not None
    others = sorted(options.model_fields_set - BESIDE_FROM)
    if others:
        raise InputError(f"{option_name(others[0])} cannot be changed beside --from, which repeats a clip exactly")
    device = find_device(options.device)
    model = options.model if "model" in options.model_fields_set else None
    request = stored_request(options.from_, image=options.image, model=model, device=device.split(":")[0])
    folder = find_model(request.model)
    config = task_config(request.model, folder, request.task)
    check_memory(1, request.num_frames, request.height, request.width)
    stem = Path(options.from_.removesuffix(".json")).stem
    [[path]] = output_paths(options.output, [[f"{stem}-again.mp4"]])
    inputs = [Path(options.from_), *([Path(request.image)] if request.image else [])]
    check_outputs([path], inputs=inputs, num_frames=request.num_frames, output_fps=request.output_fps)
    check_contact_sheet(options.contact_sheet, taken=[path, *inputs])
    item = Item(label=options.from_, paths=[path], requests=[request])
    return Plan(items=[item], model=request.model, config=config, device=device)


def stored_request(source: str, *, image: str | None, model: str | None, device: str) -> Request:
    """The request of an earlier clip, its picture and model taken from elsewhere if that is given."""
    from videoldm.video.metadata import read_metadata

    stored = read_metadata(source)
    if stored is None or not isinstance(stored.get("request"), dict):
        raise InputError(f"{source}: holds no settings, it should be a clip that videoldm made or the .json beside it")
    settings = validate(Settings, stored, source=source)
    request = settings.request
    if model is not None:
        request = request.model_copy(update={"model": model})
    if image is not None:
        if request.image is None:
            raise InputError(f"{source} was made from a prompt, so no picture goes with it: leave out {image}")
        request = request.model_copy(update={"image": image})
    elif request.image is not None and not Path(request.image).exists():
        raise InputError(f"{source} was made from {request.image}, which is not here: give the picture beside --from")
    check_picture(request)
    check_weights(request, settings.model_hash, source)
    warn_of_versions(settings.versions)
    if settings.device != device:
        warnings.warn(f"made on {settings.device}, this is {device}: pixels may differ a little", stacklevel=1)
    return request


def check_weights(request: Request, made_by: str | None, source: str) -> None:
    """Refuse to repeat a clip with other weights than made it."""
    if made_by not in (None, content_hash(find_model(request.model), request.task)):
        raise InputError(
            f"{source} was made by other weights than model {request.model} has now: give the folder of the model that "
            f"made it with --model"
        )


def warn_of_versions(stored: Mapping[str, str]) -> None:
    """Say so if the clip comes from other versions, which may round differently."""
    for package, old in stored.items():
        with suppress(PackageNotFoundError):
            if old != version(package):
                warnings.warn(f"made with {package} {old}, this is {version(package)}", stacklevel=1)


def check_memory(num_clips: int, num_frames: int, height: int, width: int) -> None:
    """Refuse what cannot be done: the finished pixels alone, twice, are more than the whole memory."""
    needed = 2 * num_clips * num_frames * height * width * BYTES_PER_PIXEL
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        clips = f"{num_clips} x {num_frames} frames of {width}x{height}"
        raise InputError(
            f"{clips} need at least {needed / 1e9:.0f} GB, this machine has {memory / 1e9:.0f} GB: make fewer, shorter "
            f"or smaller ones"
        )


def check_contact_sheet(path: str | None, *, taken: Sequence[Path]) -> None:
    """Find out now whether the contact sheet can be written."""
    if path is None:
        return
    if Path(path).resolve() in {other.resolve() for other in taken}:
        raise InputError(f"--contact-sheet is {path!r}, which is an input or an output: give it another name")
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"--contact-sheet is {path!r}, its name should end in .png")
    check_writable(path)
