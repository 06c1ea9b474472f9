"""Evidence that the frames of a window are mixtures of the two around it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from videoldm.curation.cuts.config import DissolveConfig
from videoldm.curation.cuts.footage import Footage, Vectors, correlation, detail
from videoldm.curation.cuts.signals import Column

# Frames of a window that are looked at, both ends included.
_NUM_SAMPLES = 9
# Lost energy beyond these says no more.
_LEAST_LOST, _MOST_LOST = -0.5, 1.3
# Added before the logarithm of a change of the histogram is taken.
_SAME_HISTOGRAM = 0.03
# Part of a window's length at which frames of one side are compared.
_BESIDE = 3
_LEAST_SHARE = 0.02
MOST_ALIKE = 0.75
"""Likeness of frames before and after above which nothing else is looked at: most windows are of one shot."""
Levels = Float32[np.ndarray, "k h w"]


def evidence_of_dissolve(
    footage: Footage, window: tuple[int, int], bounds: tuple[int, int], histogram: float, config: DissolveConfig
) -> float:
    """Return the evidence that the frames between those of `window` dissolve, in natural logarithms of odds.

    `bounds` are the first frame and the one after the last that may be compared with; `histogram` is the change from
    the first frame of the window to the last. A negative number is returned as soon as it is certain.
    """
    first, last = window
    across = footage.likeness(first, last)
    if across > MOST_ALIKE:
        return -1.0
    frames = np.unique(np.linspace(first, last, _NUM_SAMPLES).round().astype(int))
    levels = footage.luma[frames].astype(np.float32)
    shares = (footage.times[frames] - footage.times[first]) / (footage.times[last] - footage.times[first])
    contrast, details = _lost(levels, shares)
    grown = shares_of_last(levels.reshape(len(levels), -1))
    unevenness = float(np.abs(grown - shares)[1:-1].mean())
    known = config.histogram * np.log(histogram + _SAME_HISTOGRAM) - config.unevenness * unevenness
    known += config.contrast * contrast + config.detail * details - config.likeness * across - config.least
    if known + config.mixture + config.likeness < 0:
        return -1.0
    share = float(grown[len(grown) // 2].clip(_LEAST_SHARE, 1 - _LEAST_SHARE))
    known += config.mixture * _mixture(footage, window, share)
    if known + config.likeness < 0:
        return -1.0
    known += config.likeness * likeness_beside(footage, window, bounds)
    return float(known + config.gain * _gain(footage, window, share)) if known + config.gain >= 0 else -1.0


def likeness_beside(footage: Footage, window: tuple[int, int], bounds: tuple[int, int]) -> float:
    """Return how alike frames are on that side of the window where they are more so."""
    step = max(1, round((window[1] - window[0]) / _BESIDE))
    before, after = max(window[0] - step, bounds[0]), min(window[1] + step, bounds[1] - 1)
    sides = ((before, window[0]), (window[1], after))
    return max(footage.likeness(one, other) if other > one else 1.0 for one, other in sides)


def _lost(levels: Levels, shares: Float[np.ndarray, " k"]) -> tuple[float, float]:
    """Return the contrast and the detail that the frames inside lack, relative to what mixtures lack (1).

    What moves keeps both, which distinguishes a dissolve from motion.
    """
    both = np.concatenate([levels, levels[-1:] - levels[:1]])
    contrast = both.reshape(len(both), -1).var(axis=1)
    steps = (np.diff(both, axis=axis) ** 2 for axis in (1, 2))
    details = np.asarray(sum(part.mean(axis=(1, 2)) for part in steps))
    lost = (lost_energy(energies[:-1], shares, max(energies[-1], 1e-3)) for energies in (contrast, details))
    contrast_lost, detail_lost = (float(np.clip(part, _LEAST_LOST, _MOST_LOST)) for part in lost)
    return contrast_lost, detail_lost


def _mixture(footage: Footage, window: tuple[int, int], share: float) -> float:
    """Return the correlation of the middle frame with the mixture of both ends that has this `share` of the last."""
    first, last = (detail(footage.enlarged(frame)) for frame in window)
    return correlation((1 - share) * first + share * last, detail(footage.enlarged(_middle(window))))


def _gain(footage: Footage, window: tuple[int, int], share: float) -> float:
    """Return how much better a mixture of both ends explains the middle than either does, all after motion."""
    middle = footage.enlarged(_middle(window))
    goal = detail(middle)
    first, last = (detail(footage.moved(footage.enlarged(frame), middle)) for frame in window)
    alone = max(correlation(first, goal), correlation(last, goal))
    return correlation((1 - share) * first + share * last, goal) - alone


def _middle(window: tuple[int, int]) -> int:
    return sum(window) // 2


def lost_energy(
    energies: Float[np.ndarray, "k ..."], shares: Float[np.ndarray, " k"], apart: np.ndarray | np.float32
) -> np.ndarray:
    """Return the lost energy relative to that which mixtures lose: 1 for a dissolve, 0 for motion.

    `energies` are those of some frames, the first and the last of which are mixed with `shares`; `apart` is E(A - B).
    """
    s = shares.reshape(-1, *[1] * (energies.ndim - 1))
    inside = slice(1, -1)
    missing = ((1 - s) * energies[0] + s * energies[-1] - energies)[inside]
    wanted = (s * (1 - s))[inside]
    return (missing * wanted).sum(axis=0) / ((wanted**2).sum() * np.maximum(apart, 1e-6))


def shares_of_last(vectors: Vectors) -> Column:
    """Return for each row the share of the last in the mixture of the first and the last that is nearest to it."""
    direction = vectors[-1] - vectors[0]
    return (vectors - vectors[0]) @ direction / max(float(direction @ direction), 1e-6)
