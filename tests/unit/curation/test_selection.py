"""Selections against a twin that reads like their definition, their errors, and what is written of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tables import clip_row, made_view, typed, valued

from videoldm.core.errors import InputError
from videoldm.core.reading import read_json
from videoldm.curation.selection.config import AtMost, DropHighest, DropLowest, Filter, Selection, Where
from videoldm.curation.selection.evaluate import JUDGED, Judgement, judge, kept
from videoldm.curation.selection.manifest import SavedSelection, find_selection, read_selection, save_selection
from videoldm.curation.store.view import DatasetView, QueryLimits, open_dataset

Values = Mapping[str, float | None]


def _twin(values: Mapping[str, Values], selection: Selection) -> list[str]:
    """The clips that are left, by sorting whole columns."""
    left = set(values["motion"])
    for rule in selection.filters:
        assert not isinstance(rule, Where)
        column = values[rule.value]
        known = {clip_id: value for clip_id, value in column.items() if value is not None and not math.isnan(value)}
        if isinstance(rule, AtMost):
            dropped = {clip_id for clip_id, value in known.items() if value > rule.limit}
        else:
            sign = 1 if isinstance(rule, DropLowest) else -1
            order = sorted(known, key=lambda clip_id: (sign * known[clip_id], clip_id))
            dropped = set(order[: math.floor(rule.share * len(order))])
        if not selection.keep_missing:
            dropped |= column.keys() - known.keys()
        left -= dropped
    return sorted(left)


def _judged(view: DatasetView, selection: Selection) -> tuple[Judgement, list[str]]:
    with open_dataset(view, QueryLimits(memory_gib=0.5, num_threads=1)) as dataset:
        judgement = judge(dataset, selection)
        query = f"SELECT clip_id FROM {JUDGED} WHERE {kept(selection)} ORDER BY clip_id"
        return judgement, [row[0] for row in dataset.connection.execute(query).fetchall()]


_VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, math.inf]) | st.floats(-3, 3) | st.just(math.nan) | st.none()
_SHARES = st.fractions(Fraction(1, 50), Fraction(49, 50), max_denominator=50)
_NAMES = st.sampled_from(["motion", "text_area"])
_FILTERS: st.SearchStrategy[Filter] = st.one_of(
    st.builds(DropLowest, value=_NAMES, share=_SHARES),
    st.builds(DropHighest, value=_NAMES, share=_SHARES),
    st.builds(AtMost, value=_NAMES, limit=st.sampled_from([0.0, 1.0, 1.5])),
)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(_VALUES, _VALUES), min_size=1, max_size=60),
    st.lists(_FILTERS, min_size=1, max_size=4),
    st.booleans(),
    st.integers(1, 3),
)
def test_selection_equals_its_twin(
    tmp_path_factory: pytest.TempPathFactory,
    rows: Sequence[tuple[float | None, float | None]],
    filters: Sequence[Filter],
    keep_missing: bool,
    num_parts: int,
) -> None:
    # Not in the order of their rows.
    ids = [f"{(37 * index) % 101:03}" for index in range(len(rows))]
    values = {
        "motion": {clip_id: row[0] for clip_id, row in zip(ids, rows, strict=True)},
        "text_area": {clip_id: row[1] for clip_id, row in zip(ids, rows, strict=True)},
    }
    for column in values.values():
        column["~"] = 0.5  # so that no column is without a value
    clips = [clip_row(clip_id) for clip_id in [*ids, "~"]]
    view = made_view(
        tmp_path_factory.mktemp("twin"),
        clips,
        {name: valued(name, column) for name, column in values.items()},
        num_parts=num_parts,
    )
    selection = Selection(filters=tuple(filters), keep_missing=keep_missing)
    judgement, left = _judged(view, selection)
    assert left == _twin(values, selection)
    assert judgement.num_left == len(left)
    for index, counts in enumerate(judgement.filters):
        alone = _twin(values, Selection(filters=(filters[index],), keep_missing=keep_missing))
        so_far = _twin(values, Selection(filters=tuple(filters[: index + 1]), keep_missing=keep_missing))
        assert (counts.num_left, counts.num_left_so_far) == (len(alone), len(so_far))
        assert counts.num_left + counts.num_dropped + (0 if keep_missing else counts.num_missing) == len(clips)


IDS = [f"c{index}" for index in range(8)]


@pytest.fixture
def view(tmp_path: Path) -> DatasetView:
    """Eight clips; two have no motion, one of them no row at all; text was not looked for."""
    motion = dict(zip(IDS, [0.5, 0.1, 0.1, 0.1, 0.9, 0.7, None], strict=False))
    columns, rows = valued("motion", motion)
    orphan = {"clip_id": "gone", "missing": None, "motion": -1.0}
    return made_view(
        tmp_path / "it's [here]=1",
        [clip_row(clip_id, f"s{index % 2}", num_frames=24 * (index + 1)) for index, clip_id in enumerate(IDS)],
        {
            "motion": ({**columns, "camera": pa.float32()}, [{**row, "camera": 1.0} for row in [*rows, orphan]]),
            "text_area": valued("share", dict.fromkeys(IDS)),
            "caption": ({"text": pa.string()}, [{"clip_id": clip_id, "text": "a cat"} for clip_id in IDS]),
        },
        sources=[{"source_id": f"s{i}", "metadata": {"licence": licence}} for i, licence in enumerate(["cc-by", "?"])],
        num_parts=2,
    )


def _left(view: DatasetView, *words: str) -> list[str]:
    return _judged(view, typed(words))[1]


def test_ties_go_by_clip_id_on_both_sides(view: DatasetView) -> None:
    assert _left(view, "--drop-lowest", "motion=34%") == ["c0", "c3", "c4", "c5"]  # floor(0.34 * 6) = 2 of three
    assert _left(view, "--drop-highest", "motion=67%") == ["c2", "c3"]  # four: the three above, then c1
    judgement, _ = _judged(view, typed(["--drop-lowest", "motion=34%", "--drop-lowest", "motion=50%"]))
    first, second = judgement.filters
    assert first.tie == "drop-lowest motion=34%: drops 2 of 3 clips whose value is 0.1, by their ids"
    assert second.tie is None


def test_missing_values_are_counted_apart_and_can_be_kept(view: DatasetView) -> None:
    judgement, left = _judged(view, typed(["--drop-lowest", "motion=50%"]))
    assert left == ["c0", "c4", "c5"]
    [counts] = judgement.filters
    assert (counts.num_dropped, counts.num_missing, counts.num_left) == (3, 2, 3)
    assert _left(view, "--drop-lowest", "motion=50%", "--keep-missing") == ["c0", "c4", "c5", "c6", "c7"]


def test_share_of_less_than_one_clip_drops_none(view: DatasetView) -> None:
    judgement, left = _judged(view, typed(["--drop-lowest", "motion=16%"]))
    assert left == IDS[:6]
    assert judgement.filters[0].boundary is None


def test_conditions_ask_all_columns_and_tables(view: DatasetView) -> None:
    assert _left(view, "--where", "duration_s > 6") == ["c6", "c7"]
    assert _left(view, "--where", "motion > (SELECT avg(motion) FROM dataset) -- above average") == ["c0", "c4", "c5"]
    assert _left(view, "--where", "motion_missing = 'not made yet'") == ["c7"]
    licensed = "source_id IN (SELECT source_id FROM sources WHERE metadata['licence'] = 'cc-by')"
    assert _left(view, "--where", licensed) == IDS[::2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--drop-lowest", "motoin=25%"],
            "'motoin' is not a value of this dataset, did you mean motion?",
        ),
        (["--drop-lowest", "MOTION=25%"], "did you mean motion"),
        (
            ["--drop-lowest", "sharpness=25%"],
            "has motion, text_area, duration_s, num_frames, fps, width, height, and what videoldm curate stats lists",
        ),
        (["--drop-lowest", "caption=25%"], "caption is of the type VARCHAR, it should be a number for"),
        (["--text-area-max", "0.07"], "text_area <= 0.07: no clip has a value: too dark (8)"),
        (["--where", "text_area > 0.5"], "where text_area > 0.5: no clip has a value: too dark (8)"),
        (["--where", "caption_missing = 'x'"], "where caption_missing = 'x': no clip has a value"),
        (["--where", "motion >"], "where 'motion >': syntax error"),
        (["--where", "moton > 1"], "where 'moton > 1': there is no column 'moton', did you mean motion"),
        (["--where", "x > 1"], "where 'x > 1': there is no column 'x', see videoldm curate stats"),
        (["--where", "motion > 1) OR (1 = 1"], "syntax error at or near"),
        (["--where", "true; DROP TABLE clips"], "it holds more than one statement"),
        (["--where", "motion > 1, true"], "Please provide only a single expression"),
        (["--where", "motion"], "where 'motion': is of the type DOUBLE, it should be true or false"),
        (["--where", "sum(motion) > 1"], "WHERE clause cannot contain aggregates"),
        (["--where", "random() < 0.5"], "where 'random() < 0.5': random gives a different result in each run"),
        (["--where", "current_date > '2026-01-01'"], "current_date gives a different result in each run"),
        (["--where", "CAST(clip_id AS INT) > 3"], "Could not convert string 'c"),
        (["--where", "motion > ?"], "Values were not provided for the following parameters"),
        (["--where", "EXISTS (SELECT 1 FROM read_text('/etc/hostname'))"], 'Cannot access file "/etc/hostname"'),
        (["--where", "EXISTS (SELECT 1 FROM glob('/*'))"], "Cannot access"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(view: DatasetView, words: list[str], message: str) -> None:
    selection = typed(words)
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        _judged(view, selection)
    assert message in str(caught.value)


def test_empty_dataset_and_doubled_rows_are_refused(tmp_path: Path) -> None:
    selection = typed(["--drop-lowest", "motion=50%"])
    motion = valued("motion", {"a": 1.0, "b": 2.0})
    with pytest.raises(InputError, match="the dataset has no clips"):
        _judged(made_view(tmp_path / "empty", [], {"motion": motion}), selection)
    twice = (motion[0], [*motion[1], *motion[1]])
    with pytest.raises(InputError, match="2 clips have 4 rows: an annotation has several rows for some clips"):
        _judged(made_view(tmp_path / "rows", [clip_row("a"), clip_row("b")], {"motion": twice}), selection)
    with pytest.raises(InputError, match="some clips appear twice"):
        _judged(made_view(tmp_path / "clips", [clip_row("a")] * 4, {"motion": motion}), selection)


def test_damaged_part_is_named(view: DatasetView) -> None:
    view.clips[0].write_bytes(b"PAR1 not really")
    with pytest.raises(
        InputError, match=r"^the dataset cannot be queried, [^\n]* repairs broken parts: [^\n]*clips/0\.parquet"
    ):
        _judged(view, typed(["--drop-lowest", "motion=50%"]))


def _save(view: DatasetView, folder: Path, *words: str, name: str = "hq", num_threads: int = 1) -> SavedSelection:
    with open_dataset(view, QueryLimits(memory_gib=0.5, num_threads=num_threads)) as dataset:
        return save_selection(dataset, judge(dataset, typed(words)), folder, name)


def test_manifest_holds_filters_counts_and_whole_rows(view: DatasetView, tmp_path: Path) -> None:
    saved = _save(view, tmp_path, "--drop-lowest", "motion=34%", "--where", "duration_s < 6")
    assert saved.folder == tmp_path / "selections" / "hq" / "v0001"
    assert saved.is_new
    rows = pq.read_table(saved.folder / "clips.parquet").to_pylist()
    originals = {row["clip_id"]: row for part in view.clips for row in pq.read_table(part).to_pylist()}
    assert rows == [originals[clip_id] for clip_id in ("c0", "c3", "c4")]
    found = read_json(saved.folder / "report.json")
    assert (found["num_clips"], found["num_left"]) == (8, 3)
    assert [counts["num_left_so_far"] for counts in found["filters"]] == [4, 3]
    assert found["filters"][0]["boundary"] == {"value": 0.1, "clip_id": "c2"}
    assert found["tables"].keys() == {"clips", "motion"}
    assert found["tables"]["clips"]["rows"] == 8
    assert read_selection(saved.folder) == typed(["--drop-lowest", "motion=34%", "--where", "duration_s < 6"])


def test_versions_count_up_and_an_equal_one_is_used_again(view: DatasetView, tmp_path: Path) -> None:
    first = _save(view, tmp_path, "--drop-lowest", "motion=34%")
    again = _save(view, tmp_path, "--drop-lowest", "motion=34%", num_threads=2)
    assert again == SavedSelection(first.folder, is_new=False)
    other = _save(view, tmp_path, "--drop-lowest", "motion=50%")
    assert other.folder.name == "v0002"
    assert [path.name for path in sorted(other.folder.parent.iterdir())] == ["v0001", "v0002"]
    assert find_selection(tmp_path, "hq") == other.folder
    assert find_selection(tmp_path, "hq/v0001") == first.folder


def test_changed_table_makes_a_new_version(view: DatasetView, tmp_path: Path) -> None:
    first = _save(view, tmp_path, "--where", "motion >= 0.1")
    part = view.annotations["motion"][0]
    table = pq.read_table(part)
    pq.write_table(
        table.set_column(table.schema.get_field_index("motion"), "motion", pa.array([0.6] * len(table))), part
    )
    second = _save(view, tmp_path, "--where", "motion >= 0.1")
    assert second.folder != first.folder


def test_boundary_at_infinity_is_written_as_text(tmp_path: Path) -> None:
    motion = valued("motion", {"a": 1.0, "b": math.inf, "c": math.inf})
    saved = _save(
        made_view(tmp_path / "data", [clip_row(clip_id) for clip_id in "abc"], {"motion": motion}),
        tmp_path,
        *("--drop-highest", "motion=50%"),
    )
    assert read_json(saved.folder / "report.json")["filters"][0]["boundary"] == {"value": "inf", "clip_id": "b"}


def test_nothing_left_writes_nothing(view: DatasetView, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no clip is left of 8: 3 after drop-lowest motion=50%, 0 after where "):
        _save(view, tmp_path, "--drop-lowest", "motion=50%", "--where", "duration_s < 1")
    assert not (tmp_path / "selections").exists()


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b"])
def test_name_should_be_that_of_a_folder(view: DatasetView, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="the selection's name is"):
        _save(view, tmp_path, "--where", "motion > 0", name=name)


def test_unknown_selection_lists_those_there_are(view: DatasetView, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'hq' is not a selection of .*, it has none"):
        find_selection(tmp_path, "hq")
    _save(view, tmp_path, "--where", "motion > 0")
    with pytest.raises(InputError, match=r"'hd' is not a selection of .*, it has hq$"):
        find_selection(tmp_path, "hd")
    for name in ("hq/v0007", "../selections/hq", "hq/../hq/v0001"):
        with pytest.raises(InputError, match="is not a selection of"):
            find_selection(tmp_path, name)
