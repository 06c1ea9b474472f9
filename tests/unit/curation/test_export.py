"""Exports into folders that hold something already, and onto disks that are full."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from curated import CONFIG, Inline, curate, files
from fault_videos import write

from videoldm.core.errors import InputError, OutputError
from videoldm.curation.config import ClipConfig
from videoldm.curation.export import cut_out
from videoldm.curation.export.cut_out import CutOutOptions
from videoldm.curation.export.export import export_files, export_shards, rows_to_export
from videoldm.curation.store.dataset import Dataset

NUM_VIDEOS, SHOT_FRAMES = 2, 40
USUAL, LONG, EXACT = CutOutOptions(), CutOutOptions(shortest_s=Fraction(3, 2)), CutOutOptions(is_exact=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Of each video one clip can be copied whole, and of the other 1.4 s of 1.6 s."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "raw").mkdir()
    for number in range(NUM_VIDEOS):
        draw = np.random.default_rng(number)
        shots = [draw.integers(low, low + 60, (6, 8, 3), np.uint8) for low in (10, 180)]
        frames = [np.kron(shot, np.ones((16, 16, 1), np.uint8)) for shot in shots for _ in range(SHOT_FRAMES)]
        write(folder / f"raw/{number}.mp4", frames, codec_options={"g": "15", "bf": "0", "sc_threshold": "0"})
    config = CONFIG.model_copy(update={"annotations": (), "clips": ClipConfig(min_s=0.5)})
    return curate(folder / "dataset", folder / "raw", config=config)


class Export:
    """Exports of a dataset as one format."""

    def __init__(self, dataset: Dataset, form: str) -> None:
        self.clips = rows_to_export(dataset, None)
        self._form = form

    def __call__(self, folder: Path, cutting: CutOutOptions, num_clips: int = 4, executor: Any = None) -> list[Any]:
        clips = self.clips.slice(0, num_clips)
        folder.mkdir(exist_ok=True)
        if self._form == "files":
            return export_files(clips, folder, executor or Inline(), cutting)
        return export_shards(clips, folder, executor or Inline(), cutting, shard_size=2)


@pytest.fixture(params=["files", "webdataset"])
def export(request: pytest.FixtureRequest, dataset: Dataset) -> Export:
    return Export(dataset, request.param)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((USUAL, 4), (LONG, 4)),
        ((LONG, 4), (USUAL, 4)),
        ((USUAL, 4), (EXACT, 4)),
        ((EXACT, 4), (USUAL, 4)),
        ((EXACT, 4), (LONG, 2)),
        ((USUAL, 1), (USUAL, 4)),
    ],
)
def test_used_folder_ends_as_a_new_one(export: Export, tmp_path: Path, before: Any, after: Any) -> None:
    export(tmp_path / "used", *before)
    failed = export(tmp_path / "used", *after)
    assert failed == export(tmp_path / "new", *after)
    assert files(tmp_path / "used") == files(tmp_path / "new")
    assert len(failed) == (after[1] // 2 if after[0] == LONG else 0)


def test_what_is_there_is_not_made_again(export: Export, tmp_path: Path) -> None:
    export(tmp_path / "clips", USUAL)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.[mt][pa][4r]")}
    executor = Inline()
    assert export(tmp_path / "clips", USUAL, executor=executor) == []
    assert executor.names() == []
    lost = min(times)
    content = lost.read_bytes()
    lost.unlink()
    export(tmp_path / "clips", USUAL, executor=executor)
    assert executor.names() in (["cut_out"], ["write_shard"])
    assert lost.read_bytes() == content
    assert all(path.stat().st_mtime_ns == time for path, time in times.items() if path != lost)


def test_only_what_differs_is_cut_anew(dataset: Dataset, tmp_path: Path) -> None:
    export, executor = Export(dataset, "files"), Inline()
    export(tmp_path, USUAL)
    export(tmp_path, EXACT, executor=executor)
    anew = [clip["clip_id"] for _, task in executor.done for clip in task.clips]
    index = pq.ParquetFile(tmp_path / "clips.parquet").read().to_pylist()
    assert sorted(anew) == [row["clip_id"] for row in index if not row["is_copy"]]
    assert len(anew) == NUM_VIDEOS


def test_removed_clips_are_told_and_other_files_stay(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = Export(dataset, "files")
    export(tmp_path, USUAL)
    assert "removing" not in capsys.readouterr().err
    [folder, *_] = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    for name in (tmp_path / "README.md", folder / "notes.txt"):
        name.write_text("mine")
    (folder / f".{'0' * 32}.mp4").touch()  # of an export that was killed
    export(tmp_path, USUAL, num_clips=1)
    told = f"{tmp_path}: removing 3 of the 4 clips of an earlier export"
    assert told in capsys.readouterr().err.splitlines()
    left = {name for name in files(tmp_path) if not name.endswith((".json", ".mp4"))}
    assert left == {"README.md", f"{folder.name}/notes.txt", "clips.parquet"}
    assert len(list(tmp_path.rglob("*.mp4"))) == 1


def test_full_disk_ends_an_export_at_once(export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: Path, value: object) -> None:
        raise OutputError(f"{path}: cannot be written: the disk is full")

    export(tmp_path / "clips", USUAL)
    with monkeypatch.context() as patch:
        patch.setattr(cut_out, "write_json", fill)
        executor = Inline()
        with pytest.raises(InputError, match="cannot be written: the disk is full"):
            export(tmp_path / "clips", EXACT, executor=executor)
        assert len(executor.done) == 1
    export(tmp_path / "clips", USUAL)
    export(tmp_path / "new", USUAL)
    assert files(tmp_path / "clips") == files(tmp_path / "new")
