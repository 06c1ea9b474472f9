"""Clips that are made once and kept on disk, shard by shard."""

from collections.abc import Callable
from pathlib import Path

from videoldm.core.progress import progress
from videoldm.dataset.clips import ClipShards
from videoldm.training.stages.data_config import CLIPS_PER_SHARD

WriteShard = Callable[[int, Path], None]
"""Makes the clips of one shard, from the number of its first clip on, and writes them to the path."""


def missing_shards(folder: Path, num_clips: int) -> list[tuple[int, Path]]:
    """The shards of `num_clips` clips that `folder` lacks, each with the number of its first clip."""
    return [(start, path) for start, path in _shards(folder, num_clips) if not path.exists()]


def made_once(folder: Path, num_clips: int, label: str, write: WriteShard) -> ClipShards:
    """Make the shards that `folder` lacks and open `num_clips` clips; a larger set begins with the smaller."""
    folder.mkdir(parents=True, exist_ok=True)
    if missing := missing_shards(folder, num_clips):
        with progress(label, total=len(missing)) as advance:
            for start, path in missing:
                write(start, path)
                advance(1)
    return ClipShards([path for _, path in _shards(folder, num_clips)])


def _shards(folder: Path, num_clips: int) -> list[tuple[int, Path]]:
    starts = range(0, num_clips, CLIPS_PER_SHARD)
    return [(start, folder / f"{start:08d}.safetensors") for start in starts]
