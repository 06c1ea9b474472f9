"""How the benchmark on real footage counts findings."""

from fractions import Fraction
from pathlib import Path

import pytest
from real_footage.findings import Findings
from real_footage.scoring import Tally
from real_footage.videos import Event, TrueVideo

EVENTS = (Event("cut", 50, 50, "other"), Event("dissolve", 100, 120, "linear"), Event("fade", 200, 230, "black"))


def video(*events: Event) -> TrueVideo:
    shots = (Event("shot", 0, 300, "hand"),)
    return TrueVideo(Path("video.mp4"), "mixed", "", 300, Fraction(25), events, (), shots)


def tally(events: tuple[Event, ...], *, cuts: tuple[int, ...] = (), gradual=(), has_kinds: bool = True) -> Tally:
    result = Tally()
    result.add(video(*events), Findings(cuts, gradual, 1.0, has_kinds))
    return result


def counts(count) -> tuple[int, int, int]:
    return count.right, count.false, count.missed


def test_a_cut_counts_at_its_frame_alone():
    assert counts(tally(EVENTS, cuts=(50,)).cuts) == (1, 0, 0)
    assert counts(tally(EVENTS, cuts=(51,)).cuts) == (0, 1, 1)


def test_a_cut_in_a_gradual_transition_is_neither_right_nor_false():
    one = tally(EVENTS, cuts=(50, 110, 230))
    assert counts(one.cuts) == (1, 0, 0)
    assert counts(one.met) == (0, 0, 2)


@pytest.mark.parametrize(
    ("span", "met", "covered"),
    [((100, 120), 1, 1), ((110, 130), 1, 0), ((118, 125), 1, 0), ((60, 80), 0, 0), ((95, 120), 1, 1)],
)
def test_a_gradual_transition_is_met_or_covered(span, met, covered):
    one = tally(EVENTS[:2], gradual=(span,))
    assert counts(one.met) == (met, 1 - met, 1 - met)
    assert counts(one.covered) == (covered, 1 - covered, 1 - covered)


def test_a_finding_counts_once_and_more_in_one_transition_are_not_false():
    assert counts(tally(EVENTS[1:], gradual=((100, 230),)).met) == (1, 0, 1)
    assert counts(tally(EVENTS[1:2], gradual=((100, 108), (112, 120))).met) == (1, 0, 0)


def test_single_frames_meet_transitions_or_count_as_cuts():
    one = tally(EVENTS, cuts=(50, 120, 205, 260), has_kinds=False)
    assert counts(one.met) == (2, 0, 0)
    assert counts(one.cuts) == (1, 1, 0)


def test_false_changes_count_where_nothing_is_gradual():
    one = tally(EVENTS[:1], cuts=(50, 70), gradual=((200, 220),))
    assert (one.false_gradual, one.false_changes, one.steady_s) == (1, 2, 12.0)
    assert tally(EVENTS, gradual=((60, 70),)).steady_s == 0
