"""Figures of datasets and selections as rows of text for a terminal or a page, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from rich.markup import escape
from rich.table import Table

from videoldm.core import wording
from videoldm.core.web_page import TextTable
from videoldm.curation.report.stats import YEAR_S, Distribution, SourceState, Stats, TableOne
from videoldm.curation.selection.evaluate import Judgement

_BLOCKS = " ▁▂▃▄▅▆▇█"
_DAY_S, _HOUR_S = 86400, 3600


def clip_figures(datasets: Mapping[str, TableOne]) -> TextTable:
    """Return Table 1 of the SVD paper for several datasets side by side, such as a whole one and a selection of it."""
    columns = [_table_one(each) for each in datasets.values()]
    return TextTable(["", *datasets], [[name, *(column[name] for column in columns)] for name in columns[0]])


def source_figures(states: Sequence[SourceState]) -> TextTable:
    """Return the sources by state."""
    rows = [[state.state, f"{state.num_sources:,}", counted(state.reasons)] for state in states]
    return TextTable(["sources", "number", "reasons"], rows)


def coverage_figures(stats: Stats) -> TextTable:
    """Return the annotations with the number of clips that have them."""
    rows = [
        [
            each.annotation,
            f"{each.num_made:,}",
            share(each.num_made, stats.table_one.num_clips),
            f"{sum(each.missing.values()):,}",
            counted(each.missing),
        ]
        for each in stats.coverage
    ]
    return TextTable(["annotation", "made", "of all", "missing", "why missing"], rows)


def judgement_figures(judgement: Judgement) -> TextTable:
    """Return what each filter drops, alone and together with those before it."""
    whole = f"{judgement.num_clips:,}"
    rows = [["all clips", "", "", whole, whole, share(judgement.num_clips, judgement.num_clips)]]
    for counts in judgement.filters:
        numbers = (counts.num_dropped, counts.num_missing, counts.num_left, counts.num_left_so_far)
        of_all = share(counts.num_left_so_far, judgement.num_clips)
        rows.append([counts.label, *(f"{number:,}" for number in numbers), of_all])
    return TextTable(["filter", "drops", "missing", "left alone", "left so far", "of all"], rows)


def _table_one(table: TableOne) -> dict[str, str]:
    return {
        "clips": f"{table.num_clips:,}",
        "mean clip duration": f"{float(table.mean_clip_s):.2f} s",
        "total duration": duration(table.total_s),
        "mean frames": f"{float(table.mean_frames):,.1f}",
        "videos with a clip": f"{table.num_videos:,}",
        "mean clips a video": f"{float(table.clips_per_video):.2f}",
    }


def stats_tables(stats: Stats) -> list[Table]:
    """Return all tables of a dataset that have a row, for a terminal."""
    figures = [clip_figures({"dataset": stats.table_one}), source_figures(stats.sources), coverage_figures(stats)]
    tables = [*map(figures_table, figures), distributions_table(stats.distributions)]
    return [table for table in tables if table.row_count]


def figures_table(figures: TextTable) -> Table:
    """Return a table for a terminal, with numbers aligned right and nothing cut off."""
    table = Table()
    for heading, is_number in zip(figures.headings, figures.numeric_columns, strict=True):
        table.add_column(escape(heading), justify="right" if is_number else "left", overflow="fold")
    for row in figures.rows:
        table.add_row(*map(escape, row))
    return table


def distributions_table(distributions: Sequence[Distribution]) -> Table:
    """Return a table with a row and a small histogram for each column of numbers."""
    table = Table("value")
    for heading in ("lowest", "25%", "median", "75%", "highest"):
        table.add_column(heading, justify="right")
    table.add_column("histogram", no_wrap=True)
    for each in distributions:
        if each.is_constant:
            texts = ["", "", number(each.quarters[0]), "", "", f"the same in {clips(each.num_values)}"]
        else:
            texts = [*map(number, each.quarters), spark_line(each.counts)]
        table.add_row(escape(each.column), *texts)
    return table


def spark_line(counts: Sequence[int]) -> str:
    """Return counts as one block character each; only 0 is blank."""
    largest = max([1, *counts])
    return "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // largest)] for count in counts)


def duration(seconds: Fraction) -> str:
    """Return a duration in the largest unit that gives at least 1: 212.09 years, 3.5 days, 12.1 hours, 50 s."""
    for unit, length in (("years", YEAR_S), ("days", _DAY_S), ("hours", _HOUR_S), ("minutes", 60)):
        if seconds >= length:
            return f"{float(seconds / length):.2f} {unit}"
    return f"{float(seconds):.2f} s"


def number(value: float) -> str:
    """Return a number with four digits; integers in full, large ones in groups."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:.4g}"


def share(part: int, whole: int) -> str:
    """Return a percentage with one decimal."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def clips(count: int) -> str:
    """Return a number of clips in words."""
    return wording.counted(count, "clip")


def counted(counts: Mapping[str, int]) -> str:
    """Return names with their counts, one a line."""
    return "\n".join(f"{name} ({count:,})" for name, count in counts.items())
