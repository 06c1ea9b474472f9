"""The rule of spans against a slow twin that knows which frame refers to which, on made-up orders of packets."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoldm.core.errors import InputError
from videoldm.video.bitstream.roles import PacketRole
from videoldm.video.copy_span import NothingToCopy, access_points, copy_span, span_packets
from videoldm.video.packets import NO_VALUE, PacketIndex

A, F, L, H, U, S = (PacketRole[name] for name in ("ACCESS", "FRAME", "LEADING", "HIDDEN", "UNUSABLE", "SPLICE"))


def index_of(rows, *, duration=10):
    """An index of packets given as (role, pts) in decode order."""
    roles, pts = zip(*rows, strict=True)
    number = np.arange(len(rows))
    return PacketIndex(
        stream=0, codec="h264", time_base=Fraction(1, 100), pts=np.array(pts, np.int64), dts=number * 10,
        duration=np.full(len(rows), duration), size=np.ones(len(rows), np.int64), position=number,
        is_keyframe=np.zeros(len(rows), bool), role=np.array(roles, np.uint8),
        shift=np.zeros(len(rows), np.int64), problems=(),
    )  # fmt: skip


PYRAMID = [(A, 0), (F, 40), (F, 20), (F, 10), (F, 30), (F, 80), (F, 60), (F, 50), (F, 70)]


@pytest.mark.parametrize(
    ("end", "frames", "end_pts"),
    [(90, 9, 90), (85, 9, 85), (81, 9, 81), (80, 5, 50), (70, 5, 50), (45, 5, 45), (41, 5, 41), (40, 1, 10), (5, 1, 5)],
)
def test_end_moves_back_to_the_last_frame_whose_references_are_inside(end, frames, end_pts):
    span = copy_span(index_of(PYRAMID), 0, end)
    assert (span.num_frames, span.end_pts) == (frames, end_pts)
    assert span.lost_at_end == Fraction(end - end_pts, 100)


def test_start_moves_on_to_an_access_point_and_leaves_its_leading_pictures_out():
    index = index_of([(A, 0), (F, 10), (A, 40), (L, 20), (L, 30), (F, 60), (F, 50)])
    span = copy_span(index, 5, 70)
    assert (span.start_pts, span.end_pts, span.num_frames) == (40, 70, 3)
    assert span.lost_at_start == Fraction(35, 100)
    assert span_packets(index, span).tolist() == [2, 5, 6]
    # From the beginning, the leading pictures are part of it.
    assert copy_span(index, 0, 70).num_frames == 7


@pytest.mark.parametrize(
    ("rows", "points"),
    [
        ([(A, 0), (F, 20), (A, 10)], [0]),  # something decoded before is shown after it
        ([(A, 0), (A, 20), (F, 10)], [0]),  # shown before it, but no leading picture
        ([(A, 0), (A, 20), (L, 10)], [0, 1]),
        ([(A, 0), (A, 20), (U, 10)], [0, 1]),
        ([(A, 0), (A, 20), (U, NO_VALUE)], [0, 1]),
        ([(A, 0), (S, 10)], [0, 1]),
    ],
)
def test_access_points_agree_with_the_times(rows, points):
    assert access_points(index_of(rows)).tolist() == points


def test_a_span_has_no_hole():
    # The frame at 20 comes after one beyond the end, or cannot be read: so 40 would be shown without it.
    assert copy_span(index_of([(A, 0), (F, 10), (F, 40), (F, 80), (F, 20)]), 0, 50).num_frames == 2
    assert copy_span(index_of([(A, 0), (F, 10), (F, 40), (U, 20)]), 0, 50).num_frames == 2


def test_what_ends_a_run():
    assert copy_span(index_of([(A, 0), (F, 10), (U, 20), (F, 30)]), 0, 40).end_pts == 20
    assert copy_span(index_of([(A, 0), (F, 10), (S, 20), (F, 30)]), 0, 40).end_pts == 20
    assert copy_span(index_of([(A, 0), (F, 10), (S, 20), (F, 30)]), 15, 40).num_frames == 2
    hidden = index_of([(A, 0), (H, 5), (F, 10), (H, 15), (F, 20)])
    assert (copy_span(hidden, 0, 30).num_frames, copy_span(hidden, 0, 20).end_packet) == (3, 3)


def test_end_of_the_last_frame():
    assert copy_span(index_of([(A, 0), (F, 7)], duration=3), 0, 99).end_pts == 10
    assert copy_span(index_of([(A, 0), (F, 7)], duration=0), 0, 99).end_pts == 14  # as long as the others


def test_reasons():
    assert copy_span(index_of([(A, 0), (F, 10)]), 5, 20) == NothingToCopy("no verified access point in the span")
    with pytest.raises(InputError, match="from 5 to 5 ticks, its end should be after its start"):
        copy_span(index_of([(A, 0)]), 5, 5)


@st.composite
def videos(draw):
    """Groups of 1 to 8 frames, each in any decode order that begins with its access point; some groups are open.

    Times are uneven. Returned are the rows, and the numbers of all packets before which each one cannot be decoded.
    """
    rows, references, time, last = [], [], 0, None
    for _ in range(draw(st.integers(1, 4))):
        times = []
        for _ in range(draw(st.integers(1, 8))):
            time += draw(st.integers(1, 9))
            times.append(time)
        num_leading = draw(st.integers(0, len(times) - 1)) if rows else 0
        access = len(rows)
        rows.append((A, times[num_leading]))
        references.append([])
        for leading in draw(st.permutations(times[:num_leading])):
            references.append([access, *([last] if last is not None else [])])
            rows.append((L, leading))
        trailing = access
        for later in draw(st.permutations(times[num_leading + 1 :])):
            references.append([trailing])  # each on the one before: all orders matter
            trailing = len(rows)
            rows.append((F, later))
        last = trailing
    return rows, references


def needed(references, number):
    found = {number}
    for reference in references[number]:
        found |= needed(references, reference)
    return found


def slow_span(rows, references, start, end):
    """The longest list of frames, in the order shown, that can be copied and of which none is missing."""
    shown = sorted(range(len(rows)), key=lambda number: rows[number][1])
    first = next((n for n in shown if rows[n][0] == A and start <= rows[n][1] < end), None)
    if first is None:
        return []
    candidates = [n for n in shown if rows[first][1] <= rows[n][1] < end]
    for length in range(len(candidates), 0, -1):
        kept = candidates[:length]
        if all(needed(references, n) <= set(kept) for n in kept):
            return kept
    return []


@given(videos(), st.data())
def test_longest_span_that_can_be_decoded(video, data):
    rows, references = video
    last = max(pts for _, pts in rows)
    start = data.draw(st.integers(-2, last))
    length = data.draw(st.integers(1, last + 2 - start))
    index = index_of(rows)
    span = copy_span(index, start, start + length)
    expected = slow_span(rows, references, start, start + length)
    if isinstance(span, NothingToCopy):
        assert expected == []
        return
    found = span_packets(index, span).tolist()
    assert found == sorted(expected)
    assert span.num_frames == len(expected)
    assert start <= span.start_pts < span.end_pts <= start + length
