"""Verbs, errors and exit codes."""

import errno
import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from command_line import CommandLine

from videoldm import __version__
from videoldm.cli.main import SUMMARIES, main
from videoldm.core.errors import ExitCode, InputError, Interrupted, SomeItemsFailed

VERBS = "generate, curate, dataset, train, personalise, bench, convert, info"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["--debug", "--help"]])
def test_help_names_the_verbs(cli: CommandLine, words: list[str]) -> None:
    page = cli.succeeds(*words)
    assert all(f"  {verb} " in page for verb in SUMMARIES)
    assert "videoldm generate photo.jpg" in page


def test_version(cli: CommandLine) -> None:
    assert cli.succeeds("--version") == f"videoldm {__version__}\n"


@pytest.mark.parametrize("verb", SUMMARIES)
def test_every_verb_has_help_with_examples(cli: CommandLine, verb: str) -> None:
    page = cli.succeeds(verb, "--help")
    assert f"usage: videoldm {verb}" in page
    assert f"\n  videoldm {verb} " in page


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], f"a command is missing: give {VERBS} or --help"),
        (["generat"], "unknown command 'generat', did you mean generate?"),
        (["photo.jpg"], f"unknown command 'photo.jpg', the commands are {VERBS}"),
        (["--verbose"], f"unknown command '--verbose', the commands are {VERBS}"),
        (["info", "--jso", "x"], "info: unknown option --jso, did you mean --json?"),
        (["info"], "info: the target is missing, see videoldm info --help"),
    ],
)
def test_what_no_verb_understands(cli: CommandLine, words: list[str], line: str) -> None:
    assert cli.refuses(*words) == line


def _raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("videoldm.cli.info"), "describe", fail)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("a.jpg: is empty"), 2, "error: a.jpg: is empty"),
        (SomeItemsFailed([("a", "b")], num_items=2), 1, "1 of 2 items failed:\n  a: b"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted("go on with x"), 130, "go on with x"),
        (FloatingPointError("loss is nan"), 1, "training stopped: loss is nan"),
        (OSError(errno.ENOSPC, "No space left on device", "log"), 2, "error: log: cannot be written: No space left"),
        (RuntimeError("odd\n  thing"), 70, "unexpected RuntimeError: odd thing; run again with --debug for the trace"),
        (KeyError(), 70, "unexpected KeyError: no message; run again with --debug"),
    ],
)
def test_errors_become_a_line_and_a_code(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    _raises(monkeypatch, error)
    outcome = cli("info", "x")
    assert outcome.code == code
    assert outcome.err.startswith(text)
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("words", [["--debug", "info", "x"], ["info", "x", "--debug"]])
def test_debug_shows_the_traceback(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    _raises(monkeypatch, RuntimeError("odd"))
    outcome = cli(*words)
    assert outcome.code == ExitCode.CRASHED
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("unexpected RuntimeError: odd")


def test_our_warnings_are_one_line_and_those_of_libraries_hidden(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn(*_: object) -> dict[str, str]:
        warnings.warn_explicit("prompt is long", UserWarning, "text.py", 3, module="videoldm.conditioners.text")
        warnings.warn_explicit("deprecated thing", UserWarning, "x.py", 3, module="torch.nn")
        return {"kind": "x"}

    monkeypatch.setattr(importlib.import_module("videoldm.cli.info"), "describe", warn)
    assert cli("info", "x").err == "warning: prompt is long\n"


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    script = "import os, sys; from videoldm.cli.main import main; sys.stdin.read(); sys.exit(main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(b"", timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_exit_codes_of_the_process_and_nothing_heavy_before_it_is_needed(tmp_path: Path) -> None:
    """Help, listings and the usual mistakes answer without torch, which takes longer to import than `--help` may."""
    calls = [
        ["--help"],
        ["generate", "--help"],
        ["generate", "missing.jpg"],
        ["train", "--list"],
        ["train", "mini-video", "--print-config"],
        ["info", "missing.mp4"],
    ]
    script = f"""
import json, sys
from videoldm.cli.main import main
heavy = {{"torch", "transformers", "av", "cv2"}}
seen = [[main(words), sorted(heavy & set(sys.modules))] for words in {calls!r}]
print(json.dumps(seen))
sys.exit(main(["generate"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env={**os.environ}, check=False
    )
    assert done.returncode == ExitCode.BAD_INPUT, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[0, []], [0, []], [2, []], [0, []], [0, []], [2, []]]
    assert "Traceback" not in done.stderr


def test_words_of_the_process_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["videoldm", "--version"])
    assert main() == 0
