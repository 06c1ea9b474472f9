"""Flow between two pictures as far as it can be seen, also where they overlap only in part."""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from videoldm.core.config import Share
from videoldm.curation.annotators.annotator import KeptFrame
from videoldm.curation.annotators.models.flow import Flow, Grey, Picture
from videoldm.measures.array_shift import Shift, find_shift

_LEAST_CORRELATION = 0.7
"""Alike pictures correlate this much in a window, whatever the light; unrelated ones almost never over a shift."""
_LEAST_VARIANCE = 9.0
"""Squared grey values, in a window; where there is less, anything looks like anything else."""
_LOST_SHARE = 0.5
"""Share of what has structure and stays inside the frame that neither moving nor standing still explains."""
_EXPLAINED_LEVELS, _FEW = 4.0, 0.1
"""With smaller errors than this almost everywhere, correlations need not be computed."""
_LEAST_OVERLAP_PX = 48
"""Shortest side of the overlap in which a flow is searched."""


class PairFlow(NamedTuple):
    """Pixels to the right and down, 0 where no motion is seen, and the share of the picture where it is."""

    flow: Float32[np.ndarray, "h w 2"]
    is_seen: Bool[np.ndarray, "h w"]


class Follower:
    """Finds the flow from one picture to the next, at first near by, then at any shift."""

    def __init__(self, flow: Flow, *, least_gain: Share, least_gain_levels: float) -> None:
        """Motion is seen where it leaves this share of the error of standing still, less these grey values."""
        self._flow, self._least_gain, self._least_gain_levels = flow, least_gain, least_gain_levels

    def picture(self, frame: KeptFrame) -> Picture:
        """Return what the flow looks at."""
        return self._flow.picture(frame)

    def follow(self, first: Picture, second: Picture) -> PairFlow | None:
        """Return the visible flow of two pictures of about the working size; None if most of them is not found again.

        What leaves the frame where only a part overlaps is taken to move with the rest.
        """
        before, after = luma(first), luma(second)
        found = self._flow.between(first, second)
        moved = _looked_up(after, found)
        near = self._visible(found, moved, before, after)
        if _is_followed(found, moved, before, after):
            return near
        shift = find_shift(before, after)
        if shift is None or shift.correlation < _LEAST_CORRELATION:
            return None
        far = self._between_shifted(first, second, shift)
        if far is None:
            return None
        moved = _looked_up(after, far)
        if not _is_followed(far, moved, before, after):
            return None
        visible = self._visible(far, moved, before, after)
        leaves = ~_stays_inside(far)
        return PairFlow(np.where(leaves[..., None], far, visible.flow), visible.is_seen | leaves)

    def _between_shifted(self, first: Picture, second: Picture, shift: Shift) -> Float32[np.ndarray, "h w 2"] | None:
        """Return the flow searched in the overlap alone, and the shift everywhere else."""
        height, width = first.shape[:2]
        x, y = round(shift.x), round(shift.y)
        rows, columns = slice(max(0, -y), min(height, height - y)), slice(max(0, -x), min(width, width - x))
        if min(rows.stop - rows.start, columns.stop - columns.start) < _LEAST_OVERLAP_PX:
            return None
        goal = second[rows.start + y : rows.stop + y, columns.start + x : columns.stop + x]
        flow = np.full((height, width, 2), (x, y), np.float32)
        flow[rows, columns] += self._flow.between(
            np.ascontiguousarray(first[rows, columns]), np.ascontiguousarray(goal)
        )
        return flow

    def _visible(self, flow: Float32[np.ndarray, "h w 2"], moved: Grey, first: Grey, second: Grey) -> PairFlow:
        """Keep where `moved` explains `first` clearly better than `second` does; elsewhere flow is noise, or leaks."""
        side = 2 * max(1, round(min(first.shape) / 13)) + 1
        error_still, error_moved = (
            cv2.boxFilter(cv2.absdiff(first, other), cv2.CV_32F, (side, side)) for other in (second, moved)
        )
        is_seen = error_moved < (1 - self._least_gain) * error_still - self._least_gain_levels
        return PairFlow(cv2.copyTo(flow, is_seen.view(np.uint8)), is_seen)


def _is_followed(flow: Float32[np.ndarray, "h w 2"], moved: Grey, first: Grey, second: Grey) -> bool:
    """Return whether most of what has structure is found again, moved or at its place, in any light."""
    if np.count_nonzero(cv2.blur(cv2.absdiff(first, moved), (9, 9)) > _EXPLAINED_LEVELS) < _FEW * moved.size:
        return True
    size = first.shape[1] // 2, first.shape[0] // 2
    start, goal, still = (
        cv2.resize(cv2.blur(one, (3, 3)), size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for one in (first, moved, second)
    )
    stays = cv2.resize(_stays_inside(flow).view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    has_structure = (_covariance(start, start) > _LEAST_VARIANCE) & stays
    is_found = (_correlation(start, goal) > _LEAST_CORRELATION) | (_correlation(start, still) > _LEAST_CORRELATION)
    return bool((has_structure & ~is_found).sum() <= _LOST_SHARE * has_structure.sum())


def _correlation(a: Float32[np.ndarray, "y x"], b: Float32[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    return _covariance(a, b) / np.sqrt(np.maximum(_covariance(a, a) * _covariance(b, b), 1e-6))


def _covariance(a: Float32[np.ndarray, "y x"], b: Float32[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    """Return the covariance in windows of about a sixth of the short side."""
    side = 2 * max(1, round(min(a.shape) / 13)) + 1
    mean_product, mean_a, mean_b = (cv2.blur(one, (side, side)) for one in (a * b, a, b))
    return mean_product - mean_a * mean_b


def _looked_up(picture: Grey, flow: Float32[np.ndarray, "h w 2"]) -> Grey:
    goal = _positions(*picture.shape) + flow
    return cv2.remap(picture, goal, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportCallIssue, reportArgumentType]


def _stays_inside(flow: Float32[np.ndarray, "h w 2"]) -> Bool[np.ndarray, "h w"]:
    height, width = flow.shape[:2]
    goal = _positions(height, width) + flow
    x, y = goal[..., 0], goal[..., 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


@functools.lru_cache(maxsize=4)
def _positions(height: int, width: int) -> Float32[np.ndarray, "h w 2"]:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def luma(picture: Picture) -> Grey:
    """Return a grey picture as it is, and the luma of an RGB one."""
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
