"""Runs that lose a process, a source or themselves: the rest is as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from curated import CONFIG, Inline, curate, files, rows
from runs_that_die import curate_and_die, make_clips_or_die

from videoldm.core.errors import InputError
from videoldm.curation import run as run_module
from videoldm.curation.config import ClipConfig
from videoldm.curation.cuts.signals import SignalTable
from videoldm.curation.cuts.timeline import find_transitions
from videoldm.curation.cuts.transition import Transition
from videoldm.curation.executors.executor import Stopped
from videoldm.curation.executors.local import LocalExecutor
from videoldm.curation.inputs import find_inputs
from videoldm.curation.run import Run
from videoldm.curation.stages import clips as clips_module
from videoldm.curation.stages.annotate import annotate
from videoldm.curation.stages.clips import make_clips
from videoldm.curation.status import summarise
from videoldm.curation.store import parts as pieces_module
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import PartInPieces, write_part
from videoldm.dataset.tables import annotation_schema

pytestmark = pytest.mark.slow


class OneKilled(LocalExecutor):
    """Loses the process that finds the cuts of number 3."""

    def run(self, function, tasks, limits):
        return super().run(make_clips_or_die if function is make_clips else function, tasks, limits)


@pytest.mark.parametrize("how", ["raises", "killed"])
def test_source_whose_cuts_cannot_be_found_is_quarantined_alone(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def fail(table: SignalTable, *_: object) -> list[Transition]:
        if len(table) == 63:  # number 3
            raise IndexError("no such frame")
        return find_transitions(table, *_)

    with monkeypatch.context() as patch:
        patch.setattr(clips_module, "find_transitions", fail)
        executor = Inline() if how == "raises" else OneKilled(2)
        dataset = curate(tmp_path / "dataset", videos, executor=executor)
    [lost] = [row for row in rows(dataset, "sources") if row["state"] != "whole"]
    assert (Path(lost["path"]).name, lost["state"]) == ("3.mp4", "quarantined")
    why = "unexpected IndexError in test_lost_work.py, line" if how == "raises" else "crashed (SIGKILL)"
    assert lost["reason"].startswith(f"no cuts can be found in it: {why}")
    assert summarise(dataset).problems == [(lost["path"], "quarantined", lost["reason"])]  # and so the run's exit code
    assert (lost["num_decoded"], lost["num_frames"]) == (63, 0)
    assert lost["left_out"] == [{"reason": lost["reason"], "num_frames": 63}]
    summary = summarise(dataset)
    assert summary.frames is not None
    assert (sum(summary.frames.values()), summary.frames["left out"]) == (sum(range(60, 66)), 63)
    assert summary.num_uncounted == 0
    others = curate(tmp_path / "others", *(videos / f"{number}.mp4" for number in (0, 1, 2, 4, 5)))
    for table in ("clips", "transitions", "motion"):
        assert rows(dataset, table) == rows(others, table)
    assert [row for row in rows(dataset, "sources") if row != lost] == rows(others, "sources")

    again = Inline()
    curate(dataset.folder, videos, executor=again)
    assert again.names() == []
    with dataset.locked():
        Run(dataset, CONFIG, again, retry_quarantined=True)(find_inputs([str(videos)]))
    assert again.names().count("scan") == 1
    assert files(dataset.folder) == files(curate(tmp_path / "undisturbed", videos).folder)


def test_quarantined_source_has_no_clips_of_other_cuts_either(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = curate(tmp_path / "dataset", videos)
    longer = CONFIG.model_copy(update={"clips": ClipConfig(min_s=2.5)})
    with monkeypatch.context() as patch:
        patch.setattr(clips_module, "find_transitions", lambda *_: 1 / 0)
        curate(dataset.folder, videos, config=longer)
    dataset = curate(dataset.folder, videos)
    assert {row["state"] for row in rows(dataset, "sources")} == {"quarantined"}
    assert rows(dataset, "clips") == []


def test_broken_signals_end_the_run_and_no_source(videos: Path, tmp_path: Path) -> None:
    dataset = curate(tmp_path / "dataset", videos)
    before = rows(dataset, "sources")
    part = next(dataset.folder.glob("signals/*/00000.parquet"))
    data = part.read_bytes()
    part.write_bytes(data[:4] + bytes(2000) + data[2004:])
    changed = CONFIG.model_copy(update={"clips": ClipConfig(min_s=0.5)})
    with pytest.raises(InputError, match=r"signals/.*cannot be read"):
        curate(dataset.folder, videos, config=changed)
    assert rows(dataset, "sources") == before


def test_pieces_of_a_killed_run_are_not_made_again(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (str(tmp_path / "killed"), str(videos))
    process = multiprocessing.get_context("spawn").Process(target=curate_and_die, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not list((tmp_path / "killed").glob("annotations/*/*/*.parquet"))
    monkeypatch.setattr(run_module, "CLIPS_PER_TASK", 1)
    executor = Inline()
    curate(tmp_path / "killed", videos, executor=executor)
    assert executor.counts() == {"annotate": 6 - 2}
    monkeypatch.undo()
    assert files(tmp_path / "killed") == files(curate(tmp_path / "whole", videos).folder)


def test_part_is_written_once_however_many_pieces_it_has(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def noting(path: Path, *arguments: Any, **options: Any) -> None:
        written.append(os.path.relpath(path, tmp_path / "dataset").split("/")[0])
        write_part(path, *arguments, **options)

    monkeypatch.setattr(run_module, "CLIPS_PER_TASK", 1)
    monkeypatch.setattr(pieces_module, "write_part", noting)
    curate(tmp_path / "dataset", videos)
    assert Counter(written) == {"work": 6, "annotations": 2}


def test_interrupted_run_leaves_what_is_annotated_in_the_tables(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Inline):
        def run(self, function, tasks, limits):
            for place, result in super().run(function, tasks, limits):
                if function is annotate and place == 2:
                    raise KeyboardInterrupt
                yield place, result

    monkeypatch.setattr(run_module, "CLIPS_PER_TASK", 1)
    with pytest.raises(KeyboardInterrupt):
        curate(tmp_path / "dataset", videos, executor=Interrupted())
    assert len(rows(Dataset.open(tmp_path / "dataset"), "motion")) == 2


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("read_entry", "took longer than 9 s; --decode-time-s sets this limit"),
        ("scan", "took longer than 9 s; --decode-time-s sets this limit"),
        ("make_clips", "no cuts can be found in it: took longer than 9 s; --decode-time-s sets this limit"),
        ("annotate", "took longer than 9 s for 4 clips; --annotate-time-s sets this limit"),
    ],
)
def test_who_exceeds_a_limit_reads_how_to_raise_it(videos: Path, tmp_path: Path, stage: str, reason: str) -> None:
    class Slow(Inline):
        def run(self, function, tasks, limits):
            for place, result in super().run(function, tasks, limits):
                is_slow = function.__name__ == stage and place == 0
                yield place, Stopped("took longer than 9 s", limit="time_s") if is_slow else result

    dataset = curate(tmp_path / "dataset", videos, executor=Slow())
    column = ("motion", "missing") if stage == "annotate" else ("sources", "reason")
    assert reason in {row[column[1]] for row in rows(dataset, column[0])}


def test_value_that_was_lost_is_tried_again_alone(videos: Path, tmp_path: Path) -> None:
    class Losing(Inline):
        def run(self, function, tasks, limits):
            for place, result in super().run(function, tasks, limits):
                yield place, Stopped("crashed (SIGSEGV)") if function is annotate and place == 1 else result

    curate(tmp_path / "dataset", videos, executor=Losing())
    executor = Inline()
    dataset = curate(tmp_path / "dataset", videos, executor=executor)
    [task] = [task for name, task in executor.done if name == "annotate"]
    assert len(task.clip_ids) == 2  # those of the second batch
    assert files(dataset.folder) == files(curate(tmp_path / "undisturbed", videos).folder)


def test_status_counts_inputs_that_wait(videos: Path, tmp_path: Path) -> None:
    class Interrupted(Inline):
        def run(self, function, tasks, limits):
            yield from super().run(function, tasks[:1] if function.__name__ == "scan" else tasks, limits)
            if function.__name__ == "scan":
                raise KeyboardInterrupt

    later = [videos / "4.mp4", videos / "5.mp4"]
    for video in later:
        shutil.move(video, tmp_path / video.name)
    curate(tmp_path / "dataset", videos)
    for video in later:
        shutil.move(tmp_path / video.name, video)
    with pytest.raises(KeyboardInterrupt):
        curate(tmp_path / "dataset", videos, executor=Interrupted())
    assert summarise(Dataset.open(tmp_path / "dataset")).states == {"whole": 4, "decoded": 1, "waiting": 1}


def piece(clip_ids: str, value: int) -> pa.Table:
    rows = [{"clip_id": clip_id, "may_come_later": value == 0, "made_from": "", "value": value} for clip_id in clip_ids]
    return pa.Table.from_pylist(rows, schema=annotation_schema(pa.schema([("value", pa.int32())])))


def test_pieces_that_are_gathered_twice_change_nothing(tmp_path: Path) -> None:
    """As after a kill between the part's writing and the pieces' removal."""
    pieces = PartInPieces(tmp_path / "00000.parquet", tmp_path / "work")
    pieces.add(piece("bc", 0))
    pieces.gather("abcd")
    assert pieces.settled() == {}
    found = []
    for _ in range(2):
        pieces.add(piece("d", 2))
        pieces.add(piece("ca", 1))
        pieces.gather("abcd")
        found.append((pieces.part.read_bytes(), pieces.pieces))
    assert found[0] == found[1]
    table = pq.ParquetFile(pieces.part).read()
    assert table["clip_id"].to_pylist() == ["a", "b", "c", "d"]
    assert table["value"].to_pylist() == [1, 0, 1, 2]
    pieces.gather("dx")
    assert pq.ParquetFile(pieces.part).read()["clip_id"].to_pylist() == ["d"]
