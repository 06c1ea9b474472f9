"""Doing what the plan of `videoldm generate` says: load, sample, write."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoldm.cli.generate_options import GenerateOptions
from videoldm.cli.plan import Item, Plan
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.core.progress import notice, progress
from videoldm.inference.config import RunStage
from videoldm.tasks.request import Request

if TYPE_CHECKING:
    from torch import Tensor

    from videoldm.diffusion.samplers.steps import OnStep
    from videoldm.tasks.generate import Clip
    from videoldm.tasks.model import VideoModel
    from videoldm.tasks.sampling import Watch

SHEET_COLUMNS = 8
OUT_OF_MEMORY = ("out of memory", "allocate memory", "alloc_failed")


@dataclass
class Results:
    """What has been made so far."""

    paths: list[Path] = field(default_factory=list[Path])
    requests: list[Request] = field(default_factory=list[Request])
    settings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What is stored with each clip."""
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    peaks: Mapping[RunStage, int] = field(default_factory=dict["RunStage", int])
    """The most bytes in use in each stage."""
    rows: list[Tensor] = field(default_factory=list["Tensor"])
    """Some frames of each clip, for the contact sheet."""

    def add(self, path: Path, clip: Clip, *, keep_frames: bool) -> None:
        """List a clip that has been written."""
        self.paths.append(path)
        self.requests.append(clip.request)
        self.settings.append(clip.settings)
        if keep_frames:
            from videoldm.video.contact_sheet import spread_frames

            self.rows.append(clip.pixels[spread_frames(len(clip.pixels), SHEET_COLUMNS)])


def make_all(plan: Plan, options: GenerateOptions, results: Results) -> None:
    """Generate and write item by item into `results`; of several, one whose picture is bad is left out and listed.

    A failure that is not the picture's ends the work. Raises InputError if nothing could be made.
    """
    from videoldm.inference.memory.meter import PeakMeter

    model: VideoModel | None = None
    meter = PeakMeter(plan.device)
    results.peaks = meter.peaks
    with progress("Pictures", len(plan.items)) if len(plan.items) > 1 else nullcontext(_ignore) as advance:
        for index, item in enumerate(plan.items):
            try:
                requests = item.requests or requests_of(item, plan, options)
            except InputError as error:
                results.failures.append((item.label, str(error).removeprefix(f"{item.label}: ")))
            else:
                model = model or load(plan)
                try:
                    make_item(
                        model, item, requests, results, meter.watch, keep_frames=options.contact_sheet is not None
                    )
                except InputError as error:
                    if not (results.paths or results.failures):
                        raise
                    results.failures.append((item.label, str(error)))
                    results.failures += [(left.label, "not tried after that") for left in plan.items[index + 1 :]]
                    break
            advance()
    if not results.paths:
        raise InputError("\n".join(f"{label}: {reason}" for label, reason in results.failures))


def requests_of(item: Item, plan: Plan, options: GenerateOptions) -> list[Request]:
    """The requests of one picture or prompt, its picture read once to see that it is whole."""
    from videoldm.video.picture import load_picture

    if item.image is not None:
        load_picture(item.image)
    first = (item.choices or options).request(
        plan.files, plan.config, loras=plan.loras, image=item.image, prompt=item.prompt
    )
    return [first.model_copy(update={"seed": first.seed + index}) for index in range(len(item.paths))]


def load(plan: Plan) -> VideoModel:
    """The model of a plan."""
    from videoldm.inference.compiled import check_compiler, code_folder, compile_blocks
    from videoldm.inference.precision import DTYPES
    from videoldm.tasks.model import load_opened

    if plan.is_compiled:
        check_compiler(plan.device)
    with enough_memory(f"the networks of {plan.files.name}"):
        model = load_opened(
            plan.files,
            plan.config.task,
            loras=plan.loras,
            device=plan.device,
            dtype=DTYPES[plan.dtype],
            memory=plan.outlook.plan,
        )
    if plan.is_compiled:
        compile_blocks(model.unet)
        notice(f"Compiling: the first step takes minutes, seconds where its code is already in {code_folder()}")
    return model


def make_item(
    model: VideoModel, item: Item, requests: Sequence[Request], results: Results, watch: Watch, *, keep_frames: bool
) -> None:
    """Generate the clips of one item and write each before the next begins.

    They are sampled one by one: together they would round differently, and `--from` could not repeat them bit by bit.
    """
    label = "Generating" if item.image is None else f"Generating {item.image.name}"
    with progress(label, len(requests) * requests[0].sampling.num_inference_steps) as advance:
        for request, path in zip(requests, item.paths, strict=True):
            clip = sample(model, request, on_step=lambda _: advance(), watch=watch)
            clip.save(path)
            results.add(path, clip, keep_frames=keep_frames)


def sample(model: VideoModel, request: Request, *, on_step: OnStep, watch: Watch) -> Clip:
    """A clip; raises InputError if memory does not suffice."""
    from videoldm.tasks.generate import make_clips

    with enough_memory(f"{request.num_frames} frames of {request.width}x{request.height}"):
        return make_clips(model, [request], on_step=on_step, watch=watch)[0]


@contextmanager
def enough_memory(purpose: str) -> Generator[None]:
    """Raise InputError if memory does not suffice inside the context."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise InputError(f"memory is too small for {purpose}: give a smaller --vram, or ask for less") from error


def draw_contact_sheet(path: Path, results: Results) -> None:
    """A row of frames for each clip."""
    from videoldm.video.contact_sheet import contact_sheet

    names = [request.prompt or Path(request.image or "").name for request in results.requests]
    labels = [f"{name}, seed {request.seed}" for name, request in zip(names, results.requests, strict=True)]
    with atomic_file(path) as partial:
        contact_sheet(results.rows, labels, num_columns=SHEET_COLUMNS).save(partial, format="PNG")


def _ignore() -> None:
    """Advance no bar."""


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY)
