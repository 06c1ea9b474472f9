"""How much moves in a clip: optical flow at two frames a second, and how much of it is the camera's."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Float32, Shaped, UInt8

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame, Missing, Values
from videoldm.curation.annotators.config import LetterboxConfig, MotionConfig
from videoldm.curation.annotators.models.flow import Flow, Grey, Picture, make_flow
from videoldm.curation.annotators.models.local_model import unless_missing
from videoldm.measures.array_motion import camera_steps_flow, fit_camera_steps

_SMALLEST_PX = 16
_LONGEST_SIDES = 8

_CAMERA = ("pan_x", "pan_y", "zoom", "rotation")


class MotionAnnotator:
    """The flow between consecutive sampled frames, black bars cut off (SVD, appendix C).

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
                ("residual", pa.float32()),
                # Share of the frame that is black bars.
                ("letterbox", pa.float32()),
                # Of the maps: pairs of frames that were compared, x and y, height, width.
                ("flow_shape", pa.list_(pa.int32(), 4)),
                # Little-endian float16, which `flow_maps` reads.
                ("flow_maps", pa.binary()),
            ]
        )

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The motion of each clip; missing if no two of its frames can be compared, or the flow's model is not here."""
        flow = unless_missing(lambda: self._flow)
        if isinstance(flow, Missing):
            return [flow] * len(clips)
        return [self._values(clip, flow) for clip in clips]

    @functools.cached_property
    def _flow(self) -> Flow:
        return make_flow(self.config.flow)

    def _values(self, clip: ClipFrames, flow: Flow) -> Values:
        frames = _comparable(clip, self.config.shortest_step_s)
        if isinstance(frames, Missing):
            return frames
        pictures = [flow.picture(frame) for frame in frames]
        height, width = pictures[0].shape[:2]
        if min(height, width) < _SMALLEST_PX:
            return Missing(f"frames of {width}x{height} are too small for optical flow")
        steps_s = np.array(
            [float((after.pts - before.pts) * clip.time_base) for before, after in itertools.pairwise(frames)]
        )
        small = self._at_working_size(pictures)
        bars = find_bars(np.stack([_luma(picture) for picture in small]), self.config.letterbox)
        if bars.area > 0:
            pictures = [bars.cut_off(picture) for picture in pictures]
            small = self._at_working_size(pictures)
        maps = self._maps(small, pictures[0].shape[:2], flow)
        return {**self._summary(maps, steps_s), "letterbox": bars.area}

    def _at_working_size(self, pictures: list[Picture]) -> list[Picture]:
        """A multiple of the stored maps' size, at least at the flow's working short side."""
        stored = _scaled_size(pictures[0].shape[:2], self.config.stored_short_side)
        scale = math.ceil(self.config.flow.working_short_side / self.config.stored_short_side)
        return [_resized(picture, (stored[0] * scale, stored[1] * scale)) for picture in pictures]

    def _maps(self, small: list[Picture], shown: tuple[int, ...], flow: Flow) -> Float[np.ndarray, "t 2 y x"]:
        """The flow that is seen in pictures shown at that height and width; at stored size, in short sides a step."""
        stored = _scaled_size(shown, self.config.stored_short_side)
        maps = [
            cv2.resize(self._seen_flow(first, second, flow), stored, interpolation=cv2.INTER_AREA)
            for first, second in itertools.pairwise(small)
        ]
        scale = np.divide(shown, small[0].shape[:2]) / min(shown)
        return (np.stack(maps) * scale[::-1].astype(np.float32)).transpose(0, 3, 1, 2)

    def _seen_flow(self, first: Picture, second: Picture, flow: Flow) -> Float[np.ndarray, "h w 2"]:
        found = flow.between(first, second)
        is_seen = _is_seen(found, _luma(first), _luma(second), self.config)
        return cv2.copyTo(found, is_seen.view(np.uint8))

    def _summary(self, maps: Float[np.ndarray, "t 2 h w"], steps_s: Float[np.ndarray, " t"]) -> dict[str, Any]:
        _, _, height, width = maps.shape
        short_side = min(height, width)
        fit = fit_camera_steps(maps * short_side, self.config.camera)
        left = maps - camera_steps_flow(fit, height=height, width=width) / short_side
        total_s = float(steps_s.sum())
        camera = {name: float(np.median(getattr(fit, name) / steps_s)) for name in _CAMERA}
        per_second = maps / steps_s[:, None, None, None].astype(np.float32)
        return {
            "motion": _path_length(maps) / total_s,
            **camera,
            "residual": _path_length(left) / total_s,
            "flow_shape": list(maps.shape),
            "flow_maps": per_second.astype("<f2").tobytes(),
        }


