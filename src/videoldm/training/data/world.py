"""Rendered training data: clips of the synthetic world, made once and kept on disk."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.core.progress import progress
from videoldm.core.random import python_random
from videoldm.dataset.clips import ClipRecord, ClipShards, to_stored, write_shard
from videoldm.measures.temporal import mean_motion
from videoldm.synthetic.captions import NUM_VARIANTS, caption, image_caption, labels
from videoldm.synthetic.elements import Scene
from videoldm.synthetic.render import render
from videoldm.synthetic.scene import sample_scene
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS
from videoldm.training.data.config import CLIPS_PER_SHARD, WorldData

RENDER_BATCH = 8
WORLD_VERSION = 1
"""Version of renderer and captions, to be raised when they change, so that clips made before are not used."""

WriteShard = Callable[[int, Path], None]
"""Makes the clips of one shard, from the number of its first clip on, and writes them to the path."""


def prepare_world(data: WorldData, cache: Path) -> ClipShards:
    """Render the clips that `cache` lacks and open them."""
    return made_once(
        _folder(data, cache), data.num_clips, f"Rendering {data.split} clips", partial(_render_shard, data)
    )


def num_missing(data: WorldData, cache: Path) -> int:
    """Return the number of clips that are not rendered yet."""
    return CLIPS_PER_SHARD * len(_missing_shards(_folder(data, cache), data.num_clips))


def chosen_clips(data: WorldData, clips: ClipShards) -> Sequence[int]:
    """Return the numbers of the clips with one of the data's cameras; raise InputError if there are none."""
    if not data.cameras:
        return range(len(clips))
    cameras = {CAMERA_MOTIONS.index(motion) for motion in data.cameras}
    chosen = [number for number, record in enumerate(clips.records) if record.labels.get("camera") in cameras]
    if not chosen:
        raise InputError(f"data.cameras is {', '.join(data.cameras)}, but no {data.split} clip has such a camera")
    return chosen


def made_once(folder: Path, num_clips: int, label: str, write: WriteShard) -> ClipShards:
    """Make the shards that `folder` lacks and open `num_clips` clips; a larger set begins with the smaller."""
    folder.mkdir(parents=True, exist_ok=True)
    if missing := _missing_shards(folder, num_clips):
        with progress(label, total=len(missing)) as advance:
            for start, path in missing:
                write(start, path)
                advance(1)
    return ClipShards([path for _, path in _shards(folder, num_clips)])


def _folder(data: WorldData, cache: Path) -> Path:
    return cache / f"world-{_key(data)}"


def _key(data: WorldData) -> str:
    description = f"{WORLD_VERSION} {data.model_dump_json(exclude={'num_clips', 'kind', 'cameras', 'signals'})}"
    return blake2b(description.encode(), digest_size=8).hexdigest()


def _render_shard(data: WorldData, start: int, path: Path) -> None:
    indices = range(start, start + CLIPS_PER_SHARD)
    fps = data.rates[start // CLIPS_PER_SHARD % len(data.rates)]
    frames, records = [], []
    for first in range(indices.start, indices.stop, RENDER_BATCH):
        scenes = [
            sample_scene(data.seed, data.split, index, data.options) for index in range(first, first + RENDER_BATCH)
        ]
        clips = render(scenes, num_frames=data.num_frames, fps=fps, height=data.height, width=data.width)
        frames.append(to_stored(clips.pixels))
        records += [_record(data, scene, first + i, fps, clips.motion[i]) for i, scene in enumerate(scenes)]
    write_shard(path, torch.cat(frames), records)


def _record(data: WorldData, scene: Scene, index: int, fps: Fraction, motion: Tensor) -> ClipRecord:
    wording = python_random(data.seed, f"{data.split} caption", index).randrange(NUM_VARIANTS)
    return ClipRecord(
        caption=caption(scene, wording),
        image_caption=image_caption(scene),
        fps=fps,
        motion=float(mean_motion(motion, fps)),
        labels=asdict(labels(scene)),
    )


def _missing_shards(folder: Path, num_clips: int) -> list[tuple[int, Path]]:
    """Return the shards of `num_clips` clips that `folder` lacks, each with the number of its first clip."""
    return [(start, path) for start, path in _shards(folder, num_clips) if not path.exists()]


def _shards(folder: Path, num_clips: int) -> list[tuple[int, Path]]:
    starts = range(0, num_clips, CLIPS_PER_SHARD)
    return [(start, folder / f"{start:08d}.safetensors") for start in starts]
