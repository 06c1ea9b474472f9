"""Hard cuts: a frame unlike the one before, although both are like the frames on their own side."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from videoldm.curation.cuts.config import HardCutConfig
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.judges import Measures, in_parts, judge
from videoldm.curation.cuts.measures import correlations, details
from videoldm.curation.cuts.signals import Column
from videoldm.curation.cuts.transition import FrameTransition

Numbers = Float[np.ndarray, " k"]

# Blue and red difference span fewer levels than luma.
_CHROMA_WEIGHT = 4.0
# Least number of frames compared with on each side, however long they last.
_LEAST_AROUND = 2
# Frames on either side, the highest change of which is compared with.
_HIGHEST_WITHIN = 3
# Levels added before the logarithm of a change is taken, so that small ones in still pictures do not count much.
_STILL = 0.5
# Part of the picture that stays the same where text or a number changes.
_MOSTLY = 0.7
# Most levels by which cells differ that show the same.
_SAME = 2


def find_cuts(footage: Footage, is_taken: Bool[np.ndarray, " t"], config: HardCutConfig) -> list[FrameTransition]:
    """Find the hard cuts at frames that are not `is_taken`; those that are do not count as frames around either."""
    measured = CutMeasures(footage, is_taken, config)
    frames = measured.candidates()
    if not len(frames):
        return []
    quick = measured.quick(frames)
    possible = np.flatnonzero(judge("possible_cut").probabilities(quick) >= config.least_possible)
    if not len(possible):
        return []
    frames, quick = frames[possible], {name: values[possible] for name, values in quick.items()}
    motion = measured.motion(frames)
    probabilities = judge("cut").probabilities(quick | motion)
    is_only_text = (quick["same"] >= _MOSTLY) & (motion["drop"] < config.least_drop_beside_still)
    probabilities[is_only_text] = 0
    found: list[FrameTransition] = []
    for frame, probability in zip(frames.tolist(), probabilities.tolist(), strict=True):
        if probability >= config.least_probability:
            kind = "jump_cut" if footage.likeness(frame - 1, frame) >= config.jump else "cut"
            found.append(FrameTransition(kind, frame, frame, probability))
    return found


class CutMeasures:
    """What the frames of one source that may begin a shot are judged by."""

    def __init__(self, footage: Footage, is_taken: Bool[np.ndarray, " t"], config: HardCutConfig) -> None:
        self._footage, self._config = footage, config
        signals = footage.signals
        self._change = signals.luma_change + _CHROMA_WEIGHT / 2 * signals.chroma_change
        self._is_open = ~is_taken
        self._is_open[0] = False
        # The first frame has no change.
        self._peak = _ratio(self._change, self._around())

    def _around(self) -> Column:
        """Return the mean change of the frames around each one."""
        times, reach = self._footage.times, self._config.around_s
        numbers = np.arange(len(times))
        firsts = np.minimum(np.searchsorted(times, times - reach), numbers - _LEAST_AROUND).clip(1)
        ends = np.maximum(np.searchsorted(times, times + reach, side="right"), numbers + 1 + _LEAST_AROUND)
        ends = ends.clip(max=len(times))
        sums, counts = (
            np.concatenate([[0], np.cumsum(part, dtype=np.float64)])
            for part in (self._change * self._is_open, self._is_open)
        )
        total = sums[ends] - sums[firsts] - self._change * self._is_open
        return (total / np.maximum(counts[ends] - counts[firsts] - self._is_open, 1)).astype(np.float32)

    def candidates(self) -> Int64[np.ndarray, " k"]:
        """Return the frames that differ from the one before by more than those around do."""
        config = self._config
        is_sudden = (self._change >= config.least_change) & (self._peak >= config.least_peak)
        return np.flatnonzero(is_sudden & self._is_open)

    def quick(self, frames: Int64[np.ndarray, " k"]) -> Measures:
        """Return what needs no search for motion."""
        return in_parts(lambda part: self._quick(frames[part]), len(frames))

    def _quick(self, frames: Int64[np.ndarray, " k"]) -> Measures:
        signals = self._footage.signals
        before, after = (self._footage.luma[at].astype(np.float32) for at in (frames - 1, frames))
        rise = after - before
        size, fine = np.abs(rise).mean(axis=(1, 2)), [details(part) for part in (before, after)]
        sharpness = [np.abs(part).mean(axis=(1, 2)) for part in fine]
        contrasts = np.minimum(*(part.std(axis=(1, 2)) for part in (before, after)))
        return {
            "change": np.log(self._change[frames] + 1),
            "peak": self._peak[frames],
            "peak_over_highest": _ratio(self._change[frames], self._highest_beside(frames)),
            "histogram": np.log(signals.histogram_change[frames] + 0.05),
            "luma": np.log(signals.luma_change[frames] + _STILL),
            "chroma": np.log(signals.chroma_change[frames] + _STILL),
            "tone": correlations(before, after),
            "still_likeness": correlations(*fine),
            "same": (np.abs(rise) <= _SAME).mean(axis=(1, 2)),
            "one_sign": np.abs(rise.mean(axis=(1, 2))) / (size + _STILL),
            "contrast": np.log(contrasts + 1),
            "brightness": np.maximum(before.mean(axis=(1, 2)), after.mean(axis=(1, 2))),
            "sharpness": np.abs(_ratio(*sharpness)),
        }

    def _highest_beside(self, frames: Int64[np.ndarray, " k"]) -> Float32[np.ndarray, " k"]:
        """Return the highest change of the frames beside each."""
        padded = np.pad(self._change, _HIGHEST_WITHIN)
        steps = [step for step in range(-_HIGHEST_WITHIN, _HIGHEST_WITHIN + 1) if step]
        return np.max([padded[frames + _HIGHEST_WITHIN + step] for step in steps], axis=0)

    def motion(self, frames: Int64[np.ndarray, " k"]) -> Measures:
        """Return how motion explains each frame from the one before, beside how it does on either side."""
        footage, last = self._footage, len(self._footage) - 1
        pairs = [
            ((frame - 1, frame), (max(frame - 2, 0), frame - 1), (frame, min(frame + 1, last)))
            for frame in frames.tolist()
        ]
        matches = np.array([[footage.match(*pair) for pair in one] for one in pairs])
        (across, before, after), (residual, *beside) = matches.transpose(2, 1, 0)
        displacement = np.array([footage.displacement(frame - 1, frame) for frame in frames.tolist()])
        return {
            "across": across,
            "before": before,
            "after": after,
            "drop": (before + after) / 2 - across,
            "residual": np.log(residual + _STILL),
            "residual_over_mean": _ratio(residual, np.mean(beside, axis=0)),
            "residual_over_highest": _ratio(residual, np.maximum(*beside)),
            "displacement": np.log(displacement + _STILL),
        }


def _ratio(one: Numbers, other: Numbers) -> Numbers:
    """Return the logarithm of a ratio, in which small changes of still pictures do not count much."""
    return np.log((one + _STILL) / (other + _STILL))
