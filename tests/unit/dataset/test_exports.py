"""Reading exports: the same frames whatever the form, and what is told of those that cannot be used."""

from __future__ import annotations

import json
import os
import shutil
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from curated_exports import FORMATS, FPS, SHOT_FRAMES, change_index
from numbered_video import read_number

from videoldm.core.errors import InputError
from videoldm.dataset.config import INDEX_FILE, INFO_FILE, Bucket
from videoldm.dataset.exports import open_export
from videoldm.dataset.source import read_window, window_of
from videoldm.video.picture import fit_picture


@pytest.fixture
def copied(exports: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An export to spoil; its form is the fixture's parameter."""
    shutil.copytree(exports[request.param], tmp_path / "export")
    return tmp_path / "export"


@pytest.mark.parametrize("form", FORMATS)
def test_frames_are_those_shown_at_their_times(exports: dict[str, Path], form: str) -> None:
    source = open_export(exports[form])
    assert (len(source), source.left_out) == (6, [])
    times = [Fraction(k, 7) for k in range(11)]
    shots = set()
    for index, clip in enumerate(source.clips()):
        assert clip == source.clip(index)
        assert clip.duration_s == Fraction(SHOT_FRAMES, FPS)
        assert (clip.width, clip.height, clip.frame_rate) == (96, 48, FPS)
        number = int(clip.name[-len("0.mp4")])
        captions = {"image": f"picture {index}", "video": f"video {index}", "summary": f"summary {index}"}
        assert clip.captions == captions | {"given": f"said of {number}"}
        numbers = [read_number(frame) for frame in source.frames(index, times)]
        shots.add(numbers[0])
        assert [number - numbers[0] for number in numbers] == [int(time * FPS) for time in times]
    assert shots == {0, 100, 200, 300, 400, 500}


def test_last_moment_of_a_clip_shows_its_last_frame_and_not_the_next_shot(exports: dict[str, Path]) -> None:
    source = open_export(exports["parquet-index"])
    almost_over = source.clip(0).duration_s - Fraction(1, 10**9)
    for index in range(len(source)):
        first, last = source.frames(index, [Fraction(0), almost_over])
        assert read_number(last) - read_number(first) == SHOT_FRAMES - 1
    with pytest.raises(InputError, match="ends at"):
        source.frames(0, [source.clip(0).duration_s])


def test_copies_count_as_the_same_frames_as_their_source(exports: dict[str, Path]) -> None:
    contents = [[clip.content for clip in open_export(exports[form]).clips()] for form in FORMATS]
    assert contents[0] == contents[1] == contents[2]
    assert len(set(contents[0])) == 6


def test_windows_are_fitted_as_given_pictures_are(exports: dict[str, Path]) -> None:
    source = open_export(exports["files"])
    bucket = Bucket(height=24, width=24, num_frames=4, fps=Fraction(5), batch_size=1)
    window = window_of(source.clip(2).duration_s, bucket, 1, 3)
    assert window.start_s == Fraction(1, 2)  # 1.6 s leave 1 s in which 0.6 s can begin
    frames = source.frames(2, window.times())
    expected = torch.stack([fit_picture(frame, 24, 24) for frame in frames])
    assert torch.equal(read_window(source, 2, window), expected)
    # Of 96x48 the middle 48x48 are seen: the code's last bit is inside, the first one is not.
    assert bool((expected[0, :, 3] != expected[3, :, 3]).any())


@pytest.mark.parametrize("copied", ["parquet-index"], indirect=True)
def test_captions_that_are_empty_or_were_caught_are_none(copied: Path) -> None:
    change_index(copied, lambda row, _: row | {"image_caption": " ", "summary": None, "video_caption_is_caught": True})
    assert all(clip.captions.keys() == {"given"} for clip in open_export(copied).clips())


@pytest.mark.parametrize("copied", ["parquet-index"], indirect=True)
def test_fingerprint_tells_what_is_known_and_not_where_it_lies(copied: Path) -> None:
    before = open_export(copied).fingerprint
    change_index(copied, lambda row, _: row | {"path": os.path.relpath(row["path"])})
    assert open_export(copied).fingerprint == before
    change_index(copied, lambda row, number: row | {"motion": row["motion"] + (number == 3)})
    assert open_export(copied).fingerprint != before


@pytest.mark.parametrize("copied", ["parquet-index"], indirect=True)
def test_sources_that_are_gone_or_changed_are_left_out(copied: Path, tmp_path: Path) -> None:
    def change(row: dict, number: int) -> dict:
        if row["path"].endswith("/0.mp4"):
            return row | {"path": str(tmp_path / "gone.mp4")}
        return row | {"mtime_ns": row["mtime_ns"] + row["path"].endswith("/1.mp4")}

    change_index(copied, change)
    source = open_export(copied)
    assert len(source) == 2
    reasons = sorted(clip.reason.split(":")[0] for clip in source.left_out)
    assert reasons == 2 * ["its source has changed since it was curated"] + 2 * ["its source is gone"]


@pytest.mark.parametrize("copied", ["parquet-index"], indirect=True)
def test_source_that_changes_later_is_refused_by_name(copied: Path, tmp_path: Path) -> None:
    row = pq.ParquetFile(copied / INDEX_FILE).read().to_pylist()[0]
    path = shutil.copy2(row["path"], tmp_path / "copy.mp4")
    status = Path(path).stat()
    changes = {"path": str(path), "mtime_ns": status.st_mtime_ns, "size_bytes": status.st_size}
    change_index(copied, lambda row, _: row | changes)
    source = open_export(copied)
    source.frames(0, [Fraction(0)])
    os.utime(path)
    with pytest.raises(InputError, match=r"copy\.mp4: its source has changed"):
        source.frames(0, [Fraction(0)])


@pytest.mark.parametrize("copied", ["files", "webdataset"], indirect=True)
def test_files_that_are_gone_or_cut_off_are_left_out(copied: Path) -> None:
    rows = pq.ParquetFile(copied / INDEX_FILE).read().to_pylist()
    last = copied / rows[-1]["file"]
    if last.suffix == ".tar":
        os.truncate(last, rows[-1]["offset"] + rows[-1]["size"] - 1)
    else:
        last.unlink()
    [left_out] = open_export(copied).left_out
    assert rows[-1]["clip_id"] in left_out.name
    assert left_out.reason.endswith("export again")


@pytest.mark.parametrize("copied", ["parquet-index"], indirect=True)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / INFO_FILE).unlink(), "is not an export of curated clips"),
        (lambda folder: (folder / INFO_FILE).write_text(json.dumps({"format": "hdf5"})), "holds an export as 'hdf5'"),
        (lambda folder: (folder / INDEX_FILE).unlink(), "is missing, the export has not finished"),
        (lambda folder: (folder / INDEX_FILE).write_bytes(b"PAR1 and nothing"), "cannot be read as Parquet"),
        (lambda folder: os.truncate(folder / INDEX_FILE, 500), "cannot be read as Parquet"),
        (lambda folder: change_index(folder, lambda row, _: {"clip_id": row["clip_id"]}), "has no column end_pts"),
        (lambda folder: keep_no_row(folder / INDEX_FILE), "has no clips"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_told(copied: Path, spoil, message: str) -> None:
    spoil(copied)
    with pytest.raises(InputError, match=message) as caught:
        open_export(copied)
    assert "\n" not in str(caught.value)


def keep_no_row(index: Path) -> None:
    pq.write_table(pq.ParquetFile(index).read().slice(0, 0), index)


def test_curated_dataset_itself_is_told_how_to_be_exported(exports: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="--format parquet-index makes one"):
        open_export(exports["files"].parent / "dataset")
