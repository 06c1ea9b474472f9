"""Which files are curated."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from videoldm.core.errors import InputError
from videoldm.curation.inputs import find_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.mkv", "notes.txt", ".hidden.mp4", "in/c d.webm", "in/.git/e.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def paths(folder: Path, *names: str) -> list[str]:
    return [os.path.relpath(one.path, folder) for one in find_inputs([str(folder / name) for name in names])]


def test_folder_gives_all_videos_below_it_in_order(folder: Path) -> None:
    assert paths(folder, "") == ["a.mkv", "b.mp4", "in/c d.webm"]


def test_each_file_comes_once_in_the_order_of_first_mention(folder: Path) -> None:
    assert paths(folder, "b.mp4", "", "*.mkv") == ["b.mp4", "a.mkv", "in/c d.webm"]


def test_named_file_may_have_any_ending(folder: Path) -> None:
    assert paths(folder, "notes.txt") == ["notes.txt"]


def test_patterns_reach_into_folders(folder: Path) -> None:
    assert paths(folder, "**/*.webm") == ["in/c d.webm"]


def test_lists_bring_metadata(folder: Path) -> None:
    (folder / "list.csv").write_text('path,caption,licence\nb.mp4,"a cat, asleep",CC0\nin/c d.webm,,\n')
    one, two = find_inputs([str(folder / "list.csv")])
    assert (one.path, dict(one.metadata)) == (str(folder / "b.mp4"), {"caption": "a cat, asleep", "licence": "CC0"})
    assert dict(two.metadata) == {}
    pq.write_table(pa.table({"path": ["b.mp4"], "score": [3]}), folder / "list.parquet")
    [one] = find_inputs([str(folder / "list.parquet")])
    assert dict(one.metadata) == {"score": "3"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.mp4", "does not exist"),
        ("*.avi", "no file matches this pattern"),
        ("in/.git", "no videos found"),
        ("bad.csv", "row 1: has no 'path'"),
    ],
)
def test_what_means_nothing_is_refused(folder: Path, name: str, reason: str) -> None:
    (folder / "bad.csv").write_text("file\nb.mp4\n")
    (folder / "in/.git/e.mp4").unlink()
    with pytest.raises(InputError, match=reason):
        find_inputs([str(folder / name)])


def test_urls_name_files_patterns_and_folders(folder: Path) -> None:
    def names(name: str) -> list[str]:
        return [one.path.removeprefix(f"file://{folder}/") for one in find_inputs([f"file://{folder}{name}"])]

    assert names("") == ["a.mkv", "b.mp4", "in/c d.webm"]
    assert names("/?.m*") == ["a.mkv", "b.mp4"]
    assert names("/b.mp4") == ["b.mp4"]
    with pytest.raises(InputError, match="no videos found"):
        find_inputs([f"file://{folder}/*.avi"])
    with pytest.raises(InputError, match="nowhere://x: cannot be opened"):
        find_inputs(["nowhere://x"])


def test_list_adds_to_what_a_folder_found_and_keeps_lines_of_text(folder: Path) -> None:
    (folder / "list.csv").write_text('path,caption\nb.mp4,"first\nsecond \x85 third"\n')
    found = find_inputs([str(folder), str(folder / "list.csv")])
    [one] = [one for one in found if one.metadata]
    assert (one.path, one.metadata["caption"]) == (str(folder / "b.mp4"), "first\nsecond \x85 third")


def test_paths_are_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert [one.path for one in find_inputs(["b.mp4", "./in/../b.mp4", "*.mkv"])] == [
        str(folder / "b.mp4"),
        str(folder / "a.mkv"),
    ]


def test_empty_list_is_named(folder: Path) -> None:
    (folder / "list.csv").write_text("path,caption\n")
    with pytest.raises(InputError, match="lists no video"):
        find_inputs([str(folder / "list.csv")])
