"""What a detector says of a video."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Findings:
    """First frames of new shots after hard cuts, spans of gradual transitions, and processor seconds.

    A detector without kinds gives all its findings as cuts.
    """

    cuts: tuple[int, ...]
    gradual: tuple[tuple[int, int], ...]
    cpu_s: float
    has_kinds: bool = True

    def __str__(self) -> str:
        parts = [", ".join(map(str, self.cuts))] if self.cuts else []
        parts += [f"{first} to {end}" for first, end in self.gradual]
        return "; ".join(parts) or "none"
