"""Shifts of pictures that overlap in part, over the whole range of shifts."""

import cv2
import numpy as np
import pytest

from videoldm.measures.array_shift import find_shift

HEIGHT, WIDTH = 112, 200


@pytest.fixture(scope="module")
def scenery() -> np.ndarray:
    """Noise of two scales, `400 700`."""
    white = np.random.default_rng(3).normal(0, 1, (400, 700)).astype(np.float32)
    layers = sum(scale * cv2.GaussianBlur(white, (0, 0), scale) for scale in (4, 20))
    return (20 + 215 * (layers - layers.min()) / np.ptp(layers)).astype(np.uint8)


def window(scenery: np.ndarray, x: int, y: int) -> np.ndarray:
    return scenery[150 + y : 150 + y + HEIGHT, 250 + x : 250 + x + WIDTH]


@pytest.mark.parametrize(("x", "y"), [(0, 0), (9, -4), (-60, 20), (130, 0), (0, -75), (-110, 45)])
def test_a_shift_of_up_to_most_of_the_picture_is_found(scenery: np.ndarray, x: int, y: int) -> None:
    # A window that moves right sees the picture move left, here in other light.
    found = find_shift(window(scenery, 0, 0), (window(scenery, x, y) * 0.7 + 30).astype(np.uint8))
    assert found is not None
    assert (found.x, found.y) == pytest.approx((-x, -y), abs=0.03 * HEIGHT)
    assert found.correlation > 0.75


def test_unrelated_and_empty_pictures_have_no_shift(scenery: np.ndarray) -> None:
    unrelated = find_shift(scenery[:HEIGHT, :WIDTH], scenery[-HEIGHT:, -WIDTH:])
    assert unrelated is not None
    assert unrelated.correlation < 0.7
    flat = np.full((HEIGHT, WIDTH), 90, np.uint8)
    assert find_shift(flat, flat) is None
    assert find_shift(flat, window(scenery, 0, 0)) is None
