"""Filters over the whole, unfiltered dataset: what each of them drops alone, and what all of them leave.

The values that filters look at are joined once into the narrow table `gathered`, which all later passes read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from videoldm.core.errors import InputError, hint
from videoldm.curation.selection.condition import check_condition, condition_explained
from videoldm.curation.selection.config import AtMost, DropHighest, DropLowest, Filter, Selection, Where
from videoldm.curation.selection.ranks import Rank, Ranked, as_number, is_number, nth_tied, scan_numbers, values_at
from videoldm.curation.store.view import CLIP_NUMBERS, OpenDataset, explained, quoted, text

JUDGED = "judged"
"""View with `clip_id`, and `value_i` and `passes_i` of filter i, null if the value is missing."""

_GATHERED = "gathered"


@dataclass(frozen=True, slots=True)
class Boundary:
    """Boundary of a percentile: clips beyond `value` are dropped, and of those with that value all up to `clip_id`."""

    value: float | int
    clip_id: str
    num_equal: int
    """Number of clips with that value ..."""
    num_equal_dropped: int
    """... and of those that are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterCounts:
    """Effect of a filter on all clips; clips without a value do not count as dropped."""

    label: str
    num_dropped: int
    num_missing: int
    num_left: int
    """Number of clips left by this filter alone."""
    num_left_so_far: int
    """Number of clips left by this filter and those before it."""
    boundary: Boundary | None
    """Boundary of a percentile that drops any clip."""

    @property
    def tie(self) -> str | None:
        """A line that says which clips of one value are dropped by their ids alone, None if there are no such clips."""
        line = self.boundary
        if line is None or line.num_equal_dropped == line.num_equal:
            return None
        part = f"{line.num_equal_dropped} of {line.num_equal} clips whose value is {line.value:g}"
        return f"{self.label}: drops {part}, by their ids"

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON values, as a version of a selection holds them; ties follow from its rows."""
        values = asdict(self)
        if self.boundary is not None:
            value = self.boundary.value if math.isfinite(self.boundary.value) else str(self.boundary.value)
            values["boundary"] = {"value": value, "clip_id": self.boundary.clip_id}  # JSON has no infinity
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Counts of a selection; the rows are in the view `judged` while the dataset is open."""

    selection: Selection
    num_clips: int
    filters: tuple[FilterCounts, ...]
    tables: tuple[str, ...]
    """Tables that the filters looked at."""

    @property
    def num_left(self) -> int:
        """Number of clips that pass all filters."""
        return self.filters[-1].num_left_so_far

    def check_any_left(self) -> None:
        """Raise InputError, with what each filter leaves, if together they leave no clip."""
        if self.num_left == 0:
            steps = ", ".join(f"{counts.num_left_so_far} after {counts.label}" for counts in self.filters)
            raise InputError(f"no clip is left of {self.num_clips}: {steps}")


def judge(dataset: OpenDataset, selection: Selection) -> Judgement:
    """Apply every filter to every clip of the dataset.

    Raises InputError for an unknown name, a value that is not a number or is missing everywhere, wrong SQL, and for
    tables in which clips appear twice.
    """
    with explained():
        _gather(dataset, selection)
        boundaries = _boundaries(dataset, selection)
        passes = [
            f"{_passes(index, rule, boundary)} AS passes_{index}"
            for index, (rule, boundary) in enumerate(zip(selection.filters, boundaries, strict=True))
        ]
        dataset.connection.execute(f"CREATE OR REPLACE VIEW {JUDGED} AS SELECT *, {', '.join(passes)} FROM {_GATHERED}")
        return _count(dataset, selection, boundaries)


def kept(selection: Selection, num_filters: int | None = None) -> str:
    """Return the condition on a row of `judged` that the first filters, by default all, keep it."""
    count = len(selection.filters) if num_filters is None else num_filters
    return " AND ".join(_keeps(selection, index) for index in range(count))


