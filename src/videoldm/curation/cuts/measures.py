"""Measures of many windows or frames at once, which need no search for motion."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32

Levels = Float32[np.ndarray, "k h w"]
Numbers = Float[np.ndarray, " k"]

# Cells on a side of the neighbourhood whose mean is taken off.
_NEIGHBOURHOOD = 5
# Variance of noise, in levels squared: pictures with as little contrast have no correlation.
_NOISE = 1.0


def correlations(one: Float32[np.ndarray, "k ..."], other: Float32[np.ndarray, "#k ..."]) -> Numbers:
    """Return the correlation of each pair of pictures, or of each with the only other; 0 where all is noise."""
    one, other = (part.reshape(len(part), -1) for part in (one, other))
    one, other = (part - part.mean(axis=1, keepdims=True) for part in (one, other))
    products, energies, others = (
        np.einsum("kn,kn->k", *pair) / one.shape[1] for pair in ((one, other), (one, one), (other, other))
    )
    return products / (np.sqrt(energies * others) + _NOISE)


def details(levels: Levels) -> Levels:
    """Return what differs from the mean of its neighbourhood."""
    size = (_NEIGHBOURHOOD, _NEIGHBOURHOOD)
    return np.stack([one - cv2.blur(one, size) for one in levels]) if len(levels) else levels


def lost_energy(
    energies: Float[np.ndarray, "k n ..."], shares: Float[np.ndarray, "k n"], apart: Float[np.ndarray, "k ..."]
) -> np.ndarray:
    """Return the lost energy relative to that which mixtures lose: 1 for a dissolve, 0 for motion.

    `energies` are those of `n` frames of each window, the first and the last of which are mixed with `shares`; `apart`
    is E(A - B).
    """
    s = shares[:, 1:-1]
    missing = (1 - s) * energies[:, :1] + s * energies[:, -1:] - energies[:, 1:-1]
    wanted = s * (1 - s)
    return (missing * wanted).sum(axis=1) / ((wanted**2).sum(axis=1) * np.maximum(apart, 1e-3))


def step_energies(levels: Float32[np.ndarray, "k n h w"]) -> Float32[np.ndarray, "k n"]:
    """Return the mean square of the steps between neighbouring cells of each picture."""
    down, across = (np.diff(levels, axis=axis) for axis in (2, 3))
    return (down**2).mean(axis=(2, 3)) + (across**2).mean(axis=(2, 3))
