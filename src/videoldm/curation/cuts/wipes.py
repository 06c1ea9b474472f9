"""Where each place may change from one shot to the other once, one after the other: wipes, or things that pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32, Int64

from videoldm.curation.cuts.config import WipeConfig
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.signals import COARSE, NUM_LUMA
from videoldm.curation.cuts.transition import Stretch, Window

# A place counts as changed by more levels than these, and as much as by these at most.
_CHANGED, _MUCH = 8.0, 40.0
# Part of the way at which a place still shows one shot, or already the other.
_NEAR = 0.25
# Parts of a window at which it is looked into.
_INSIDE = (0.25, 0.5, 0.75)
# Most frames of a window that are compared cell by cell.
_MOST_FRAMES = 25
# Part of a window by which it is widened before its ends are sought, part of the changes left out at either end, and
# part of the time between that is added there, as an iris begins with little.
_WIDENED, _STRAY, _MARGIN = 0.25, 0.02, 0.08
# Least standard deviation of the times of change, as a part of the window: a cut has none.
_LEAST_SPREAD = 0.1


class WipeWindows:
    """Proposes windows for the wipes of one source."""

    def __init__(self, footage: Footage, config: WipeConfig) -> None:
        self._footage, self._config = footage, config

    def propose(self, stretches: Sequence[Stretch]) -> list[Window]:
        """Return windows of some stretches in which most of the picture changes, in steps, and in even parts."""
        sampled = self._footage.sampled(stretches, self._config.rate)
        luma = sampled.vectors[:, :NUM_LUMA]
        windows: list[Window] = []
        for length_s in self._config.lengths_s:
            length = max(round(length_s * self._config.rate), 3)
            at = sampled.starts(length)
            is_changed = np.abs(luma[at + length] - luma[at]) > _CHANGED
            at = at[np.count_nonzero(is_changed, axis=1) > self._config.least_part * NUM_LUMA]
            if not len(at):
                continue
            before, change = luma[at], luma[at + length] - luma[at]
            weights = _weights(change)
            whole = weights.sum(axis=1)
            steps, unevenness = np.zeros(len(at)), np.zeros(len(at))
            for inside in (round(part * length) for part in _INSIDE):
                shares = _shares(luma[at + inside] - before, change)
                steps += (_is_near(shares) * weights).sum(axis=1) / whole / len(_INSIDE)
                turned = ((shares > 0.5) * weights).sum(axis=1) / whole
                unevenness += np.abs(turned - inside / length) / len(_INSIDE)
            merits = steps * (1 - 2 * unevenness) * np.sqrt(whole / NUM_LUMA)
            is_good = merits >= self._config.least_merit
            windows += sampled.windows("wipe", at[is_good], length, merits[is_good])
        return windows

    def refined(self, window: Window) -> Window:
        """Return the last frame before any place changes, and the first after all have."""
        wider = max(1, round(_WIDENED * (window.last - window.first)))
        start, stop = max(window.stretch.first, window.first - wider), min(window.stretch.end - 1, window.last + wider)
        # Every frame of a short window, not more of a long one.
        step = 1 + (stop - start) // _MOST_FRAMES
        levels = self._footage.coarse[start : stop + 1 : step, :NUM_LUMA].astype(np.float32)
        (turns,), (weights,) = turns_of(levels[None])
        turns = turns * step + step // 2
        order = np.argsort(turns, kind="stable")
        grown = np.cumsum(weights[order]) / max(float(weights.sum()), 1.0)
        low, high = (
            int(turns[order][min(int(np.searchsorted(grown, part)), len(order) - 1)]) for part in (_STRAY, 1 - _STRAY)
        )
        margin = round((high - low) * _MARGIN)
        exact = replace(window, first=max(start, start + low - margin), last=min(stop, start + high + 1 + margin))
        return exact if exact.last - exact.first >= 3 else window


def _weights(change: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "... n"]:
    size = np.abs(change)
    return np.minimum(size, _MUCH) * (size > _CHANGED)


def _shares(since: Float[np.ndarray, "... n"], change: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "... n"]:
    """Return the part of the way from one shot to the other at each place that changes."""
    return since / np.where(np.abs(change) > _CHANGED, change, 1)


def _is_near(shares: Float[np.ndarray, "... n"]) -> np.ndarray:
    return np.minimum(np.abs(shares), np.abs(1 - shares)) < _NEAR


def turns_of(
    levels: Float32[np.ndarray, "k n cells"],
) -> tuple[Int64[np.ndarray, "k cells"], Float[np.ndarray, "k cells"]]:
    """Return after which of a window's frames each cell turns from the first to the last, and its weight."""
    change = levels[:, -1] - levels[:, 0]
    shares = _shares(levels - levels[:, :1], change[:, None])
    old, new = np.minimum(np.abs(shares), 1), np.minimum(np.abs(1 - shares), 1)
    misfits = np.cumsum(old, axis=1) + new.sum(axis=1, keepdims=True) - np.cumsum(new, axis=1)
    return misfits[:, :-1].argmin(axis=1), _weights(change)


def parts_in_steps(levels: Float32[np.ndarray, "k n cells"]) -> Float[np.ndarray, " k"]:
    """Return how much of each window's cells, weighted by their change, shows one shot or the other inside it."""
    change = levels[:, -1:] - levels[:, :1]
    weights = _weights(change)
    near = _is_near(_shares(levels[:, 1:-1] - levels[:, :1], change))
    return (near * weights).sum(axis=(1, 2)) / np.maximum(weights.sum(axis=(1, 2)) * near.shape[1], 1.0)


def _patterns() -> list[np.ndarray]:
    """Return what the time of a change depends on in usual wipes: lines, doors, an iris, the hand of a clock."""
    down, across = ((np.arange(size) + 0.5) / size - 0.5 for size in COARSE)
    y, x = (part.reshape(-1) for part in np.meshgrid(down, across, indexing="ij"))
    fields = [(x, y), (np.abs(x),), (np.abs(y),), (np.hypot(x, y),), ((np.arctan2(x, -y) / (2 * np.pi)) % 1,)]
    return [np.stack([np.ones_like(x), *one], axis=1) for one in fields]


_PATTERNS = _patterns()


def order_of_turns(levels: Float32[np.ndarray, "k n cells"]) -> Float[np.ndarray, " k"]:
    """Return how much of the variance of each window's times of change the best pattern explains; 0 for a cut."""
    turns, weights = turns_of(levels)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    centred = turns - (turns * weights).sum(axis=1, keepdims=True)
    variance = (centred**2 * weights).sum(axis=1)
    explained = np.zeros(len(levels))
    for pattern in _PATTERNS:
        weighted = pattern * weights[..., None]
        squares = pattern.T @ weighted + 1e-9 * np.eye(pattern.shape[1])
        fitted = np.linalg.solve(squares, weighted.swapaxes(1, 2) @ centred[..., None])
        explained = np.maximum(explained, ((pattern @ fitted)[..., 0] ** 2 * weights).sum(axis=1))
    is_spread = variance >= (_LEAST_SPREAD * levels.shape[1]) ** 2
    return np.where(is_spread, explained / np.maximum(variance, 1e-6), 0.0)
