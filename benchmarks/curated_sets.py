"""Two sets of clips of the same videos: those that `videoldm curate` chooses, and all in windows of two seconds."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from mixed_videos import FAULTS, FPS, Fault, faults, record_of

from videoldm.cli.main import main as videoldm
from videoldm.core.config import to_yaml
from videoldm.core.files import write_text
from videoldm.curation.config import ClipConfig, CurationConfig
from videoldm.curation.cuts.config import CutConfig, DissolveConfig, HardCutConfig, VeilConfig
from videoldm.dataset.config import INDEX_FILE, Bucket
from videoldm.dataset.source import window_of

FILTERS = ("motion=25%", "text_area=25%")
"""Of all clips those with the least motion, and those with the most text, go: the first example of docs/curation.md."""
NEVER = 1e9
UNCUT = CurationConfig(
    cuts=CutConfig(
        hard=HardCutConfig(least=NEVER),
        veils=VeilConfig(height=NEVER, peak=NEVER),
        dissolves=DissolveConfig(least=NEVER),
    ),
    clips=ClipConfig(min_s=1.0, max_s=2.2),
)
"""No cut is ever found, and whole videos are divided into equal parts of up to 2.2 s."""


@dataclass(frozen=True)
class ClipSet:
    """A folder that `videoldm curate export` wrote."""

    name: str
    folder: Path


def curated_set(videos: Path, work: Path) -> ClipSet:
    """Cuts found, and clips filtered by motion and text, all with the package's defaults."""
    dataset, clips = work / "curated-dataset", work / "curated-clips"
    _videoldm("curate", "run", videos, "-o", dataset, "--annotations", "motion,text_area", "--workers", 1)
    _videoldm("curate", "select", dataset, "--drop-lowest", FILTERS[0], "--drop-highest", FILTERS[1])
    _videoldm("curate", "export", dataset, "--selection", "default", "-o", clips, "--format", "parquet-index")
    return ClipSet("curated", clips)


def uncurated_set(videos: Path, work: Path) -> ClipSet:
    """No cut found, no filter; motion is measured, as a model is conditioned on it."""
    dataset, clips, config = work / "uncurated-dataset", work / "uncurated-clips", work / "uncurated.yaml"
    write_text(config, to_yaml(UNCUT))
    words = ("--annotations", "motion", "--workers", 1)
    _videoldm("curate", "run", videos, "-o", dataset, "--config", config, *words)
    _videoldm("curate", "export", dataset, "-o", clips, "--format", "parquet-index")
    return ClipSet("uncurated", clips)


@dataclass(frozen=True)
class SetTruth:
    """How many clips and windows in them there are, and how many windows are faulty by what the generator knows."""

    num_clips: int
    num_windows: int
    num_with: Counter[Fault]
    num_clean: int


def truth_of(clips: ClipSet, bucket: Bucket, windows_per_clip: int) -> SetTruth:
    """Look at the windows of each clip that training takes."""
    rows = _rows(clips.folder)
    found = [_faults_of(row, bucket, number, windows_per_clip) for row in rows for number in range(windows_per_clip)]
    num_with = Counter({fault: sum(fault in one for one in found) for fault in FAULTS})
    return SetTruth(len(rows), len(found), num_with, num_clean=sum(not one for one in found))


def _faults_of(row: dict[str, Any], bucket: Bucket, number: int, windows_per_clip: int) -> set[Fault]:
    tick = Fraction(row["time_base_num"], row["time_base_den"])
    start = row["start_pts"] * tick
    times = window_of(row["end_pts"] * tick - start, bucket, number, windows_per_clip).times()
    first, last = (math.floor((start + time) * FPS) for time in (times[0], times[-1]))
    return faults(record_of(Path(row["path"])), first, last)


def _rows(folder: Path) -> list[dict[str, Any]]:
    columns = ["path", "start_pts", "end_pts", "time_base_num", "time_base_den"]
    return pq.ParquetFile(folder / INDEX_FILE).read(columns=columns).to_pylist()


def _videoldm(*words: object) -> None:
    if code := videoldm([str(word) for word in words]):
        sys.exit(code)
