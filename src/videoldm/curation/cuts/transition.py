"""Transitions between shots, by time and by frame number, and helpers that detectors share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

TransitionKind = Literal["cut", "jump_cut", "fade_out", "fade_in", "dissolve", "wipe", "flash", "flicker", "damage"]
WindowKind = Literal["dissolve", "wipe"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition from the first frame that it changes, `start_pts`, to the first frame after those, `end_pts`.

    A cut changes none: both are the first frame of the new shot. A jump cut is one to nearly the same view. Flicker is
    light that goes on and off over one shot. Damage could not be decoded. `score`, from 0 to 1, is how sure the
    detector is.
    """

    kind: TransitionKind
    start_pts: int
    end_pts: int
    score: float


@dataclass(frozen=True, slots=True)
class FrameTransition:
    """A transition that changes the frames from number `first` to before `end`; for a cut both are the new shot's."""

    kind: TransitionKind
    first: int
    end: int
    score: float


class Stretch(NamedTuple):
    """Frames from number `first` to before `end`, none of which lies in another transition."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Window:
    """Frames of a stretch, of which `first` and `last` each lie in one shot alone, and those between may not.

    `kind` is what they look like at first, and the `merit` of windows of one kind can be compared.
    """

    kind: WindowKind
    first: int
    last: int
    merit: float
    stretch: Stretch


def runs(mask: Bool[np.ndarray, " t"]) -> list[tuple[int, int]]:
    """Return the stretches of True: the first index of each, and the first after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def taken(found: Sequence[FrameTransition], num_frames: int) -> Bool[np.ndarray, " t"]:
    """Return which frames lie in one of `found`, or are the first after it, whose change belongs to it."""
    result = np.zeros(num_frames, bool)
    for one in found:
        result[one.first : one.end + 1] = True
    return result


def score_of(strength: float) -> float:
    """Return a score from 0 to 1 for a strength; 1, which is just enough, gives 0.5."""
    return float(strength / (1 + strength))


def fitted_line(x: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"]) -> tuple[float, float]:
    """Return slope and offset of the line y = slope * x + offset, by least squares."""
    centred = x - x.mean()
    slope = float(centred @ y) / max(float(centred @ centred), 1e-12)
    return slope, float(y.mean() - slope * x.mean())
