"""Running the command line inside the test's process, in an empty folder."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from videoldm.cli.main import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class CommandLine:
    """Call it with the words after `videoldm`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *words: object) -> Outcome:
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        captured = self._capsys.readouterr()
        return Outcome(int(code), captured.out, captured.err)

    def succeeds(self, *words: object) -> str:
        """What a call that should work prints."""
        outcome = self(*words)
        assert outcome.code == 0, outcome.err
        return outcome.out

    def refuses(self, *words: object) -> str:
        """The one line that a call with bad input prints; nothing else may have happened."""
        before = self.content()
        outcome = self(*words)
        assert (outcome.code, outcome.out) == (2, ""), outcome
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1, outcome.err
        assert self.content() == before
        return outcome.err.removeprefix("error: ").rstrip("\n")

    def content(self) -> dict[str, bytes | None]:
        """Every file below the folder with its bytes, every folder with None."""
        paths = sorted(self.folder.rglob("*"))
        return {str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line; a conftest imports this fixture to offer it."""
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, capsys)
