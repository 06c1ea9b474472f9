"""Annotators: from the kept frames of some clips to a row of values for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8

from videoldm.curation.annotators.registry import AnnotatorConfig
from videoldm.curation.sidecar import decode_frame, decode_grey, middle_frame

C = TypeVar("C", bound=AnnotatorConfig)


PLACES = ("first", "middle", "last")
"""Names of `ClipFrames.first_middle_last`, in columns of annotations."""


@dataclass(frozen=True, eq=False, slots=True)
class KeptFrame:
    """A small frame of the sidecar, shown from `pts` on."""

    pts: int
    is_sampled: bool
    """True for the frames kept at equal distances; False for those on either side of a possible cut."""
    stored: UInt8[np.ndarray, "h w 3"] | bytes
    """Pixels, or a JPEG of them: most annotators look at few frames of a clip."""

    @property
    def pixels(self) -> UInt8[np.ndarray, "h w 3"]:
        """RGB pixels 0..255, upright; decoded on each access."""
        return decode_frame(self.stored) if isinstance(self.stored, bytes) else self.stored

    def grey(self, least_short_side: int) -> UInt8[np.ndarray, "h w"]:
        """Return the luma, perhaps smaller, but with at least that short side; cheaper than `pixels`."""
        if isinstance(self.stored, bytes):
            return decode_grey(self.stored, least_short_side=least_short_side)
        return cv2.cvtColor(self.stored, cv2.COLOR_RGB2GRAY)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ClipFrames:
    """A clip as annotators see it: all kept frames inside its span, in order."""

    clip_id: str
    time_base: Fraction
    start_pts: int
    end_pts: int
    width: int
    """Width of the source's frames as shown, like `height`."""
    height: int
    frames: Sequence[KeptFrame]
    small: Sequence[KeptFrame] = ()
    """Small grey frames each half second; not among `frames`."""
    companions: Sequence[KeptFrame] = ()
    """Like `small`, soon after each of them where pictures change quickly."""
    metadata: Mapping[str, str]
    """Metadata of the source from the list of inputs, such as a caption."""
    annotations: Mapping[str, Mapping[str, Any]]
    """Rows of the annotations that this annotator needs, by name."""

    @property
    def sampled(self) -> list[KeptFrame]:
        """Frames kept each second."""
        return [frame for frame in self.frames if frame.is_sampled]

    @property
    def first_middle_last(self) -> tuple[KeptFrame, KeptFrame, KeptFrame]:
        """Kept frames nearest to the clip's first, middle and last frame."""
        middle = middle_frame([frame.pts for frame in self.frames], self.start_pts, self.end_pts)
        return self.frames[0], self.frames[middle], self.frames[-1]


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a clip has no values; `may_come_later` if another run may succeed, as when a server did not answer."""

    reason: str
    may_come_later: bool = False


Values = Mapping[str, Any] | Missing


class Annotator(ABC, Generic[C]):
    """Gives each clip its values, which do not depend on the other clips of the batch.

    A subclass needs a config, which has the columns, and the method `annotate`; `register` connects the two. Creating
    an annotator loads nothing: a model belongs into a `functools.cached_property`, so that only workers load it, with
    the first clips. An InputError while it loads or runs leaves the clips without values, with its text as the reason.
    """

    def __init__(self, config: C) -> None:
        self.config = config

    @abstractmethod
    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Return the values of each clip, by the names of `config.columns`, or why it has none."""
