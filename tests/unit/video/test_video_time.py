from fractions import Fraction

import pytest

from videoldm.core.errors import InputError
from videoldm.video.time import Timestamp, exact_seconds, frame_times, parse_rate


def test_timestamp_is_exact():
    assert Timestamp(1001, Fraction(1, 24000)).time == Fraction(1001, 24000)
    assert sum((Timestamp(1, Fraction(1, 3)).time for _ in range(3)), Fraction(0)) == 1


def test_exact_seconds_refuses_plain_numbers():
    assert exact_seconds(Timestamp(3, Fraction(1, 4))) == exact_seconds(Fraction(3, 4)) == Fraction(3, 4)
    for value in (1, 0.5, "1"):
        with pytest.raises(InputError, match=r"start is .* Timestamp .* Fraction"):
            exact_seconds(value, name="start")


def test_frame_times_do_not_drift():
    fps = Fraction(24000, 1001)
    times = frame_times(Fraction(5), 24001, fps)
    assert times[0] == 5
    assert times[24000] == 5 + 1001


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (25, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (0.1, Fraction(1, 10)),
        (29.97, Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(2997, 100), Fraction(2997, 100)),
        (24.0, Fraction(24)),
    ],
)
def test_rates_mean_what_their_author_wrote(value, expected):
    assert parse_rate(value) == expected


@pytest.mark.parametrize(
    "value", [0, -1, float("nan"), float("inf"), "fast", "", "1/0", 1001, True, Fraction(1, 10**7), None]
)
def test_impossible_rates_are_refused(value):
    with pytest.raises(InputError, match="output_fps is"):
        parse_rate(value, name="output_fps")
