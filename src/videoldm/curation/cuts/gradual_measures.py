"""What windows are judged by: how much they are like dissolves and wipes, and how motion explains them."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int64

from videoldm.curation.cuts.dissolves import shares_of_last
from videoldm.curation.cuts.footage import Footage, block_correlations, correlation, detail
from videoldm.curation.cuts.judges import Measures, columns_of, in_parts
from videoldm.curation.cuts.measures import correlations, lost_energy, step_energies
from videoldm.curation.cuts.signals import LUMA, LUMA_SIZE, NUM_LUMA, histograms
from videoldm.curation.cuts.transition import Window
from videoldm.curation.cuts.wipes import order_of_turns, parts_in_steps

# Frames of a window that are looked at, both ends included, and those that divide it into quarters.
_NUM_SAMPLES = 9
_QUARTERS = (0, 2, 4, 6, 8)
# Part of a window's length at which frames of one side are compared.
_BESIDE = 3
# Seconds before and after a window in which the other side is sought again, how many frames of them, and how many of
# those after motion.
_BACK_S, _NUM_BACK, _MOST_ALIKE = 4.5, 12, 2
# Most steps in which motion is followed through a window.
_MOST_STEPS = 8
_LEAST_SHARE = 0.02
_SHORTEST_S = 1e-3
# Bins of the histogram of luma, and what is added before the logarithm of its change is taken.
_NUM_BINS, _SAME_HISTOGRAM = 16, 0.03
# Most levels by which cells differ that show the same.
_SAME = 4.0
# Lost energy beyond these says no more.
_LEAST_LOST, _MOST_LOST = -0.5, 1.3

Cells = Float32[np.ndarray, "k n cells"]


class WindowMeasures:
    """What the windows of one source are judged by."""

    def __init__(self, footage: Footage) -> None:
        self._footage = footage

    def quick(self, windows: list[Window]) -> Measures:
        """Return what needs no search for motion."""
        return in_parts(lambda part: self._quick(windows[part]), len(windows))

    def _quick(self, windows: list[Window]) -> Measures:
        footage = self._footage
        frames, times, around = _sample_frames(windows), footage.times, _frames_beside(windows)
        levels = footage.signals.pictures[frames].astype(np.float32)
        luma, chroma = levels[..., :LUMA_SIZE], levels[..., LUMA_SIZE:]
        beside = footage.signals.pictures[around][..., :LUMA_SIZE].astype(np.float32)
        # Frames may be shown at equal times.
        lengths_s = np.maximum(times[frames[:, -1]] - times[frames[:, 0]], _SHORTEST_S)
        shares = (times[frames] - times[frames[:, :1]]) / lengths_s[:, None]
        chroma_change = np.abs(chroma[:, -1] - chroma[:, 0]).mean(axis=1)
        measures = {"length_s": lengths_s, "chroma": np.log(chroma_change + 0.5)}
        measures |= _as_mixtures(luma, shares) | _as_change(luma) | _beside_change(luma, beside)
        coarse = footage.coarse[frames][..., :NUM_LUMA].astype(np.float32)
        return measures | {"order": order_of_turns(coarse), "in_steps": parts_in_steps(coarse)}

    def motion(self, windows: list[Window], shares: Float[np.ndarray, " k"]) -> Measures:
        """Return how motion explains each window's ends and middle, and frames on one side from each other."""
        clipped = shares.clip(_LEAST_SHARE, 1 - _LEAST_SHARE).tolist()
        rows = [self._motion_in(window, share) for window, share in zip(windows, clipped, strict=True)]
        return columns_of(rows)

    def _motion_in(self, window: Window, share: float) -> dict[str, float]:
        footage = self._footage
        steps = np.unique(np.linspace(window.first, window.last, _MOST_STEPS + 1).round().astype(int)).tolist()
        chain = footage.chain(steps)
        beside, halves = _frames_beside([window])[0].tolist(), (steps[0], steps[len(steps) // 2], steps[-1])
        sides = footage.likeness(beside[0], window.first), footage.likeness(window.last, beside[1])
        return {
            "across": footage.likeness(window.first, window.last),
            "beside": max(sides),
            "shifted": footage.shifted_likeness(window.first, window.last),
            "shifted_halves": min(footage.shifted_likeness(*half) for half in itertools.pairwise(halves)),
            "back": self._likeness_back(window),
            "chain": chain.likeness,
            "chain_visible": chain.visible,
            "chain_displacement": chain.displacement,
            "least_step": chain.least_step,
            **self._middle(window, share),
        }

    def _middle(self, window: Window, share: float) -> dict[str, float]:
        """Return how the middle is explained by both ends: mixed as they are, mixed after motion, each in its place."""
        footage, middle = self._footage, (window.first + window.last) // 2
        goal, old, new = (footage.detail(frame) for frame in (middle, window.first, window.last))
        moved = [detail(footage.moved(middle, frame)) for frame in (window.first, window.last)]
        (one, weights), (other, _) = (block_correlations(end, goal) for end in moved)
        is_old = cv2.blur((one - other) * weights, (3, 3)) > 0
        placed, *alone = (
            float((part * weights).sum() / (weights.sum() + 1e-6))
            for part in (np.where(is_old, one, other), one, other)
        )
        mixed = correlation((1 - share) * moved[0] + share * moved[1], goal)
        return {
            "mixture": correlation((1 - share) * old + share * new, goal),
            "mixture_gain": mixed - max(alone),
            "placed_gain": placed - max(alone),
        }

    def _likeness_back(self, window: Window) -> float:
        """Return how alike one end is to frames beyond the other: after somebody walks by, the shot is there again."""
        times = self._footage.times
        reaches = np.linspace(0, _BACK_S, _NUM_BACK + 1)[1:]
        before = np.searchsorted(times, times[window.first] - reaches).clip(min=window.stretch.first)
        after = np.searchsorted(times, times[window.last] + reaches).clip(max=window.stretch.end - 1)
        return max(self._best_likeness(window.last, before), self._best_likeness(window.first, after))

    def _best_likeness(self, frame: int, others: Int64[np.ndarray, " n"]) -> float:
        """Return how alike a frame is to those of some others to which it is most alike without motion."""
        others = np.unique(others)
        coarse = self._footage.coarse[:, :NUM_LUMA]
        alike = correlations(coarse[others].astype(np.float32), coarse[[frame]].astype(np.float32))
        return max(self._footage.likeness(frame, int(one)) for one in others[np.argsort(-alike)[:_MOST_ALIKE]])


def _sample_frames(windows: list[Window]) -> Int64[np.ndarray, "k n"]:
    parts = np.linspace(0, 1, _NUM_SAMPLES)
    ends = np.array([(one.first, one.last) for one in windows])
    return np.rint(ends[:, :1] + parts * (ends[:, 1:] - ends[:, :1])).astype(np.int64)


def _frames_beside(windows: list[Window]) -> Int64[np.ndarray, "k 2"]:
    """Return the frames a third of the length before and after each window, or the last ones there are."""
    ends = np.array([(one.first, one.last) for one in windows])
    reach = np.maximum(1, np.rint((ends[:, 1] - ends[:, 0]) / _BESIDE)).astype(np.int64)
    bounds = np.array([(one.stretch.first, one.stretch.end - 1) for one in windows])
    return (ends + np.stack([-reach, reach], axis=1)).clip(bounds[:, :1], bounds[:, 1:])


def _as_mixtures(luma: Cells, shares: np.ndarray) -> Measures:
    """Return how well the frames inside are mixtures of both ends; what moves keeps contrast and detail."""
    before, change = luma[:, :1], luma[:, -1:] - luma[:, :1]
    grown = shares_of_last(luma)
    mixed = before + grown.clip(0, 1)[..., None] * change
    size = np.abs(change).mean(axis=(1, 2))
    both = np.concatenate([luma, change], axis=1)
    steps = step_energies(both.reshape(*both.shape[:2], *LUMA))
    contrasts = both.var(axis=2)
    lost = {
        name: lost_energy(one[:, :-1], shares, one[:, -1]).clip(_LEAST_LOST, _MOST_LOST)
        for name, one in (("lost_contrast", contrasts), ("lost_detail", steps))
    }
    unevenness = np.abs(grown - shares)[:, 1:-1].mean(axis=1)
    residual = np.abs(luma - mixed)[:, 1:-1].mean(axis=(1, 2)) / (size + 1)
    return lost | {"unevenness": unevenness, "share": grown[:, _NUM_SAMPLES // 2], "residual": residual}


def _as_change(luma: Cells) -> Measures:
    """Return how much changes from end to end, and how: in a dissolve each quarter of it is like the others."""
    change = luma[:, -1] - luma[:, 0]
    quarters = np.diff(luma[:, list(_QUARTERS)], axis=1)
    pairs = [(one, other) for one in range(4) for other in range(one)]
    steps = np.abs(np.diff(luma, axis=1)).mean(axis=2)
    counts = histograms(luma[:, [0, -1]].reshape(-1, LUMA_SIZE).astype(np.uint8), _NUM_BINS)
    histogram = np.abs(counts[1::2] - counts[::2]).sum(axis=1) / 2
    size = np.abs(change).mean(axis=1)
    return {
        "change": np.log(size + 1),
        "histogram": np.log(histogram + _SAME_HISTOGRAM),
        "same": (np.abs(change) < _SAME).mean(axis=1),
        "tone": correlations(luma[:, 0], luma[:, -1]),
        "constancy": np.mean([correlations(quarters[:, one], quarters[:, other]) for one, other in pairs], axis=0),
        "constancy_of_ends": correlations(quarters[:, 0], quarters[:, -1]),
        "path": np.log((steps.sum(axis=1) + 1) / (size + 1)),
        "peak": np.log((steps.max(axis=1) + 0.5) / (steps.mean(axis=1) + 0.5)),
        "quarter": np.log(np.abs(quarters).mean(axis=(1, 2)) + 1),
    }


def _beside_change(luma: Cells, beside: Float32[np.ndarray, "k 2 cells"]) -> Measures:
    """Return what the frames on either side are like: how much they change and whether in the same way."""
    ends = luma[:, [0, -1]]
    outside = (ends - beside) * np.array([1, -1], np.float32)[:, None]
    size, change = np.abs(outside).mean(axis=2), luma[:, -1] - luma[:, 0]
    contrasts = ends.std(axis=2)
    sharpness = [step_energies(part.reshape(*part.shape[:2], *LUMA)) for part in (beside, ends)]
    return {
        "outside": np.log(size.max(axis=1) + 1),
        "least_outside": np.log(size.min(axis=1) + 1),
        "outside_alike": np.mean([correlations(outside[:, side], change) for side in (0, 1)], axis=0),
        "sharper_outside": np.log((sharpness[0] + 1) / (sharpness[1] + 1)).mean(axis=1),
        "contrast": np.log(contrasts.min(axis=1) + 1),
        "most_contrast": np.log(contrasts.max(axis=1) + 1),
    }
