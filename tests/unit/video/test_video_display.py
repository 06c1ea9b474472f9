"""Small pictures from planes, against swscale's conversion of the whole frame."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from videoldm.video.display import small_bgr, to_rgb

HEIGHT, WIDTH = 96, 160


def smooth_picture() -> np.ndarray:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [np.sin(rows / 17 + phase) + np.cos(columns / (23 + phase)) for phase in range(3)]
    return (np.stack(waves, axis=-1) * 55 + 128).clip(10, 245).astype(np.uint8)


def frame_of(pixel_format: str, matrix: int, colour_range: ColorRange) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(smooth_picture(), format="rgb24").reformat(
        format=pixel_format, dst_colorspace=matrix, src_color_range=ColorRange.JPEG, dst_color_range=colour_range
    )
    frame.colorspace, frame.color_range = matrix, colour_range
    frame.time_base = Fraction(1, 25)
    return frame


@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("matrix", [int(Colorspace.ITU601), int(Colorspace.ITU709)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv422p", "yuv420p10le", "nv12"])
def test_colours_are_those_of_the_frame(pixel_format: str, matrix: int, colour_range: ColorRange) -> None:
    frame = frame_of(pixel_format, matrix, colour_range)
    small = small_bgr(frame, WIDTH // 2, HEIGHT // 2)[..., ::-1].astype(int)
    expected = Image.fromarray(to_rgb(frame)).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX)
    assert np.abs(small - np.asarray(expected).astype(int)).max() <= 6
    assert np.abs(small - np.asarray(expected).astype(int)).mean() < 1.5


def test_full_size_is_not_resampled() -> None:
    frame = frame_of("yuv444p", int(Colorspace.ITU709), ColorRange.MPEG)
    assert np.abs(small_bgr(frame, WIDTH, HEIGHT)[..., ::-1].astype(int) - to_rgb(frame).astype(int)).max() <= 2
