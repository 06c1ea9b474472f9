"""What lies between two shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TransitionKind = Literal["cut", "fade_out", "fade_in", "dissolve", "flash", "damage"]


@dataclass(frozen=True, slots=True)
class Transition:
    """`start_pts` is the first frame that it changes, `end_pts` the first frame after those.

    A cut changes none: both are the first frame of the new shot. Damage is what could not be decoded. `score`, from 0
    to 1, is how sure the detector is.
    """

    kind: TransitionKind
    start_pts: int
    end_pts: int
    score: float
