"""Data of the temporal decoder's stage: clips, and the raw latents that the encoder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.random import python_random
from videoldm.dataset.clips import ClipShards, to_pixels
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.training.data.config import CuratedData, Data, PannedPictures, WorldData
from videoldm.training.data.curated_windows import CuratedWindows, ReadWindow, curated_windows
from videoldm.training.data.latents import LatentCache
from videoldm.training.data.pictures import world_and_pictures
from videoldm.training.data.reader import RenderedReader, SampleReader
from videoldm.training.data.windows import Pixels


def open_decoder_data(
    data: Data,
    pictures: PannedPictures | None,
    autoencoder: Autoencoder,
    cache: Path,
    *,
    num_frames: int,
    seed: int,
) -> DecoderData:
    """Open clips with their latents; what is not rendered or encoded yet is made."""
    match data:
        case WorldData():
            clips = world_and_pictures(data, pictures, cache)
            return RenderedDecoderData(clips, LatentCache(clips, autoencoder, cache), num_frames=num_frames, seed=seed)
        case CuratedData():
            return CuratedDecoderData(curated_windows(data, autoencoder, cache, seed=seed, main_bucket=0), seed=seed)
        case _:
            assert_never(data)


@dataclass(frozen=True)
class EncodedClips:
    """Clips of one size and length with raw latents drawn from their posteriors."""

    pixels: Float[Tensor, "b t c h w"]
    latents: Float[Tensor, "b t z h2 w2"]
    waiting_s: float = 0.0
    """Time that the step spent waiting for them."""


class DecoderData(Protocol):
    """Clips with their latents; what comes depends on the arguments alone."""

    @property
    def reader(self) -> SampleReader:
        """Reader that gives the order of samples."""
        ...

    def encoded(self, positions: Sequence[int]) -> EncodedClips:
        """Return samples of one batch by their running numbers."""
        ...

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """Return that many clips, or as many as there are."""
        ...


class RenderedDecoderData:
    """Decoder data from windows of rendered clips."""

    def __init__(self, clips: ClipShards, latents: LatentCache, *, num_frames: int, seed: int) -> None:
        self._clips, self._latents, self._num_frames, self._seed = clips, latents, num_frames, seed
        self.reader = RenderedReader(range(len(clips)), seed=seed)

    def encoded(self, positions: Sequence[int]) -> EncodedClips:
        """Return windows that begin anywhere in their clips."""
        pixels, latents = zip(*(self._window(position) for position in positions), strict=True)
        return EncodedClips(torch.stack(pixels), torch.stack(latents))

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """Return whole clips."""
        return [self._clips.pixels(index) for index in range(min(count, len(self._clips)))]

    def _window(self, position: int) -> tuple[Float[Tensor, "t c h w"], Float[Tensor, "t z h2 w2"]]:
        index = self.reader.clip(position)
        choice = python_random(self._seed, "window", position)
        start = choice.randint(0, self._clips.num_frames - self._num_frames)
        window = slice(start, start + self._num_frames)
        return self._clips.pixels(index)[window], self._latents.draw(index, self._seed, position)[window]


class CuratedDecoderData:
    """Decoder data from windows of curated clips, which are decoded and encoded at each step."""

    def __init__(self, reader: CuratedWindows, *, seed: int) -> None:
        self.reader, self._seed = reader, seed

    def encoded(self, positions: Sequence[int]) -> EncodedClips:
        """Return windows of the bucket whose turn it is."""
        read, waiting_s = self.reader(positions)
        latents = [
            self.reader.encoded(one).draw((self._seed, position)) for one, position in zip(read, positions, strict=True)
        ]
        pixels = [to_pixels(self._frames(one)) for one in read]
        return EncodedClips(torch.stack(pixels), torch.stack(latents), waiting_s)

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """Return windows of clips of the first bucket."""
        slots = range(min(count, self.reader.num_clips))
        return [to_pixels(self._frames(self.reader.of_main_bucket(slot))) for slot in slots]

    def _frames(self, read: ReadWindow) -> Pixels:
        return self.reader.frames(read, range(read.window.bucket.num_frames))
