"""Which clips are exported, with all that is known of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from videoldm.core.errors import InputError
from videoldm.curation.selection.manifest import CLIPS_FILE, find_selection
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_part
from videoldm.curation.store.view import open_dataset, quoted

TOO_LARGE = ("BLOB", "FLOAT[", "DOUBLE[")
"""Types of columns that stay in the dataset: maps and embeddings."""


def rows_to_export(dataset: Dataset, selection: str | None) -> pa.Table:
    """Rows of the wide view in the order of clip ids, with what is known of their sources.

    `pixel_aspect_num` / `pixel_aspect_den` is how much wider than high a pixel of the upright frame is shown.
    """
    with open_dataset(dataset.view()) as opened:
        types = opened.types()
        columns = [quoted(name) for name, kind in types.items() if not kind.startswith(TOO_LARGE)]
        rows = opened.connection.sql(
            f"SELECT {', '.join(f'd.{column}' for column in columns)}, s.metadata, s.size_bytes, s.mtime_ns, "  # noqa: S608
            f"{_upright('num', 'den')} AS pixel_aspect_num, {_upright('den', 'num')} AS pixel_aspect_den "
            "FROM dataset d JOIN sources s ON s.source_id = d.source_id AND s.path = d.path ORDER BY d.clip_id"
        ).to_arrow_table()
    if selection is not None:
        chosen = read_part(find_selection(dataset.folder, selection) / CLIPS_FILE, ["clip_id"])["clip_id"]
        rows = rows.filter(pc.field("clip_id").isin(chosen.combine_chunks()))
        num_gone = len(chosen) - len(rows)
        if num_gone:
            raise InputError(f"{selection}: {num_gone} of its clips are not in the dataset any more: select again")
    if len(rows) == 0:
        raise InputError(f"{dataset.folder}: has no clips to export")
    return rows


def _upright(stored: str, turned: str) -> str:
    """One side of a pixel after its frame was turned upright."""
    return f"CASE WHEN s.rotation % 180 = 0 THEN s.pixel_aspect_{stored} ELSE s.pixel_aspect_{turned} END"
