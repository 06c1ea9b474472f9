"""What a selection would drop, to look at before it is made: for each filter some of its clips with their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from videoldm.core.web_page import page, section, table
from videoldm.curation.report.drawing import sheet
from videoldm.curation.report.figures import judgement_figures
from videoldm.curation.report.page import pictures
from videoldm.curation.report.thumbnails import Thumbnail, thumbnails
from videoldm.curation.report.wording import number
from videoldm.curation.selection.config import DropLowest, Filter, Where
from videoldm.curation.selection.evaluate import JUDGED, FilterCounts, Judgement
from videoldm.curation.store.view import OpenDataset, explained

NEAREST, SPREAD, WITHOUT = "the last ones to go", "any of those that go", "without a value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Some of the clips that a filter alone would drop, by what kind of sample they are."""

    counts: FilterCounts
    samples: dict[str, list[Thumbnail]]


def what_would_go(dataset: OpenDataset, judgement: Judgement, *, num_each: int = 8) -> list[Gone]:
    """Samples for each filter of what `judge` has just found.

    A filter by a number shows the clips nearest to its line, where it is decided whether the line is right, and some
    from everywhere in order of their values, unless those are the same; a condition shows the latter only. Clips
    without a value come last.
    """
    with explained():
        return [
            Gone(counts=counts, samples=_samples(dataset, judgement, index, num_each))
            for index, counts in enumerate(judgement.filters)
        ]


def gallery_page(judgement: Judgement, gone: Sequence[Gone]) -> str:
    """A page that holds everything it shows."""
    filters = map(_gone, gone) if judgement.num_left < judgement.num_clips else ["<p>Nothing would be dropped.</p>"]
    return page("What the selection would drop", [section("Counts", table(judgement_figures(judgement))), *filters])


def gallery_sheet(gone: Sequence[Gone]) -> Image.Image:
    """The same pictures as one."""
    rows = [(f"{each.counts.label}: {what}", found) for each in gone for what, found in each.samples.items()]
    return sheet(rows)


def _samples(dataset: OpenDataset, judgement: Judgement, index: int, num_each: int) -> dict[str, list[Thumbnail]]:
    rule, goes = judgement.selection.filters[index], f"NOT passes_{index}"
    # Those that go first are lowest, or else highest; the last of them is nearest to the line.
    first, last = ("ASC", "DESC") if isinstance(rule, DropLowest) else ("DESC", "ASC")
    by_value = f"value_{index} {first}, clip_id"
    spread = f"SELECT * FROM (SELECT * FROM {JUDGED} WHERE {goes} ORDER BY md5(clip_id) LIMIT {num_each})"
    queries = {SPREAD: f"{spread} ORDER BY {by_value}"}
    if not isinstance(rule, Where):
        nearest = f"SELECT * FROM {JUDGED} WHERE {goes} ORDER BY value_{index} {last}, clip_id DESC LIMIT {num_each}"
        others = queries if judgement.filters[index].num_dropped > num_each else {}
        queries = {NEAREST: nearest, **others}
    if not judgement.selection.keep_missing:
        queries[WITHOUT] = f"SELECT * FROM {JUDGED} WHERE passes_{index} IS NULL ORDER BY md5(clip_id) LIMIT {num_each}"
    found = {
        what: dataset.connection.execute(f"SELECT clip_id, value_{index} FROM ({query})").fetchall()
        for what, query in queries.items()
    }
    return {
        what: thumbnails(dataset, {clip_id: _lines(rule, value) for clip_id, value in rows})
        for what, rows in found.items()
        if rows
    }


def _lines(rule: Filter, value: float | None) -> list[str]:
    return [] if isinstance(rule, Where) or value is None else [f"{rule.value} {number(value)}"]


def _gone(gone: Gone) -> str:
    bodies = [f"<h3>{escape(what)}</h3>{pictures(found)}" for what, found in gone.samples.items()]
    return section(gone.counts.label, "".join(bodies) or "<p>drops no clip</p>")
