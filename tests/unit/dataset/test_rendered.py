"""Rendered shards read through the same interface as curated clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import torch

from videoldm.dataset.clips import ClipRecord, ClipShards, to_pixels, write_shard
from videoldm.dataset.config import Bucket
from videoldm.dataset.rendered import RenderedClips
from videoldm.dataset.source import ClipSource, Window, read_window


def test_windows_of_rendered_clips(tmp_path: Path) -> None:
    frames = torch.randint(0, 256, (2, 6, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    records = [ClipRecord(caption="moves", image_caption="", fps=Fraction(6), motion=0.1) for _ in range(2)]
    write_shard(tmp_path / "0.safetensors", frames, records)
    source: ClipSource = RenderedClips(ClipShards([tmp_path / "0.safetensors"]))
    clip = source.clip(1)
    assert (clip.width, clip.height, clip.duration_s, clip.captions) == (24, 16, 1, {"video": "moves"})
    assert len({one.content for one in source.clips()}) == len(source) == 2
    every_other = Bucket(height=16, width=24, num_frames=3, fps=Fraction(3), batch_size=1)
    window = read_window(source, 1, Window(every_other, Fraction(1, 6)))
    assert torch.equal(window, to_pixels(frames[1, 1::2]))
