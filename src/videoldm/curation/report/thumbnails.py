"""Thumbnails of clips: the middle frame as the sidecar keeps it, a JPEG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from videoldm.curation.report.figures import number
from videoldm.curation.store.view import OpenDataset, quoted
from videoldm.dataset.tables import GREY_KINDS

_MAX_LETTERS = 90
_NAME_START, _NAME_END = 20, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A picture and the lines below it."""

    clip_id: str
    path: str
    """Path of its source."""
    jpeg: bytes | None
    """Picture, None if the sidecar does not have it."""
    lines: tuple[str, ...]


def thumbnails(dataset: OpenDataset, lines: Mapping[str, Sequence[str]]) -> list[Thumbnail]:
    """Return thumbnails with these lines, and one that says where the clip is; meant for tens of clips."""
    rows = dataset.connection.execute(
        f"SELECT clip_id, source_id, middle_pts, path, start_pts * time_base_num / time_base_den FROM clips "
        f"WHERE clip_id IN ({_marks(lines)})",
        list(lines),
    ).fetchall()
    jpegs = _jpegs(dataset, [(source, pts) for _, source, pts, *_ in rows])
    found = {
        clip_id: Thumbnail(
            clip_id=clip_id,
            path=path,
            jpeg=jpegs.get((source, pts)),
            lines=(*lines[clip_id], f"{_shortened(PurePath(path).name)} at {start_s:.2f} s"),
        )
        for clip_id, source, pts, path, start_s in rows
    }
    return [found[clip_id] for clip_id in lines]


def sample(dataset: OpenDataset, num_clips: int) -> list[Thumbnail]:
    """Return thumbnails of some unrelated clips, the same in every run, with their annotations."""
    query = f"SELECT clip_id FROM clips ORDER BY md5(clip_id) LIMIT {num_clips}"
    clip_ids = [clip_id for (clip_id,) in dataset.connection.execute(query).fetchall()]
    lines: dict[str, list[str]] = {clip_id: [] for clip_id in clip_ids}
    for name, columns in dataset.columns.items():
        main = dataset.main(name)
        if main is None or not clip_ids:
            continue
        column = quoted(columns[main])
        rows = dataset.connection.execute(
            f"SELECT clip_id, {column} FROM {quoted(name)} WHERE clip_id IN ({_marks(clip_ids)}) "
            f"AND {column} IS NOT NULL",
            clip_ids,
        ).fetchall()
        for clip_id, value in rows:
            lines[clip_id] += _line(main, value)
    return thumbnails(dataset, lines)


def _jpegs(dataset: OpenDataset, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
    """Return pictures by source and time; only the row groups whose ranges match are read."""
    if not places:
        return {}
    sources, times = sorted({source for source, _ in places}), sorted({pts for _, pts in places})
    is_wanted = f"source_id IN ({_marks(sources)}) AND pts IN ({_marks(times)})"
    query = f"SELECT source_id, pts, jpeg FROM sidecars WHERE {is_wanted} AND kind NOT IN ({_marks(GREY_KINDS)})"
    rows = dataset.connection.execute(query, [*sources, *times, *GREY_KINDS]).fetchall()
    return {(source, pts): jpeg for source, pts, jpeg in rows}


def _line(name: str, value: Any) -> list[str]:
    """Return a value as a line; nothing for what is neither number nor text, such as an embedding."""
    match value:
        case bool() | int() | float():
            return [f"{name} {number(value)}"]
        case str():
            return [value if len(value) <= _MAX_LETTERS else f"{value[: _MAX_LETTERS - 3]}..."]
        case _:
            return []


def _shortened(name: str) -> str:
    """Return a long name without its middle, as names often differ at their end."""
    is_short = len(name) <= _NAME_START + _NAME_END + 3
    return name if is_short else f"{name[:_NAME_START]}...{name[-_NAME_END:]}"


def _marks(values: Sequence[object] | Mapping[str, object]) -> str:
    return ", ".join("?" * len(values)) or "NULL"
