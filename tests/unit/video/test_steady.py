"""Times that go forward, whatever the packets and frames of a stream say."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from videoldm.video.steady import FrameClock, SteadyPackets
from videoldm.video.time import mean_rate

TIME_BASE = Fraction(1, 10)


def packet(pts: int | None, dts: int | None) -> av.Packet:
    result = av.Packet(b"x")
    result.pts, result.dts, result.duration = pts, dts, 1
    return result


def moved(
    times: list[tuple[int | None, int | None]], container: str = "matroska"
) -> list[tuple[int | None, int | None]]:
    packets = SteadyPackets([packet(*time) for time in times], TIME_BASE, container)
    return [(one.pts, one.dts) for one in packets]


def test_times_of_one_recording_stay() -> None:
    times = [(3, 0), (1, 1), (2, 2), (6, 3), (4, 4), (5, 5), (500, 6)]
    assert moved(times) == times


def test_times_go_on_where_the_clock_starts_again() -> None:
    first = [(tick, tick) for tick in range(20)]
    second = [(2, 0), (1, 1), (4, 2), (3, 3)]
    assert moved([*first, *second]) == [*first, (22, 20), (21, 21), (24, 22), (23, 23)]
    thrice = SteadyPackets([packet(tick, tick) for tick in [*range(20)] * 3], TIME_BASE, "mpegts")
    assert [one.pts for one in thrice] == list(range(60))
    assert thrice.has_restarted


def test_clock_that_jumps_ahead_is_another_one_in_broadcasts_alone() -> None:
    jump = [(0, 0), (1, 1), (900, 900), (901, 901), (50, 50)]
    assert moved(jump, "mpegts") == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]
    assert moved(jump[:4]) == jump[:4]
    loss = [(0, 0), (90, 90)]  # less than 10 s
    assert moved(loss, "mpegts") == loss


@pytest.mark.parametrize("times", [[(9, 9), (8, 8), (10, 10)], [(None, 20), (None, 0)], [(20, None), (0, None)]])
def test_what_is_no_restart_stays(times: list[tuple[int | None, int | None]]) -> None:
    assert moved(times) == times


@pytest.mark.parametrize(
    ("times", "expected", "counted"),
    [
        ([0, 5, 6, 20], [0, 5, 6, 20], []),
        ([None, None, None], [0, 2, 4], [(0, 6)]),
        ([0, 0, 0, 8], [0, 2, 4, 8], [(2, 6)]),
        ([1, 3, 2, 7], [1, 3, 5, 7], [(5, 7)]),
        ([-4, None, 9], [-4, -2, 9], [(-2, 0)]),
    ],
)
def test_frames_are_counted_on_where_their_times_do_not_go_forward(
    times: list[int | None], expected: list[int], counted: list[tuple[int, int]]
) -> None:
    clock, found = FrameClock(usual_ticks=2), []
    for time in times:
        frame = av.VideoFrame.from_ndarray(np.zeros((2, 2), np.uint8), format="gray")
        frame.pts = time
        clock.stamp(frame)
        found.append(frame.pts)
    assert found == expected
    assert clock.counted == counted


@pytest.mark.parametrize(
    ("num_frames", "ticks", "time_base", "nominal", "expected"),
    [
        (31, 1000, Fraction(1, 1000), Fraction(10), Fraction(30)),
        (30, 967, Fraction(1, 1000), Fraction(20), Fraction(30)),
        (240, 9968, Fraction(1, 1000), None, Fraction(24000, 1001)),
        (11, 1000, Fraction(1, 1000), Fraction(30), Fraction(10)),
        (4, 700, Fraction(1, 1000), Fraction(30), Fraction(30, 7)),
        (1, 0, Fraction(1, 1000), Fraction(30), Fraction(30)),
        (1, 0, Fraction(1, 1000), None, None),
        (10, 9, Fraction(1, 25), Fraction(24), Fraction(25)),
    ],
)
def test_mean_rate_is_a_usual_one_within_rounding(
    num_frames: int, ticks: int, time_base: Fraction, nominal: Fraction | None, expected: Fraction | None
) -> None:
    assert mean_rate(num_frames, ticks, time_base, nominal=nominal) == expected
