"""Whole runs on faulty and good files: states, clips, and what is done anew."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest
from curated import CONFIG, Inline, curate, files, rows
from fault_videos import make_corpus, pictures, write
from PIL import Image

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.curation.annotators.motion import MotionConfig
from videoldm.curation.config import ClipConfig
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.executors.executor import Stopped
from videoldm.curation.inputs import find_inputs
from videoldm.curation.run import Run
from videoldm.curation.status import summarise
from videoldm.curation.store.dataset import Dataset
from videoldm.video.probe import probe

pytestmark = pytest.mark.slow

UNUSUAL = CONFIG.model_copy(update={"clips": ClipConfig(min_s=0.5)})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("faults")
    return folder, make_corpus(folder)


@pytest.fixture(scope="module")
def curated(corpus: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return curate(tmp_path_factory.mktemp("parent") / "dataset", corpus[0], config=UNUSUAL)


def test_every_input_ends_in_the_state_it_should(curated: Dataset, corpus: tuple[Path, dict[str, str]]) -> None:
    folder, expected = corpus
    found = {os.path.relpath(row["path"], folder): row["state"] for row in rows(curated, "sources")}
    assert found == expected


def test_what_is_not_whole_says_why(curated: Dataset) -> None:
    for row in rows(curated, "sources"):
        assert (row["reason"] is None) == (row["state"] == "whole"), row["path"]


def test_every_whole_video_has_all_its_frames(curated: Dataset) -> None:
    num_frames = {Path(row["path"]).name: row["num_frames"] for row in rows(curated, "sources")}
    assert num_frames["good.mp4"] == num_frames["variable rate.mp4"] == num_frames["ten bit.mp4"] == 75
    assert num_frames["120 fps.mp4"] == 240
    assert num_frames["edit list.mp4"] == 65


def test_field_orders_of_sources_and_clips_agree(curated: Dataset) -> None:
    orders = {row["source_id"]: row["field_order"] for row in rows(curated, "sources")}
    names = {Path(row["path"]).name: row["field_order"] for row in rows(curated, "sources")}
    assert names["hevc.mp4"] == names["good.mp4"] == "progressive"
    for clip in rows(curated, "clips"):
        assert clip["field_order"] in ("progressive", orders[clip["source_id"]]), clip["path"]


def test_every_frame_that_decodes_is_accounted_for(curated: Dataset) -> None:
    places: Counter[str] = Counter()
    for row in [*rows(curated, "clips"), *rows(curated, "transitions")]:
        places[row["source_id"]] += row["num_frames"]
    for source in rows(curated, "sources"):
        if source["state"] not in ("whole", "damaged"):
            continue
        assert source["num_frames"] == places[source["source_id"]], source["path"]
        left_out = sum(row["num_frames"] for row in source["left_out"])
        assert source["num_decoded"] == source["num_frames"] + left_out, source["path"]
        # A decoder that is not emptied where the size of MPEG-2 changes loses one.
        lost = 1 if source["path"].endswith("look changes.ts") else 0
        assert source["num_decoded"] == num_frames_of(source["path"], source["stream"]) + lost, source["path"]
    summary = summarise(curated)
    assert summary.frames is not None
    assert sum(summary.frames.values()) == sum(row["num_decoded"] or 0 for row in rows(curated, "sources"))


def num_frames_of(path: str, stream: int) -> int:
    """Frames that the decoder gives, whatever state they are in; of a WebP those of Pillow."""
    if path.endswith(".webp"):
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1)
    count = 0
    with av.open(path) as container:
        video = container.streams.video[stream]
        packets = container.demux(video)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return count
                count += len(video.decode(packet))
            except EOFError:  # the end of a file that is cut off
                return count
            except av.FFmpegError:
                continue


def test_whole_videos_have_as_many_frames_as_probing_finds(curated: Dataset) -> None:
    for source in rows(curated, "sources"):
        if source["state"] == "whole":
            assert probe(source["path"]).video.num_frames == source["num_frames"], source["path"]


def test_rotated_video_is_described_as_shown(curated: Dataset) -> None:
    [row] = [row for row in rows(curated, "sources") if row["path"].endswith("rotated.mp4")]
    assert (row["width"], row["height"], row["rotation"]) == (96, 128, 90)


def test_no_clip_reaches_into_damage(curated: Dataset) -> None:
    [source] = [row for row in rows(curated, "sources") if row["path"].endswith("bad packets.mp4")]
    [[start, end]] = source["gaps"]
    clips = [row for row in rows(curated, "clips") if row["source_id"] == source["source_id"]]
    assert clips
    assert all(clip["end_pts"] <= start or clip["start_pts"] >= end for clip in clips)
    kinds = [row["kind"] for row in rows(curated, "transitions") if row["source_id"] == source["source_id"]]
    assert "damage" in kinds


def test_clips_lie_in_their_source_and_have_frames(curated: Dataset) -> None:
    sources = {row["source_id"]: row for row in rows(curated, "sources") if row["state"] in ("whole", "damaged")}
    clips = rows(curated, "clips")
    assert len({clip["clip_id"] for clip in clips}) == len(clips)
    for clip in clips:
        source = sources[clip["source_id"]]
        assert source["start_pts"] <= clip["start_pts"] <= clip["first_pts"] <= clip["middle_pts"] <= clip["last_pts"]
        assert clip["last_pts"] < clip["end_pts"] <= source["end_pts"]
        duration = Fraction((clip["end_pts"] - clip["start_pts"]) * clip["time_base_num"], clip["time_base_den"])
        assert duration >= Fraction(1, 2)


def test_every_clip_has_a_row_of_motion(curated: Dataset) -> None:
    assert [row["clip_id"] for row in rows(curated, "motion")] == [row["clip_id"] for row in rows(curated, "clips")]


def test_second_run_does_nothing(curated: Dataset, corpus: tuple[Path, dict[str, str]]) -> None:
    before, executor = files(curated.folder), Inline()
    curate(curated.folder, corpus[0], config=UNUSUAL, executor=executor)
    assert set(executor.names()) == {"read_entry"}  # at files that could not be read, as they may be readable by now
    assert files(curated.folder) == before


def test_new_inputs_join_and_nothing_else_is_done(videos: Path, tmp_path: Path) -> None:
    executor = Inline()
    curate(tmp_path / "dataset", videos, executor=executor)
    assert executor.counts() == {"read_entry": 6, "scan": 6, "make_clips": 6, "annotate": 2}
    write(videos / "new.mp4", pictures(80))
    dataset = curate(tmp_path / "dataset", videos, executor=executor)
    assert executor.counts() == {"read_entry": 1, "scan": 1, "make_clips": 1, "annotate": 1}
    assert len(rows(dataset, "sources")) == 7


def test_cut_threshold_decodes_nothing_anew(videos: Path, tmp_path: Path) -> None:
    executor = Inline()
    curate(tmp_path / "dataset", videos, executor=executor)
    executor.names()
    hard = CutConfig().hard.model_copy(update={"least_probability": 0.6})
    changed = CONFIG.model_copy(update={"cuts": CutConfig(hard=hard)})
    curate(tmp_path / "dataset", videos, config=changed, executor=executor)
    assert executor.counts() == {"make_clips": 6}  # and the clips are the same, so their motion is known


def test_other_annotation_settings_make_that_annotation_anew(videos: Path, tmp_path: Path) -> None:
    executor = Inline()
    curate(tmp_path / "dataset", videos, executor=executor)
    executor.names()
    changed = CONFIG.model_copy(update={"annotations": (MotionConfig(stored_short_side=8),)})
    curate(tmp_path / "dataset", videos, config=changed, executor=executor)
    assert executor.counts() == {"annotate": 2}


def test_changed_source_is_decoded_again_alone(videos: Path, tmp_path: Path) -> None:
    executor = Inline()
    before = rows(curate(tmp_path / "dataset", videos, executor=executor), "clips")
    executor.names()
    write(videos / "3.mp4", pictures(100))
    dataset = curate(tmp_path / "dataset", videos, executor=executor)
    assert executor.counts() == {"read_entry": 1, "scan": 1, "make_clips": 4, "annotate": 1}  # cuts of the whole batch
    after = rows(dataset, "clips")
    assert [row for row in after if "3.mp4" not in row["path"]] == [row for row in before if "3.mp4" not in row["path"]]
    assert [row["num_frames"] for row in after if "3.mp4" in row["path"]] == [100]


def test_touched_source_is_not_decoded_again(videos: Path, tmp_path: Path) -> None:
    executor = Inline()
    curate(tmp_path / "dataset", videos, executor=executor)
    executor.names()
    os.utime(videos / "3.mp4", (1, 1))
    curate(tmp_path / "dataset", videos, executor=executor)
    assert "scan" not in executor.counts()


def test_work_that_was_lost_midway_goes_on(videos: Path, tmp_path: Path) -> None:
    class Stopping(Inline):
        """Ends the run after some pieces of work, as an interrupt does."""

        def run(self, function, tasks, limits):
            for result in super().run(function, tasks, limits):
                if len(self.done) > 9:
                    raise KeyboardInterrupt
                yield result

    whole = curate(tmp_path / "whole", videos)
    with pytest.raises(KeyboardInterrupt):
        curate(tmp_path / "broken", videos, executor=Stopping())
    executor = Inline()
    curate(tmp_path / "broken", videos, executor=executor)
    assert executor.counts()["scan"] < 6
    assert files(tmp_path / "broken") == files(whole.folder)


def test_dataset_of_someone_else_is_refused(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds something other than a dataset"):
        curate(tmp_path / "other", videos)


def test_second_run_at_the_same_time_is_refused(videos: Path, tmp_path: Path) -> None:
    dataset = curate(tmp_path / "dataset", videos)
    with dataset.locked(), pytest.raises(InputError, match="another run is writing to this dataset"):
        curate(tmp_path / "dataset", videos)


def test_moved_dataset_still_opens(videos: Path, tmp_path: Path) -> None:
    dataset = curate(tmp_path / "dataset", videos)
    before = rows(dataset, "clips")
    shutil.move(tmp_path / "dataset", tmp_path / "elsewhere")
    assert rows(Dataset.open(tmp_path / "elsewhere"), "clips") == before


def test_what_a_killed_run_left_half_written_is_cleared_away(videos: Path, tmp_path: Path) -> None:
    dataset = curate(tmp_path / "dataset", videos)
    before = files(dataset.folder)
    [clips] = {part.parent for part in dataset.view().clips}
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with atomic_file(clips / "00000.parquet") as partial:
        shutil.copy(clips / "00000.parquet", partial)
        name = partial.name.replace(f"-{os.getpid()}-", f"-{int(ended.stdout)}-")
    (clips / name).write_bytes(b"half")
    assert [part.name for part in dataset.view().clips] == ["00000.parquet", "00001.parquet"]
    curate(dataset.folder, videos)
    assert files(dataset.folder) == before


def test_sources_by_url_are_read_from_a_copy(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = rows(curate(tmp_path / "plain", videos), "clips")
    dataset = Dataset.create(tmp_path / "by url")
    url = f"file://{videos}"
    with dataset.locked():
        Run(dataset, CONFIG, Inline())(find_inputs([url]))
    clips = rows(dataset, "clips")
    assert [row["clip_id"] for row in clips] == [row["clip_id"] for row in plain]
    assert {row["path"] for row in clips} == {f"file://{path}" for path in videos.glob("*.mp4")}
    write(videos / "3.mp4", pictures(90))
    with dataset.locked():
        Run(dataset, CONFIG, Inline())(find_inputs([url]))
    assert 90 in [row["num_frames"] for row in rows(dataset, "clips")]


def test_known_files_that_are_gone_stay_known(videos: Path, tmp_path: Path) -> None:
    before = rows(curate(tmp_path / "dataset", videos), "clips")
    (videos / "2.mp4").unlink()
    assert rows(curate(tmp_path / "dataset", videos), "clips") == before


def test_named_file_that_is_gone_gives_no_clips(videos: Path, tmp_path: Path) -> None:
    dataset = curate(tmp_path / "dataset", videos)
    (videos / "2.mp4").unlink()
    (videos / "2.mp4").symlink_to("/nowhere")
    after = curate(tmp_path / "dataset", videos)
    assert len(rows(after, "clips")) == 5
    assert [row["clip_id"] for row in rows(after, "motion")] == [row["clip_id"] for row in rows(after, "clips")]
    assert dataset.folder == after.folder


def test_longer_clips_leave_no_rows_of_others(videos: Path, tmp_path: Path) -> None:
    curate(tmp_path / "dataset", videos)
    longer = CONFIG.model_copy(update={"clips": ClipConfig(min_s=2.5)})
    dataset = curate(tmp_path / "dataset", videos, config=longer)
    assert 0 < len(rows(dataset, "clips")) < 6
    assert [row["clip_id"] for row in rows(dataset, "motion")] == [row["clip_id"] for row in rows(dataset, "clips")]


def test_metadata_that_come_later_are_taken(videos: Path, tmp_path: Path) -> None:
    executor = Inline()
    curate(tmp_path / "dataset", videos, executor=executor)
    executor.names()
    (videos / "list.csv").write_text("path,caption\n3.mp4,a disc\n")
    dataset = curate(tmp_path / "dataset", videos / "list.csv", executor=executor)
    assert "scan" not in executor.names()
    metadata = {Path(row["path"]).name: dict(row["metadata"]) for row in rows(dataset, "sources")}
    assert metadata == {f"{number}.mp4": {"caption": "a disc"} if number == 3 else {} for number in range(6)}


def test_full_disk_ends_the_run_and_no_source(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(InputError, match="cannot be written: the disk is full"):
            curate(tmp_path / "dataset", videos)
    dataset = curate(tmp_path / "dataset", videos)
    assert {row["state"] for row in rows(dataset, "sources")} == {"whole"}


def test_quarantined_sources_are_tried_again_where_it_is_asked_for(videos: Path, tmp_path: Path) -> None:
    class Crashing(Inline):
        """Loses the process that decodes number 3."""

        def run(self, function, tasks, limits):
            for place, result in super().run(function, tasks, limits):
                is_lost = function.__name__ == "scan" and tasks[place].entry.path.endswith("3.mp4")
                yield place, Stopped("crashed (SIGSEGV)") if is_lost else result

    curate(tmp_path / "dataset", videos, executor=Crashing())
    executor = Inline()
    dataset = curate(tmp_path / "dataset", videos, executor=executor)
    assert executor.names() == []
    states = {Path(row["path"]).name: row["state"] for row in rows(dataset, "sources")}
    assert [name for name, state in states.items() if state != "whole"] == ["3.mp4"]
    unknown = "the frames of 1 quarantined input are not known: decoding did not finish"
    assert unknown in summarise(dataset).as_text().splitlines()
    with dataset.locked():
        Run(dataset, CONFIG, executor, retry_quarantined=True)(find_inputs([str(videos)]))
    assert executor.names().count("scan") == 1
    assert {row["state"] for row in rows(dataset, "sources")} == {"whole"}
    assert files(dataset.folder) == files(curate(tmp_path / "undisturbed", videos).folder)


@pytest.mark.parametrize("table", ["sources", "signals", "sidecars", "clips", "annotations/motion"])
def test_broken_part_is_made_anew(videos: Path, tmp_path: Path, table: str) -> None:
    dataset = curate(tmp_path / "dataset", videos)
    before = files(dataset.folder)
    part = next(dataset.folder.glob(f"{table}/*/00000.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    curate(dataset.folder, videos)
    assert files(dataset.folder) == before


def test_equal_file_takes_the_place_of_one_that_is_gone(videos: Path, tmp_path: Path) -> None:
    shutil.copy(videos / "0.mp4", videos / "z.mp4")
    dataset = curate(tmp_path / "dataset", videos)
    clips = rows(dataset, "clips")
    assert len(clips) == 6
    (videos / "0.mp4").unlink()
    dataset = curate(tmp_path / "dataset", videos)
    assert {row["clip_id"] for row in rows(dataset, "clips")} == {row["clip_id"] for row in clips}
    assert str(videos / "z.mp4") in {row["path"] for row in rows(dataset, "clips")}
    assert len(rows(dataset, "motion")) == 6


def test_only_what_reads_metadata_is_made_anew_for_them(videos: Path, tmp_path: Path) -> None:
    class ReadingMotion(MotionConfig):
        reads_metadata = True

    executor = Inline()
    config = CONFIG.model_copy(update={"annotations": (ReadingMotion(),)})
    curate(tmp_path / "reads", videos, config=config, executor=executor)
    curate(tmp_path / "does not", videos, executor=executor)
    executor.names()
    (videos / "list.csv").write_text("path,caption\n3.mp4,a disc\n")
    curate(tmp_path / "does not", videos / "list.csv", executor=executor)
    assert "annotate" not in executor.names()
    curate(tmp_path / "reads", videos / "list.csv", config=config, executor=executor)
    [task] = [task for name, task in executor.done if name == "annotate"]
    assert len(task.clip_ids) == 1
