"""Dissolves: stretches whose frames are mixtures of the frames on both sides, in shares that grow with time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from videoldm.curation.cuts.config import DissolveConfig, DissolveRate
from videoldm.curation.cuts.found import Found, fitted_line, frame_times, score_of
from videoldm.curation.cuts.mixtures import (
    Vectors,
    as_vectors,
    dissolve_strength,
    distance,
    lost_energy,
    luma_histograms,
    shares_of_last,
    textures,
)
from videoldm.curation.cuts.signals import SignalTable

# Where inside a window mixtures are looked for.
_INSIDE = (0.25, 0.5, 0.75)
# Windows are judged closely from this part of the wanted strength on, before their ends are exact.
_LEAST_STRENGTH = 0.25
# Between these shares of the new shot a line is fitted, which tells where the dissolve begins and ends.
_FITTED = (0.15, 0.85)


@dataclass(frozen=True, slots=True)
class _Window:
    """Frames `first` and `last` are of one shot each, those between them may be mixtures."""

    first: int
    last: int
    merit: float = 0.0


class _Sampled:
    """Pictures at a lower rate, as all that windows are judged by."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors, self.counts, self.textures = vectors, luma_histograms(vectors), textures(vectors)
        self.energies = (self.textures**2).sum(axis=1)


class DissolveFinder:
    """Looks at one source."""

    def __init__(self, signals: SignalTable, config: DissolveConfig) -> None:
        self._signals, self._times, self._config = signals, frame_times(signals), config

    def find(self, first: int, end: int) -> list[Found]:
        """All dissolves among the frames from number `first` to before `end`, between which is no other transition."""
        windows = [window for rate in self._config.rates for window in self._propose(first, end, rate)]
        is_taken = np.zeros(end - first, bool)
        found: list[Found] = []
        for window in sorted(windows, key=lambda one: -one.merit):
            if is_taken[window.first + 1 - first : window.last - first].any():
                continue
            exact = self._refined(window, first, end)
            inside = slice(exact.first + 1 - first, exact.last - first)
            strength = self._strength(exact)
            if strength >= 1 and not is_taken[inside].any():
                found.append(Found("dissolve", exact.first + 1, exact.last, score_of(strength)))
            # Also where it is none: windows of less merit at the same place are no better.
            is_taken[inside] = True
        return sorted(found, key=lambda one: one.first)

    def _propose(self, first: int, end: int, rate: DissolveRate) -> list[_Window]:
        """Windows of the rate's lengths that look like mixtures, moved along in its steps."""
        frames, vectors = self._sampled(first, end, float(rate.rate))
        sampled = _Sampled(vectors)
        windows: list[_Window] = []
        for length_s in rate.lengths_s:
            length = max(round(length_s * rate.rate), 2)
            if length >= len(frames):
                break
            starts, merits = self._merits(sampled, length)
            ends = zip(frames[starts].tolist(), frames[starts + length].tolist(), merits.tolist(), strict=True)
            windows += [_Window(low, high, merit) for low, high, merit in ends if high - low >= 3]
        return windows

    def _sampled(self, first: int, end: int, rate: float) -> tuple[Int64[np.ndarray, " k"], Vectors]:
        """Frame numbers, and means of the frames about each, `rate` times a second: means even out shaking."""
        times = self._times[first:end]
        steps = np.floor((times - times[0]) * rate + 1e-6)
        starts = np.flatnonzero(np.diff(steps, prepend=-1))
        ends = np.append(starts[1:], len(times))
        sums = np.add.reduceat(self._signals.pictures[first:end], starts, axis=0, dtype=np.float32)
        return first + (starts + ends - 1) // 2, as_vectors(sums / (ends - starts)[:, None])

    def _merits(self, sampled: _Sampled, length: int) -> tuple[Int64[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Where windows of `length` steps look like dissolves, and how much."""
        vectors, config = sampled.vectors, self._config
        change = distance(vectors[:-length], vectors[length:])
        histogram = np.abs(sampled.counts[length:] - sampled.counts[:-length]).sum(axis=1) / 2
        at = np.flatnonzero((change >= config.change) & (histogram >= config.histogram))
        apart = ((sampled.textures[at + length] - sampled.textures[at]) ** 2).sum(axis=1)
        energies = sampled.energies[at + np.arange(length + 1)[:, None]]
        lost = lost_energy(energies, np.arange(length + 1) / length, apart).clip(0, 1)
        is_near = histogram[at] * lost**2 >= _LEAST_STRENGTH * config.histogram
        at, lost = at[is_near], lost[is_near]
        before, after = vectors[at], vectors[at + length]
        residual = np.zeros_like(change[at])
        for share in _INSIDE:
            low, part = divmod(share * length, 1)
            near = vectors[at + int(low)]
            frame = near + part * (vectors[at + int(low) + 1] - near) if part else near
            residual += distance(frame, before + share * (after - before)) / len(_INSIDE)
        merit = (change[at] - config.residual_cost * residual) * np.sqrt(histogram[at]) * lost
        return at[merit > 0], merit[merit > 0]

    def _refined(self, window: _Window, first: int, end: int) -> _Window:
        """The window from the last frame before the mixtures to the first after them."""
        shares = shares_of_last(as_vectors(self._signals.pictures[window.first : window.last + 1]))
        fitted = np.flatnonzero((shares > _FITTED[0]) & (shares < _FITTED[1]))
        if len(fitted) < 2:
            return window
        slope, offset = fitted_line(self._times[window.first + fitted], shares[fitted])
        if slope <= 0:
            return window
        # Once: done again from the new ends it drifts away where shots move.
        exact = self._between(-offset / slope, (1 - offset) / slope, window, first, end)
        return exact if exact.last - exact.first >= 2 else window

    def _between(self, start_s: float, end_s: float, window: _Window, first: int, end: int) -> _Window:
        """The last frame up to `start_s` and the first from `end_s`, at most half a window away from `window`."""
        most = max(2, (window.last - window.first) // 2)
        before = int(np.searchsorted(self._times, start_s + 1e-6, side="right")) - 1
        after = int(np.searchsorted(self._times, end_s - 1e-6))
        return _Window(max(before, first, window.first - most), min(after, end - 1, window.last + most))

    def _strength(self, window: _Window) -> float:
        if window.last - window.first < 2:
            return 0.0
        frames = slice(window.first, window.last + 1)
        return dissolve_strength(self._signals.pictures[frames], self._times[frames], self._config)
