"""Figures of datasets against numpy and sums by hand."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made_tables import clip_row, made_view, typed, valued
from rich.console import Console

from videoldm.curation.report.drawing import axis, bars, spread
from videoldm.curation.report.figures import (
    clip_figures,
    distributions_table,
    duration,
    figures_table,
    number,
    spark_line,
    stats_tables,
)
from videoldm.curation.report.pages import histogram_svg
from videoldm.curation.report.stats import NUM_BINS, YEAR_S, Distribution, Stats, TableOne, measure_stats
from videoldm.curation.selection.evaluate import judge
from videoldm.curation.selection.manifest import save_selection
from videoldm.curation.store.view import DatasetView, open_dataset

VALUES = np.concatenate([np.random.default_rng(0).gamma(1.5, 0.02, 998), [50.0, 0.0]])


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> DatasetView:
    """A thousand clips of two clocks, from four of the six sources."""
    ids = [f"c{index:04}" for index in range(1000)]
    clips = [clip_row(clip_id, f"s{i % 4}", num_frames=24 + i % 3) for i, clip_id in enumerate(ids)]
    for row in clips[::2]:
        row |= {"time_base_num": 1001, "time_base_den": 24000}
    columns, rows = valued("motion", dict(zip(ids, VALUES, strict=True)))
    rows[0] |= {"motion": math.inf}
    rows[1] |= {"motion": math.nan}
    reasons = ["no weights"] * 400 + [f"odd {i}" for i in range(20)]
    captions = [{"clip_id": clip_id, "missing": why} for clip_id, why in zip(ids, reasons, strict=False)]
    captions += [{"clip_id": clip_id, "text": "a cat", "tokens": i % 7} for i, clip_id in enumerate(ids[420:990])]
    states = ["whole"] * 4 + ["refused", "duplicate"]
    return made_view(
        tmp_path_factory.mktemp("stats"),
        clips,
        {"motion": (columns, rows), "caption": ({"text": pa.string(), "tokens": pa.int32()}, captions)},
        sources=[
            {"source_id": f"s{i}", "state": state, "reason": None if state == "whole" else "because"}
            for i, state in enumerate(states)
        ],
        num_parts=3,
    )


@pytest.fixture(scope="module")
def stats(view: DatasetView) -> Stats:
    with open_dataset(view) as dataset:
        return measure_stats(dataset)


def _distribution(stats: Stats, column: str) -> Distribution:
    [found] = [each for each in stats.distributions if each.column == column]
    return found


def test_table_one_is_exact(stats: Stats) -> None:
    frames = [24 + i % 3 for i in range(1000)]
    even, odd = sum(frames[::2]), sum(frames[1::2])
    assert stats.table_one == TableOne(
        num_clips=1000,
        num_videos=4,
        num_frames=even + odd,
        total_s=even * Fraction(1001, 24000) + odd * Fraction(1, 24),
    )
    assert stats.table_one.clips_per_video == 250
    assert stats.table_one.mean_frames == Fraction(even + odd, 1000)


def test_figures_of_the_paper_come_out_of_its_sums() -> None:
    """Table 1 of the SVD paper: 577M clips of 11.58 s are 212.09 years, 9.8M of 12.11 s are 3.76."""
    large = Fraction("11.58") * 577_000_000 / YEAR_S
    assert float(large) == pytest.approx(212.09, rel=2e-3)  # clips are rounded to a million there
    assert duration(Fraction("12.11") * 9_800_000) == "3.76 years"


def test_sources_and_coverage_are_counted_by_reason(stats: Stats) -> None:
    assert [(each.state, each.num_sources, each.reasons) for each in stats.sources] == [
        ("whole", 4, {}),
        ("refused", 1, {"because": 1}),
        ("duplicate", 1, {"because": 1}),
    ]
    motion, caption = stats.coverage
    assert (motion.num_made, motion.missing) == (1000, {})
    assert caption.num_made == 570
    assert list(caption.missing.items())[:3] == [("no weights", 400), ("not made yet", 10), ("odd 0", 1)]
    assert caption.missing["other reasons"] == 14
    assert sum(caption.missing.values()) == 430


def test_quartiles_and_histogram_are_those_of_numpy(stats: Stats) -> None:
    motion, values = _distribution(stats, "motion"), np.sort(VALUES[2:])
    assert motion.num_values == 998  # without infinity and NaN
    places = [0, 997 // 4, 997 // 2, 3 * 997 // 4, 997]
    assert motion.quarters == tuple(values[places])
    low, high = values[4], values[993]  # floor and ceil of 0.5 % and 99.5 % of 997
    np.testing.assert_allclose(motion.edges, np.linspace(low, high, NUM_BINS + 1))
    assert motion.counts == tuple(np.histogram(values.clip(low, high), NUM_BINS, (low, high))[0])
    assert sum(motion.counts) == 998


def test_whole_numbers_have_a_bin_each(stats: Stats) -> None:
    tokens = _distribution(stats, "caption_tokens")
    assert tokens.edges == tuple(np.arange(-0.5, 7))
    assert tokens.counts == tuple(np.bincount(np.arange(570) % 7))
    assert _distribution(stats, "fps").counts == (1000,)


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (0.25, "0.25"), (-1234567, "-1,234,567")])
def test_constant_is_one_slim_bar_and_its_value(value: float, text: str) -> None:
    constant = Distribution(
        column="c", num_values=33, quarters=(value,) * 5, edges=(value - 0.5, value + 0.5), counts=(33,)
    )
    [bar] = bars(constant)
    assert (bar.left + bar.width / 2, bar.height, bar.label, bar.count) == (0.5, 1, text, 33)
    assert bar.width < 0.1
    assert axis(constant) == (text, "")
    assert spread(constant) == f"always {text}"
    assert f"{text}: 33</title>" in histogram_svg(constant)
    console = Console(width=100, record=True)
    console.print(distributions_table([constant]))
    row = [cell.strip() for cell in console.export_text().splitlines()[3].split("│")[1:-1]]
    assert row == ["c", "", "", text, "", "", "the same in 33 clips"]


def test_axis_of_whole_numbers_ends_at_them(stats: Stats) -> None:
    tokens, motion = (_distribution(stats, column) for column in ("caption_tokens", "motion"))
    assert axis(tokens) == ("0", "6")
    assert [bar.label for bar in bars(tokens)] == [str(value) for value in range(7)]
    assert axis(motion) == (number(motion.edges[0]), number(motion.edges[-1]))
    assert sum(bar.count for bar in bars(motion)) == 998
    assert all(one.left + one.width < other.left for one, other in zip(bars(tokens), bars(tokens)[1:], strict=False))


def test_stats_of_a_selection_are_those_of_its_manifest(view: DatasetView, stats: Stats, tmp_path: Path) -> None:
    selection = typed(["--drop-lowest", "motion=25%"])
    with open_dataset(view) as dataset:
        saved = save_selection(dataset, judge(dataset, selection), tmp_path, "moving")
    selected = DatasetView(clips=[saved.folder / "clips.parquet"], annotations=view.annotations)
    with open_dataset(selected) as dataset:
        found = measure_stats(dataset)
    assert found.table_one.num_clips == 1000 - 1 - 999 // 4
    assert _distribution(found, "motion").quarters[0] > _distribution(stats, "motion").quarters[0]
    console = Console(width=100, record=True)
    console.print(figures_table(clip_figures({"all": stats.table_one, "moving": found.table_one})))
    assert "750" in console.export_text()


def test_empty_dataset_has_zeros(tmp_path: Path) -> None:
    with open_dataset(DatasetView(clips=[])) as dataset:
        stats = measure_stats(dataset)
    assert stats.table_one == TableOne(num_clips=0, num_videos=0, num_frames=0, total_s=Fraction(0))
    assert stats.as_json()["mean_clip_s"] == 0
    with open_dataset(made_view(tmp_path, [clip_row("a")], {"motion": valued("motion", {"a": None})})) as dataset:
        assert [each.column for each in measure_stats(dataset).distributions][-1] == "height"


def test_json_and_tables_hold_the_figures(stats: Stats) -> None:
    found = json.loads(json.dumps(stats.as_json(), allow_nan=False))
    assert found["clips"] == 1000
    assert found["distributions"][0]["column"] == "duration_s"
    console = Console(width=160, record=True)
    for table in stats_tables(stats):
        console.print(table)
    text = console.export_text()
    assert "no weights (400)" in text
    assert "250.00" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(50, "50.00 s"), (90, "1.50 minutes"), (7200, "2.00 hours"), (86400 * 3, "3.00 days"), (3 * 10**9, "95.06 years")],
)
def test_durations_are_in_a_unit_that_fits(seconds: int, text: str) -> None:
    assert duration(Fraction(seconds)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1234567, "1,234,567"), (0.0123456, "0.01235"), (-2.0, "-2"), (1e300, "1e+300")]
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_spark_line_shows_whatever_is_there() -> None:
    assert spark_line([0, 1, 500, 1000]) == " ▁▄█"
    assert spark_line([0]) == " "