def flow_maps(row: Mapping[str, Any]) -> Float[np.ndarray, "t 2 h w"]:
    """The flow between the frames of a clip, from its row of the table; short sides a second, x before y."""
    return np.frombuffer(row["flow_maps"], dtype="<f2").reshape(row["flow_shape"]).astype(np.float32)


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


def _is_seen(
    flow: Float32[np.ndarray, "h w 2"], first: Grey, second: Grey, config: MotionConfig
) -> Bool[np.ndarray, "h w"]:
    """Where moving explains `second` clearly better than standing still; elsewhere flow is noise, or leaks."""
    height, width = first.shape
    goal = _positions(height, width) + flow
    moved = cv2.remap(second, goal, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportCallIssue, reportArgumentType]
    side = 2 * max(1, round(min(height, width) / 13)) + 1
    error_still, error_moved = (
        cv2.boxFilter(cv2.absdiff(first, other), cv2.CV_32F, (side, side)) for other in (second, moved)
    )
    return error_moved < (1 - config.least_gain) * error_still - config.least_gain_levels


@functools.lru_cache(maxsize=4)
def _positions(height: int, width: int) -> Float32[np.ndarray, "h w 2"]:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def _path_length(maps: Float[np.ndarray, "t 2 h w"]) -> float:
    """How far the picture's points go on average, over all steps."""
    return float(np.hypot(maps[:, 0], maps[:, 1]).mean(axis=(1, 2)).sum())


def _scaled_size(shown: tuple[int, ...], short_side: int) -> tuple[int, int]:
    """Width and height, of a height and width, with that short side; a strip's long side stops at eight short ones."""
    scale = short_side / min(shown)
    height, width = (min(round(side * scale), _LONGEST_SIDES * short_side) for side in shown)
    return width, height


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Averaging over areas is slow unless they are whole pixels, and gains nothing where few pixels go into one."""
    is_much_smaller = min(picture.shape[:2]) > 2 * min(size)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if is_much_smaller else cv2.INTER_LINEAR)


def _luma(picture: Picture) -> Grey:
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


_EDGE_PX = 2
"""Over so many rows compression and resizing smear the edge of a bar."""
_MOSTLY, _HARDLY = 0.5, 0.02


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars' sizes as shares of the frame's height and width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    @property
    def area(self) -> float:
        """The share of the frame that they take."""
        return 1 - (1 - self.top - self.bottom) * (1 - self.left - self.right)

    def cut_off(self, frame: Shaped[np.ndarray, "h w *c"]) -> Shaped[np.ndarray, "inner_h inner_w *c"]:
        """What of `frame` certainly lies inside."""
        height, width = frame.shape[:2]
        rows = slice(_inner_px(self.top, height), height - _inner_px(self.bottom, height))
        columns = slice(_inner_px(self.left, width), width - _inner_px(self.right, width))
        return frame[rows, columns]


def find_bars(frames: UInt8[np.ndarray, "t h w"], config: LetterboxConfig) -> Bars:
    """Bars of black that hold in all of some grey frames.

    Dark scenes are told from bars by the bars' edges: straight, all along the frame, bright within two pixels, and
    alike on opposite sides. A line of text on a bar leaves it one; a frame that is dark all over has none.
    """
    is_lit = frames.max(axis=0) > config.darkest
    top, bottom = _pair_of_bars(is_lit, config)
    height = len(is_lit)
    left, right = _pair_of_bars(is_lit[top : height - bottom].T, config)
    width = is_lit.shape[1]
    return Bars(top / height, bottom / height, left / width, right / width)


def _pair_of_bars(is_lit: Bool[np.ndarray, "h w"], config: LetterboxConfig) -> tuple[int, int]:
    """Rows of the bars above and below, 0 and 0 where they are unlike."""
    lit = is_lit.mean(axis=1)
    longest = int(config.largest * len(lit))
    above, below = _bar(lit, longest), _bar(lit[::-1], longest)
    is_alike = abs(above - below) <= _EDGE_PX + max(above, below) // 8
    return (above, below) if above and below and is_alike else (0, 0)


def _bar(lit: np.ndarray, longest: int) -> int:
    """Rows before the first edge, given the share of each row that is lit."""
    for end in range(1, min(longest, len(lit) - _EDGE_PX - 1) + 1):
        if lit[end - 1] > _MOSTLY:
            return 0
        if lit[end - 1] <= _HARDLY < lit[end] and lit[end : end + _EDGE_PX + 1].max() >= _MOSTLY:
            return end
    return 0


def _inner_px(share: float, length: int) -> int:
    """Pixels to cut off, the smeared ones too."""
    return 0 if share == 0 else min(round(share * length) + _EDGE_PX, length // 2 - 1)
