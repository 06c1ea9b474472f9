"""Choice of the frames of the sidecar, which annotators see instead of the source."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from av import VideoFrame

from videoldm.curation.config import SidecarConfig
from videoldm.curation.sidecar import encode_frame
from videoldm.video.display import is_planar, plane_samples
from videoldm.video.interlacing import combing
from videoldm.video.look import Look


class Keeper:
    """Keeps one frame in each interval, a companion of it if pictures change quickly, and both sides of each cut."""

    def __init__(self, source_id: str, config: SidecarConfig, time_base: Fraction) -> None:
        self.frames: list[dict[str, Any]] = []
        """Rows of the kept frames, in their order."""
        self._source_id = source_id
        self._config = config
        self._interval_ticks = Fraction(config.every_s) / time_base
        self._edge_ticks = 1 / (Fraction(config.max_edges_per_s) * time_base)
        self._start: int | None = None
        self._next_edge: Fraction = Fraction(-(2**62))
        self._companion_ticks = config.companion_s / time_base
        self._next_companion: Fraction | None = None
        self._before: tuple[VideoFrame, Look] | None = None

    def add(self, frame: VideoFrame, look: Look, *, may_be_cut: bool, change: float) -> None:
        """Add the next frame; `change` is the mean difference of levels from the one before it."""
        pts = frame.pts or 0
        if self._start is None:
            self._start = self._next = pts
        if self._before is not None and may_be_cut and pts >= self._next_edge:
            self._keep(*self._before, "edge")
            self._keep(frame, look, "edge")
            self._next_edge = pts + self._edge_ticks
        if pts >= self._next:
            self._keep(frame, look, "sampled")
            intervals = math.floor((pts - self._start) / self._interval_ticks) + 1
            self._next = self._start + math.ceil(intervals * self._interval_ticks)
            self._next_companion = pts + self._companion_ticks
        elif self._next_companion is not None and pts >= self._next_companion:
            self._next_companion = None
            if change >= self._config.companion_change:
                self._keep(frame, look, "companion")
        self._before = frame, look

    def finish(self) -> None:
        """Keep the last frame too."""
        if self._before is not None:
            self._keep(*self._before, "edge")

    def _keep(self, frame: VideoFrame, look: Look, kind: str) -> None:
        if self.frames and self.frames[-1]["pts"] == frame.pts:
            if kind == "companion":
                return
            if self.frames[-1]["kind"] != "companion":
                self.frames[-1]["kind"] = "sampled" if kind == "sampled" else self.frames[-1]["kind"]
                return
            self.frames.pop()  # it is smaller
        self.frames.append(
            {
                "source_id": self._source_id,
                "pts": frame.pts,
                "kind": kind,
                "is_interlaced": frame.interlaced_frame,
                "combing": _combing(frame),
                "jpeg": encode_frame(frame, look, self._config, is_companion=kind == "companion"),
            }
        )


def _combing(frame: VideoFrame) -> float | None:
    """Return how far a frame is combed, by its luma; None for formats without a plane of luma."""
    if not is_planar(frame):
        return None
    sample = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
    return combing(plane_samples(frame.planes[0], sample))
