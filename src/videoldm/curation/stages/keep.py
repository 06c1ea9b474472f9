"""Choice of the frames of the sidecar, which annotators see instead of the source."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from av import VideoFrame

from videoldm.curation.config import SidecarConfig
from videoldm.curation.sidecar import encode_frame, encode_grey
from videoldm.video.display import is_planar, plane_samples
from videoldm.video.interlacing import combing
from videoldm.video.look import Look

_LONG_AGO = -(2**62)


class Keeper:
    """Keeps the frame that is shown at the end of each interval, both sides of each cut, and grey ones for motion.

    So each span of frames that lasts an interval has one that is kept, however long frames are shown.
    Where pictures change quickly, a grey one is followed by a *companion*.
    """

    def __init__(self, source_id: str, config: SidecarConfig, time_base: Fraction) -> None:
        self.frames: list[dict[str, Any]] = []
        """Rows of the kept frames, in their order; one time may have a frame in colour and a grey one."""
        self._source_id = source_id
        self._config = config
        self._shown = _Interval(Fraction(config.every_s) / time_base)
        self._moving = _Interval(Fraction(config.motion_every_s) / time_base)
        # Whole ticks, as comparing numbers of ticks with fractions takes long.
        self._edge_ticks = math.ceil(1 / (Fraction(config.max_edges_per_s) * time_base))
        self._next_edge = _LONG_AGO
        self._companion_ticks = math.ceil(config.companion_s / time_base)
        self._next_companion: int | None = None
        self._before: tuple[VideoFrame, Look] | None = None
        self._latest: dict[str, Any] | None = None

    def add(self, frame: VideoFrame, look: Look, *, may_be_cut: bool, change: float) -> None:
        """Add the next frame; `change` is the mean difference of levels from the one before it."""
        pts = frame.pts or 0
        if self._before is not None and pts > self._shown.next:
            self._keep(*self._before, "sampled")
            self._shown.advance(pts - 1)
        if may_be_cut and self._before is not None and pts >= self._next_edge:
            self._keep(*self._before, "edge")
            self._keep(frame, look, "edge")
            self._next_edge = pts + self._edge_ticks
        if self._before is None or pts == self._shown.next:
            self._keep(frame, look, "sampled")
            self._shown.advance(pts)
        if pts >= self._moving.next:
            self._keep_grey(frame, look, "small")
            self._moving.advance(pts)
            self._next_companion = pts + self._companion_ticks
        elif self._next_companion is not None and pts >= self._next_companion:
            self._next_companion = None
            if change >= self._config.companion_change:
                self._keep_grey(frame, look, "companion")
        self._before = frame, look

    def finish(self) -> None:
        """Keep the last frame too."""
        if self._before is not None:
            self._keep(*self._before, "edge")

    def _keep(self, frame: VideoFrame, look: Look, kind: str) -> None:
        if self._latest is not None and self._latest["pts"] == frame.pts:
            if kind == "sampled":
                self._latest["kind"] = kind
            return
        self._latest = self._row(frame, kind, encode_frame(frame, look, self._config), _combing(frame))
        self.frames.append(self._latest)

    def _keep_grey(self, frame: VideoFrame, look: Look, kind: str) -> None:
        self.frames.append(self._row(frame, kind, encode_grey(frame, look, self._config), None))

    def _row(self, frame: VideoFrame, kind: str, jpeg: bytes, combing: float | None) -> dict[str, Any]:
        return {
            "source_id": self._source_id,
            "pts": frame.pts,
            "kind": kind,
            "is_interlaced": frame.interlaced_frame,
            "combing": combing,
            "jpeg": jpeg,
        }


class _Interval:
    """Times at equal distances from the first one, in ticks."""

    def __init__(self, ticks: Fraction) -> None:
        self.next = _LONG_AGO
        self._ticks = ticks
        self._start: int | None = None

    def advance(self, pts: int) -> None:
        """Go on to the next time after `pts`."""
        self._start = pts if self._start is None else self._start
        num_passed = math.floor((pts - self._start) / self._ticks) + 1
        self.next = self._start + math.ceil(num_passed * self._ticks)


def _combing(frame: VideoFrame) -> float | None:
    """Return how far a frame is combed, by its luma; None for formats without a plane of luma."""
    if not is_planar(frame):
        return None
    sample = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
    return combing(plane_samples(frame.planes[0], sample))
