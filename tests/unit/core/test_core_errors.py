"""Exit codes: what scripts see."""

from __future__ import annotations

import pytest

from videoldm.core.errors import ExitCode, InputError, Interrupted, SomeItemsFailed, exit_code


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
