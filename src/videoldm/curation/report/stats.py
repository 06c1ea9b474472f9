"""Statistics of a dataset: the paper's Table 1, states of sources, coverage of annotations, distributions of values.

Statistics of a selection are those of a view whose clips are its manifest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from videoldm.curation.selection.ranks import Numbers, Rank, as_number, is_number, scan_numbers, values_at
from videoldm.curation.store.view import CLIP_NUMBERS, OpenDataset, explained, quoted
from videoldm.dataset.tables import SOURCE_STATES

YEAR_S = Fraction(36525 * 86400, 100)
_MAX_REASONS = 8
OTHER_REASONS = "other reasons"
NUM_BINS = 40
QUARTERS = (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1))
_TAIL = Fraction(1, 200)
"""Share of values on either side that fall into the outer bins, so that outliers do not squeeze all others into one."""
_TABLE = "numbers"
Scan = Callable[[], Iterable[Mapping[str, Numbers]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOne:
    """Columns of Table 1 of the SVD paper (section 3.1)."""

    num_clips: int
    num_videos: int
    """Number of videos that have a clip."""
    num_frames: int
    total_s: Fraction

    @property
    def mean_clip_s(self) -> Fraction:
        """Mean duration of a clip in seconds."""
        return self.total_s / max(1, self.num_clips)

    @property
    def mean_frames(self) -> Fraction:
        """Mean number of frames of a clip."""
        return Fraction(self.num_frames, max(1, self.num_clips))

    @property
    def clips_per_video(self) -> Fraction:
        """Mean number of clips of a video."""
        return Fraction(self.num_clips, max(1, self.num_videos))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Number of sources in a state, and the most frequent reasons."""

    state: str
    num_sources: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Number of clips that have an annotation, and why the others do not."""

    annotation: str
    num_made: int
    missing: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """All statistics of a dataset."""

    table_one: TableOne
    sources: tuple[SourceState, ...]
    coverage: tuple[Coverage, ...]
    distributions: tuple[Distribution, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the statistics as JSON values; ratios are rounded to floats."""
        table = self.table_one
        return {
            "clips": table.num_clips,
            "videos": table.num_videos,
            "frames": table.num_frames,
            "total_s": float(table.total_s),
            "mean_clip_s": float(table.mean_clip_s),
            "mean_frames": float(table.mean_frames),
            "clips_per_video": float(table.clips_per_video),
            "sources": [asdict(state) for state in self.sources],
            "coverage": [asdict(coverage) for coverage in self.coverage],
            "distributions": [asdict(distribution) for distribution in self.distributions],
        }


def measure_stats(dataset: OpenDataset) -> Stats:
    """Measure all statistics of a dataset; an empty one gives zeros."""
    with explained():
        spread = distributions(dataset, f"SELECT {', '.join(CLIP_NUMBERS)} FROM ({dataset.wide([])})")
        for name, columns in dataset.columns.items():
            values = ", ".join(map(quoted, columns))
            spread += distributions(dataset, f"SELECT {values} FROM ({dataset.wide([name])})") if values else []
        return Stats(
            table_one=measure_table_one(dataset),
            sources=_source_states(dataset),
            coverage=tuple(_coverage(dataset, name) for name in dataset.columns),
            distributions=tuple(spread),
        )


def measure_table_one(dataset: OpenDataset) -> TableOne:
    """Measure Table 1 exactly: ticks are summed for each time base."""
    query = (
        "SELECT time_base_num, time_base_den, sum(end_pts - start_pts), count(*), sum(num_frames) "
        "FROM clips GROUP BY ALL"
    )
    groups = dataset.connection.execute(query).fetchall()
    [(num_videos,)] = dataset.connection.execute("SELECT count(DISTINCT source_id) FROM clips").fetchall()
    return TableOne(
        num_clips=sum(count for *_, count, _ in groups),
        num_videos=num_videos,
        num_frames=sum(int(frames) for *_, frames in groups),
        total_s=sum((Fraction(int(ticks) * num, den) for num, den, ticks, *_ in groups), Fraction(0)),
    )


def _source_states(dataset: OpenDataset) -> tuple[SourceState, ...]:
    query = "SELECT state, reason, count(*) AS num FROM sources GROUP BY state, reason ORDER BY num DESC, reason"
    rows = dataset.connection.execute(query).fetchall()
    states = [state for state in SOURCE_STATES if any(row[0] == state for row in rows)]
    return tuple(
        SourceState(
            state=state,
            num_sources=sum(count for found, _, count in rows if found == state),
            reasons=_most_frequent({reason: count for found, reason, count in rows if found == state and reason}),
        )
        for state in states
    )


