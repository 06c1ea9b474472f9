"""Interleaved timing: machines are noisy, so contenders take turns and only medians of their ratios count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from videoldm.core.progress import progress

WARM_UP = 1
MATRIX_SIDE = 4096
MATRIX_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long one contender took, in seconds, one value a round."""

    name: str
    first_s: float
    """The call before the rounds, which compiles and fills caches."""
    rounds_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The middle of all rounds."""
        return statistics.median(self.rounds_s)

    @property
    def spread(self) -> float:
        """Slowest minus fastest round, as a share of the median."""
        return (max(self.rounds_s) - min(self.rounds_s)) / self.median_s


def interleaved(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int, device: torch.device
) -> dict[str, Times]:
    """Time every contender once a round, in turn, after one call of each that does not count."""
    first = {name: _seconds(call, device) for name, call in contenders.items()}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    with progress("Timing", rounds * len(contenders)) as advance:
        for _ in range(rounds):
            for name, call in contenders.items():
                taken[name].append(_seconds(call, device))
                advance()
    return {name: Times(name=name, first_s=first[name], rounds_s=tuple(taken[name])) for name in contenders}


def speed_ratio(ours: Times, theirs: Times) -> float:
    """How many times faster `ours` is: the median over the rounds' pairs."""
    return statistics.median(b / a for a, b in zip(ours.rounds_s, theirs.rounds_s, strict=True))


def matrix_multiply_rate(dtype: torch.dtype, device: torch.device) -> float:
    """The best rate at which this machine multiplies large square matrices, in FLOP/s."""
    side = MATRIX_SIDE
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    times = [_seconds(lambda: left @ right, device) for _ in range(WARM_UP + MATRIX_ROUNDS)]
    return 2 * side**3 / min(times[WARM_UP:])


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
