"""What every annotator is: from the kept frames of some clips to a row of values for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from videoldm.curation.sidecar import decode_frame, decode_grey, middle_frame


@dataclass(frozen=True, eq=False, slots=True)
class KeptFrame:
    """A small frame of the sidecar, shown from `pts` on."""

    pts: int
    is_sampled: bool
    """Kept for its time, each half second; False for the sides of what may be a cut."""
    stored: UInt8[np.ndarray, "h w 3"] | bytes
    """Its pixels, or a JPEG of them: most annotators look at a few frames of a clip only."""

    @property
    def pixels(self) -> UInt8[np.ndarray, "h w 3"]:
        """RGB 0..255, upright; decoded each time."""
        return decode_frame(self.stored) if isinstance(self.stored, bytes) else self.stored

    def grey(self, least_short_side: int) -> UInt8[np.ndarray, "h w"]:
        """Its luma, perhaps smaller, but not below that short side; cheaper than `pixels`."""
        if isinstance(self.stored, bytes):
            return decode_grey(self.stored, least_short_side=least_short_side)
        return cv2.cvtColor(self.stored, cv2.COLOR_RGB2GRAY)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ClipFrames:
    """A clip as annotators see it: all frames that were kept inside its span, in order."""

    clip_id: str
    time_base: Fraction
    start_pts: int
    end_pts: int
    width: int
    """Of the source's frames as shown, as is `height`."""
    height: int
    frames: Sequence[KeptFrame]
    metadata: Mapping[str, str]
    """What the list of inputs says of the source, its captions among it."""
    annotations: Mapping[str, Mapping[str, Any]]
    """Rows of the annotations that this annotator needs, by name."""

    @property
    def sampled(self) -> list[KeptFrame]:
        """The frames kept each half second."""
        return [frame for frame in self.frames if frame.is_sampled]

    @property
    def first_middle_last(self) -> tuple[KeptFrame, KeptFrame, KeptFrame]:
        """The kept frames nearest to the clip's first, middle and last one."""
        middle = middle_frame([frame.pts for frame in self.frames], self.start_pts, self.end_pts)
        return self.frames[0], self.frames[middle], self.frames[-1]


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a clip has no values; `may_come_later` if trying again can help, as where a server did not answer."""

    reason: str
    may_come_later: bool = False


Values = Mapping[str, Any] | Missing


class Annotator(Protocol):
    """Made from its config, once a worker; a clip's values do not depend on the others of its batch.

    Making one is cheap and finds nothing missing: models load with the first clips.
    """

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the values."""
        ...

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The values of each clip."""
        ...
