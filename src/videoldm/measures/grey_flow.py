"""Optical flow between two grey pictures at the size they have; without tensors, and so without what loads them.

Directions and units are those of `videoldm.measures.flow`.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, Real, UInt8

from videoldm.measures.config import DisConfig, FarnebackConfig

_EDGE_PX = 4
_FINEST_LEVEL = 1


def farneback_flow(
    first: Real[np.ndarray, "h w"], second: Real[np.ndarray, "h w"], config: FarnebackConfig
) -> Float32[np.ndarray, "h w 2"]:
    """Farneback's flow between pictures in 0..255.

    Farneback 2003, "Two-Frame Motion Estimation Based on Polynomial Expansion".
    """
    # OpenCV sees motion at the right and bottom edge even between equal frames; it falls into this padding.
    first, second = (np.pad(frame, _EDGE_PX, mode="edge") for frame in (first, second))
    padded = cv2.calcOpticalFlowFarneback(
        first,
        second,
        np.zeros((*first.shape, 2), dtype=np.float32),
        pyr_scale=0.5,
        levels=config.num_levels,
        winsize=config.window_px,
        iterations=config.num_iterations,
        poly_n=config.polynomial_px,
        poly_sigma=config.polynomial_sigma,
        flags=0,
    )
    return padded[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX]


class DisFlow:
    """Dense inverse search between pictures of at least 43 pixels.

    Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search", without its variational refinement.
    """

    def __init__(self, config: DisConfig) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(_FINEST_LEVEL)
        self._search.setPatchStride(config.stride_px)
        self._search.setGradientDescentIterations(config.num_iterations)

    def __call__(
        self, first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]
    ) -> Float32[np.ndarray, "h w 2"]:
        """The flow from the first picture to the second."""
        return np.asarray(self._search.calc(first, second, None))  # pyright: ignore[reportCallIssue, reportArgumentType]
