"""What training reads clips from: how many there are, what is known of each, and its frames at exact times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from videoldm.dataset.config import Bucket
from videoldm.video.picture import fit_picture
from videoldm.video.time import frame_times

CaptionKind = Literal["image", "video", "summary", "given"]
"""Of the middle frame; of the whole clip; both in one sentence; what the list of inputs said of the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClip:
    """What is known of a clip, beside its frames."""

    name: str
    """For people."""
    video: str
    """Hash of the video that it was cut from."""
    content: str
    """What its frames come from; equal only for clips whose frames are equal at all times."""
    width: int
    height: int
    duration_s: Fraction
    frame_rate: Fraction | None
    """Of the source; None if unknown."""
    pixel_aspect: Fraction = Fraction(1)
    """How much wider than high a pixel is shown."""
    captions: Mapping[CaptionKind, str]
    motion: float | None
    """Mean length of the optical flow, in short sides of the frame per second; None if it was not measured."""


class ClipSource(Protocol):
    """Clips by number."""

    @property
    def fingerprint(self) -> str:
        """Changes with the clips and with what is known of them, not with where they lie."""
        ...

    def __len__(self) -> int:
        """How many clips there are."""
        ...

    def clips(self) -> Iterator[SourceClip]:
        """What is known of all clips, in their order."""
        ...

    def clip(self, index: int) -> SourceClip:
        """What is known of one clip."""
        ...

    def frames(self, index: int, times: Sequence[Fraction]) -> list[UInt8[np.ndarray, "h w 3"]]:
        """The frames shown at these times (ascending, seconds from the clip's first frame on), upright.

        Raises InputError if the clip cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a clip, from `start_s` after its first frame on, as a bucket wants it."""

    bucket: Bucket
    start_s: Fraction

    def times(self) -> list[Fraction]:
        """When each frame is taken, in seconds from the clip's first frame on."""
        return frame_times(self.start_s, self.bucket.num_frames, self.bucket.fps)


def window_of(duration_s: Fraction, bucket: Bucket, number: int, num_windows: int) -> Window:
    """Window `number` of `num_windows` in a clip: the middles of equal parts of where one can begin."""
    spare = duration_s - bucket.span_s
    assert spare > 0, "a clip of a bucket is long enough for it"
    return Window(bucket, spare * (2 * number + 1) / (2 * num_windows))


def read_window(source: ClipSource, index: int, window: Window) -> Float[Tensor, "t 3 h w"]:
    """A window's pixels in [-1, 1], fitted as `generate` fits the picture it is given: centre crop, then resize."""
    frames, pixel_aspect = source.frames(index, window.times()), source.clip(index).pixel_aspect
    height, width = window.bucket.height, window.bucket.width
    fitted: dict[int, Tensor] = {}  # where the source is slower than the bucket, neighbours are one picture
    for frame in frames:
        if id(frame) not in fitted:
            fitted[id(frame)] = fit_picture(frame, height, width, "crop", pixel_aspect=pixel_aspect)
    return torch.stack([fitted[id(frame)] for frame in frames])
