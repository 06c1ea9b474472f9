"""How well frames are explained as mixtures of what comes before and after them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from videoldm.curation.cuts.config import DissolveConfig
from videoldm.curation.cuts.signals import NUM_LUMA, Column, SignalTable, histograms

NUM_BINS = 16
# How much more a level of colour difference counts than one of luma; the kept pictures hold few of them.
_CHROMA_WEIGHT = 2.5

Vectors = Float32[np.ndarray, "t n"]


def as_vectors(pictures: UInt8[np.ndarray, "t n"] | Float[np.ndarray, "t n"]) -> Vectors:
    """The small pictures of a SignalTable, weighted so that their distances count luma and colour."""
    vectors = pictures.astype(np.float32)
    vectors[:, NUM_LUMA:] *= _CHROMA_WEIGHT
    return vectors


def luma_histograms(vectors: Vectors) -> Float32[np.ndarray, "t bins"]:
    """Which part of each picture lies at which levels."""
    return histograms(vectors[:, :NUM_LUMA].astype(np.uint8), NUM_BINS)


def distance(a: Vectors, b: Vectors) -> Column:
    """Root mean square of the differences, one for each row."""
    difference = a - b
    return np.sqrt(np.einsum("tn,tn->t", difference, difference) / difference.shape[1])


@dataclass(frozen=True, eq=False, slots=True)
class Mixture:
    """Frames as `before + share * (after - before)`: the share of each, and the distance that remains of it.

    `change` is the distance of the two, `histogram` from 0 to 1 how much of the picture lies at other levels.
    """

    shares: Column
    rest: Column
    change: float
    histogram: float

    @classmethod
    def of(cls, signals: SignalTable, frames: slice, before: int, after: int) -> Mixture:
        """Of `frames` from those numbered `before` and `after`."""
        ends = as_vectors(signals.pictures[[before, after]])
        counts = luma_histograms(ends)
        direction = ends[1] - ends[0]
        away = as_vectors(signals.pictures[frames]) - ends[0]
        shares = away @ direction / max(float(direction @ direction), 1e-6)
        rest = away - shares[:, None] * direction
        return cls(
            shares=shares,
            rest=np.sqrt((rest**2).mean(axis=1)),
            change=float(np.sqrt((direction**2).mean())),
            histogram=float(np.abs(counts[1] - counts[0]).sum()) / 2,
        )

    def strength(self, seconds: Float[np.ndarray, " t"], config: DissolveConfig) -> float:
        """How surely all the frames, shown so many seconds after `before`, are a dissolve, 1 being just enough.

        `seconds` ends with the time of `after`, so it is one longer than the frames.
        """
        if self.rest.mean() > config.residual * self.change:
            return 0.0
        unevenness = float(np.abs(self.shares - seconds[:-1] / seconds[-1]).mean())
        evenness = max(1 - config.unevenness_cost * unevenness, 0.0)
        return different(self.change, self.histogram) * evenness / config.strength


def different(change: float, histogram: float) -> float:
    """How different two pictures are, in a way that motion alone does not make large."""
    return change * float(np.sqrt(histogram))
