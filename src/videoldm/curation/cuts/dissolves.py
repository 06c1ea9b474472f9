"""Dissolves: stretches whose frames are mixtures of the frames on both sides, in shares that grow with time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from videoldm.curation.cuts.config import DissolveConfig, DissolveRate
from videoldm.curation.cuts.found import Found, frame_times, score_of
from videoldm.curation.cuts.mixtures import (
    Mixture,
    Vectors,
    as_vectors,
    distance,
    lost_energy,
    luma_histograms,
    textures,
)
from videoldm.curation.cuts.signals import Column, SignalTable

# Where inside a window mixtures are looked for.
_INSIDE = (0.25, 0.5, 0.75)
# Between these shares of the new shot a line is fitted, which tells where the dissolve begins and ends.
_FITTED = (0.15, 0.85)
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Window:
    """Frames `first` and `last` are of one shot each, those between them may be mixtures."""

    first: int
    last: int
    merit: float = 0.0


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
        counts = luma_histograms(vectors)
        windows: list[_Window] = []
        for length_s in rate.lengths_s:
            length = max(round(length_s * rate.rate), 2)
            if length >= len(frames):
                break
            merit = self._merit(vectors, counts, length)
            ends = [(int(at), int(frames[at]), int(frames[at + length])) for at in np.flatnonzero(merit > 0)]
            windows += [_Window(low, high, float(merit[at])) for at, low, high in ends if high - low >= 3]
        return windows

    def _sampled(self, first: int, end: int, rate: float) -> tuple[Int64[np.ndarray, " k"], Vectors]:
        """Frame numbers, and means of the frames about each, `rate` times a second: means even out shaking."""
        times = self._times[first:end]
        steps = np.floor((times - times[0]) * rate + 1e-6)
        starts = np.flatnonzero(np.diff(steps, prepend=-1))
        ends = np.append(starts[1:], len(times))
        sums = np.add.reduceat(self._signals.pictures[first:end], starts, axis=0, dtype=np.float32)
        return first + (starts + ends - 1) // 2, as_vectors(sums / (ends - starts)[:, None])

    def _merit(self, vectors: Vectors, counts: Float32[np.ndarray, "k bins"], length: int) -> Column:
        """For each window of `length` steps how much it looks like a dissolve; 0 where its ends hardly differ."""
        num_windows = len(vectors) - length
        before, after = vectors[:num_windows], vectors[length:]
        change = distance(before, after)
        histogram = np.abs(counts[length:] - counts[:-length]).sum(axis=1) / 2
        texture = textures(vectors)
        energies = (texture**2).sum(axis=1)
        apart = ((texture[length:] - texture[:-length]) ** 2).sum(axis=1)
        steps = np.stack([energies[step:][:num_windows] for step in range(length + 1)])
        lost = lost_energy(steps, np.linspace(0, 1, length + 1), apart).clip(0, 1)
        residual = np.zeros_like(change)
        for share in _INSIDE:
            low, part = divmod(share * length, 1)
            near = vectors[int(low) :][:num_windows]
            frame = near + part * (vectors[int(low) + 1 :][:num_windows] - near) if part else near
            residual += distance(frame, before + share * (after - before)) / len(_INSIDE)
        merit = (change - self._config.residual_cost * residual) * np.sqrt(histogram) * lost
        return np.where(change >= self._config.change, np.maximum(merit, 0), 0)

    def _refined(self, window: _Window, first: int, end: int) -> _Window:
        """The window from the last frame before the mixtures to the first after them."""
        for _ in range(_ROUNDS):
            mixture = Mixture.of(self._signals, slice(window.first, window.last + 1), window.first, window.last)
            fitted = np.flatnonzero((mixture.shares > _FITTED[0]) & (mixture.shares < _FITTED[1]))
            if len(fitted) < 2:
                break
            slope, offset = np.polyfit(self._times[window.first + fitted], mixture.shares[fitted], 1)
            if slope <= 0:
                break
            exact = self._between(-offset / slope, (1 - offset) / slope, window, first, end)
            if exact.last - exact.first < 2 or exact == window:
                break
            window = exact
        return window

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
        mixture = Mixture.of(self._signals, frames, window.first, window.last)
        return mixture.strength(self._times[frames], self._config)
