"""Tone mapping of HDR levels that are known in nits."""

from __future__ import annotations

import av
import numpy as np
import pytest

from videoldm.video.hdr import is_hdr, tone_mapped

WHITE_NITS, GAMMA = 203, 2.4
PQ, HLG, BT709 = 16, 18, 1


def frame_of(transfer: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.zeros((2, 2), np.uint8), format="gray")
    frame.color_trc, frame.color_primaries = transfer, 9
    return frame


def pq_level(nits: float) -> int:
    root = (nits / 10_000) ** 0.1593017578125
    return round(65535 * ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375)


def grey(level: int, transfer: int) -> int:
    [red, green, blue] = tone_mapped(np.full((1, 1, 3), level, np.uint16), frame_of(transfer))[0, 0]
    assert max(red, green, blue) - min(red, green, blue) <= 1
    return int(green)


@pytest.mark.parametrize("nits", [0, 1, 5, 26, 50, 100, 130])
def test_below_the_knee_pq_is_as_sdr(nits: float) -> None:
    assert grey(pq_level(nits), PQ) == pytest.approx(255 * (nits / WHITE_NITS) ** (1 / GAMMA), abs=1.5)


def test_highlights_stay_in_order_up_to_white() -> None:
    found = [grey(pq_level(nits), PQ) for nits in (150, 203, 300, 500, 800, 1000, 4000)]
    assert found == [*sorted(set(found[:-1])), 255]
    assert found[1] == pytest.approx(236, abs=2)


def test_hlg_is_as_pq_of_the_same_light() -> None:
    # BT.2100, table 5: a signal of 0.5 is scene light of 1/12, shown at 1000 nits with a gamma of 1.2.
    nits = 1000 * (1 / 12) ** 1.2
    assert grey(65535 // 2, HLG) == pytest.approx(grey(pq_level(nits), PQ), abs=1)
    assert (grey(0, HLG), grey(65535, HLG)) == (0, 255)


def test_hues_stay_in_highlights() -> None:
    dark, bright = (
        tone_mapped(np.array([[[pq_level(scale * nits) for nits in (4, 2, 1)]]], np.uint16), frame_of(PQ))[0, 0]
        for scale in (10, 120)
    )
    assert bright.max() > 235 > dark.max()
    assert bright / bright.max() == pytest.approx(dark / dark.max(), abs=0.02)


def test_sdr_is_no_hdr() -> None:
    assert not is_hdr(frame_of(BT709))
