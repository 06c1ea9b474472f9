"""Clips made of arrays, as annotators get them."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import cv2
import numpy as np
import pytest

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame


def _clip(
    frames: Sequence[np.ndarray], *, step: int = 5, time_base: Fraction = Fraction(1, 10), is_sampled: bool = True
) -> ClipFrames:
    kept = [KeptFrame(step * i, is_sampled, frame) for i, frame in enumerate(frames)]
    height, width, _ = frames[0].shape
    return ClipFrames(
        clip_id="clip",
        time_base=time_base,
        start_pts=0,
        end_pts=step * len(frames),
        width=width,
        height=height,
        frames=kept,
        metadata={},
        annotations={},
    )


@pytest.fixture
def clip_of() -> Callable[..., ClipFrames]:
    """A clip of these frames, by default half a second apart."""
    return _clip


@pytest.fixture(scope="session")
def texture() -> np.ndarray:
    """A large smooth random picture to cut moving frames from, `480 720 3`."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 720, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 8)
    return (10 + 235 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
