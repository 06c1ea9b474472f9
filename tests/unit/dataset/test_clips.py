"""Clips on disk: what is written is read, and a damaged set is refused."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from videoldm.core.errors import InputError
from videoldm.dataset.clips import ClipRecord, ClipShards, to_pixels, to_stored, write_shard

FRAMES = torch.arange(5 * 2 * 4 * 6 * 3, dtype=torch.int64).remainder(256).to(torch.uint8).view(5, 2, 4, 6, 3)


def record(index: int) -> ClipRecord:
    return ClipRecord(caption=f"clip {index}", image_caption="x", fps=Fraction(24000, 1001), motion=0.5)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five clips in shards of two and three."""
    made = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    write_shard(made[0], FRAMES[:2], [record(0), record(1)])
    write_shard(made[1], FRAMES[2:], [record(2), record(3), record(4)])
    return made


def test_clips_are_found_across_shards(paths: list[Path]) -> None:
    clips = ClipShards(paths)
    assert len(clips) == 5
    assert clips.num_frames == 2
    for index in range(5):
        assert torch.equal(clips.pixels_uint8(index), FRAMES[index])
        assert torch.equal(clips.frame_uint8(index, 1), FRAMES[index, 1])
        assert clips.records[index] == record(index)
    assert clips.pixels(3).shape == (2, 3, 4, 6)
    assert torch.equal(clips.frame(3, 1), clips.pixels(3)[1])


def test_stored_frames_and_pixels_are_inverse() -> None:
    pixels = to_pixels(FRAMES)
    assert float(pixels.min()) == -1
    assert float(pixels.max()) == 1
    assert torch.equal(to_stored(pixels), FRAMES)


def test_missing_records_are_named(paths: list[Path]) -> None:
    paths[1].with_suffix(".jsonl").unlink()
    with pytest.raises(InputError, match=r"b\.jsonl: is missing"):
        ClipShards(paths)


def test_records_must_fit_the_clips(paths: list[Path]) -> None:
    lines = paths[0].with_suffix(".jsonl")
    lines.write_text(lines.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="2 clips up to here, but 1 records"):
        ClipShards(paths)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_damaged_shards_are_named(paths: list[Path], damage: str) -> None:
    content = paths[1].read_bytes()
    paths[1].unlink()
    if damage == "cut":
        paths[1].write_bytes(content[:-9])
    with pytest.raises(InputError, match=r"b\.safetensors: cannot be read as safetensors"):
        ClipShards(paths)


def test_damaged_records_are_named(paths: list[Path]) -> None:
    paths[0].with_suffix(".jsonl").write_text('{"caption": "half a li\n')
    with pytest.raises(InputError, match=r"a\.jsonl: is not a list of clips"):
        ClipShards(paths)
