"""How well frames are explained as mixtures of what comes before and after them."""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float, Float32, UInt8

from videoldm.curation.cuts.config import DissolveConfig
from videoldm.curation.cuts.signals import NUM_LUMA, PICTURE, PICTURE_CHROMA, Column, histograms

NUM_BINS = 16
# How much more a level of colour difference counts than one of luma; the kept pictures hold few of them.
_CHROMA_WEIGHT = 2.5
# How much steps between neighbouring cells count beside contrast.
_STEP_WEIGHT = 3 / 16

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


@functools.cache
def _texture_matrix() -> Float32[np.ndarray, "n n"]:
    """Maps a vector to one whose squared length is the energy of its picture: of steps between cells, of contrast."""
    rows, columns = PICTURE
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
    """Vectors whose squared lengths are the energies of the pictures, and which mix as the pictures do.

    A mixture has less energy than what it is mixed of: for shares 1 - s and s of A and B it is
    (1 - s) E(A) + s E(B) - s (1 - s) E(A - B). What moves keeps its energy, which tells a dissolve from motion.
    """
    return vectors @ _texture_matrix()


def lost_energy(
    energies: Float[np.ndarray, "k ..."], shares: Float[np.ndarray, " k"], apart: np.ndarray | np.float32
) -> np.ndarray:
    """How much of the energy that mixtures lose is lost: 1 for a dissolve, 0 for motion.

    `energies` are those of some frames, the first and the last of which are mixed with `shares`; `apart` is E(A - B).
    """
    s = shares.reshape(-1, *[1] * (energies.ndim - 1))
    inside = slice(1, -1)
    missing = ((1 - s) * energies[0] + s * energies[-1] - energies)[inside]
    wanted = (s * (1 - s))[inside]
    return (missing * wanted).sum(axis=0) / ((wanted**2).sum() * np.maximum(apart, 1e-6))


def shares_of_last(vectors: Vectors) -> Column:
    """For each row the share of the last in the mixture of the first and the last that comes nearest to it."""
    direction = vectors[-1] - vectors[0]
    return (vectors - vectors[0]) @ direction / max(float(direction @ direction), 1e-6)


def difference(pictures: UInt8[np.ndarray, "2 n"]) -> tuple[float, float]:
    """How far two pictures are apart (root mean square of levels), and their histograms (0 to 1)."""
    vectors = as_vectors(pictures)
    counts = luma_histograms(vectors)
    return float(distance(vectors[:1], vectors[1:])[0]), float(np.abs(counts[1] - counts[0]).sum()) / 2


def dissolve_strength(
    pictures: UInt8[np.ndarray, "t n"], times: Float[np.ndarray, " t"], config: DissolveConfig
) -> float:
    """How surely the pictures between the first and the last, shown at `times`, dissolve one into the other.

    1 is just enough.
    """
    change, histogram = difference(pictures[[0, -1]])
    if change < config.change:
        return 0.0
    vectors = as_vectors(pictures)
    steady = (times - times[0]) / (times[-1] - times[0])
    unevenness = float(np.abs(shares_of_last(vectors) - steady)[1:-1].mean())
    texture = textures(vectors)
    lost = float(lost_energy((texture**2).sum(axis=1), steady, ((texture[-1] - texture[0]) ** 2).sum()))
    evenness = max(1 - config.unevenness_cost * unevenness, 0.0)
    return histogram / config.histogram * evenness * min(max(lost, 0.0), 1.0) ** 2
