"""Look of frames: size, orientation, shape of pixels, pixel format and colour, which may change within a stream."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av import VideoFrame
from av.video.stream import VideoStream

from videoldm.video.display import Orientation, colour_tags, display_matrix, orientation


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How frames are stored, and how they are to be shown."""

    width: int
    """Width of the stored frame, before it is turned upright."""
    height: int
    turn: Orientation
    pixel_aspect: Fraction
    """Width of a stored pixel as shown over its height."""
    pixel_format: str
    primaries: str | None
    transfer: str | None

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as shown, upright; pixels keep their shape."""
        return (self.height, self.width) if self.turn.is_transposed else (self.width, self.height)

    @property
    def shown_pixel_aspect(self) -> Fraction:
        """Width over height of a pixel of the upright frame."""
        return 1 / self.pixel_aspect if self.turn.is_transposed else self.pixel_aspect


class LookReader:
    """Reads the look of a stream's frames as they are decoded, at little cost as long as nothing changes."""

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._stream = stream
        self._key: tuple[Any, ...] | None = None
        self._look: Look | None = None
        self._first_aspect: Fraction | None = None
        self._container_aspect = Fraction(1)

    def read(self, frame: VideoFrame) -> Look:
        """Return the look of the frame that was decoded last; the same object unless something has changed."""
        aspect = self._context.sample_aspect_ratio
        key = (
            frame.width, frame.height, frame.format.name, frame.rotation, frame.color_primaries, frame.color_trc,
            aspect,
        )  # fmt: skip
        if self._look is None:
            # The container's word, unless the stream itself changes later.
            self._container_aspect = self._stream.sample_aspect_ratio or Fraction(1)
            self._first_aspect = aspect
        if self._look is None or key != self._key:
            self._key = key
            self._look = self._read(frame, aspect)
        return self._look

    def _read(self, frame: VideoFrame, aspect: Fraction | None) -> Look:
        tags = colour_tags(frame)
        return Look(
            width=frame.width,
            height=frame.height,
            turn=orientation(display_matrix(frame)),
            pixel_aspect=self._container_aspect if aspect == self._first_aspect else aspect or Fraction(1),
            pixel_format=frame.format.name,
            primaries=tags.primaries,
            transfer=tags.transfer,
        )
