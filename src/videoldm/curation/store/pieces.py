"""An annotation's part of one batch, made piece by piece.

Every piece is a small file of its own, and the part is written once from all of them: writing it anew with each piece
would take time that grows with the square of their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_if_whole, read_part, write_part


@dataclass(frozen=True)
class PartInPieces:
    """The part, and the folder of the pieces that it does not hold yet."""

    part: Path
    folder: Path

    @classmethod
    def of(cls, dataset: Dataset, part: Path) -> PartInPieces:
        """That of a dataset."""
        return cls(part, dataset.work / part.relative_to(dataset.folder).with_suffix(""))

    @property
    def pieces(self) -> list[Path]:
        """Those that there are; a killed run leaves some."""
        return sorted(self.folder.glob("[0-9a-f]*.parquet"))

    def add(self, rows: pa.Table) -> None:
        """Write one more piece, of other clips than those that are there."""
        write_part(self.folder / f"{rows['clip_id'][0].as_py()}.parquet", rows, rows.schema)

    def gather(self, order: Sequence[str]) -> None:
        """Make the part hold the rows of these clips alone, in this order; those of pieces replace older ones.

        Killed on the way, it does the same when it is called again.
        """
        pieces, old = self.pieces, read_if_whole(self.part)
        if old is None:
            self.part.unlink(missing_ok=True)  # broken
        if not pieces and (old is None or set(old["clip_id"].to_pylist()).issubset(order)):
            return
        tables = [*(read_part(piece) for piece in pieces), *([] if old is None else [old])]
        rows = pa.concat_tables([table.cast(tables[0].schema) for table in tables])
        place: dict[str, int] = {}
        for number, clip_id in enumerate(rows["clip_id"].to_pylist()):
            place.setdefault(clip_id, number)
        chosen = rows.take(pa.array([place[clip_id] for clip_id in order if clip_id in place], pa.int64()))
        write_part(self.part, chosen.combine_chunks(), rows.schema)
        for piece in pieces:
            piece.unlink()

    def settled(self) -> dict[str, str]:
        """The clips whose row is in the part and there to stay, and what each was made from."""
        found = read_if_whole(self.part, ["clip_id", "may_come_later", "made_from"])
        if found is None:
            return {}
        rows = found.filter(~pc.field("may_come_later"))
        return dict(zip(rows["clip_id"].to_pylist(), rows["made_from"].to_pylist(), strict=True))


def clip_ids(part: Path) -> list[str]:
    """The clips of a part, in order."""
    return read_part(part, ["clip_id"])["clip_id"].to_pylist()
