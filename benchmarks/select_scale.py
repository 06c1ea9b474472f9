"""Selection from a table of many generated rows, checked against sorting in numpy: time and memory.

    python benchmarks/select_scale.py --rows 50_000_000 --memory-gib 4

Tables are written to a temporary folder (or to `--folder`) in parts of a million clips: `clips` and four annotations.
One clip in a hundred has no value; motion and text area are 0 for many, so that percentiles fall among equal values.
The selection runs in its own process, whose memory is measured. Clip ids can be mapped back to row numbers, by which
the check verifies that exactly the right clips are left.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from videoldm.curation.selection.config import Selection, split_filters
from videoldm.curation.selection.evaluate import Judgement, judge
from videoldm.curation.selection.manifest import save_selection
from videoldm.curation.store.view import DatasetView, QueryLimits, open_dataset
from videoldm.dataset.tables import CLIPS, annotation_schema

WORDS = "--drop-lowest motion=25% aesthetics=25% text_similarity=50% --drop-highest text_area=25% --text-area-max 0.07"
NAMES = ("motion", "aesthetics", "text_similarity", "text_area")
PART_ROWS = 1_000_000
CLIPS_A_SOURCE = 11  # about as many as the paper counts
GIB = 2**30
# Odd numbers have an inverse modulo 2^64, so this scatters source numbers, and can be undone.
SCATTER = np.uint64(0x9E3779B97F4A7C15)
GATHER = np.uint64(pow(int(SCATTER), -1, 2**64))
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True)
class Measured:
    """What the process of the selection reports."""

    judgement: Judgement
    manifest: Path
    judge_s: float
    save_s: float
    peak_bytes: int
    scratch_bytes: int


def main() -> None:
    """Build, select, check, print."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="select-scale-", dir=arguments.folder) as name:
        folder, console = Path(name), Console(width=140)
        start = time.perf_counter()
        view = build(folder, arguments.rows)
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        console.print(f"{arguments.rows:,} clips, {size / GIB:.2f} GiB, built in {time.perf_counter() - start:.0f} s")
        limits = QueryLimits(memory_gib=arguments.memory_gib, num_threads=arguments.threads, scratch=folder)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            measured = pool.submit(measure, view, folder, limits).result()
        for part in (path for parts in view.tables.values() for path in parts):
            part.unlink()
        start = time.perf_counter()
        expected = expected_rows(arguments.rows)
        left = rows_of_ids(measured.manifest)
        assert np.array_equal(left, expected), f"{len(left):,} clips are left, {len(expected):,} should be, or others"
        console.print(f"equal to sorting: {len(left):,} clips are left ({time.perf_counter() - start:.0f} s to check)")
        console.print(counts_table(measured.judgement))
        console.print(cost_table(measured, limits, arguments.rows))


