"""Motion of a clip: optical flow at two frames a second, and the camera's part of it."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Float32
from pydantic import Field, NonNegativeFloat

from videoldm.core.config import Share
from videoldm.curation.annotators.annotator import Annotator, ClipFrames, KeptFrame, Missing, Values
from videoldm.curation.annotators.letterbox import LetterboxConfig, find_bars
from videoldm.curation.annotators.models.flow import Flow, FlowConfig, Grey, Picture, make_flow
from videoldm.curation.annotators.models.local_model import unless_missing
from videoldm.curation.annotators.registry import AnnotatorConfig, register
from videoldm.measures.array_motion import camera_steps_flow, fit_camera_steps
from videoldm.measures.config import CameraFitConfig, DisConfig, FarnebackConfig

_SMALLEST_PX = 16
_LONGEST_SIDES = 8

_CAMERA = ("pan_x", "pan_y", "zoom", "rotation")


FARNEBACK_OF_PAPER = FarnebackConfig(
    working_short_side=128, num_levels=3, window_px=13, num_iterations=2, polynomial_px=3
)
"""More iterations or a wider polynomial cost a millisecond each and are hardly more accurate."""


class MotionConfig(AnnotatorConfig):
    """Optical flow between frames half a second apart, and the camera's part of it (SVD, appendix C)."""

    name: Literal["motion"] = "motion"
    flow: FlowConfig = DisConfig()
    least_gain: Share = 0.2
    """Moving has to explain the next frame with this much less error than standing still, or it counts as noise ..."""
    least_gain_levels: NonNegativeFloat = 0.1
    """... and with an error that is this many grey values (of 255) smaller."""
    camera: CameraFitConfig = CameraFitConfig(num_iterations=5, grid_px=8, margin_px=1)
    """Without the edges of the maps: what is there was seen leaving the frame, not arriving."""
    stored_short_side: int = Field(default=16, ge=4)
    """Pictures are compared at a multiple of the stored maps' size, at least at the flow's working short side."""
    shortest_step_s: Fraction = Field(default=Fraction(1, 5), gt=0)
    """Frames closer in time than this are not compared."""
    letterbox: LetterboxConfig = LetterboxConfig()

    @property
    def columns(self) -> pa.Schema:
        """Lengths are short sides a second, unless another unit is named."""
        return pa.schema(
            [
                # Mean magnitude of the flow over the picture and the time.
                ("motion", pa.float32()),
                # Medians over the pairs of the values of `CameraFit`: zoom is log magnification, rotation radians.
                ("pan_x", pa.float32()),
                ("pan_y", pa.float32()),
                ("zoom", pa.float32()),
                ("rotation", pa.float32()),
                # Mean magnitude of the flow after the camera's motion is subtracted.
                ("residual", pa.float32()),
                # Share of the frame that is black bars.
                ("letterbox", pa.float32()),
                # Shape of the maps: compared pairs of frames, x and y, height, width.
                ("flow_shape", pa.list_(pa.int32(), 4)),
                # Little-endian float16, read by `flow_maps`.
                ("flow_maps", pa.binary()),
            ]
        )


@register(MotionConfig)
class MotionAnnotator(Annotator[MotionConfig]):
    """The flow between consecutive sampled frames, black bars cut off (SVD, appendix C).

    Every value follows from the stored maps, in short sides of the picture inside the bars per second.
    """

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Measure each clip; there are no values if no two of its frames can be compared or the model is missing."""
        if isinstance(self._flow, Missing):
            return [self._flow] * len(clips)
        return [self._values(clip, self._flow) for clip in clips]

    @functools.cached_property
    def _flow(self) -> Flow | Missing:
        return unless_missing(lambda: make_flow(self.config.flow))

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
        """Resize to a multiple of the stored maps' size, at least to the flow's working short side."""
        stored = _scaled_size(pictures[0].shape[:2], self.config.stored_short_side)
        scale = math.ceil(self.config.flow.working_short_side / self.config.stored_short_side)
        return [_resized(picture, (stored[0] * scale, stored[1] * scale)) for picture in pictures]

    def _maps(self, small: list[Picture], shown: tuple[int, ...], flow: Flow) -> Float[np.ndarray, "t 2 y x"]:
        """Return the visible flow of pictures shown at that height and width, at stored size in short sides a step."""
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
    """Return the flow between the frames of a clip from its row of the table: short sides a second, x before y."""
    return np.frombuffer(row["flow_maps"], dtype="<f2").reshape(row["flow_shape"]).astype(np.float32)


def _comparable(clip: ClipFrames, shortest_step_s: Fraction) -> list[KeptFrame] | Missing:
    """Return the sampled frames, or else all kept ones, without those too close behind the one before."""
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
    """Return where moving explains `second` clearly better than standing still; elsewhere flow is noise, or leaks."""
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
    """Return how far the points of the picture move on average, over all steps."""
    return float(np.hypot(maps[:, 0], maps[:, 1]).mean(axis=(1, 2)).sum())


def _scaled_size(shown: tuple[int, ...], short_side: int) -> tuple[int, int]:
    """Return width and height for a shown height and width; a long side is at most eight short ones."""
    scale = short_side / min(shown)
    height, width = (min(round(side * scale), _LONGEST_SIDES * short_side) for side in shown)
    return width, height


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize by averaging only if much smaller: it is slow, and gains nothing where few pixels go into one."""
    is_much_smaller = min(picture.shape[:2]) > 2 * min(size)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if is_much_smaller else cv2.INTER_LINEAR)


def _luma(picture: Picture) -> Grey:
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
