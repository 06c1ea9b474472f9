"""Short clips of equal size on disk: safetensors shards of pixels beside one JSON line a clip."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from jaxtyping import Float, UInt8
from pydantic import Field, ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.core.reading import safetensors_errors
from videoldm.video.pixels import from_uint8, to_uint8


class ClipRecord(Config):
    """Facts about a clip: captions, the rate it was sampled at, its motion (short sides of the frame per second)."""

    caption: str
    image_caption: str
    fps: Fraction
    motion: float
    labels: dict[str, int] = Field(default_factory=dict)


class ClipShards:
    """Reads the clips of some shards by number; pixels are mapped from disk, not loaded.

    Raises InputError if a shard is missing or does not fit its records.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.records: list[ClipRecord] = []
        self._ends: list[int] = []
        for path in self.paths:
            self.records += _read_records(path.with_suffix(".jsonl"))
            self._ends.append((self._ends[-1] if self._ends else 0) + int(_slice(path).get_shape()[0]))
            if self._ends[-1] != len(self.records):
                raise InputError(f"{path}: has {self._ends[-1]} clips up to here, but {len(self.records)} records")

    def __len__(self) -> int:
        return len(self.records)

    def pixels_uint8(self, index: int) -> UInt8[Tensor, "t h w 3"]:
        """Return the clip's frames as stored."""
        pixels, row = self._locate(index)
        return pixels[row]

    def frame_uint8(self, index: int, frame: int) -> UInt8[Tensor, "h w 3"]:
        """Return one frame of the clip as stored."""
        pixels, row = self._locate(index)
        return pixels[row, frame]

    @property
    def num_frames(self) -> int:
        """Number of frames of every clip."""
        return int(_slice(self.paths[0]).get_shape()[1])

    def frame(self, index: int, frame: int) -> Float[Tensor, "c h w"]:
        """Return one frame of the clip in [-1, 1]."""
        return to_pixels(self.frame_uint8(index, frame))

    def pixels(self, index: int) -> Float[Tensor, "t c h w"]:
        """Return the clip's frames in [-1, 1]."""
        return to_pixels(self.pixels_uint8(index))

    def _locate(self, index: int) -> tuple[Any, int]:
        """Return the pixels of a clip's shard, and its number in the shard."""
        shard = bisect_right(self._ends, index)
        return _slice(self.paths[shard]), index - (self._ends[shard - 1] if shard else 0)


def to_pixels(frames: UInt8[Tensor, "*t h w 3"]) -> Float[Tensor, "*t 3 h w"]:
    """Convert stored frames (bytes, channels last) to [-1, 1], channels first."""
    return from_uint8(frames).movedim(-1, -3)


def to_stored(pixels: Float[Tensor, "*t 3 h w"]) -> UInt8[Tensor, "*t h w 3"]:
    """Invert `to_pixels`, with rounding and clamping."""
    return to_uint8(pixels).movedim(-3, -1).contiguous()


def write_shard(path: Path, frames: UInt8[Tensor, "n t h w 3"], records: Sequence[ClipRecord]) -> None:
    """Write one shard; the pixels appear last, so a shard that exists is complete."""
    lines = "".join(json.dumps(record.model_dump(mode="json")) + "\n" for record in records)
    with atomic_file(path.with_suffix(".jsonl")) as temporary:
        temporary.write_text(lines)
    with atomic_file(path) as temporary:
        save_file({"pixels": frames}, temporary)


def _read_records(path: Path) -> list[ClipRecord]:
    if not path.is_file():
        raise InputError(f"{path}: is missing, every shard of clips has its records beside it")
    try:
        return [ClipRecord.model_validate_json(line) for line in path.read_text().splitlines()]
    except ValidationError as error:
        raise InputError(f"{path}: is not a list of clips: {error.errors()[0]['msg']}") from None


@lru_cache(maxsize=1024)
def _slice(path: Path) -> Any:
    """Return the shard's pixels, mapped from one open file a shard."""
    with safetensors_errors(path):
        return safe_open(path, framework="pt").__enter__().get_slice("pixels")
