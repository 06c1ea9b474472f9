"""Signals against slow readable twins, in many pixel formats."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from videoldm.core.errors import InputError
from videoldm.curation.cuts import signals as signals_module
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import CHROMA, LUMA, NUM_LUMA, CutSignals, Points, SignalTable, histograms

TIME_BASE = Fraction(1, 1000)


def smooth_picture(seed, height=90, width=160):
    """Soft blotches of many colours."""
    cells = np.random.default_rng(seed).integers(0, 256, (5, 8, 3)).astype(np.uint8)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)


def as_frame(pixels, pts, pixel_format="yuv420p"):
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
    frame.pts, frame.time_base = pts, TIME_BASE
    return frame


def tiny_picture(frame):
    points = Points.empty(1)
    points.read(frame, 0)
    tiny = points.tiny()
    return tiny.luma[0], *tiny.chroma[0]


def signals_of(pictures, pts=None):
    signals = CutSignals(CutConfig())
    added = [
        signals.add(as_frame(picture, tick))
        for picture, tick in zip(pictures, pts or range(0, 40 * len(pictures), 40), strict=True)
    ]
    return signals.finish(), added


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "nv12", "rgb24", "bgra", "gray"],
)
@pytest.mark.parametrize("size", [(90, 160), (77, 131), (480, 641)])
def test_tiny_pictures_are_the_frame_made_small(pixel_format, size):
    pixels = smooth_picture(1, *size)
    luma, blue, red = tiny_picture(as_frame(pixels, 0, pixel_format))
    # By OpenCV's own full-range conversion of the RGB picture (BT.601, as libswscale's).
    whole = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    wanted = [
        cv2.resize(whole[..., channel], small[::-1], interpolation=cv2.INTER_AREA)
        for channel, small in ((0, LUMA), (2, CHROMA), (1, CHROMA))
    ]
    assert np.abs(luma - wanted[0]).mean() < 2.5
    if pixel_format != "gray":
        assert np.abs(blue - wanted[1]).mean() < 3
        assert np.abs(red - wanted[2]).mean() < 3
    else:
        assert np.abs(blue.astype(int) - 128).max() <= 1


def test_black_and_white_are_the_ends_of_the_range():
    for pixel_format in ("yuv420p", "yuvj420p", "yuv420p10le", "rgb24"):
        for level in (0, 255):
            luma, blue, red = tiny_picture(as_frame(np.full((36, 64, 3), level, np.uint8), 0, pixel_format))
            assert np.abs(luma.astype(int) - level).max() <= 1
            assert np.abs(np.stack([blue, red]).astype(int) - 128).max() <= 1


def test_a_frame_of_one_pixel_has_a_tiny_picture():
    luma, blue, red = tiny_picture(as_frame(np.full((1, 1, 3), 255, np.uint8), 0, "yuv444p"))
    assert luma.shape == LUMA
    assert blue.shape == red.shape == CHROMA


def test_changes_are_means_over_the_tiny_pictures():
    pictures = [smooth_picture(seed) for seed in (1, 2, 2)]
    table, _ = signals_of(pictures)
    first, second = (tiny_picture(as_frame(picture, 0)) for picture in pictures[:2])
    wanted = np.abs(first[0].astype(int) - second[0]).mean()
    assert table.luma_change == pytest.approx([0, wanted, 0])
    wanted = np.mean([np.abs(first[plane].astype(int) - second[plane]).mean() for plane in (1, 2)])
    assert table.chroma_change == pytest.approx([0, wanted, 0])
    assert table.histogram_change[1] > 0.2
    assert table.histogram_change[[0, 2]] == pytest.approx([0, 0])
    blocks = second[0].reshape(9, 2, 16, 2).mean(axis=(1, 3)).reshape(-1)
    assert np.array_equal(table.luma[1], second[0])
    assert np.abs(table.coarse()[1, :NUM_LUMA] - blocks).max() <= 0.5


def test_histograms_count_the_blurred_share_of_each_level():
    levels = np.array([[[0, 0, 20, 255]]], np.uint8)
    wanted = np.zeros(16)
    for place in (0, 0, 1, 15):
        for shift, weight in ((-1, 0.25), (0, 0.5), (1, 0.25)):
            if 0 <= place + shift < 16:
                wanted[place + shift] += weight / 4
    assert histograms(levels, 16)[0] == pytest.approx(wanted)


def test_chunks_do_not_show(monkeypatch):
    pictures = [smooth_picture(number // 3) for number in range(20)]
    whole, added = signals_of(pictures)
    monkeypatch.setattr(signals_module, "CHUNK_FRAMES", 3)
    parts, added_in_parts = signals_of(pictures)
    assert added == added_in_parts
    assert parts.to_arrow().equals(whole.to_arrow())


def test_first_frames_of_shots_are_candidates_and_still_ones_are_not():
    _, added = signals_of([smooth_picture(number // 5) for number in range(20)])
    assert [number for number, is_candidate in enumerate(added) if is_candidate] == [5, 10, 15]


def test_tables_come_back_from_arrow_also_in_slices():
    table, _ = signals_of([smooth_picture(number) for number in range(5)])
    again = SignalTable.from_arrow(table.to_arrow())
    assert again.time_base == TIME_BASE
    assert again.to_arrow().equals(table.to_arrow())
    part = SignalTable.from_arrow(table.to_arrow().slice(2, 2))
    assert part.pts.tolist() == [80, 120]
    assert np.array_equal(part.pictures, table.pictures[2:4])


def test_no_frames_are_an_error():
    with pytest.raises(InputError, match="no frames"):
        CutSignals(CutConfig()).finish()
