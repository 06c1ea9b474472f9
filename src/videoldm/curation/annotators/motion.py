"""Motion of a clip: optical flow at two frames a second, and the camera's part of it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import Float, Float32
from pydantic import Field, NonNegativeFloat

from videoldm.core.config import Share
from videoldm.curation.annotators.annotator import Annotator, ClipFrames, KeptFrame, Missing, Values
from videoldm.curation.annotators.letterbox import Bars, LetterboxConfig, find_bars
from videoldm.curation.annotators.models.flow import FlowConfig, Picture, make_flow
from videoldm.curation.annotators.models.local_model import unless_missing
from videoldm.curation.annotators.pair_flow import Follower, luma
from videoldm.curation.annotators.registry import AnnotatorConfig, register
from videoldm.measures.array_motion import camera_steps_flow, fit_camera_steps
from videoldm.measures.config import CameraFitConfig, DisConfig, FarnebackConfig

_SMALLEST_PX = 16
_LONGEST_SIDES = 8
_MOSTLY_QUICK, _PARTLY_QUICK = 0.5, 0.1
"""Shares of the picture: with more than the first the next frame has nothing to add, with less than the second too
little is known without it."""

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
    least_quick: NonNegativeFloat = 0.01
    """Points that move this many short sides until a sampled frame's companion are measured by it alone."""
    largest_lost_share: Share = 0.5
    """Share of the compared time in which too little may be found again, or there are no values."""
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


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    """Two frames at working size, and the first one's companion if it has one."""

    first: Picture
    second: Picture
    duration_s: float
    companion: Picture | None = None
    companion_s: float = 0.0


