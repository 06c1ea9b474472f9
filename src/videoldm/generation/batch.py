"""Making what a plan says, item by item: load, sample, write, and go on after a picture that fails."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoldm.core.errors import InputError, ItemError, unexpected
from videoldm.core.files import atomic_file
from videoldm.core.memory import keep_freed_memory
from videoldm.core.progress import notice, progress
from videoldm.core.wording import counted
from videoldm.generation.plan import Item, Plan
from videoldm.generation.request import Request
from videoldm.inference.config import RunPhase

if TYPE_CHECKING:
    from torch import Tensor

    from videoldm.diffusion.samplers.steps import OnStep
    from videoldm.generation.clips import Clip
    from videoldm.pipelines.load import LoadedModel
    from videoldm.tasks.sampling import Watch

SHEET_COLUMNS = 8
OUT_OF_MEMORY = ("out of memory", "allocate memory", "alloc_failed")


@dataclass
class Results:
    """Clips made so far, and items that failed."""

    keeps_frames: bool = False
    """Whether some frames of each clip are kept, for a contact sheet."""
    paths: list[Path] = field(default_factory=list[Path])
    requests: list[Request] = field(default_factory=list[Request])
    settings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The settings stored with each clip."""
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Label and reason."""
    peaks: Mapping[RunPhase, int] = field(default_factory=dict["RunPhase", int])
    """The most bytes in use in each phase of a run."""
    rows: list[Tensor] = field(default_factory=list["Tensor"])

    def add(self, path: Path, clip: Clip) -> None:
        """List a clip that has been written."""
        self.paths.append(path)
        self.requests.append(clip.request)
        self.settings.append(clip.settings)
        if self.keeps_frames:
            from videoldm.video.contact_sheet import spread_frames

            self.rows.append(clip.pixels[spread_frames(len(clip.pixels), SHEET_COLUMNS)])

    def draw_contact_sheet(self, path: Path) -> None:
        """Write a picture with a row of frames for each clip."""
        from videoldm.video.contact_sheet import contact_sheet

        names = [request.prompt or request.files[0].name for request in self.requests]
        labels = [f"{name}, seed {request.seed}" for name, request in zip(names, self.requests, strict=True)]
        with atomic_file(path) as partial:
            contact_sheet(self.rows, labels, num_columns=SHEET_COLUMNS).save(partial, format="PNG")


def make_all(plan: Plan, results: Results) -> None:
    """Generate and write item by item into `results`; of several clips, those that fail alone are skipped and listed.

    A failure that concerns all, such as a full disk, ends the work. Raises InputError if nothing could be made.
    """
    from videoldm.inference.memory.meter import PeakMeter

    keep_freed_memory()
    model: LoadedModel | None = None
    meter = PeakMeter(plan.device)
    results.peaks = meter.peaks
    with progress("Pictures", len(plan.items)) if len(plan.items) > 1 else nullcontext(_no_bar) as advance:
        for index, item in enumerate(plan.items):
            try:
                requests = item.requests or requests_of(item, plan)
            except InputError as error:
                results.failures.append((item.label, str(error).removeprefix(f"{item.inputs.label}: ")))
            else:
                model = model or load_planned(plan)
                try:
                    _make_item(model, item, requests, results, meter.watch, is_alone=plan.num_clips == 1)
                except InputError as error:
                    if not (results.paths or results.failures):
                        raise
                    results.failures.append((item.label, str(error)))
                    results.failures += [(left.label, "not tried after that") for left in plan.items[index + 1 :]]
                    break
            advance()
    if not results.paths:
        raise InputError("\n".join(f"{label}: {reason}" for label, reason in results.failures))


def requests_of(item: Item, plan: Plan) -> list[Request]:
    """Return the requests of one picture or prompt, after reading the picture once to see that it is whole."""
    from videoldm.video.picture import load_picture

    for path in item.inputs.files:
        load_picture(path)
    first = item.choices.request(item.inputs, plan.files.ref, plan.config, loras=plan.loras)
    return [first.model_copy(update={"seed": first.seed + index}) for index in range(len(item.paths))]


def load_planned(plan: Plan) -> LoadedModel:
    """Load the model of a plan, compiled if the plan says so."""
    from videoldm.inference.compiled import check_compiler, code_folder, compile_blocks
    from videoldm.inference.precision import DTYPES
    from videoldm.pipelines.load import load_opened

    if plan.is_compiled:
        check_compiler(plan.device)
    with enough_memory(f"the networks of {plan.files.ref.name}"):
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


def _make_item(
    model: LoadedModel, item: Item, requests: Sequence[Request], results: Results, watch: Watch, *, is_alone: bool
) -> None:
    """Generate the clips of one item and write each before the next begins.

    They are sampled one by one: together they would round differently, and they could not be repeated bit by bit.
    """
    label = " ".join(["Generating", *(path.name for path in item.inputs.files)])
    with progress(label, len(requests) * requests[0].sampling.num_inference_steps) as advance:
        for request, path in zip(requests, item.paths, strict=True):
            name = item.label if len(requests) == 1 else f"{item.label}, seed {request.seed}"
            try:
                clip = sample_one(model, request, on_step=lambda _: advance(), watch=watch)
                clip.save(path)
            except ItemError as error:
                results.failures.append((name, str(error)))
            except InputError:
                raise
            except Exception as error:
                if is_alone:
                    raise
                results.failures.append((name, unexpected(error)))
            else:
                results.add(path, clip)


def sample_one(model: LoadedModel, request: Request, *, on_step: OnStep, watch: Watch) -> Clip:
    """Return the clip of a request; raise InputError if memory does not suffice."""
    from videoldm.generation.clips import make_clips

    with enough_memory(f"{counted(request.num_frames, 'frame')} of {request.width}x{request.height}"):
        return make_clips(model, [request], on_step=on_step, watch=watch)[0]


@contextmanager
def enough_memory(purpose: str) -> Generator[None]:
    """Raise InputError if memory does not suffice inside the context."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise InputError(f"memory is too small for {purpose}: allow less (vram) or ask for less") from error


def _no_bar() -> None:
    """Advance no progress bar."""


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY)