def _keeps(selection: Selection, index: int) -> str:
    return f"coalesce(passes_{index}, {'true' if selection.keep_missing else 'false'})"


def _gather(dataset: OpenDataset, selection: Selection) -> None:
    """Create the table of clip ids and values, by the only join."""
    types = dataset.types()
    values = [f"{_looked_at(dataset, rule, types)} AS value_{i}" for i, rule in enumerate(selection.filters)]
    with ExitStack() as stack:
        for rule in selection.filters:
            if isinstance(rule, Where):
                stack.enter_context(condition_explained(rule.sql))
        dataset.connection.execute(
            f"CREATE OR REPLACE TABLE {_GATHERED} AS "
            f"SELECT clip_id, {', '.join(values)} FROM ({dataset.wide(_tables(dataset, selection))}) AS dataset"
        )
    num_clips, num_rows = _row(dataset, f"SELECT (SELECT count(*) FROM clips), (SELECT count(*) FROM {_GATHERED})")
    if num_clips == 0:
        raise InputError("the dataset has no clips, there is nothing to select from")
    if num_rows != num_clips:
        raise InputError(f"{num_clips} clips have {num_rows} rows: an annotation has several rows for some clips")


def _looked_at(dataset: OpenDataset, rule: Filter, types: Mapping[str, str]) -> str:
    """Return what a filter looks at, as SQL over `dataset`; raises InputError if it cannot."""
    if isinstance(rule, Where):
        check_condition(dataset, rule.sql)
        return f"(\n{rule.sql}\n)"
    kind = types.get(rule.value)
    if kind is None:
        raise InputError(f"{rule.value!r} is not a value of this dataset, {_known(dataset, rule.value, types)}")
    if not is_number(kind):
        raise InputError(f"{rule.value} is of the type {kind}, it should be a number for {rule.label!r}")
    return as_number(rule.value, kind)


def _known(dataset: OpenDataset, name: str, types: Mapping[str, str]) -> str:
    """Return the numbers that could be meant, or those that people select by, one of each annotation first."""
    numbers = [column for column, kind in types.items() if is_number(kind)]
    usual = [column for column in (*dataset.columns, *CLIP_NUMBERS) if column in numbers]
    return hint(name, numbers, f"it has {', '.join(usual)}, and what videoldm curate stats lists")


def _tables(dataset: OpenDataset, selection: Selection) -> tuple[str, ...]:
    """Return the tables that filters may look at; all columns of an annotation begin with its name."""
    used = {"clips"}.union(*(_tables_of(dataset, rule) for rule in selection.filters))
    return tuple(name for name, parts in dataset.view.tables.items() if name in used and parts)


def _tables_of(dataset: OpenDataset, rule: Filter) -> set[str]:
    if isinstance(rule, Where):
        sql = rule.sql.lower()
        return {name for name in dataset.view.tables if name.lower() in sql}
    return {dataset.owner(rule.value) or "clips"}


def _boundaries(dataset: OpenDataset, selection: Selection) -> list[Boundary | None]:
    """Find the boundary of each filter that is a percentile."""
    columns = [f"value_{index}" for index in range(len(selection.filters))]
    counts = _row(dataset, f"SELECT {', '.join(f'count({column})' for column in columns)} FROM {_GATHERED}")
    ranks: dict[int, Rank] = {}
    for index, (rule, count) in enumerate(zip(selection.filters, counts, strict=True)):
        if count == 0:
            raise InputError(f"{rule.label}: no clip has a value{_reasons(dataset, rule)}")
        if isinstance(rule, (DropLowest, DropHighest)) and num_dropped(rule, count):
            place = num_dropped(rule, count) - 1 if isinstance(rule, DropLowest) else count - num_dropped(rule, count)
            ranks[index] = Rank(columns[index], place)
    found = values_at(
        list(ranks.values()), lambda: scan_numbers(dataset, _GATHERED, [columns[index] for index in ranks])
    )
    boundaries: list[Boundary | None] = [None] * len(columns)
    for index, ranked in zip(ranks, found, strict=True):
        rule = selection.filters[index]
        assert isinstance(rule, (DropLowest, DropHighest))
        boundaries[index] = _boundary(dataset, rule, index, ranked, counts[index])
    return boundaries