@register(MotionConfig)
class MotionAnnotator(Annotator[MotionConfig]):
    """The flow between consecutive sampled frames, black bars cut off (SVD, appendix C).

    Every value follows from the stored maps, in short sides of the picture inside the bars per second.
    """

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Measure each clip; there are no values if no two of its frames can be compared or the model is missing."""
        follower = self._follower
        if isinstance(follower, Missing):
            return [follower] * len(clips)
        return [self._values(clip, follower) for clip in clips]

    @functools.cached_property
    def _follower(self) -> Follower | Missing:
        config = self.config
        return unless_missing(
            lambda: Follower(
                make_flow(config.flow), least_gain=config.least_gain, least_gain_levels=config.least_gain_levels
            )
        )

    def _values(self, clip: ClipFrames, follower: Follower) -> Values:
        frames = _comparable(clip, self.config.shortest_step_s)
        if isinstance(frames, Missing):
            return frames
        pictures = [follower.picture(frame) for frame in frames]
        shown = pictures[0].shape[:2]
        if min(shown) < _SMALLEST_PX:
            return Missing(f"frames of {shown[1]}x{shown[0]} are too small for optical flow")
        small = [self._at_working_size(picture) for picture in pictures]
        bars = find_bars(np.stack([luma(picture) for picture in small]), self.config.letterbox)
        if bars.area > 0:
            pictures = [bars.cut_off(picture) for picture in pictures]
            small = [self._at_working_size(picture) for picture in pictures]
        steps = [self._step(clip, frames[i : i + 2], small[i : i + 2], bars, follower) for i in range(len(frames) - 1)]
        flows = [self._flow(step, follower) for step in steps]
        steps_s, is_known = (
            np.array([step.duration_s for step in steps]),
            np.array([flow is not None for flow in flows]),
        )
        lost_s, total_s = float(steps_s[~is_known].sum()), float(steps_s.sum())
        if lost_s > self.config.largest_lost_share * total_s:
            return Missing(
                f"in {lost_s:.1f} of {total_s:.1f} s what is seen is not found again in the next kept frame: it moves "
                "too fast, or changes"
            )
        maps = self._maps([flow for flow in flows if flow is not None], pictures[0].shape[:2])
        return {**self._summary(maps, steps_s[is_known]), "letterbox": bars.area}

    def _at_working_size(self, picture: Picture) -> Picture:
        """Resize to a multiple of the stored maps' size, at least to the flow's working short side."""
        stored = _scaled_size(picture.shape[:2], self.config.stored_short_side)
        scale = math.ceil(self.config.flow.working_short_side / self.config.stored_short_side)
        return _resized(picture, (stored[0] * scale, stored[1] * scale))

    def _step(
        self, clip: ClipFrames, frames: Sequence[KeptFrame], small: Sequence[Picture], bars: Bars, follower: Follower
    ) -> _Step:
        first, second = frames
        duration_s = float((second.pts - first.pts) * clip.time_base)
        middle = (first.pts + second.pts) / 2
        companion = next((one for one in clip.companions if first.pts < one.pts < middle), None)
        if companion is None:
            return _Step(small[0], small[1], duration_s)
        picture = bars.cut_off(follower.picture(companion))
        return _Step(
            small[0],
            small[1],
            duration_s,
            companion=_resized(picture, small[0].shape[1::-1]),
            companion_s=float((companion.pts - first.pts) * clip.time_base),
        )

    def _flow(self, step: _Step, follower: Follower) -> Float32[np.ndarray, "h w 2"] | None:
        """Return the flow of a step: where it is quick, as far as the companion; else as far as the next frame.

        Quick motion leaves the frame or turns before the next frame, and slow motion is less than a pixel before the
        companion. None if too little is found again.
        """
        near = None if step.companion is None else follower.follow(step.first, step.companion)
        if near is None:
            far = follower.follow(step.first, step.second)
            return None if far is None else far.flow
        least_px = self.config.least_quick * min(near.is_seen.shape)
        is_quick = near.is_seen & (np.hypot(near.flow[..., 0], near.flow[..., 1]) >= least_px)
        near_flow = near.flow * np.float32(step.duration_s / step.companion_s)
        if is_quick.mean() > _MOSTLY_QUICK:
            return near_flow
        far = follower.follow(step.first, step.second)
        if far is None:
            return near_flow if is_quick.mean() > _PARTLY_QUICK else None
        return np.where(is_quick[..., None], near_flow, far.flow)

    def _maps(
        self, flows: Sequence[Float32[np.ndarray, "h w 2"]], shown: tuple[int, ...]
    ) -> Float[np.ndarray, "t 2 y x"]:
        """Return the flow of pictures shown at that height and width, at stored size in short sides a step."""
        stored = _scaled_size(shown, self.config.stored_short_side)
        maps = [cv2.resize(flow, stored, interpolation=cv2.INTER_AREA) for flow in flows]
        scale = np.divide(shown, flows[0].shape[:2]) / min(shown)
        return (np.stack(maps) * scale[::-1].astype(np.float32)).transpose(0, 3, 1, 2)

    def _summary(self, maps: Float[np.ndarray, "t 2 h w"], steps_s: Float[np.ndarray, " t"]) -> dict[str, Any]:
        _, _, height, width = maps.shape
        short_side = min(height, width)
        fit = fit_camera_steps(maps * short_side, self.config.camera)
        left = maps - camera_steps_flow(fit, height=height, width=width) / short_side
        total_s = float(steps_s.sum())
        medians = np.median([getattr(fit, name) / steps_s for name in _CAMERA], axis=1)
        per_second = maps / steps_s[:, None, None, None].astype(np.float32)
        return {
            "motion": _path_length(maps) / total_s,
            **dict(zip(_CAMERA, medians.tolist(), strict=True)),
            "residual": _path_length(left) / total_s,
            "flow_shape": list(maps.shape),
            "flow_maps": per_second.astype("<f2").tobytes(),
        }


def flow_maps(row: Mapping[str, Any]) -> Float[np.ndarray, "t 2 h w"]:
    """Return the flow between the frames of a clip from its row of the table: short sides a second, x before y."""
    return np.frombuffer(row["flow_maps"], dtype="<f2").reshape(row["flow_shape"]).astype(np.float32)


def _comparable(clip: ClipFrames, shortest_step_s: Fraction) -> list[KeptFrame] | Missing:
    """Return the small frames, or else the sampled or all kept ones, without those too close behind the one before."""
    kinds = (clip.small, clip.sampled, clip.frames)
    candidates = list(next((one for one in kinds if len(one) >= 2), clip.frames))
    frames, least_ticks = candidates[:1], math.ceil(shortest_step_s / clip.time_base)
    for frame in candidates[1:]:
        if frame.pts - frames[-1].pts >= least_ticks:
            frames.append(frame)
    if len(frames) >= 2:
        return frames
    if len(candidates) < 2:
        return Missing("has one kept frame, motion needs two")
    apart_s = float((candidates[-1].pts - candidates[0].pts) * clip.time_base)
    return Missing(f"its kept frames lie {apart_s:.3f} s apart, motion needs {float(shortest_step_s):.3f} s")


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