def _coverage(dataset: OpenDataset, name: str) -> Coverage:
    reason = quoted(f"{name}_missing")
    query = (
        f"SELECT {reason} AS reason, count(*) AS num FROM ({dataset.wide([name])}) GROUP BY reason "
        f"ORDER BY num DESC, reason"
    )
    rows: dict[str | None, int] = dict(dataset.connection.execute(query).fetchall())
    made = rows.pop(None, 0)
    return Coverage(
        annotation=name, num_made=made, missing=_most_frequent({str(name): count for name, count in rows.items()})
    )


def _most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent of ordered counts, and the sum of the others."""
    items = list(counts.items())
    others = sum(count for _, count in items[_MAX_REASONS:])
    return dict(items[:_MAX_REASONS]) | ({OTHER_REASONS: others} if others else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Exact quartiles and a histogram of the finite values of a column."""

    column: str
    num_values: int
    quarters: tuple[float, ...]
    """Smallest value, first quartile, median, third quartile, largest value."""
    edges: tuple[float, ...]
    """Edges of bins of equal width; values beyond the outer edges count in the first and last bin."""
    counts: tuple[int, ...]

    @property
    def is_constant(self) -> bool:
        """Whether all values are equal."""
        return self.quarters[0] == self.quarters[-1]

    @property
    def is_by_value(self) -> bool:
        """Whether each bin holds only the value in its middle, as with few integers."""
        return len(self.counts) == 1 or (isinstance(self.quarters[0], int) and self.edges[0] % 1 == 0.5)


def distributions(dataset: OpenDataset, query: str) -> list[Distribution]:
    """Measure each column of numbers of `query` that has a finite value, in passes over any number of rows."""
    types = {column: kind for column, kind in dataset.types_of(query).items() if is_number(kind)}
    if not types:
        return []
    numbers = ", ".join(f"{as_number(name, kind, finite=True)} AS {quoted(name)}" for name, kind in types.items())
    connection = dataset.connection
    connection.execute(f"CREATE OR REPLACE TABLE {_TABLE} AS SELECT {numbers} FROM ({query})")
    counts = connection.execute(f"SELECT {', '.join(f'count({quoted(name)})' for name in types)} FROM {_TABLE}")
    filled = {name: count for name, count in zip(types, counts.fetchall()[0], strict=True) if count}
    found = _measure(filled, lambda: scan_numbers(dataset, _TABLE, list(filled))) if filled else []
    connection.execute(f"DROP TABLE {_TABLE}")
    return found


def _measure(num_values: Mapping[str, int], scan: Scan) -> list[Distribution]:
    ranks = [Rank(name, place) for name, count in num_values.items() for place in _places(count)]
    values = iter(values_at(ranks, scan))
    by_column = {name: [next(values).value for _ in _places(count)] for name, count in num_values.items()}
    edges = {name: _edges(found[-2], found[-1]) for name, found in by_column.items()}
    counts = {name: np.zeros(len(edges[name]) - 1, np.int64) for name in num_values}
    for batch in scan():
        for name in num_values:
            counts[name] += np.histogram(np.clip(batch[name], edges[name][0], edges[name][-1]), edges[name])[0]
    return [
        Distribution(
            column=name,
            num_values=num_values[name],
            quarters=tuple(found[: len(QUARTERS)]),
            edges=tuple(edges[name]),
            counts=tuple(counts[name].tolist()),
        )
        for name, found in by_column.items()
    ]


def _places(num_values: int) -> list[int]:
    """Return the ranks of the quartiles, then of the ends of the histogram."""
    last = num_values - 1
    return [math.floor(share * last) for share in (*QUARTERS, _TAIL)] + [math.ceil((1 - _TAIL) * last)]


def _edges(lowest: float, highest: float) -> Sequence[float]:
    """Return the edges of bins between two values; few integers get a bin each, centred on them."""
    if isinstance(lowest, int) and highest - lowest < NUM_BINS:
        return [value - 0.5 for value in range(lowest, int(highest) + 2)]
    if lowest == highest:
        return [lowest - 0.5, lowest + 0.5]
    return np.linspace(lowest, highest, NUM_BINS + 1).tolist()
