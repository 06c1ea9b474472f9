"""What is in a dataset: the paper's Table 1, states of its sources, what was annotated, how values are spread.

The figures of a selection are those of a view whose clips are its manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from videoldm.curation.report.distribution import Distribution, distributions
from videoldm.curation.store.view import CLIP_NUMBERS, OpenDataset, explained, quoted
from videoldm.dataset.tables import SOURCE_STATES

YEAR_S = Fraction(36525 * 86400, 100)
_MAX_REASONS = 8
OTHER_REASONS = "other reasons"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOne:
    """The columns of Table 1 of the SVD paper (section 3.1)."""

    num_clips: int
    num_videos: int
    """Those that have a clip."""
    num_frames: int
    total_s: Fraction

    @property
    def mean_clip_s(self) -> Fraction:
        """Seconds a clip."""
        return self.total_s / max(1, self.num_clips)

    @property
    def mean_frames(self) -> Fraction:
        """Frames a clip."""
        return Fraction(self.num_frames, max(1, self.num_clips))

    @property
    def clips_per_video(self) -> Fraction:
        """Clips a video."""
        return Fraction(self.num_clips, max(1, self.num_videos))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Sources in a state, and the most frequent reasons."""

    state: str
    num_sources: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many clips have an annotation, and why the others do not."""

    annotation: str
    num_made: int
    missing: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """All of it."""

    table_one: TableOne
    sources: tuple[SourceState, ...]
    coverage: tuple[Coverage, ...]
    distributions: tuple[Distribution, ...]

    def as_json(self) -> dict[str, Any]:
        """As values of JSON; ratios are rounded to floats."""
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
    """All figures of a dataset; an empty one gives zeros."""
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
    """Exact sums: ticks are added up for each time base."""
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
    """The most frequent of counts that are in order, and the sum of the others."""
    items = list(counts.items())
    others = sum(count for _, count in items[_MAX_REASONS:])
    return dict(items[:_MAX_REASONS]) | ({OTHER_REASONS: others} if others else {})
