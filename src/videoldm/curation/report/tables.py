"""Figures of datasets and selections as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from videoldm.curation.report.distribution import Distribution
from videoldm.curation.report.stats import Coverage, SourceState, Stats, TableOne
from videoldm.curation.report.wording import clips, counted, number, share, table_one_rows
from videoldm.curation.selection.evaluate import Judgement

_BLOCKS = " ▁▂▃▄▅▆▇█"


def stats_tables(stats: Stats) -> list[Table]:
    """All tables of a dataset that have a row."""
    tables = [
        table_one_table({"dataset": stats.table_one}),
        sources_table(stats.sources),
        coverage_table(stats.coverage),
        distributions_table(stats.distributions),
    ]
    return [table for table in tables if table.row_count]


def table_one_table(columns: Mapping[str, TableOne]) -> Table:
    """Table 1 of several datasets side by side, such as a whole one and what is selected of it."""
    table = Table("", *map(escape, columns))
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [table_one_rows(each) for each in columns.values()]
    for heading in rows[0] if rows else ():
        table.add_row(heading, *(row[heading] for row in rows))
    return table


def sources_table(states: Sequence[SourceState]) -> Table:
    """Sources by state."""
    table = _table("sources", ["number"])
    table.add_column("reasons", overflow="fold")
    for state in states:
        table.add_row(state.state, f"{state.num_sources:,}", escape(counted(state.reasons)))
    return table


def coverage_table(coverage: Sequence[Coverage]) -> Table:
    """Annotations by how many clips have them."""
    table = _table("annotation", ["made", "missing"])
    table.add_column("why missing", overflow="fold")
    for each in coverage:
        missing = sum(each.missing.values())
        table.add_row(escape(each.annotation), f"{each.num_made:,}", f"{missing:,}", escape(counted(each.missing)))
    return table


def distributions_table(distributions: Sequence[Distribution]) -> Table:
    """A row for each column of numbers, with a small histogram."""
    table = _table("value", ["lowest", "25%", "median", "75%", "highest"])
    table.add_column("histogram", no_wrap=True)
    for each in distributions:
        if each.is_constant:
            figures = ["", "", number(each.quarters[0]), "", "", f"the same in {clips(each.num_values)}"]
        else:
            figures = [*map(number, each.quarters), spark_line(each.counts)]
        table.add_row(escape(each.column), *figures)
    return table


def judgement_table(judgement: Judgement) -> Table:
    """What each filter drops, alone and together with those before it."""
    table = _table("filter", ["drops", "missing", "left alone", "left so far", "of all"])
    table.add_row("all clips", "", "", f"{judgement.num_clips:,}", f"{judgement.num_clips:,}", "100.0%")
    for counts in judgement.filters:
        numbers = (counts.num_dropped, counts.num_missing, counts.num_left, counts.num_left_so_far)
        of_all = share(counts.num_left_so_far, judgement.num_clips)
        table.add_row(escape(counts.label), *(f"{count:,}" for count in numbers), of_all)
    return table


def spark_line(counts: Sequence[int]) -> str:
    """Counts as blocks, one letter each; what is not empty is never blank."""
    largest = max([1, *counts])
    return "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // largest)] for count in counts)


def _table(first: str, headings: Sequence[str]) -> Table:
    table = Table()
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