def parse_arguments() -> argparse.Namespace:
    """Rows, limits and the place for the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--memory-gib", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    return parser.parse_args()


def measure(view: DatasetView, folder: Path, limits: QueryLimits) -> Measured:
    """Judge and save, in this process."""
    filters, _ = split_filters(WORDS.split())
    selection = Selection(filters=filters)
    largest, is_done = [0], threading.Event()

    def watch() -> None:
        while not is_done.wait(0.5):
            largest[0] = max(largest[0], folder_bytes(folder, "videoldm-query-*/**/*"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with open_dataset(view, limits) as dataset:
            start = time.perf_counter()
            judgement = judge(dataset, selection)
            middle = time.perf_counter()
            saved = save_selection(dataset, judgement, folder, "scale")
            end = time.perf_counter()
    finally:
        is_done.set()
        watcher.join()
    manifest = saved.folder / "clips.parquet"
    return Measured(judgement, manifest, middle - start, end - middle, peak_bytes(), largest[0])


def peak_bytes() -> int:
    """The most memory that this process has had at once (Linux)."""
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def folder_bytes(folder: Path, pattern: str) -> int:
    """The size of files that may vanish while it is measured."""
    size = 0
    for path in folder.glob(pattern):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def build(folder: Path, num_rows: int) -> DatasetView:
    """Write all parts."""
    parts: dict[str, list[Path]] = {name: [] for name in ("clips", *NAMES)}
    for number, start in enumerate(range(0, num_rows, PART_ROWS)):
        rows = np.arange(start, min(start + PART_ROWS, num_rows), dtype=np.uint64)
        ids = clip_ids(rows)
        tables = {"clips": clips_table(rows, ids)}
        for name in NAMES:
            values, is_missing = made_values(name, number, len(rows))
            reason = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(rows), np.int8), mask=~is_missing), ["dark"])
            columns = [ids, reason.cast(pa.string()), pa.array(values, mask=is_missing)]
            tables[name] = pa.table(columns, schema=annotation_schema(pa.schema([(name, pa.float32())])))
        for name, table in tables.items():
            path = folder / name / f"{number:05}.parquet"
            path.parent.mkdir(exist_ok=True)
            pq.write_table(table, path, compression="zstd", use_dictionary=["path", "source_id", "missing"])
            parts[name].append(path)
    return DatasetView(clips=parts["clips"], annotations={name: parts[name] for name in NAMES})


def made_values(name: str, part: int, num_rows: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values of a part and which of them are missing; the same whenever they are made."""
    rng = np.random.default_rng([NAMES.index(name), part])
    is_missing = rng.random(num_rows) < 0.01
    match name:
        case "motion":
            values = rng.gamma(1.5, 0.02, num_rows) * (rng.random(num_rows) > 0.15)
        case "text_area":
            values = rng.exponential(0.08, num_rows) * (rng.random(num_rows) > 0.85)
        case "aesthetics":
            values = rng.normal(4.5, 0.8, num_rows)
        case _:
            values = rng.normal(0.22, 0.05, num_rows)
    return values.astype(np.float32), is_missing


