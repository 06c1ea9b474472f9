"""Rendered shards as a source of clips."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from hashlib import blake2b

import numpy as np
from jaxtyping import UInt8

from videoldm.dataset.clips import ClipShards
from videoldm.dataset.source import CaptionKind, SourceClip


class RenderedClips:
    """See `ClipSource`. The folder of a shard is named by what its clips are made from, and so stands for them."""

    def __init__(self, shards: ClipShards) -> None:
        self._shards = shards

    @property
    def fingerprint(self) -> str:
        """See `ClipSource`."""
        names = " ".join(f"{path.parent.name}/{path.name}" for path in self._shards.paths)
        return blake2b(names.encode(), digest_size=20).hexdigest()

    def __len__(self) -> int:
        return len(self._shards)

    def clips(self) -> Iterator[SourceClip]:
        """See `ClipSource`."""
        return map(self.clip, range(len(self)))

    def clip(self, index: int) -> SourceClip:
        """The caption is that of the whole clip, the image caption that of a frame."""
        record = self._shards.records[index]
        path, row = self._shards.place(index)
        num_frames, height, width = self._shards.shape_of(index)
        captions: dict[CaptionKind, str] = {"image": record.image_caption, "video": record.caption}
        return SourceClip(
            name=f"clip {row} of {path}",
            video=f"rendered {path.parent.name}/{path.name} {row}",
            content=f"rendered {path.parent.name}/{path.name} {row}",
            width=width,
            height=height,
            duration_s=num_frames / record.fps,
            frame_rate=record.fps,
            captions={kind: text for kind, text in captions.items() if text},
            motion=record.motion,
        )

    def frames(self, index: int, times: Sequence[Fraction]) -> list[UInt8[np.ndarray, "h w 3"]]:
        """See `ClipSource`."""
        fps = self._shards.records[index].fps
        numbers = [math.floor(time * fps) for time in times]
        shown = {number: self._shards.frame_uint8(index, number).numpy() for number in numbers}
        return [shown[number] for number in numbers]
