"""Evidence that the frames of a window are mixtures of the two around it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from videoldm.curation.cuts.config import DissolveConfig
from videoldm.curation.cuts.footage import Footage, correlation, detail

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
    known = config.histogram * np.log(histogram + _SAME_HISTOGRAM) - config.unevenness * _unevenness(levels, shares)
    known += config.contrast * contrast + config.detail * details - config.likeness * across - config.least
    if known + config.mixture + config.likeness < 0:
        return -1.0
    known += config.mixture * _mixture(footage, window, levels)
    if known + config.likeness < 0:
        return -1.0
    known += config.likeness * likeness_beside(footage, window, bounds)
    return float(known + config.gain * _gain(footage, window, levels)) if known + config.gain >= 0 else -1.0


def likeness_beside(footage: Footage, window: tuple[int, int], bounds: tuple[int, int]) -> float:
    """Return how alike frames are on that side of the window where they are more so."""
    step = max(1, round((window[1] - window[0]) / _BESIDE))
    before, after = max(window[0] - step, bounds[0]), min(window[1] + step, bounds[1] - 1)
    sides = ((before, window[0]), (window[1], after))
    return max(footage.likeness(one, other) if other > one else 1.0 for one, other in sides)


def _unevenness(levels: Levels, shares: Float[np.ndarray, " k"]) -> float:
    """Return how far the share of the last frame is from growing steadily, as a mean."""
    direction = (levels[-1] - levels[0]).reshape(-1)
    grown = (levels - levels[0]).reshape(len(levels), -1) @ direction / max(float(direction @ direction), 1.0)
    return float(np.abs(grown - shares)[1:-1].mean())


def _lost(levels: Levels, shares: Float[np.ndarray, " k"]) -> tuple[float, float]:
    """Return the contrast and the detail that the frames inside lack, relative to what mixtures lack (1).

    What moves keeps both, which distinguishes a dissolve from motion.
    """
    both = np.concatenate([levels, levels[-1:] - levels[:1]])
    contrast = both.reshape(len(both), -1).var(axis=1)
    steps = (np.diff(both, axis=axis) ** 2 for axis in (1, 2))
    details = sum(part.mean(axis=(1, 2)) for part in steps)
    return _relative_loss(contrast, shares), _relative_loss(np.asarray(details), shares)


def _relative_loss(energies: Float[np.ndarray, " k1"], shares: Float[np.ndarray, " k"]) -> float:
    """Return the lost energy relative to that of mixtures; the last of the energies is that of the difference."""
    inside, apart = slice(1, -1), max(float(energies[-1]), 1e-3)
    missing = ((1 - shares) * energies[0] + shares * energies[-2] - energies[:-1])[inside]
    wanted = (shares * (1 - shares))[inside]
    return float(np.clip((missing * wanted).sum() / ((wanted**2).sum() * apart), _LEAST_LOST, _MOST_LOST))


def _mixture(footage: Footage, window: tuple[int, int], levels: Levels) -> float:
    """Return the correlation of the middle frame with that mixture of both ends which is nearest to it."""
    share = _middle_share(levels)
    first, last = (detail(footage.enlarged(frame)) for frame in window)
    return correlation((1 - share) * first + share * last, detail(footage.enlarged(_middle(window))))


def _gain(footage: Footage, window: tuple[int, int], levels: Levels) -> float:
    """Return how much better a mixture of both ends explains the middle than either does, all after motion."""
    share, middle = _middle_share(levels), footage.enlarged(_middle(window))
    goal = detail(middle)
    first, last = (detail(footage.moved(footage.enlarged(frame), middle)) for frame in window)
    alone = max(correlation(first, goal), correlation(last, goal))
    return correlation((1 - share) * first + share * last, goal) - alone


def _middle(window: tuple[int, int]) -> int:
    return sum(window) // 2


def _middle_share(levels: Levels) -> float:
    """Return the share of the last frame in the middle one."""
    direction = (levels[-1] - levels[0]).reshape(-1)
    grown = (levels[len(levels) // 2] - levels[0]).reshape(-1) @ direction / max(float(direction @ direction), 1.0)
    return min(max(float(grown), _LEAST_SHARE), 1 - _LEAST_SHARE)
