"""Where frames may be mixtures of the frames on both sides, in shares that grow with time: dissolves, or motion."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8

from videoldm.curation.cuts.config import DissolveConfig, DissolveRate
from videoldm.curation.cuts.footage import Footage, Vectors, as_vectors
from videoldm.curation.cuts.measures import lost_energy
from videoldm.curation.cuts.signals import COARSE, NUM_LUMA, PICTURE_CHROMA, Column, histograms
from videoldm.curation.cuts.transition import Stretch, Window, fitted_line

# Positions inside a window at which mixtures are sought.
_INSIDE = (0.25, 0.5, 0.75)
# Shares of the new shot between which a line is fitted to find where the dissolve begins and ends.
_FITTED = (0.15, 0.85)
NUM_BINS = 16
# Weight of steps between neighbouring cells beside contrast.
_STEP_WEIGHT = 3 / 16


class _Pictures:
    """Pictures at a lower rate, with everything that windows are proposed by."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors, self.counts, self.textures = vectors, luma_histograms(vectors), textures(vectors)
        self.energies = (self.textures**2).sum(axis=1)


class MixtureWindows:
    """Proposes windows for the dissolves of one source."""

    def __init__(self, footage: Footage, config: DissolveConfig) -> None:
        self._footage, self._config = footage, config

    def propose(self, stretches: Sequence[Stretch]) -> list[Window]:
        """Return the windows of some stretches that look like mixtures."""
        return [window for rate in self._config.rates for window in self._at_rate(stretches, rate)]

    def _at_rate(self, stretches: Sequence[Stretch], rate: DissolveRate) -> list[Window]:
        """Return the windows of the rate's lengths, moved in its steps."""
        sampled = self._footage.sampled(stretches, float(rate.rate))
        pictures = _Pictures(sampled.vectors)
        windows: list[Window] = []
        for length_s in rate.lengths_s:
            length = max(round(length_s * rate.rate), 2)
            starts, merits = self._merits(pictures, sampled.starts(length), length)
            windows += sampled.windows("dissolve", starts, length, merits)
        return windows

    def _merits(
        self, sampled: _Pictures, at: Int64[np.ndarray, " n"], length: int
    ) -> tuple[Int64[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Return which windows of `length` steps look like dissolves, of those that begin `at` some, and how much."""
        vectors, config = sampled.vectors, self._config
        histogram = np.abs(sampled.counts[at + length] - sampled.counts[at]).sum(axis=1) / 2
        change = distance(vectors[at], vectors[at + length])
        is_change = (change >= config.least_change) & (histogram >= config.least_histogram)
        at, change, histogram = at[is_change], change[is_change], histogram[is_change]
        if not len(at):
            return at, np.empty(0)
        apart = ((sampled.textures[at + length] - sampled.textures[at]) ** 2).sum(axis=1)
        steps = np.arange(length + 1)
        shares = np.broadcast_to(steps / length, (len(at), length + 1))
        lost = lost_energy(sampled.energies[at[:, None] + steps], shares, apart).clip(0, 1)
        is_near = histogram * lost**2 >= config.least_strength
        at, lost, change, histogram = (part[is_near] for part in (at, lost, change, histogram))
        if not len(at):
            return at, np.empty(0)
        before, after = vectors[at], vectors[at + length]
        residual = np.zeros_like(change)
        for share in _INSIDE:
            low, part = divmod(share * length, 1)
            near = vectors[at + int(low)]
            frame = near + part * (vectors[at + int(low) + 1] - near) if part else near
            residual += distance(frame, before + share * (after - before)) / len(_INSIDE)
        merit = (change - config.residual_cost * residual) * np.sqrt(histogram) * lost
        return at[merit > 0], merit[merit > 0]

    def refined(self, window: Window) -> Window:
        """Return the window from the last frame before the mixtures to the first after them."""
        shares = shares_of_last(as_vectors(self._footage.coarse[window.first : window.last + 1]))
        fitted = np.flatnonzero((shares > _FITTED[0]) & (shares < _FITTED[1]))
        if len(fitted) < 2:
            return window
        slope, offset = fitted_line(self._footage.times[window.first + fitted], shares[fitted])
        if slope <= 0:
            return window
        # Once: repeated from the new ends it drifts away where shots move.
        exact = self._between(-offset / slope, (1 - offset) / slope, window)
        return exact if exact.last - exact.first >= 2 else window

    def _between(self, start_s: float, end_s: float, window: Window) -> Window:
        """Return the window of the last frame up to `start_s` and the first from `end_s`, near `window`."""
        times, most = self._footage.times, max(2, (window.last - window.first) // 2)
        before = int(np.searchsorted(times, start_s + 1e-6, side="right")) - 1
        after = int(np.searchsorted(times, end_s - 1e-6))
        return replace(
            window,
            first=max(before, window.stretch.first, window.first - most),
            last=min(after, window.stretch.end - 1, window.last + most),
        )


def luma_histograms(vectors: Vectors) -> Float32[np.ndarray, "t bins"]:
    """Return the histogram of luma of each picture."""
    return histograms(vectors[:, :NUM_LUMA].astype(np.uint8), NUM_BINS)


def distance(a: Vectors, b: Vectors) -> Column:
    """Return the root mean square of the differences of each row."""
    difference = a - b
    return np.sqrt(np.einsum("tn,tn->t", difference, difference) / difference.shape[1])


@functools.cache
def _texture_matrix() -> Float32[np.ndarray, "n n"]:
    """Return the matrix to vectors whose squared lengths are the energies of pictures: of steps and of contrast."""
    rows, columns = COARSE
    unit = np.eye(NUM_LUMA).reshape(-1, rows, columns)
    steps = [np.diff(unit, axis=axis).reshape(NUM_LUMA, -1) for axis in (1, 2)]
    num_chroma = PICTURE_CHROMA[0] * PICTURE_CHROMA[1]
    contrasts = [np.eye(size) - 1 / size for size in (NUM_LUMA, num_chroma, num_chroma)]
    luma = np.concatenate([_STEP_WEIGHT * part for part in steps] + [contrasts[0] / NUM_LUMA**0.5], axis=1)
    parts = [luma, *(part / (2 * num_chroma) ** 0.5 for part in contrasts[1:])]
    whole = np.zeros((sum(len(part) for part in parts), sum(part.shape[1] for part in parts)))
    row = column = 0
    for part in parts:
        whole[row : row + len(part), column : column + part.shape[1]] = part
        row, column = row + len(part), column + part.shape[1]
    # The same lengths from a square matrix.
    return np.linalg.qr(whole.T).R.T.astype(np.float32)


def textures(vectors: Vectors) -> Vectors:
    """Return vectors whose squared lengths are the energies of the pictures, and which mix as the pictures do.

    A mixture has less energy than the pictures it mixes: for shares 1 - s and s of A and B it is
    (1 - s) E(A) + s E(B) - s (1 - s) E(A - B). What moves keeps its energy, which distinguishes a dissolve from motion.
    """
    return vectors @ _texture_matrix()


def difference(pictures: UInt8[np.ndarray, "2 n"]) -> tuple[float, float]:
    """Return the distances of two pictures (root mean square of levels) and of their histograms (0 to 1)."""
    vectors = as_vectors(pictures)
    counts = luma_histograms(vectors)
    return float(distance(vectors[:1], vectors[1:])[0]), float(np.abs(counts[1] - counts[0]).sum()) / 2


def shares_of_last(vectors: Float32[np.ndarray, "... t n"]) -> Float32[np.ndarray, "... t"]:
    """Return for each row the share of the last in the mixture of the first and the last that is nearest to it."""
    since = vectors - vectors[..., :1, :]
    direction = since[..., -1, :]
    lengths = np.maximum(np.einsum("...n,...n->...", direction, direction), 1e-6)
    return np.einsum("...tn,...n->...t", since, direction) / lengths[..., None]
