"""Compiling what is trained, where what is left of the run is worth the time that compiling takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.core.progress import notice
from videoldm.inference.compiled import check_compiler, code_folder
from videoldm.models.layers import ResBlock
from videoldm.models.unet.transformer import Attention, FeedForward

TIMED_STEPS = 5
"""Steps that are timed before the decision, and again after compiling; the first ones, which fill caches, are slow."""
MEASURED_FILE = "measured.json"


@dataclass(frozen=True)
class CompileCost:
    """What compiling takes and gives on one kind of device."""

    seconds_per_kind: float
    """Time to compile the parts of one kind, forward and backward."""
    share_saved: float
    """Share of a step's time that compiled parts save."""


UNMEASURED = {
    # Two cores of an AMD EPYC (docs/design_log.md): products and convolutions are library calls either way.
    "cpu": CompileCost(seconds_per_kind=4.0, share_saved=0.0),
    # Cautious guesses, until a run on that GPU has measured both.
    "cuda": CompileCost(seconds_per_kind=10.0, share_saved=0.1),
}


class AutomaticCompilation:
    """Times the first steps of a run, compiles if that pays, and keeps what it measured beside the compiled code."""

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device) -> None:
        self._blocks, self._device = blocks, device
        self._plain_s: list[float] = []
        self._compiled_s: list[float] = []
        self._is_over = not blocks

    def stepped(self, seconds: float, *, steps_left: int) -> None:
        """Take note of a step; every process calls this after each one."""
        if self._is_over:
            return
        if len(self._plain_s) < TIMED_STEPS:
            self._plain_s.append(seconds)
            if len(self._plain_s) == TIMED_STEPS:
                self._is_over = not self._compiled(steps_left)
            return
        self._compiled_s.append(seconds)
        if len(self._compiled_s) == TIMED_STEPS:
            ranks.on_first(self._write_cost)
            self._is_over = True

    def _compiled(self, steps_left: int) -> bool:
        """Compile if it pays, and say so; return whether it did."""
        cost, step_s = ranks.on_first(lambda: (self._read_cost(), min(self._plain_s)))
        takes, saves = cost.seconds_per_kind * len(kinds_of(self._blocks)), steps_left * step_s * cost.share_saved
        if cost.share_saved <= 0:
            notice(f"Not compiling: steps take no less time compiled on this {self._device.type}")
        elif saves <= takes:
            notice(f"Not compiling: it would take {takes:.0f} s and save {saves:.0f} s of what is left")
        else:
            notice(f"Compiling: about {takes:.0f} s, to save {saves:.0f} s of what is left")
            return self._try_to_compile()
        return False

    def _try_to_compile(self) -> bool:
        try:
            compile_parts(self._blocks, self._device)
        except InputError as error:
            notice(f"Not compiling: {error}")
            return False
        return True

    def _read_cost(self) -> CompileCost:
        """Return what a run on this machine measured, or else what is known of others."""
        measured = _measured().get(self._machine())
        return CompileCost(**measured) if measured else UNMEASURED.get(self._device.type, UNMEASURED["cuda"])

    def _write_cost(self) -> None:
        first, plain, compiled = self._compiled_s[0], min(self._plain_s), min(self._compiled_s)
        cost = CompileCost((first - compiled) / len(kinds_of(self._blocks)), 1 - compiled / plain)
        write_json(code_folder() / MEASURED_FILE, _measured() | {self._machine(): asdict(cost)})

    def _machine(self) -> str:
        name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else self._device.type
        return f"{name}, torch {torch.__version__}"


def compile_parts(blocks: Iterable[nn.Module], device: torch.device) -> None:
    """Compile the parts of blocks in place when they first run, and keep the code on disk for later runs.

    Raises InputError if there is no compiler.
    """
    check_compiler(str(device))
    for part in parts_of(blocks):
        part.forward = torch.compile(part.forward, dynamic=False)


def parts_of(blocks: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """Yield the parts of blocks between residual sums, which are of fewer kinds than blocks are.

    Where a block has no such parts, it is one itself. Whole transformer layers fail on CPUs (PyTorch 2.13): two biases
    that get the same gradient in 16 bits become C++ that a compiler refuses.
    """
    for block in blocks:
        yield from [part for part in block.modules() if isinstance(part, ResBlock | Attention | FeedForward)] or [block]


def kinds_of(blocks: Iterable[nn.Module]) -> set[tuple[object, ...]]:
    """Return the kinds of parts: those of one class and equal shapes share their code."""
    return {(type(part), *(parameter.shape for parameter in part.parameters())) for part in parts_of(blocks)}


def _measured() -> dict[str, dict[str, float]]:
    path = code_folder() / MEASURED_FILE
    return json.loads(path.read_text()) if path.is_file() else {}
