"""Hard cuts: one change between two frames that stands out from the changes around it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import SignalTable


def cut_scores(signals: SignalTable, config: CutConfig) -> Float32[np.ndarray, t]:
    """For each frame from 0 to 1 how surely it begins a new shot; 0 where it does not."""
    change = signals.luma_change + signals.chroma_change
    around = _around(signals, change, config)
    is_cut = (change >= config.cut_change) & (change >= config.cut_ratio * around)
    score = 1 - np.maximum(around, 1e-6) / np.maximum(change, 1e-6)
    return np.where(is_cut, score, 0).astype(np.float32)


def _around(signals: SignalTable, change: np.ndarray, config: CutConfig) -> np.ndarray:
    """The largest of the changes within `cut_around_s` of each frame, itself left out; at least one on each side."""
    times = signals.pts * float(signals.time_base)
    first = np.searchsorted(times, times - config.cut_around_s)
    end = np.searchsorted(times, times + config.cut_around_s, side="right")
    result = np.zeros_like(change)
    for i in np.flatnonzero(change >= config.cut_change):
        low, high = min(first[i], max(i - 2, 0)), max(end[i], i + 3)
        result[i] = max(
            change[max(low, 1) : i].mean() if i > 1 else 0, change[i + 1 : high].mean() if i + 1 < len(change) else 0
        )
    return result
