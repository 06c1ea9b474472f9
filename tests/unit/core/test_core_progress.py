"""Progress: a bar on a terminal, an occasional line elsewhere, nothing when silent."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from videoldm.core import progress as module
from videoldm.core.progress import progress, silent


class _Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def _stderr(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> _Stream:
    """A stream in place of stderr; called in the test itself, as pytest sets stderr anew after the fixtures."""
    stream = _Stream(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return stream


def _wait_for(text: str, terminal: _Stream) -> None:
    deadline = time.monotonic() + 30
    while text not in terminal.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _stderr(monkeypatch, is_terminal=True)
    with progress("Sampling", 3) as advance:
        for _ in range(3):
            advance()
    assert terminal.getvalue() == ""


def test_long_work_shows_bars_inside_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _stderr(monkeypatch, is_terminal=True)
    monkeypatch.setattr(module, "SHOW_AFTER_S", 0.05)
    with progress("Images", 2) as advance:
        advance()
        with progress("Sampling", 30) as advance_inner:
            advance_inner(12)
            _wait_for("12/30", terminal)
        advance()
        _wait_for("2/2", terminal)
    shown = terminal.getvalue()
    assert re.search(r"Images[^\r]*1/2[^\r]*\n[^\r]*Sampling[^\r]*12/30", shown)
    assert "Sampling" not in shown[shown.index("2/2") :]


def test_bar_is_gone_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _stderr(monkeypatch, is_terminal=True)
    monkeypatch.setattr(module, "SHOW_AFTER_S", 0.01)
    with pytest.raises(ZeroDivisionError), progress("Images", 2):
        _wait_for("Images", terminal)
        raise ZeroDivisionError
    shown = terminal.getvalue()
    assert "Images" in shown[: shown.rindex("\x1b[2K")]
    assert "\x1b[?25h" in shown  # the cursor is shown again
    assert "Images" not in shown[shown.rindex("\x1b[2K") :]
    with progress("Images", 2):  # a second display can be opened
        pass


def test_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    log = _stderr(monkeypatch, is_terminal=False)
    with progress("Sampling", 4) as advance:
        advance()
    assert log.getvalue() == ""
    with progress("Sampling", 8) as advance:
        clock = iter([10.0, 31.0, 40.0, 70.0])
        start = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: start + next(clock))
        for steps in (1, 1, 1, 3):
            advance(steps)
    assert log.getvalue() == "Sampling: 2 of 8, 93 s left\nSampling: 6 of 8, 23 s left\n"


def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _stderr(monkeypatch, is_terminal=True)
    monkeypatch.setattr(module, "SHOW_AFTER_S", 0.0)
    with silent(), progress("Images", 2) as advance:
        advance()
        time.sleep(0.05)
    assert terminal.getvalue() == ""
    with progress("Images", 2):
        time.sleep(0.2)
    assert "Images" in terminal.getvalue()
