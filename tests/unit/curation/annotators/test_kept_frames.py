"""Kept frames as pixels and, cheaper, as grey pictures that may be smaller."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from videoldm.curation.annotators.annotator import KeptFrame


def kept(pixels: np.ndarray, **options: object) -> KeptFrame:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, **options)
    return KeptFrame(0, True, file.getvalue())


@pytest.mark.parametrize(
    ("least", "size"), [(361, (360, 640)), (181, (360, 640)), (180, (180, 320)), (91, (180, 320)), (90, (90, 160))]
)
@pytest.mark.parametrize("is_upright", [False, True])
def test_grey_frames_are_as_small_as_may_be(
    texture: np.ndarray, least: int, size: tuple[int, int], is_upright: bool
) -> None:
    pixels = texture[:360, :640]
    expected = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), size[::-1], interpolation=cv2.INTER_AREA)
    if is_upright:
        pixels, expected = pixels.transpose(1, 0, 2), expected.T
    grey = kept(np.ascontiguousarray(pixels)).grey(least)
    assert grey.shape == expected.shape
    assert np.abs(grey.astype(int) - expected).mean() < 1


def test_any_jpeg_says_its_size(texture: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description " * 50
    grey = kept(texture[:240, :400], progressive=True, comment=b"a comment", exif=exif).grey(100)
    assert grey.shape == (120, 200)


def test_frames_that_are_pixels_stay_as_large_as_they_are(texture: np.ndarray) -> None:
    frame = KeptFrame(0, True, texture)
    assert frame.pixels is texture
    np.testing.assert_array_equal(frame.grey(16), cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY))
