"""What is kept of a batch whose gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from videoldm.core import ranks
from videoldm.core.files import write_json
from videoldm.training.layout import DIVERGED


@dataclass(frozen=True)
class Seen:
    """Samples of a micro-batch and what came of them."""

    positions: Sequence[int]
    losses: Tensor
    sigma: Tensor | None


def diverged(
    folder: Path,
    *,
    player: str,
    samples_seen: int,
    norms: Mapping[str, float],
    seen: Sequence[Seen],
    describe: Callable[[int], str],
) -> FloatingPointError:
    """The error to raise; writes the samples of all processes to a file that it names."""
    samples = [sample for rows in ranks.gathered(_rows(seen, describe)) for sample in rows]
    path = folder / DIVERGED.format(f"{samples_seen:012d}")
    content = {
        "player": player,
        "samples_seen": samples_seen,
        "gradient_norms": {name or "all": _number(norm) for name, norm in norms.items()},
        "samples": samples,
    }
    ranks.on_first(lambda: write_json(path, content))
    bad = [sample for sample in samples if isinstance(sample["loss"], str)]
    of_which = f", the loss of sample {_named(bad[0])} is not finite" if bad else ""
    return FloatingPointError(
        f"gradient norm is {norms['']} after {samples_seen} samples{of_which}; the weights were not changed, the batch "
        f"is told in {path}"
    )


def _rows(seen: Sequence[Seen], describe: Callable[[int], str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in seen:
        sigmas = [None] * len(part.positions) if part.sigma is None else part.sigma.tolist()
        for position, loss, sigma in zip(part.positions, part.losses.tolist(), sigmas, strict=True):
            row = {"position": position, "clip": describe(position), "rank": ranks.rank(), "loss": _number(loss)}
            rows.append(row if sigma is None else row | {"sigma": _number(sigma)})
    return rows


def _named(sample: Mapping[str, Any]) -> str:
    return f"{sample['position']} ({sample['clip']})" if sample["clip"] else str(sample["position"])


def _number(value: float) -> float | str:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else str(value)
