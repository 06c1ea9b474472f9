"""Long videos: what the record says must be seen in the frames, at exactly the frames it names."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from pydantic import ValidationError

from videoldm.synthetic.long import LongVideo
from videoldm.synthetic.timeline import LongVideoOptions, plan_long_video

SMALL = {
    "height": 48,
    "width": 80,
    "fps": Fraction(10),
    "shortest_shot_s": 1.2,
    "longest_shot_s": 1.8,
    "transition_s": (0.3, 0.7),
    "flash_s": (0.2, 0.4),
}


def difference(a, b):
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def drawn(seed=0, **changes):
    video = LongVideo(seed, 0, LongVideoOptions(**{**SMALL, **changes}))
    return video.record, np.stack(list(video.frames()))


def inside(polygon):
    """Pixels of a 64 x 112 frame whose middle is less than 0.75 px outside the clockwise convex polygon."""
    y, x = np.mgrid[0:64, 0:112] + 0.5
    result = np.ones((64, 112), dtype=bool)
    for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        result &= cross > -0.75 * np.hypot(bx - ax, by - ay)
    return result


@pytest.fixture(scope="module")
def mixed():
    return drawn(3, num_shots=7, static_shot=0.5, text_on_shot=0.6)


def test_the_record_counts_the_frames(mixed):
    record, frames = mixed
    assert frames.shape == (record.num_frames, 48, 80, 3)
    assert frames.dtype == np.uint8
    assert len(record.shots) == 7
    assert len(record.transitions) == 6
    assert record.shots[0].span.first_frame == 0
    assert record.shots[-1].span.last_frame == record.num_frames - 1
    for before, after, between in zip(record.shots, record.shots[1:], record.transitions, strict=False):
        overlap = before.span.last_frame - after.span.first_frame + 1
        size = between.span.last_frame - between.span.first_frame + 1
        assert overlap == (size if between.kind == "dissolve" else 0)


def test_the_same_arguments_give_the_same_frames(mixed):
    record, frames = mixed
    again, frames_again = drawn(3, num_shots=7, static_shot=0.5, text_on_shot=0.6)
    assert record == again
    assert np.array_equal(frames, frames_again)
    assert plan_long_video(4, 0, LongVideoOptions(**SMALL)) != plan_long_video(4, 1, LongVideoOptions(**SMALL))


def test_cuts_are_jumps_between_the_named_frames():
    record, frames = drawn(1, transitions={"cut": 1.0}, text_on_shot=0, flash_inside_shot=0, num_shots=5)
    steps = np.array([difference(a, b) for a, b in itertools.pairwise(frames)])
    cuts = [transition.span.first_frame for transition in record.transitions]
    jumps = steps[[cut - 1 for cut in cuts]]
    assert jumps.min() > 2.5 * np.delete(steps, [cut - 1 for cut in cuts]).max()


def test_fades_are_black_in_the_middle_and_start_and_end_where_recorded():
    options = {"text_on_shot": 0.0, "flash_inside_shot": 0.0, "num_shots": 3, "static_shot": 1.0}
    record, frames = drawn(2, transitions={"fade": 1.0}, **options)
    for number, transition in enumerate(record.transitions):
        first, last = transition.span.first_frame, transition.span.last_frame
        middle = (first + last) // 2
        assert frames[middle].max() == 0
        assert middle == transition.new_shot_frame
        level = frames[first - 1 : last + 2].mean(axis=(1, 2, 3))
        assert (np.diff(level[: middle - first + 2]) < 0).all()
        assert (np.diff(level[middle - first + 1 :]) > 0).all()
        # Beyond both ends the static shots stand as they are.
        clear = record.transitions[number - 1].span.last_frame + 1 if number else 0
        assert np.array_equal(frames[first - 1], frames[clear])
        assert np.array_equal(frames[last + 1], frames[last + 2])


def test_flashes_are_white_in_the_middle():
    record, frames = drawn(2, transitions={"flash": 1.0}, text_on_shot=0, flash_inside_shot=1, num_shots=3)
    flashes = [transition.span for transition in record.transitions] + list(record.inner_flashes)
    assert len(record.inner_flashes) >= 2
    for flash in flashes:
        assert frames[(flash.first_frame + flash.last_frame) // 2].min() == 255
        assert frames[flash.first_frame - 1].mean() < frames[flash.first_frame].mean() < 255


def test_dissolves_mix_both_shots_evenly():
    options = {"text_on_shot": 0.0, "flash_inside_shot": 0.0, "num_shots": 4, "static_shot": 1.0}
    record, frames = drawn(5, transitions={"dissolve": 1.0}, **options)
    for transition in record.transitions:
        first, last = transition.span.first_frame, transition.span.last_frame
        old, new = frames[first - 1].astype(float), frames[last + 1].astype(float)
        for frame in range(first, last + 1):
            share = (frame - first + 1) / (last - first + 2)
            assert np.abs(frames[frame] - (old + (new - old) * share)).max() <= 1.5
            assert (share >= 0.5) == (frame >= transition.new_shot_frame)


def test_static_spans_are_exactly_the_frames_that_repeat(mixed):
    record, frames = mixed
    assert len(record.static_spans) >= 2
    repeats = {i for i in range(1, len(frames)) if np.array_equal(frames[i], frames[i - 1])}
    recorded = {i for span in record.static_spans for i in range(span.first_frame + 1, span.last_frame + 1)}
    assert repeats == recorded


def test_text_is_inside_its_polygon_on_its_frames_only():
    options = {"flash_inside_shot": 0.0, "static_shot": 0.5, "num_shots": 6, "height": 64, "width": 112}
    record, frames = drawn(7, text_on_shot=1.0, turned_text=0.5, **options)
    plain_record, plain = drawn(7, text_on_shot=0.0, **options)
    assert [s.span for s in record.shots[:1]] == [s.span for s in plain_record.shots[:1]]
    assert len(record.texts) == 6
    assert any(box.angle_deg for box in record.texts)
    changed = (frames != plain).any(axis=-1)
    for number in range(len(frames)):
        allowed = np.zeros((64, 112), dtype=bool)
        for box in record.texts:
            assert all(0 <= x <= 112 and 0 <= y <= 64 for x, y in box.polygon)
            if box.first_frame <= number <= box.last_frame:
                allowed |= inside(box.polygon)
        assert not (changed[number] & ~allowed).any()
    for box in record.texts:
        area = changed[(box.first_frame + box.last_frame) // 2]
        left, right = (int(f(x for x, _ in box.polygon)) for f in (min, max))
        columns = np.flatnonzero(area.any(axis=0)[max(left, 0) : right])
        assert columns[-1] - columns[0] > 0.75 * (right - left)  # the polygon is no wider than the text needs


def test_a_plan_needs_no_frames_and_frames_come_one_by_one():
    video = LongVideo(0, 0, LongVideoOptions(num_shots=100, **SMALL))
    assert video.record.num_frames > 500
    assert next(video.frames()).shape == (48, 80, 3)


def test_wrong_options_are_refused():
    with pytest.raises(ValidationError, match="longest_shot_s"):
        LongVideoOptions(shortest_shot_s=3, longest_shot_s=2)
    with pytest.raises(ValidationError, match="transition_s"):
        LongVideoOptions(transition_s=(0.5, 5.0))
    with pytest.raises(ValidationError, match="transitions"):
        LongVideoOptions(transitions={"cut": 0.0})


def test_transitions_never_meet():
    """Each shot stands alone for a frame at least, also where transitions are as long as shots allow."""
    options = LongVideoOptions(
        fps=Fraction(10),
        shortest_shot_s=1.6,
        longest_shot_s=1.7,
        transition_s=(0.9, 0.96),
        transitions={"dissolve": 1.0, "fade": 1.0},
        num_shots=8,
    )
    for index in range(50):
        record = plan_long_video(0, index, options)
        spans = [transition.span for transition in record.transitions]
        for earlier, later in itertools.pairwise(spans):
            assert earlier.last_frame + 1 < later.first_frame
            assert later.first_frame <= later.last_frame
