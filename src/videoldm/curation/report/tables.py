"""Figures of datasets and selections as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from videoldm.core.figures import Figures
from videoldm.curation.report.distribution import Distribution
from videoldm.curation.report.figures import clip_figures, coverage_figures, source_figures
from videoldm.curation.report.stats import Stats
from videoldm.curation.report.wording import clips, number

_BLOCKS = " ▁▂▃▄▅▆▇█"


def stats_tables(stats: Stats) -> list[Table]:
    """All tables of a dataset that have a row."""
    figures = [clip_figures({"dataset": stats.table_one}), source_figures(stats.sources), coverage_figures(stats)]
    tables = [*map(figures_table, figures), distributions_table(stats.distributions)]
    return [table for table in tables if table.row_count]


def figures_table(figures: Figures) -> Table:
    """Numbers to the right; nothing is cut off, however long it is."""
    table = Table()
    for heading, is_number in zip(figures.headings, figures.are_numbers, strict=True):
        table.add_column(escape(heading), justify="right" if is_number else "left", overflow="fold")
    for row in figures.rows:
        table.add_row(*map(escape, row))
    return table


def distributions_table(distributions: Sequence[Distribution]) -> Table:
    """A row for each column of numbers, with a small histogram."""
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
    """Counts as blocks, one letter each; what is not empty is never blank."""
    largest = max([1, *counts])
    return "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // largest)] for count in counts)
