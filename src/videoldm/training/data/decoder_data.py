"""What a decoder's stage asks of its data: clips, and the raw latents that the encoder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.random import python_random
from videoldm.dataset.clips import ClipShards, to_pixels
from videoldm.training.data.curated_windows import CuratedWindows
from videoldm.training.data.latents import LatentCache
from videoldm.training.data.reader import RenderedReader, SampleReader


@dataclass(frozen=True)
class Encoded:
    """Clips of one size and length with raw latents drawn from their posteriors."""

    pixels: Float[Tensor, "b t c h w"]
    latents: Float[Tensor, "b t z h2 w2"]
    waiting_s: float = 0.0
    """How long the step had to wait for them."""


class DecoderData(Protocol):
    """What comes follows from the arguments alone."""

    @property
    def reader(self) -> SampleReader:
        """In which order they come."""
        ...

    def encoded(self, positions: Sequence[int]) -> Encoded:
        """Samples of one batch by their running numbers."""
        ...

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """That many clips, or as many as there are."""
        ...


class RenderedDecoderData:
    """See `DecoderData`: windows of clips that are longer."""

    def __init__(self, clips: ClipShards, latents: LatentCache, *, num_frames: int, seed: int) -> None:
        self._clips, self._latents, self._num_frames, self._seed = clips, latents, num_frames, seed
        self.reader = RenderedReader(range(len(clips)), seed=seed)

    def encoded(self, positions: Sequence[int]) -> Encoded:
        """See `DecoderData`."""
        pixels, latents = zip(*(self._window(position) for position in positions), strict=True)
        return Encoded(torch.stack(pixels), torch.stack(latents))

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """Whole clips."""
        return [self._clips.pixels(index) for index in range(min(count, len(self._clips)))]

    def _window(self, position: int) -> tuple[Float[Tensor, "t c h w"], Float[Tensor, "t z h2 w2"]]:
        index = self.reader.clip(position)
        choice = python_random(self._seed, "window", position)
        start = choice.randint(0, self._clips.num_frames - self._num_frames)
        window = slice(start, start + self._num_frames)
        return self._clips.pixels(index)[window], self._latents.draw(index, self._seed, position)[window]


class CuratedDecoderData:
    """See `DecoderData`: windows that are decoded and encoded anew."""

    def __init__(self, reader: CuratedWindows, *, seed: int) -> None:
        self.reader, self._seed = reader, seed

    def encoded(self, positions: Sequence[int]) -> Encoded:
        """See `DecoderData`."""
        read, waiting_s = self.reader(positions)
        latents = [
            self.reader.encoded(one).draw((self._seed, position)) for one, position in zip(read, positions, strict=True)
        ]
        pixels = [to_pixels(one.frames) for one in read]
        return Encoded(torch.stack(pixels), torch.stack(latents), waiting_s)

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """Windows of clips of the first bucket."""
        slots = range(min(count, self.reader.num_clips))
        return [to_pixels(self.reader.of_main_bucket(slot).frames) for slot in slots]
