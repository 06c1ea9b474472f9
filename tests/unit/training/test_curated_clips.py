"""Curated clips as samples: captions, signals, latents, order, and clips that break while a run goes on."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from curated_exports import change_index
from tiny_model_folder import AUTOENCODER
from tiny_networks import randomise

from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.dataset.config import Bucket
from videoldm.dataset.exports import open_export
from videoldm.dataset.source import read_window, window_of
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.training.data import windows as windows_module
from videoldm.training.data.choose import caption_shares, choose_clips, choose_for_training
from videoldm.training.data.config import (
    AllVideos,
    CachedLatents,
    CuratedData,
    EncodedAnew,
    Fixed,
    HeldOutVideos,
    NoCaptions,
    OtherVideos,
    SampledCaptions,
)
from videoldm.training.data.curated_windows import curated_windows
from videoldm.training.data.samples import CuratedTrainingData, Samples

pytestmark = pytest.mark.slow

MAIN = Bucket(height=16, width=32, num_frames=3, fps=Fraction(5), batch_size=2, probability=3)
SHORT = Bucket(height=16, width=32, num_frames=2, fps=Fraction(10), batch_size=3)
ONCE = CachedLatents()
ANEW = EncodedAnew(windows_per_clip=1)


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    return randomise(Autoencoder(AUTOENCODER)).eval()


@pytest.fixture
def folder(exports: dict[str, Path], tmp_path: Path) -> Path:
    """Exported files to spoil."""
    shutil.copytree(exports["files"], tmp_path / "files")
    return tmp_path / "files"


def data(folder: Path, **changes: object) -> CuratedData:
    return CuratedData(folder=str(folder), buckets=(MAIN, SHORT)).model_copy(update=changes)


def opened(config: CuratedData, autoencoder: Autoencoder, cache: Path, *, seed: int = 0) -> CuratedTrainingData:
    clips = CuratedTrainingData(curated_windows(config, autoencoder, cache, seed=seed, main_bucket=0), seed=seed)
    clips.reader.prepare()
    return clips


def batch(clips: CuratedTrainingData, positions: Sequence[int], *, is_image: bool = False) -> Samples:
    clips.reader.announce(positions)
    return clips.samples(positions, is_image=is_image)


def batches(clips: CuratedTrainingData, start: int, count: int) -> list[tuple[range, Samples]]:
    found = []
    for _ in range(count):
        size = clips.reader.batch_size_at(start)
        assert size is not None
        positions = range(start, start + size)
        found.append((positions, batch(clips, positions)))
        start += size
    return found


def test_batches_have_one_shape_and_every_clip_comes_once_an_epoch(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path
) -> None:
    clips = opened(data(exports["webdataset"]), autoencoder, tmp_path)
    seen: dict[int, list[str]] = {2: [], 3: []}
    for positions, samples in batches(clips, 0, 24):
        num_frames = samples.latents.shape[1]
        assert len(positions) == {3: MAIN, 2: SHORT}[num_frames].batch_size
        assert samples.latents.shape[2:] == (4, 2, 4)
        assert samples.clips.first_frames.shape == (len(positions), 3, 16, 32)
        seen[num_frames] += [record.image_caption for record in samples.clips.records]
    assert Counter(seen[3][:36]) == {f"picture {number}": 6 for number in range(6)}
    assert {len(set(seen[3][start : start + 6])) for start in range(0, 36, 6)} == {6}
    assert len(set(seen[2][:6])) == 6


def test_every_frame_can_be_read_where_windows_are_decoded_anew(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path
) -> None:
    source = open_export(exports["files"])
    clips = opened(data(exports["files"], latents=ANEW, buckets=(MAIN,)), autoencoder, tmp_path)
    for found in (batch(clips, range(6)).clips, clips.shown([(0,), (1,)])):
        frames = found.frames([0, 1, -1])
        for row, record in enumerate(found.records):
            index = int(record.image_caption.removeprefix("picture "))
            window = window_of(source.clip(index).duration_s, MAIN, 0, 1)
            assert torch.equal(frames[row], read_window(source, index, window)[[0, 1, 2]])
        assert torch.equal(found.first_frames, frames[:, 0])
        assert torch.equal(found[[1]].frames([1]), frames[1:2, 1:2])


def test_cached_latents_keep_the_first_frame_alone(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path
) -> None:
    clips = opened(data(exports["files"], latents=ONCE, buckets=(MAIN,)), autoencoder, tmp_path)
    samples = batch(clips, range(6)).clips
    assert torch.equal(samples.frames([0, 0])[:, 1], samples.first_frames)
    message = "latents.kind is cached, .* but frames 0, -1 are needed: set latents.kind=anew"
    with pytest.raises(InputError, match=message):
        samples.frames([0, -1])


@pytest.mark.parametrize("latents", [ONCE, ANEW])
def test_samples_are_the_clips_own(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path, latents: CachedLatents | EncodedAnew
) -> None:
    """The latents are drawn around what a plain encoding of the window gives; the first frame is exact."""
    source = open_export(exports["files"])
    clips = opened(data(exports["files"], latents=latents, buckets=(MAIN,)), autoencoder, tmp_path)
    samples = batch(clips, range(6))
    for row, record in enumerate(samples.clips.records):
        index = int(record.image_caption.removeprefix("picture "))
        pixels = read_window(source, index, window_of(source.clip(index).duration_s, MAIN, 0, 1))
        assert torch.equal(samples.clips.first_frames[row], pixels[0])
        with torch.no_grad():
            posterior = autoencoder.encode(pixels[None])
        error = (samples.latents[row] - posterior.mean[0]).abs() / (0.5 * posterior.log_variance[0]).exp()
        assert 1 < float(error.max()) < 5  # of 96 numbers
        assert record.fps == MAIN.fps
        assert record.motion == source.clip(index).motion


def test_stored_latents_are_fresh_ones_within_16_bits(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path
) -> None:
    stored, fresh = (
        batch(opened(data(exports["files"], latents=latents), autoencoder, tmp_path), range(2))
        for latents in (ONCE, ANEW)
    )
    assert stored.clips.records == fresh.clips.records
    assert torch.equal(stored.clips.first_frames, fresh.clips.first_frames)
    torch.testing.assert_close(stored.latents, fresh.latents, rtol=2**-9, atol=2**-9)
    assert not torch.equal(stored.latents, fresh.latents)


def test_stored_windows_need_no_video_and_serve_every_form(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = batch(opened(data(exports["files"]), autoencoder, tmp_path), range(2))
    monkeypatch.setattr(windows_module, "read_window", None)
    for folder in exports.values():
        assert torch.equal(batch(opened(data(folder), autoencoder, tmp_path), range(2)).latents, first.latents)


def test_a_resumed_run_and_a_share_of_a_batch_are_the_same_samples(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path
) -> None:
    config = data(exports["files"], latents=EncodedAnew(windows_per_clip=3))
    whole = batches(opened(config, autoencoder, tmp_path), 0, 12)
    resumed = opened(config, autoencoder, tmp_path)
    for positions, expected in whole[5:]:
        for row, position in enumerate(positions):
            alone = batch(resumed, [position])
            assert torch.equal(alone.latents[0], expected.latents[row])
            assert alone.clips.records[0] == expected.clips.records[row]
    assert not torch.equal(batch(opened(config, autoencoder, tmp_path, seed=1), range(2)).latents, whole[0][1].latents)


def test_each_visit_takes_the_next_window(exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path) -> None:
    config = data(exports["files"], buckets=(MAIN,), latents=CachedLatents(windows_per_clip=2))
    clips = opened(config, autoencoder, tmp_path)
    frames: dict[str, list[bytes]] = {}
    for _, samples in batches(clips, 0, 12):
        for record, frame in zip(samples.clips.records, samples.clips.first_frames, strict=True):
            frames.setdefault(record.image_caption, []).append(frame.numpy().tobytes())
    for first, second, third, fourth in frames.values():
        assert first == third != second == fourth


def test_a_single_frame_is_one_of_the_clip(exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path) -> None:
    clips = opened(data(exports["files"]), autoencoder, tmp_path)
    whole, frame = batch(clips, range(2)).latents, batch(clips, range(2), is_image=True).latents
    assert frame.shape[1] == 1
    assert all(bool((whole[row] == frame[row]).flatten(1).all(1).any()) for row in range(2))


def test_captions_have_their_shares(exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path) -> None:
    clips = opened(data(exports["files"], buckets=(MAIN,)), autoencoder, tmp_path)
    captions = [batch(clips, [position]).clips.records[0].caption for position in range(600)]
    counts = Counter(caption.split()[0] for caption in captions)
    assert [counts[kind] / 600 for kind in ("picture", "video", "summary")] == pytest.approx(
        [0.5, 0.25, 0.25], abs=0.07
    )


def test_shares_of_missing_captions_go_to_the_others(folder: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    change_index(folder, lambda row, _: row | {"image_caption": None})
    clips = opened(data(folder, buckets=(MAIN,)), autoencoder, tmp_path)
    records = [batch(clips, [position]).clips.records[0] for position in range(300)]
    counts = Counter(record.caption.split()[0] for record in records)
    assert [counts[kind] / 300 for kind in ("video", "summary")] == pytest.approx([0.5, 0.5], abs=0.1)
    assert all(record.image_caption == record.caption for record in records)


def test_what_a_list_said_of_a_video_stands_in_for_captions_or_joins_them(folder: Path) -> None:
    change_index(folder, lambda row, number: row | {"metadata": {"caption": f"said of {number}", "licence": "CC0"}})
    shares = [caption_shares(data(folder).captions, clip) for clip in open_export(folder).clips()]
    assert shares == [{"image": 0.5, "video": 0.25, "summary": 0.25}] * 6
    change_index(folder, lambda row, _: row | {"image_caption": None, "video_caption": None, "summary": None})
    clips = list(open_export(folder).clips())
    assert [clip.captions for clip in clips] == [{"given": f"said of {number}"} for number in range(6)]
    assert [caption_shares(data(folder).captions, clip) for clip in clips] == [{"given": 1.0}] * 6
    change_index(folder, lambda row, _: row | {"video_caption": "a film"})
    mixed = SampledCaptions(image=0.0, video=0.5, summary=0.0, given=0.5)
    assert [caption_shares(mixed, clip) for clip in open_export(folder).clips()] == [{"video": 0.5, "given": 0.5}] * 6


def test_videos_that_are_held_out_are_not_trained_on(folder: Path) -> None:
    chosen = [choose_clips(data(folder, videos=videos)) for videos in (AllVideos(), HeldOutVideos(), OtherVideos())]
    everything, held_out, others = (set(one.assignment.clips[0]) for one in chosen)
    assert (everything, len(held_out), held_out | others) == (set(range(6)), 2, everything)
    clips = list(open_export(folder).clips())
    assert not {clips[index].video for index in held_out} & {clips[index].video for index in others}
    with pytest.raises(InputError, match=r"no video is left by videos.kind=others: export clips of several videos"):
        choose_for_training(data(folder, videos=OtherVideos(share=1.0)))


def test_clips_without_captions_are_left_out_refused_or_need_none(folder: Path) -> None:
    gone = {"image_caption": None, "video_caption": None, "summary": None, "metadata": None}
    change_index(folder, lambda row, number: row | (gone if number == 4 else {}))
    chosen = choose_clips(data(folder))
    assert chosen.assignment.clips[0] == [0, 1, 2, 3, 5]
    [name] = chosen.assignment.left_out["no caption"]
    assert name == chosen.source.clip(4).name
    with pytest.raises(InputError, match=r"has no caption.*captions\.without=leave-out"):
        choose_clips(data(folder, captions=SampledCaptions(without="refuse")))
    assert choose_clips(data(folder, captions=NoCaptions())).assignment.clips[0] == list(range(6))


def test_clips_without_motion_are_left_out_unless_signals_are_fixed(
    folder: Path, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    change_index(folder, lambda row, number: row | ({"motion": None} if number == 2 else {}))
    assert 2 not in choose_clips(data(folder)).assignment.clips[0]
    fixed = data(folder, signals=Fixed(fps=7, motion_bucket=127))
    assert 2 in choose_clips(fixed).assignment.clips[0]
    for record in batch(opened(fixed, autoencoder, tmp_path), range(2)).clips.records:
        assert (record.fps, bucket_of_motion(record.motion)) == (7, 127)


@pytest.mark.parametrize("latents", [ONCE, ANEW])
def test_next_clip_takes_the_place_of_a_broken_one(
    folder: Path,
    autoencoder: Autoencoder,
    tmp_path: Path,
    latents: CachedLatents | EncodedAnew,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = data(folder, buckets=(MAIN,), latents=latents)
    whole = opened(config, autoencoder, tmp_path / "1")
    before = [batch(whole, [position]) for position in range(12)]
    whole.reader.close()
    source = open_export(folder)
    broken = folder / source._row(3)["file"]
    bytes_before, told_before = broken.read_bytes(), source.fingerprint
    broken.write_bytes(bytes_before[:2000])
    assert open_export(folder).fingerprint != told_before
    clips = opened(config, autoencoder, tmp_path / "2")
    for position, expected in enumerate(before):
        found = batch(clips, [position])
        if expected.clips.records[0].image_caption == "picture 3":
            assert found.clips.records[0].image_caption == "picture 4"
        else:
            assert torch.equal(found.latents, expected.latents)
    assert list(clips.reader.skipped) == [source.clip(3).name]
    assert capsys.readouterr().err.count(f"{source.clip(3).name} is skipped, the next one takes its place") == 1
    again = opened(config, autoencoder, tmp_path / "2")
    for position in range(12):
        assert torch.equal(batch(again, [position]).latents, batch(clips, [position]).latents)
    broken.write_bytes(bytes_before)
    mended = opened(config, autoencoder, tmp_path / "2")
    assert all(torch.equal(batch(mended, [position]).latents, before[position].latents) for position in range(12))


def test_clip_that_breaks_while_the_run_goes_on_is_replaced(
    folder: Path, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    clips = opened(data(folder, buckets=(MAIN,), latents=ANEW), autoencoder, tmp_path)
    batch(clips, [0])
    victim = folder / open_export(folder)._row(1)["file"]
    os.truncate(victim, 3000)
    names = [batch(clips, [position]).clips.records[0].image_caption for position in range(200, 212)]
    assert len(names) == 12
    assert "picture 1" not in names
    assert names.count("picture 2") == 4


def test_run_stops_where_no_clip_can_be_read(folder: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    clips = opened(data(folder, latents=ANEW), autoencoder, tmp_path)
    for path in folder.glob("*/*.mp4"):
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="6 clips in a row cannot be read"):
        batch(clips, [0])
    for latents in (ANEW, ONCE):
        with pytest.raises(InputError, match="6 clips in a row cannot be read"):
            opened(data(folder, latents=latents), autoencoder, tmp_path)


def test_latents_that_only_another_process_can_see_are_told(
    folder: Path, autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where each of two processes has a cache of its own."""
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(ranks, "first_then_others", lambda function: function())
    monkeypatch.setattr(ranks, "all_gather", lambda value: [value])
    with pytest.raises(InputError, match=r"windows that other processes have encoded are missing.*\(--cache\)"):
        opened(data(folder), autoencoder, tmp_path)


def test_empty_bucket_is_refused_by_name(exports: dict[str, Path]) -> None:
    long = Bucket(height=16, width=32, num_frames=30, fps=Fraction(5), batch_size=1)
    with pytest.raises(
        InputError, match=r"no clip is for the bucket 32x16, 30 frames at 5 \(shorter than 5.80 s.*: 6\).*dataset check"
    ):
        choose_for_training(data(exports["files"], buckets=(MAIN, long)))


def test_sides_that_cannot_be_encoded_are_refused(
    exports: dict[str, Path], autoencoder: Autoencoder, tmp_path: Path
) -> None:
    odd = MAIN.model_copy(update={"height": 20})
    with pytest.raises(InputError, match="should have sides that are multiples of 8"):
        opened(data(exports["files"], buckets=(odd,)), autoencoder, tmp_path)
