"""What the documents show runs, and what they point to is there."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from videoldm.cli.dataset import CHECK
from videoldm.cli.options import Verb
from videoldm.video.probe import probe

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    assert not re.search(r"\bTODO\b|\bTBD\b|\bFIXME\b|lorem ipsum", page.read_text(), flags=re.IGNORECASE)


def test_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert probe("cone.mp4").video.num_frames == 14
    assert len([line for line in code.splitlines() if line]) == 5


def test_commands_of_the_readme_are_understood() -> None:
    lines = re.findall(r"^videoldm (\w+) ([^#\n]*)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert {verb for verb, _ in lines} == {"generate", "curate", "dataset", "train", "info", "bench", "convert"}
    for name, words in lines:
        _check_understood(name, shlex.split(words))


def test_commands_about_curation_are_understood() -> None:
    lines = re.findall(r"^videoldm curate ([^#\n]*)", (ROOT / "docs/curation.md").read_text(), flags=re.MULTILINE)
    assert {line.split()[0] for line in lines} == {"run", "status", "stats", "select", "export"}
    for line in lines:
        _check_understood("curate", shlex.split(line))


def _check_understood(name: str, words: list[str]) -> None:
    match name, words:
        case "curate", [verb, *words]:
            verb = importlib.import_module(f"videoldm.cli.curation.{verb.replace('-', '_')}").VERB
        case "dataset", ["check", *words]:
            verb = CHECK
        case _:
            verb = importlib.import_module(f"videoldm.cli.{name}").VERB
    assert isinstance(verb, Verb)
    verb.read(words)
