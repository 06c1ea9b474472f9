"""Exit codes: what scripts see."""

from __future__ import annotations

import pytest

from videoldm.core.errors import ExitCode, InputError, Interrupted, SomeItemsFailed, closest, exit_code, hint


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (SomeItemsFailed([("a.jpg", "is empty")], num_items=3), 1),
        (InputError("steps is 0, it should be at least 1"), 2),
        (KeyboardInterrupt(), 130),
        (Interrupted("continue with the same command"), 130),
        (ZeroDivisionError(), 70),
        (ValueError("not about the user's input"), 70),
    ],
)
def test_exit_codes(error: BaseException | None, code: int) -> None:
    assert exit_code(error) == code
    assert isinstance(exit_code(error), ExitCode)


def test_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)


def test_failed_items_are_listed() -> None:
    error = SomeItemsFailed([("a.jpg", "is empty"), ("b.jpg", "is text")], num_items=3)
    assert str(error) == "2 of 3 items failed:\n  a.jpg: is empty\n  b.jpg: is text"
    assert error.failures == (("a.jpg", "is empty"), ("b.jpg", "is text"))


def test_closest_names() -> None:
    assert closest("--heigth", ["--height", "--width"]) == ["--height"]
    assert closest("--frames", ["--num-frames", "--fps"]) == ["--num-frames"]
    assert closest("--xyz", ["--num-frames", "--fps"]) == []


def test_nearest_comes_first_and_case_does_not_matter() -> None:
    known = ["text_motion", "motion_pan_x", "motion_pan_y", "motion_zoom", "motion"]
    assert closest("motoin", known)[0] == "motion"
    assert closest("MOTION", known)[0] == "motion"
    assert closest("readme", ["CHANGELOG", "README"]) == ["README"]
    assert len(closest("motion", known)) == 3


def test_hint_says_what_there_is_where_nothing_is_near() -> None:
    assert hint("runn", ["run", "stats"], "the verbs are run, stats") == "did you mean run?"
    assert hint("fly", ["run", "stats"], "the verbs are run, stats") == "the verbs are run, stats"
