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
from videoldm.dataset.order import sample_index
from videoldm.training.data.curated_windows import CuratedWindows
from videoldm.training.data.latents import LatentCache


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
    def num_skipped(self) -> int:
        """How many clips could not be read so far."""
        ...

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Size of the batch that begins there; None where all batches may have any size."""
        ...

    def announce(self, positions: Sequence[int]) -> None:
        """Say which samples come next, so that later ones are read."""
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

    @property
    def num_skipped(self) -> int:
        """None ever."""
        return 0

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Any."""
        del samples_seen
        return None

    def announce(self, positions: Sequence[int]) -> None:
        """All clips are at hand."""
        del positions

    def encoded(self, positions: Sequence[int]) -> Encoded:
        """See `DecoderData`."""
        pixels, latents = zip(*(self._window(position) for position in positions), strict=True)
        return Encoded(torch.stack(pixels), torch.stack(latents))

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """Whole clips."""
        return [self._clips.pixels(index) for index in range(min(count, len(self._clips)))]

    def _window(self, position: int) -> tuple[Float[Tensor, "t c h w"], Float[Tensor, "t z h2 w2"]]:
        index = sample_index(self._seed, position, len(self._clips))
        choice = python_random(self._seed, "window", position)
        start = choice.randint(0, self._clips.num_frames - self._num_frames)
        window = slice(start, start + self._num_frames)
        return self._clips.pixels(index)[window], self._latents.draw(index, self._seed, position)[window]


class CuratedDecoderData:
    """See `DecoderData`: windows that are decoded and encoded anew."""

    def __init__(self, windows: CuratedWindows, *, seed: int) -> None:
        self._windows, self._seed = windows, seed

    @property
    def num_skipped(self) -> int:
        """See `DecoderData`."""
        return len(self._windows.skipped)

    def batch_size_at(self, samples_seen: int) -> int | None:
        """That of the bucket."""
        return self._windows.batch_size_at(samples_seen)

    def announce(self, positions: Sequence[int]) -> None:
        """See `DecoderData`."""
        self._windows.announce(positions)

    def encoded(self, positions: Sequence[int]) -> Encoded:
        """See `DecoderData`."""
        read, waiting_s = self._windows(positions)
        latents = [
            self._windows.encoded(one).draw((self._seed, position))
            for one, position in zip(read, positions, strict=True)
        ]
        pixels = [to_pixels(one.frames) for one in read]
        return Encoded(torch.stack(pixels), torch.stack(latents), waiting_s)

    def held_out(self, count: int) -> list[Float[Tensor, "t c h w"]]:
        """Windows of clips of the first bucket."""
        slots = range(min(count, self._windows.num_clips))
        return [to_pixels(self._windows.of_main_bucket(slot).frames) for slot in slots]
