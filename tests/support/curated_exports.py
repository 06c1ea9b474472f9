"""Exports of a small curated dataset, with captions and motion put into their index."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from curated import CONFIG, Inline, curate
from fault_videos import write
from numbered_video import draw_number

from videoldm.curation.config import ClipConfig
from videoldm.curation.export.cut_out import CutOutOptions
from videoldm.curation.export.export import export_files, export_folder, export_index, export_shards, rows_to_export
from videoldm.curation.store.dataset import Dataset
from videoldm.dataset.config import INDEX_FILE

NUM_VIDEOS, SHOT_FRAMES, FPS = 3, 40, 25
FORMATS = ("parquet-index", "files", "webdataset")


def numbered(shot: int) -> list[np.ndarray]:
    """Frames that say their number from 100 times the shot's on; every second shot by night, so that cuts are seen."""
    shift = 60 if shot % 2 else -60
    pictures = [draw_number(100 * shot + number) for number in range(SHOT_FRAMES)]
    return [(picture.astype(int) + shift + _scenery(shot)).clip(0, 255).astype(np.uint8) for picture in pictures]


def _scenery(shot: int) -> np.ndarray:
    """Something that stays where it is, below the number: on an even ground, a jump of the patch would be a cut."""
    rows, columns, _ = draw_number(0).shape
    blocks = np.random.default_rng(shot).integers(-70, 71, (rows // 8, columns // 8, 1))
    blocks[0] = 0
    return np.kron(blocks, np.ones((8, 8, 1), int))


def made_dataset(folder: Path) -> Dataset:
    """Videos of two shots of 1.6 s each: every clip is one of them."""
    (folder / "raw").mkdir()
    for number in range(NUM_VIDEOS):
        frames = [frame for shot in (2 * number, 2 * number + 1) for frame in numbered(shot)]
        write(folder / f"raw/{number}.mp4", frames, fps=Fraction(FPS), codec_options={"g": "10", "bf": "0", "crf": "5"})
    rows = [f"raw/{number}.mp4,said of {number},CC0\n" for number in range(NUM_VIDEOS)]
    (folder / "list.csv").write_text("path,caption,licence\n" + "".join(rows))
    config = CONFIG.model_copy(update={"clips": ClipConfig(min_s=0.5)})
    return curate(folder / "dataset", folder / "list.csv", config=config)


def export(
    dataset: Dataset, folder: Path, form: str, captions: Callable[[int], dict[str, str | None]] | None = None
) -> Path:
    """Export all clips as `form`; `captions` gives those of each clip by its number in the index."""
    clips = rows_to_export(dataset, None)
    with export_folder(folder, form):
        match form:
            case "files":
                failed = export_files(clips, folder, Inline(), CutOutOptions())
                assert failed == [], failed
            case "webdataset":
                assert export_shards(clips, folder, Inline(), CutOutOptions(), shard_size=4) == []
            case _:
                export_index(clips, folder)
    change_index(folder, lambda row, number: row | (captions or usual_captions)(number))
    return folder


def usual_captions(number: int) -> dict[str, str | None]:
    return {"image_caption": f"picture {number}", "video_caption": f"video {number}", "summary": f"summary {number}"}


def change_index(folder: Path, change: Callable[[dict[str, Any], int], dict[str, Any]]) -> None:
    """Rewrite rows of the index."""
    table = pq.ParquetFile(folder / INDEX_FILE).read()
    rows = [change(row, number) for number, row in enumerate(table.to_pylist())]
    pq.write_table(pa.Table.from_pylist(rows), folder / INDEX_FILE)
