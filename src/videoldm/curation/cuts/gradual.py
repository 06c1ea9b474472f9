"""Gradual transitions: windows that may be dissolves or wipes, measured, judged, and the most probable ones chosen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from videoldm.curation.cuts.config import GradualConfig
from videoldm.curation.cuts.dissolves import MixtureWindows, shares_of_last
from videoldm.curation.cuts.footage import Footage, block_correlations, correlation, detail
from videoldm.curation.cuts.judges import Measures, columns_of, in_parts, judge
from videoldm.curation.cuts.measures import correlations, lost_energy, step_energies
from videoldm.curation.cuts.signals import LUMA, LUMA_SIZE, NUM_LUMA, histograms
from videoldm.curation.cuts.transition import FrameTransition, Stretch, Window
from videoldm.curation.cuts.wipes import WipeWindows, order_of_turns, parts_in_steps

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
# Frames of several stretches that are looked into together.
_FRAMES_AT_ONCE = 4096
_SHORTEST_S = 1e-3
# Bins of the histogram of luma, and what is added before the logarithm of its change is taken.
_NUM_BINS, _SAME_HISTOGRAM = 16, 0.03
# Most levels by which cells differ that show the same.
_SAME = 4.0
# Windows agree if they share more than this part of both.
_AGREEING = 0.4
# Likeness of two shots that is less than light alone ever leaves, and the probability of a straight dissolve.
_UNLIKE, _CERTAIN = 0.6, 0.95
# A straight window: most residual, least constancy, and the logarithm of its longest path over the shortest.
_MOST_RESIDUAL, _LEAST_CONSTANCY, _LONGEST_PATH = 0.1, 0.8, 0.2
# Lost energy beyond these says no more.
_LEAST_LOST, _MOST_LOST = -0.5, 1.3

Cells = Float32[np.ndarray, "k n cells"]


class GradualFinder:
    """Finds the dissolves and wipes of one source."""

    def __init__(self, footage: Footage, config: GradualConfig) -> None:
        self._footage, self._config = footage, config
        self._proposers = MixtureWindows(footage, config.dissolves), WipeWindows(footage, config.wipes)

    def find(self, stretches: Sequence[Stretch]) -> list[FrameTransition]:
        """Return all in some stretches, in no order."""
        return [one for some in _at_once(stretches) for one in self._find(some)]

    def _find(self, stretches: Sequence[Stretch]) -> list[FrameTransition]:
        windows = self.windows(stretches)
        if not windows:
            return []
        quick = self.quick(windows)
        is_straight = _is_straight(quick)
        is_possible = judge("possible_gradual").probabilities(quick) >= self._config.least_possible
        possible = np.flatnonzero(is_possible | is_straight)
        if not len(possible):
            return []
        windows = [windows[at] for at in possible.tolist()]
        quick = {name: values[possible] for name, values in quick.items()}
        motion = self.motion(windows, quick["share"])
        probabilities = judge("gradual").probabilities(quick | motion)
        is_certain = is_straight[possible] & (motion["across"] < _UNLIKE)
        probabilities = np.where(is_certain, np.maximum(probabilities, _CERTAIN), probabilities)
        order = np.argsort(-probabilities)
        probable = [at for at in order.tolist() if probabilities[at] >= self._config.least_probability]
        return self._chosen([(windows[at], float(probabilities[at]), float(quick["in_steps"][at])) for at in probable])

    def _chosen(self, judged: list[tuple[Window, float, float]]) -> list[FrameTransition]:
        """Return the most probable windows, none of which overlap, from what is ordered by probability."""
        found: list[FrameTransition] = []
        while judged:
            one, probability, in_steps = judged[0]
            kind = "wipe" if in_steps >= self._config.least_in_steps else "dissolve"
            # Of those that agree, the best of the kind has the most exact ends.
            agreeing = [other for other, *_ in judged if other.kind == kind and _shared_part(one, other) > _AGREEING]
            exact = max(agreeing, key=lambda other: other.merit, default=one)
            found.append(FrameTransition(kind, exact.first + 1, exact.last, probability))
            judged = [rest for rest in judged[1:] if not _overlap(rest[0], exact)]
        return found

    def windows(self, stretches: Sequence[Stretch]) -> list[Window]:
        """Return the windows to look into: at each place the best two of either kind, their ends made exact."""
        found: dict[tuple[int, int], Window] = {}
        start = stretches[0].first
        for proposer in self._proposers:
            times_taken = np.zeros(stretches[-1].end - start, np.int8)
            for window in sorted(proposer.propose(stretches), key=lambda one: -one.merit):
                inside = slice(window.first + 1 - start, window.last - start)
                if times_taken[inside].max() < self._config.windows_at_a_place:
                    times_taken[inside] += 1
                    exact = proposer.refined(window)
                    found.setdefault((exact.first, exact.last), exact)
        # In order, as neighbours compare the same frames.
        return sorted(found.values(), key=lambda one: one.first)

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


def _is_straight(quick: Measures) -> Bool[np.ndarray, " k"]:
    """Return which windows lead from one picture to another by the shortest way, which nothing that moves does.

    The judge was fitted to footage that moves, and misses some dissolves between stills.
    """
    is_mixed = (quick["residual"] < _MOST_RESIDUAL) & (quick["constancy"] > _LEAST_CONSTANCY)
    return is_mixed & (quick["path"] < _LONGEST_PATH)


def _at_once(stretches: Sequence[Stretch]) -> Iterator[Sequence[Stretch]]:
    """Yield stretches together, as few calls cost less, and apart, as many frames need memory."""
    waiting: list[Stretch] = []
    for stretch in stretches:
        if waiting and stretch.end - waiting[0].first > _FRAMES_AT_ONCE:
            yield waiting
            waiting = []
        waiting.append(stretch)
    if waiting:
        yield waiting


def _overlap(one: Window, other: Window) -> bool:
    """Return whether frames inside are common to both."""
    return one.first + 1 < other.last and other.first + 1 < one.last


def _shared_part(one: Window, other: Window) -> float:
    """Return the intersection of two windows over their union."""
    common = min(one.last, other.last) - max(one.first, other.first)
    return max(common, 0) / (max(one.last, other.last) - min(one.first, other.first))


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
