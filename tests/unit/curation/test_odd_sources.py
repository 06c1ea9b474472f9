"""Sources that are whole and still unusual: what tables say of them, what annotators see, and what is exported."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import odd_videos
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from curated import Inline, curate, rows
from fault_videos import with_edit_list, write
from odd_videos import shot

from videoldm.curation.config import ClipConfig, CurationConfig
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import SignalTable
from videoldm.curation.cuts.transition import Transition
from videoldm.curation.export.cut_out import CutOutOptions
from videoldm.curation.export.export import export_files, export_folder, export_index, rows_to_export
from videoldm.curation.stages import clips
from videoldm.curation.status import summarise
from videoldm.curation.store.dataset import Dataset
from videoldm.dataset.exports import open_export
from videoldm.video.clip_file import StoredShape, encode_clip
from videoldm.video.hdr import mastering_options
from videoldm.video.interlacing import combing, field_order
from videoldm.video.probe import probe

pytestmark = pytest.mark.slow

CONFIG = CurationConfig(clips=ClipConfig(min_s=0.5), annotations=())


def source_of(dataset: Dataset) -> dict[str, Any]:
    [source] = rows(dataset, "sources")
    return source


def clips_of(dataset: Dataset) -> list[dict[str, Any]]:
    return sorted(rows(dataset, "clips"), key=lambda clip: clip["start_pts"])


def exported(dataset: Dataset, folder: Path, *, is_exact: bool = False) -> list[dict[str, Any]]:
    """Rows of the index of an export as files, in the order of their times."""
    with export_folder(folder, "files"):
        options = CutOutOptions(shortest_s=Fraction(1, 2), is_exact=is_exact)
        failed = export_files(rows_to_export(dataset, None), folder, Inline(), options)
    assert failed == []
    found = pq.ParquetFile(folder / "clips.parquet").read().to_pylist()
    return sorted(found, key=lambda row: row["start_pts"])


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def trained_on(dataset: Dataset, folder: Path) -> list[np.ndarray]:
    """The first frame of each clip as training reads it from an index, in the order of clip ids."""
    with export_folder(folder, "parquet-index"):
        export_index(rows_to_export(dataset, None), folder)
    clips = open_export(folder)
    return [clips.frames(number, [Fraction(0)])[0] for number in range(len(clips))]


def is_like(picture: np.ndarray, wanted: np.ndarray) -> bool:
    return float(np.abs(picture.astype(int) - wanted).mean()) < 6


def test_clock_that_starts_again_loses_nothing(tmp_path: Path) -> None:
    path = odd_videos.clock_that_restarts(tmp_path / "restarted.ts")
    dataset = curate(tmp_path / "dataset", path, config=CONFIG)
    source, clips = source_of(dataset), clips_of(dataset)
    assert (source["num_frames"], source["num_decoded"], source["times"]) == (60, 60, "restarted")
    assert probe(path).video.num_frames == 60
    assert probe(path).video.duration == 4
    assert [clip["num_frames"] for clip in clips] == [30, 30]
    copies = exported(dataset, tmp_path / "clips")
    assert [row["is_copy"] for row in copies] == [True, True]
    for row, seed in zip(copies, (1, 2), strict=True):
        frames = decoded(tmp_path / "clips" / row["file"])
        assert len(frames) == 30
        assert is_like(frames[0].to_ndarray(format="rgb24"), shot(seed, 30)[0])
    pictures = trained_on(dataset, tmp_path / "index")
    in_order = [pictures[number] for number in np.argsort([clip["clip_id"] for clip in clips]).argsort()]
    assert is_like(in_order[0], shot(1, 30)[0])
    assert is_like(in_order[1], shot(2, 30)[0])


def test_clock_that_jumps_ahead_makes_no_long_clips(tmp_path: Path) -> None:
    late = odd_videos.recording(shot(2, 30), ticks=range(15 * 3600, 15 * 3600 + 30))
    path = odd_videos.appended(tmp_path / "jump.ts", odd_videos.recording(shot(1, 30)), late)
    dataset = curate(tmp_path / "dataset", path, config=CONFIG)
    found = [(clip["num_frames"], (clip["end_pts"] - clip["start_pts"]) / 90_000) for clip in clips_of(dataset)]
    assert found == [(30, 2), (30, 2)]
    assert [row["is_copy"] for row in exported(dataset, tmp_path / "clips")] == [True, True]


@pytest.mark.parametrize(
    ("name", "write", "num_frames"),
    [("packed.avi", odd_videos.packed_b_pictures, 40), ("bare.h264", odd_videos.without_times, 30)],
)
def test_times_that_do_not_go_forward_are_counted_on(tmp_path: Path, name: str, write: Any, num_frames: int) -> None:
    path = write(tmp_path / name)
    dataset = curate(tmp_path / "dataset", path, config=CONFIG)
    source, [clip] = source_of(dataset), clips_of(dataset)
    assert (source["state"], source["times"], clip["times"]) == ("whole", "counted", "counted")
    assert source["num_frames"] == clip["num_frames"] == probe(path).video.num_frames == num_frames
    [row] = exported(dataset, tmp_path / "clips", is_exact=True)
    assert (row["is_copy"], row["exported_num_frames"]) == (False, num_frames)
    found = [frame.to_ndarray(format="rgb24") for frame in decoded(tmp_path / "clips" / row["file"])]
    seed = 3 if name == "packed.avi" else 4
    assert all(is_like(one, wanted) for one, wanted in zip(found, shot(seed, num_frames), strict=True))
    [picture] = trained_on(dataset, tmp_path / "index")
    assert is_like(picture, shot(seed, num_frames)[0])


def test_one_time_that_goes_back_concerns_its_clip_alone(tmp_path: Path) -> None:
    # The second recording repeats a second of the clock, which is too little for a clock that starts again.
    ticks = range(30 - 15, 60 - 15)
    recordings = odd_videos.recording(shot(1, 30)), odd_videos.recording(shot(2, 30), ticks=ticks)
    third = odd_videos.recording(shot(3, 30), ticks=range(75, 105))
    path = odd_videos.appended(tmp_path / "back.ts", *recordings, third)
    dataset = curate(tmp_path / "dataset", path, config=CONFIG)
    source, clips = source_of(dataset), clips_of(dataset)
    assert (source["num_frames"], source["times"]) == (90, "counted")
    assert [clip["num_frames"] for clip in clips] == [30, 30, 30]
    assert [clip["times"] for clip in clips] == ["restarted", "counted", "restarted"]
    index = exported(dataset, tmp_path / "clips", is_exact=True)
    assert [(row["is_copy"], row["exported_num_frames"]) for row in index][1:] == [(False, 30), (True, 30)]
    for row, seed in zip(index, (1, 2, 3), strict=True):
        frames = [frame.to_ndarray(format="rgb24") for frame in decoded(tmp_path / "clips" / row["file"])]
        assert len(frames) == 30
        assert all(is_like(one, wanted) for one, wanted in zip(frames, shot(seed, 30), strict=True))


def test_range_that_means_the_same_is_no_difference(tmp_path: Path) -> None:
    path = odd_videos.range_in_container_alone(tmp_path / "range.mkv")
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).color_range == 1  # else this test proves nothing
    [row] = exported(curate(tmp_path / "dataset", path, config=CONFIG), tmp_path / "clips")
    assert (row["is_copy"], row["exported_num_frames"]) == (True, 45)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_frame_rate_is_that_of_the_clip(tmp_path: Path, ending: str) -> None:
    dataset = curate(tmp_path / "dataset", odd_videos.two_rates(tmp_path / f"rates.{ending}"), config=CONFIG)
    found = [(clip["num_frames"], clip["frame_rate_num"], clip["frame_rate_den"]) for clip in clips_of(dataset)]
    assert found == [(20, 10, 1), (60, 30, 1)]
    exported(dataset, tmp_path / "clips")
    rates = {clip.duration_s: clip.frame_rate for clip in open_export(tmp_path / "clips").clips()}
    assert set(rates.values()) == {10, 30}


def test_default_track_is_taken_and_the_other_named(tmp_path: Path) -> None:
    path = odd_videos.two_tracks(tmp_path / "tracks.mkv")
    source = source_of(curate(tmp_path / "default", path, config=CONFIG))
    assert (source["width"], source["stream"], source["other_streams"]) == (128, 1, ["0: h264 64x48"])
    assert probe(path).video.width == 128
    first = CONFIG.model_copy(update={"stream": 0})
    dataset = curate(tmp_path / "first", path, config=first)
    assert (source_of(dataset)["width"], source_of(dataset)["other_streams"]) == (64, ["1: h264 128x96"])
    assert f"1 input has other video tracks, such as {path} (track 1: h264 128x96)" in summarise(dataset).as_text()
    [row] = exported(dataset, tmp_path / "clips")
    assert (row["stream"], decoded(tmp_path / "clips" / row["file"])[0].width) == (0, 64)
    source = source_of(curate(tmp_path / "third", path, config=CONFIG.model_copy(update={"stream": 2})))
    assert source["reason"] == "has no video stream 2, it has streams 0 to 1"


def test_look_is_that_of_the_clip(tmp_path: Path) -> None:
    dataset = curate(tmp_path / "dataset", odd_videos.look_that_changes(tmp_path / "changes.ts"), config=CONFIG)
    clips = clips_of(dataset)
    looks = [(clip["width"], clip["height"], clip["pixel_aspect_num"], clip["pixel_aspect_den"]) for clip in clips]
    assert looks == [(128, 96, 1, 1), (192, 144, 4, 3)]
    assert [clip["num_frames"] for clip in clips] == [30, 30]
    assert small_frames(dataset)[-1].shape[:2] == (144, 256)  # square pixels
    index = exported(dataset, tmp_path / "clips")
    assert [decoded(tmp_path / "clips" / row["file"])[-1].width for row in index] == [128, 192]
    shape = StoredShape(192, 144, Fraction(4, 3))
    encode_clip(tmp_path / "changes.ts", Fraction(40, 25), Fraction(2), tmp_path / "exact.mp4", shape=shape)
    for path in (tmp_path / "clips" / index[1]["file"], tmp_path / "exact.mp4"):
        assert (probe(path).video.width, probe(path).video.pixel_aspect) == (192, Fraction(4, 3))
    clips = sorted(open_export(tmp_path / "clips").clips(), key=lambda clip: clip.width)
    assert [clip.pixel_aspect for clip in clips] == [1, Fraction(4, 3)]


@pytest.mark.parametrize(
    ("kind", "first", "end"), [("flicker", 10, 50), ("flash", 30, 31), ("flash", 29, 33), ("dissolve", 25, 35)]
)
def test_a_look_that_changes_under_a_light_ends_the_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, first: int, end: int
) -> None:
    def find(signals: SignalTable, *_: object) -> list[Transition]:
        return [Transition(kind, int(signals.pts[first]), int(signals.pts[end]), 1.0)]

    monkeypatch.setattr(clips, "find_transitions", find)
    config = CONFIG.model_copy(update={"cuts": CutConfig(same_shot=1000)})  # so that a flash divides nothing itself
    dataset = curate(tmp_path / "dataset", odd_videos.look_that_changes(tmp_path / "changes.ts"), config=config)
    is_light = kind != "dissolve"
    num_frames = 30 if is_light else 25
    assert [(clip["width"], clip["num_frames"]) for clip in clips_of(dataset)] == [(128, num_frames), (192, num_frames)]
    assert sorted(row["kind"] for row in rows(dataset, "transitions")) == (["cut", kind] if is_light else [kind])


def combing_of(picture: np.ndarray) -> float:
    found = combing(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    assert found is not None
    return found


def small_frames(dataset: Dataset) -> list[np.ndarray]:
    """The frames of the sidecar, as RGB."""
    pictures = [
        cv2.imdecode(np.frombuffer(row["jpeg"], np.uint8), cv2.IMREAD_COLOR) for row in rows(dataset, "sidecars")
    ]
    return [picture[..., ::-1].copy() for picture in pictures if picture is not None]


def test_interlaced_frames_are_told_and_seen_as_one_moment(tmp_path: Path) -> None:
    path = odd_videos.interlaced(tmp_path / "interlaced.mp4")
    assert combing_of(decoded(path)[5].to_ndarray(format="rgb24")) > 1  # else this test proves nothing
    dataset = curate(tmp_path / "dataset", path, config=CONFIG)
    [clip] = clips_of(dataset)
    assert clip["field_order"] == "tt"
    assert clip["combing"] > 1
    [trained] = trained_on(dataset, tmp_path / "index")
    assert combing_of(small_frames(dataset)[1]) < 0.9 > combing_of(trained)
    [row] = exported(dataset, tmp_path / "clips")
    assert decoded(tmp_path / "clips" / row["file"])[0].interlaced_frame


def test_interlaced_frames_of_a_stream_that_does_not_say_so_are_told(tmp_path: Path) -> None:
    path = odd_videos.interlaced(tmp_path / "interlaced.nut")  # which has no place for the order
    with av.open(str(path)) as container:
        assert field_order(container.streams.video[0]) is None  # else this test proves nothing
    dataset = curate(tmp_path / "dataset", path, config=CONFIG)
    assert [source_of(dataset)["field_order"], *(clip["field_order"] for clip in clips_of(dataset))] == 2 * ["unknown"]


def test_field_order_outlives_encoding(tmp_path: Path) -> None:
    path = odd_videos.interlaced(tmp_path / "interlaced.mp4")
    encode_clip(path, Fraction(2, 25), Fraction(1), tmp_path / "exact.mp4")
    with av.open(str(tmp_path / "exact.mp4")) as container:
        stream = container.streams.video[0]
        assert next(container.decode(stream)).interlaced_frame
        assert field_order(stream) == "tt"


def test_hdr_is_seen_as_sdr(tmp_path: Path) -> None:
    sdr = shot(12, 1)[0]
    path = odd_videos.hdr10(tmp_path / "hdr.mkv", sdr)
    dataset = curate(tmp_path / "dataset", path, config=CONFIG)
    [clip] = clips_of(dataset)
    assert (clip["transfer"], clip["primaries"], clip["pixel_format"]) == ("pq", "bt2020", "yuv420p10le")
    [trained] = trained_on(dataset, tmp_path / "index")
    assert not is_like(decoded(path)[0].to_ndarray(format="rgb24"), sdr)  # else this test proves nothing
    assert is_like(small_frames(dataset)[0], sdr)
    assert is_like(trained, sdr)
    encode_clip(path, Fraction(2, 25), Fraction(1), tmp_path / "exact.mp4")
    before, after = (decoded(one)[0] for one in (path, tmp_path / "exact.mp4"))
    assert after.color_trc == before.color_trc
    assert len(mastering_options(before)) == 2
    assert mastering_options(after) == mastering_options(before)


def test_lost_metadata_of_single_frames_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = odd_videos.hdr10(tmp_path / "plus.mkv", shot(12, 1)[0], is_plus=True)
    clips = rows_to_export(curate(tmp_path / "dataset", path, config=CONFIG), None)
    place = clips.column_names.index("start_pts")
    later = clips.set_column(place, "start_pts", pa.array([clips["start_pts"][0].as_py() + 80]))  # no access point
    with export_folder(tmp_path / "clips", "files") as folder:
        export_files(later, folder, Inline(), CutOutOptions(is_exact=True))
    [row] = pq.ParquetFile(tmp_path / "clips" / "clips.parquet").read().to_pylist()
    assert (row["is_copy"], row["lost_metadata"]) == (False, "HDR10+")
    assert "1 clip lost HDR10+ metadata by encoding again" in capsys.readouterr().err


def test_frames_that_copies_leave_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = with_edit_list(write(tmp_path / "whole.mp4"), tmp_path / "edited.mp4")
    [row] = exported(curate(tmp_path / "dataset", path, config=CONFIG), tmp_path / "clips")
    assert (row["is_copy"], row["num_frames"], row["exported_num_frames"]) == (True, 65, 50)
    told = "15 frames of 1 clip are left out, as copies begin at key frames and may end early; --exact keeps all\n"
    assert told in capsys.readouterr().err


def test_animated_webp_is_a_video(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    odd_videos.animated_webp(tmp_path / "raw/moves.webp")
    (tmp_path / "raw/still.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")  # a picture among videos is none of them
    dataset = curate(tmp_path / "dataset", tmp_path / "raw", config=CONFIG)
    source, [clip] = source_of(dataset), clips_of(dataset)
    assert (source["state"], source["num_frames"], clip["frame_rate_num"]) == ("whole", 20, 10)
    [row] = exported(dataset, tmp_path / "clips")
    frames = decoded(tmp_path / "clips" / row["file"])
    assert np.array_equal(frames[0].to_ndarray(format="rgb24"), shot(11, 20)[0])
    [trained] = trained_on(dataset, tmp_path / "index")
    assert np.array_equal(trained, shot(11, 20)[0])
