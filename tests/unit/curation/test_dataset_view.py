"""The views of a dataset: names of columns, odd paths, and what a connection can reach."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from made_tables import clip_row, made_view, valued

from videoldm.core.errors import InputError
from videoldm.curation.store.view import DatasetView, QueryLimits, open_dataset
from videoldm.dataset.tables import CLIPS, NOT_MADE, SIDECARS, SOURCES, TRANSITIONS

NUMBER = pa.float32()


def test_columns_are_called_after_their_annotation(tmp_path: Path) -> None:
    columns = {
        "motion": {"camera": NUMBER, "motion": NUMBER, "motion_residual": NUMBER},
        "aesthetics": {"score": NUMBER, "model": pa.string()},
        "text": {"text_area": NUMBER, "textual": NUMBER},
        "two words": {"width": pa.list_(pa.float16(), 3)},
        "empty": {},
    }
    view = made_view(tmp_path, [clip_row("a")], {name: (found, []) for name, found in columns.items()})
    with open_dataset(view) as dataset:
        assert {name: dict(found) for name, found in dataset.columns.items()} == {
            "motion": {"motion_camera": "camera", "motion": "motion", "motion_residual": "motion_residual"},
            "aesthetics": {"aesthetics_score": "score", "aesthetics_model": "model"},
            "text": {"text_area": "text_area", "text_textual": "textual"},
            "two words": {"two words_width": "width"},
            "empty": {},
        }
        names = list(dataset.types())
        assert names[: len(CLIPS)] == CLIPS.names
        added = {"start_s", "duration_s", "fps"} | {f"{name}_missing" for name in columns}
        wide = {name for found in dataset.columns.values() for name in found}
        assert set(names) == {*CLIPS.names, *added, *wide, "aesthetics", "text", "two words"}
        assert len(names) == len(set(names))
        mains = [dataset.main(name) for name in columns]
        assert mains == ["motion", "aesthetics_score", "text_area", "two words_width", None]
        assert dataset.connection.execute("SELECT motion, motion_missing FROM dataset").fetchall() == [(None, NOT_MADE)]


def test_name_of_an_annotation_stands_for_its_first_column(tmp_path: Path) -> None:
    view = made_view(tmp_path, [clip_row("a")], {"aesthetics": valued("score", {"a": 4.5})})
    with open_dataset(view) as dataset:
        query = "SELECT aesthetics, aesthetics_score FROM dataset"
        assert dataset.connection.execute(query).fetchall() == [(4.5, 4.5)]


def test_computed_columns_follow_the_clock(tmp_path: Path) -> None:
    row = clip_row("a", start_pts=12, num_frames=48) | {"time_base_num": 1001, "time_base_den": 24000}
    with open_dataset(made_view(tmp_path, [row])) as dataset:
        query = "SELECT start_s, duration_s, fps FROM dataset"
        assert dataset.connection.execute(query).fetchall() == [(12 * 1001 / 24000, 48 * 1001 / 24000, 24.0)]


def test_path_that_looks_like_a_pattern_means_itself(tmp_path: Path) -> None:
    views = {
        name: made_view(tmp_path / name, [clip_row(name)], {"motion": valued("motion", {name: 1.0})})
        for name in ("it's a* [b]?=1 é", "it's abc b1=1 é", "a")
    }
    for name, view in views.items():
        with open_dataset(view) as dataset:
            assert dataset.connection.execute("SELECT clip_id, motion FROM dataset").fetchall() == [(name, 1.0)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM '{other}'",
        "COPY clips TO '{folder}/copy.parquet'",
        "COPY clips TO '{part}'",
        "EXPORT DATABASE '{folder}/all'",
        "ATTACH '{folder}/new.duckdb' AS new",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SELECT * FROM frame",
    ],
)
def test_connection_reaches_nothing_but_the_parts(tmp_path: Path, query: str) -> None:
    view = made_view(tmp_path / "data", [clip_row("a")])
    other = tmp_path / "other.parquet"
    shutil.copy(view.clips[0], other)
    before = view.clips[0].read_bytes()
    frame = pa.table({"secret": [1]})  # a variable of the program
    with open_dataset(view) as dataset, pytest.raises(duckdb.Error):
        dataset.connection.execute(query.format(other=other, folder=tmp_path, part=f"{view.clips[0]}x")).fetchall()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "other.parquet"]
    assert (view.clips[0].read_bytes(), len(frame)) == (before, 1)


def test_tables_without_parts_are_empty_with_their_columns() -> None:
    with open_dataset(DatasetView(clips=[], annotations={"motion": []})) as dataset:
        tables = {"clips": CLIPS, "sources": SOURCES, "transitions": TRANSITIONS, "sidecars": SIDECARS}
        for name, schema in tables.items():
            assert dataset.connection.execute(f"SELECT * FROM {name}").fetchall() == []
            assert list(dataset.types_of(f"SELECT * FROM {name}")) == schema.names
        assert dataset.columns == {}
        assert dataset.types_of("SELECT metadata, is_mirrored FROM sources") == {
            "metadata": "MAP(VARCHAR, VARCHAR)",
            "is_mirrored": "BOOLEAN",
        }


def test_limits_hold_and_scratch_is_left_clean(tmp_path: Path) -> None:
    view = made_view(tmp_path / "data", [clip_row("a")])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    limits = QueryLimits(memory_gib=0.05, num_threads=1, scratch=scratch)
    expected = pytest.raises(InputError, match="the query needs more memory or scratch space than allowed")
    with expected, open_dataset(view, limits) as dataset:
        assert list(scratch.iterdir()) != []
        dataset.connection.execute("SELECT list(i) FROM range(100_000_000) AS numbers(i)").fetchall()
    assert list(scratch.iterdir()) == []


def test_missing_part_is_named(tmp_path: Path) -> None:
    view = DatasetView(clips=[tmp_path / "gone.parquet"])
    with pytest.raises(InputError, match=r"the dataset cannot be queried, [^\n]*gone\.parquet"), open_dataset(view):
        pass