def clip_ids(rows: NDArray[np.uint64]) -> pa.StringArray:
    """40 hexadecimal digits of the source, a dash, and the clip's number in two digits."""
    source, number = scattered(rows)
    digits = np.empty((len(rows), 43), np.uint8)
    for place in range(16):
        shift = np.uint64(60 - 4 * place)
        digits[:, place] = HEX[(source >> shift) & np.uint64(15)]
    digits[:, 16:32] = digits[:, 15::-1]
    digits[:, 32:40] = digits[:, 4:12]
    digits[:, 40] = ord("-")
    digits[:, 41:] = np.stack([number // 10, number % 10], axis=1) + ord("0")
    return strings(digits)


def strings(digits: NDArray[np.uint8]) -> pa.StringArray:
    """Texts of equal length."""
    num_rows, length = digits.shape
    offsets = np.arange(0, (num_rows + 1) * length, length, dtype=np.int32)
    return pa.StringArray.from_buffers(num_rows, pa.py_buffer(offsets), pa.py_buffer(digits.tobytes()))


def scattered(rows: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What clip ids sort by: a number of the source, and the clip's within it."""
    return rows // np.uint64(CLIPS_A_SOURCE) * SCATTER, rows % np.uint64(CLIPS_A_SOURCE)


def clips_table(rows: NDArray[np.uint64], ids: pa.StringArray) -> pa.Table:
    """Clips of 4 s to 20 s."""
    source_ids = pc.utf8_slice_codeunits(ids, 0, 40)
    paths = pc.binary_join_element_wise("raw/videos/", source_ids, ".mp4", "")
    number = (rows % np.uint64(CLIPS_A_SOURCE)).astype(np.int64)
    start = number * 600
    num_frames = 100 + (rows.astype(np.int64) * 7919) % 400
    constants = {"stream": 0, "time_base_num": 1, "time_base_den": 25, "width": 1280, "height": 720}
    constants |= {"frame_rate_num": 25, "frame_rate_den": 1}
    columns = {name: np.full(len(rows), value) for name, value in constants.items()}
    columns |= {"clip_id": ids, "source_id": source_ids, "path": paths, "num_frames": num_frames}
    columns |= {"start_pts": start, "end_pts": start + num_frames, "first_pts": start}
    columns |= {"middle_pts": start + num_frames // 2, "last_pts": start + num_frames - 1}
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in CLIPS], schema=CLIPS)


def expected_rows(num_rows: int) -> NDArray[np.int64]:
    """Row numbers of the clips that should be left, by sorting."""
    is_left = np.ones(num_rows, bool)
    for name, share, sign in (
        ("motion", 0.25, 1),
        ("aesthetics", 0.25, 1),
        ("text_similarity", 0.5, 1),
        ("text_area", 0.25, -1),
    ):
        values, is_missing = map(np.concatenate, zip(*columns_of(name, num_rows), strict=True))
        is_left &= ~is_missing
        [known] = np.nonzero(~is_missing)
        num_dropped = int(share * len(known))
        keys = sign * values[known]
        line = np.partition(keys, num_dropped - 1)[num_dropped - 1]
        is_left[known[keys < line]] = False
        tied = known[keys == line]
        source, number = scattered(tied.astype(np.uint64))
        is_left[tied[np.lexsort((number, source))[: num_dropped - int((keys < line).sum())]]] = False
        if name == "text_area":
            is_left &= ~(values > 0.07)
    return np.nonzero(is_left)[0]


def columns_of(name: str, num_rows: int) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Values of all parts."""
    starts = range(0, num_rows, PART_ROWS)
    return [made_values(name, part, min(PART_ROWS, num_rows - start)) for part, start in enumerate(starts)]


def rows_of_ids(manifest: Path) -> NDArray[np.int64]:
    """Row numbers of the clips in a manifest, upwards; its ids should be sorted."""
    rows: list[NDArray[np.int64]] = []
    last = ""
    for batch in pq.ParquetFile(manifest).iter_batches(columns=["clip_id"]):
        ids = batch.column(0).to_numpy(zero_copy_only=False).astype("S43")
        assert last < ids[0].decode()
        assert (ids[1:] > ids[:-1]).all()
        last = ids[-1].decode()
        digits = ids.view(np.uint8).reshape(-1, 43).astype(np.int64)
        values = np.where(digits >= ord("a"), digits - ord("a") + 10, digits - ord("0")).astype(np.uint64)
        source = np.zeros(len(ids), np.uint64)
        for place in range(16):
            source = source << np.uint64(4) | values[:, place]
        row = source * GATHER * np.uint64(CLIPS_A_SOURCE) + values[:, 41] * np.uint64(10) + values[:, 42]
        rows.append(row.astype(np.int64))
    return np.sort(np.concatenate(rows))


def counts_table(judgement: Judgement) -> Table:
    """What filters drop."""
    table = Table("filter", "dropped", "missing", "left alone", "left so far")
    for counts in judgement.filters:
        numbers = (counts.num_dropped, counts.num_missing, counts.num_left, counts.num_left_so_far)
        table.add_row(counts.label, *(f"{number:,}" for number in numbers))
    return table


def cost_table(measured: Measured, limits: QueryLimits, num_rows: int) -> Table:
    """Time and memory."""
    table = Table("rows", "judge s", "save s", "peak GiB", "DuckDB's limit GiB", "scratch GiB", "manifest GiB")
    table.add_row(
        f"{num_rows:,}",
        f"{measured.judge_s:.0f}",
        f"{measured.save_s:.0f}",
        f"{measured.peak_bytes / GIB:.2f}",
        f"{limits.memory_gib:g}",
        f"{measured.scratch_bytes / GIB:.2f}",
        f"{measured.manifest.stat().st_size / GIB:.2f}",
    )
    return table


if __name__ == "__main__":
    main()