def num_dropped(rule: DropLowest | DropHighest, num_values: int) -> int:
    """Return how many of `num_values` clips with a value a percentile drops."""
    return math.floor(rule.share * num_values)


def _boundary(
    dataset: OpenDataset, rule: DropLowest | DropHighest, index: int, ranked: Ranked, num_values: int
) -> Boundary:
    num_above = num_values - ranked.num_below - ranked.num_equal
    num_beyond = ranked.num_below if isinstance(rule, DropLowest) else num_above
    num_tied = num_dropped(rule, num_values) - num_beyond
    condition = f"value_{index} = {_number(ranked.value)}"
    clip_id = nth_tied(dataset.connection, _GATHERED, condition, num_tied - 1)
    return Boundary(ranked.value, clip_id, num_equal=ranked.num_equal, num_equal_dropped=num_tied)


def _passes(index: int, rule: Filter, boundary: Boundary | None) -> str:
    value = f"value_{index}"
    match rule:
        case Where():
            return value
        case AtMost():
            return f"{value} <= {_number(rule.limit)}"
        case DropLowest() | DropHighest():
            if boundary is None:
                return f"CASE WHEN {value} IS NOT NULL THEN true END"
            line, beyond = _number(boundary.value), "<" if isinstance(rule, DropLowest) else ">"
            return f"NOT ({value} {beyond} {line} OR ({value} = {line} AND clip_id <= {text(boundary.clip_id)}))"


def _count(dataset: OpenDataset, selection: Selection, boundaries: Sequence[Boundary | None]) -> Judgement:
    conditions = ["true"]
    for index in range(len(selection.filters)):
        conditions += [f"NOT passes_{index}", f"passes_{index} IS NULL"]
        conditions += [_keeps(selection, index), kept(selection, index + 1)]
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in conditions)
    num_clips, *numbers = _row(dataset, f"SELECT {counts} FROM {JUDGED}")
    filters: list[FilterCounts] = []
    for index, rule in enumerate(selection.filters):
        dropped, missing, left, left_so_far = numbers[4 * index : 4 * index + 4]
        if isinstance(rule, (DropLowest, DropHighest)) and dropped != num_dropped(rule, num_clips - missing):
            raise InputError("some clips appear twice in the tables, percentiles need each clip once")
        filters.append(
            FilterCounts(
                label=rule.label,
                num_dropped=dropped,
                num_missing=missing,
                num_left=left,
                num_left_so_far=left_so_far,
                boundary=boundaries[index],
            )
        )
    return Judgement(
        selection=selection, num_clips=num_clips, filters=tuple(filters), tables=_tables(dataset, selection)
    )


def _reasons(dataset: OpenDataset, rule: Filter) -> str:
    """Return why values of the annotations that a filter looks at are missing, the most frequent reasons first."""
    found: list[str] = []
    for name in sorted(_tables_of(dataset, rule) & dataset.columns.keys()):
        rows = dataset.connection.execute(
            f"SELECT coalesce({quoted(f'{name}_missing')}, 'no value'), count(*) AS num "
            f"FROM ({dataset.wide([name])}) GROUP BY 1 ORDER BY num DESC, 1 LIMIT 3"
        ).fetchall()
        found += [f"{reason} ({count})" for reason, count in rows]
    return ": " + ", ".join(found) if found else ""


def _number(value: float) -> str:
    return f"'{value!r}'::{'BIGINT' if isinstance(value, int) else 'DOUBLE'}"


def _row(dataset: OpenDataset, query: str) -> list[int]:
    return list(dataset.connection.execute(query).fetchall()[0])
