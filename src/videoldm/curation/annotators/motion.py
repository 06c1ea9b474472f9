"""How much moves in a clip: optical flow at two frames a second, and how much of it is the camera's."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, UInt8

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame, Missing, Values
from videoldm.curation.annotators.config import MotionConfig
from videoldm.curation.annotators.letterbox import Bars, find_bars
from videoldm.measures.camera import camera_flow, fit_camera
from videoldm.measures.flow import grey_flow

_SMALLEST_PX = 16
_LONGEST_SIDES = 8
_ONE_STEP = Fraction(1)

Grey = UInt8[np.ndarray, "_ _"]


_CAMERA = ("pan_x", "pan_y", "zoom", "rotation")


class MotionAnnotator:
    """Farneback's flow between consecutive sampled frames, black bars cut off (SVD, appendix C).

    Every value follows from the stored maps, which are in short sides of the picture inside the bars per second.
    """

    def __init__(self, config: MotionConfig) -> None:
        self.config = config

    @property
    def columns(self) -> pa.Schema:
        """Short sides a second, unless another unit is named."""
        return pa.schema(
            [
                # Mean magnitude of the flow over the picture and the time.
                ("motion", pa.float32()),
                # Medians over the pairs of what `CameraFit` holds: zoom is log magnification, rotation radians.
                ("pan_x", pa.float32()),
                ("pan_y", pa.float32()),
                ("zoom", pa.float32()),
                ("rotation", pa.float32()),
                # Mean magnitude of what the camera's motion leaves of the flow.
                ("residual_motion", pa.float32()),
                # Share of the frame that is black bars.
                ("letterbox", pa.float32()),
                # How many pairs of frames were compared, and the size of the maps, which `flow_maps` reads.
                ("num_pairs", pa.int32()),
                ("flow_height", pa.int32()),
                ("flow_width", pa.int32()),
                # Little-endian float16, `num_pairs 2 flow_height flow_width`.
                ("flow_maps", pa.binary()),
            ]
        )

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The motion of each clip; missing if no two of its frames can be compared."""
        return [self._values(clip) for clip in clips]

    def _values(self, clip: ClipFrames) -> Values:
        frames = _comparable(clip, self.config.shortest_step_s)
        if isinstance(frames, Missing):
            return frames
        bars, greys = self._pictures([frame.pixels for frame in frames])
        if isinstance(bars, Missing):
            return bars
        steps_s = np.array(
            [float((after.pts - before.pts) * clip.time_base) for before, after in itertools.pairwise(frames)]
        )
        maps = np.stack([self._flow_map(first, second) for first, second in itertools.pairwise(greys)])
        return {**self._summary(maps, steps_s), "letterbox": bars.area}

    def _pictures(self, frames: list[UInt8[np.ndarray, "h w 3"]]) -> tuple[Bars | Missing, list[Grey]]:
        """The bars of a clip, and its frames grey, small and without them."""
        height, width, _ = frames[0].shape
        if min(height, width) < _SMALLEST_PX:
            return Missing(f"frames of {width}x{height} are too small for optical flow"), []
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        size = self._working_size(greys[0])
        small = [_resized(grey, size) for grey in greys]
        bars = find_bars(np.stack(small), self.config.letterbox)
        if bars.area == 0:
            return bars, small
        inside = [bars.cut_off(grey) for grey in greys]
        size = self._working_size(inside[0])
        return bars, [_resized(grey, size) for grey in inside]

    def _working_size(self, picture: Grey) -> tuple[int, int]:
        return _scaled_size(picture.shape[0], picture.shape[1], self.config.flow.working_short_side)

    def _flow_map(self, first: Grey, second: Grey) -> Float[np.ndarray, "2 h w"]:
        """The flow that is seen, small, in short sides a step."""
        flow = grey_flow(first, second, self.config.flow)
        flow[~_is_seen(flow, first, second, self.config.least_gain)] = 0
        height, width = first.shape
        size = _scaled_size(height, width, self.config.stored_short_side)
        small = cv2.resize(flow, size, interpolation=cv2.INTER_AREA) / min(height, width)
        return small.transpose(2, 0, 1)

    def _summary(self, maps: Float[np.ndarray, "t 2 h w"], steps_s: Float[np.ndarray, " t"]) -> dict[str, Any]:
        _, _, height, width = maps.shape
        short_side = min(height, width)
        flow = torch.from_numpy(maps) * short_side
        fit = fit_camera(flow, _ONE_STEP, config=self.config.camera)
        left = (flow - camera_flow(fit, _ONE_STEP, height=height, width=width)).numpy() / short_side
        total_s = float(steps_s.sum())
        camera = {name: float(np.median(getattr(fit, name).numpy() / steps_s)) for name in _CAMERA}
        per_second = maps / steps_s[:, None, None, None].astype(np.float32)
        return {
            "motion": _path_length(maps) / total_s,
            **camera,
            "residual_motion": _path_length(left) / total_s,
            "num_pairs": len(maps),
            "flow_height": height,
            "flow_width": width,
            "flow_maps": per_second.astype("<f2").tobytes(),
        }


def flow_maps(row: Mapping[str, Any]) -> Float[np.ndarray, "t 2 h w"]:
    """The flow between the frames of a clip, from its row of the table; short sides a second, x before y."""
    shape = (row["num_pairs"], 2, row["flow_height"], row["flow_width"])
    return np.frombuffer(row["flow_maps"], dtype="<f2").reshape(shape).astype(np.float32)


def _comparable(clip: ClipFrames, shortest_step_s: Fraction) -> list[KeptFrame] | Missing:
    """The sampled frames, or the first and the last kept one; none too close behind the one before it."""
    candidates = clip.sampled
    if len(candidates) < 2:
        candidates = list(clip.frames)
    frames = candidates[:1]
    for frame in candidates[1:]:
        if (frame.pts - frames[-1].pts) * clip.time_base >= shortest_step_s:
            frames.append(frame)
    if len(frames) >= 2:
        return frames
    if len(candidates) < 2:
        return Missing("has one kept frame, motion needs two")
    apart_s = float((candidates[-1].pts - candidates[0].pts) * clip.time_base)
    return Missing(f"its kept frames lie {apart_s:.3f} s apart, motion needs {float(shortest_step_s):.3f} s")


def _is_seen(flow: np.ndarray, first: Grey, second: Grey, least_gain: float) -> np.ndarray:
    """Where moving explains `second` clearly better than standing still; elsewhere flow is noise, or leaks."""
    height, width = first.shape
    x, y = _positions(height, width)
    moved = cv2.remap(second, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    side = 2 * max(1, round(min(height, width) / 13)) + 1
    error_still = cv2.blur(cv2.absdiff(first, second).astype(np.float32), (side, side))
    error_moved = cv2.blur(cv2.absdiff(first, moved).astype(np.float32), (side, side))
    return error_moved < (1 - least_gain) * error_still


@functools.lru_cache(maxsize=4)
def _positions(height: int, width: int) -> tuple[np.ndarray, ...]:
    return np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))


def _path_length(maps: Float[np.ndarray, "t 2 h w"]) -> float:
    """How far the picture's points go on average, over all steps."""
    return float(np.hypot(maps[:, 0], maps[:, 1]).mean(axis=(1, 2)).sum())


def _scaled_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Width and height with that short side; a strip's long side stops at eight short ones."""
    scale = short_side / min(height, width)
    longest = _LONGEST_SIDES * short_side
    return min(round(width * scale), longest), min(round(height * scale), longest)


def _resized(grey: Grey, size: tuple[int, int]) -> Grey:
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
