"""Clips that are made once and kept on disk, shard by shard."""

from collections.abc import Callable
from pathlib import Path

from videoldm.core.progress import progress
from videoldm.dataset.clips import ClipShards
from videoldm.training.stages.data_config import CLIPS_PER_SHARD

WriteShard = Callable[[int, Path], None]
"""Makes the clips of one shard, from the number of its first clip on, and writes them to the path."""


def made_once(folder: Path, num_clips: int, label: str, write: WriteShard) -> ClipShards:
    """Make the shards that `folder` lacks and open `num_clips` clips; a larger set begins with the smaller."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, num_clips, CLIPS_PER_SHARD)
    paths = [folder / f"{start:08d}.safetensors" for start in starts]
    missing = [(start, path) for start, path in zip(starts, paths, strict=True) if not path.exists()]
    if missing:
        with progress(label, total=len(missing)) as advance:
            for start, path in missing:
                write(start, path)
                advance(1)
    return ClipShards(paths)
