"""A table of texts, the same for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """A table; a text may have several lines."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def are_numbers(self) -> list[bool]:
        """For each column whether it holds numbers, and nothing else."""
        columns = [[row[index] for row in self.rows if row[index]] for index in range(len(self.headings))]
        return [bool(column) and all(text[0].isdigit() or text == "-" for text in column) for column in columns]
