"""Figures of datasets and selections as texts in rows, the same for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from videoldm.core.figures import Figures
from videoldm.curation.report.stats import SourceState, Stats, TableOne
from videoldm.curation.report.wording import counted, duration, share
from videoldm.curation.selection.evaluate import Judgement


def clip_figures(datasets: Mapping[str, TableOne]) -> Figures:
    """Table 1 of the SVD paper of several datasets side by side, such as a whole one and what is selected of it."""
    columns = [_table_one(each) for each in datasets.values()]
    return Figures(["", *datasets], [[name, *(column[name] for column in columns)] for name in columns[0]])


def source_figures(states: Sequence[SourceState]) -> Figures:
    """Sources by state."""
    rows = [[state.state, f"{state.num_sources:,}", counted(state.reasons)] for state in states]
    return Figures(["sources", "number", "reasons"], rows)


def coverage_figures(stats: Stats) -> Figures:
    """Annotations by how many clips have them."""
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
    return Figures(["annotation", "made", "of all", "missing", "why missing"], rows)


def judgement_figures(judgement: Judgement) -> Figures:
    """What each filter drops, alone and together with those before it."""
    whole = f"{judgement.num_clips:,}"
    rows = [["all clips", "", "", whole, whole, share(judgement.num_clips, judgement.num_clips)]]
    for counts in judgement.filters:
        numbers = (counts.num_dropped, counts.num_missing, counts.num_left, counts.num_left_so_far)
        of_all = share(counts.num_left_so_far, judgement.num_clips)
        rows.append([counts.label, *(f"{number:,}" for number in numbers), of_all])
    return Figures(["filter", "drops", "missing", "left alone", "left so far", "of all"], rows)


def _table_one(table: TableOne) -> dict[str, str]:
    return {
        "clips": f"{table.num_clips:,}",
        "mean clip duration": f"{float(table.mean_clip_s):.2f} s",
        "total duration": duration(table.total_s),
        "mean frames": f"{float(table.mean_frames):,.1f}",
        "videos with a clip": f"{table.num_videos:,}",
        "mean clips a video": f"{float(table.clips_per_video):.2f}",
    }
