"""Names near to one that is not known."""

from videoldm.core.errors import closest, hint


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
