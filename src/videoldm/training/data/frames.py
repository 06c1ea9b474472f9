"""Windows of clips with all their frames, for stages that compare pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.random import normal, python_random
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.order import sample_index
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.training.data.config import CuratedData
from videoldm.training.data.curated import CuratedClips, prepare_curated
from videoldm.training.latents import LatentCache


@dataclass(frozen=True)
class Frames:
    """Clips of one size and length: pixels in [-1, 1], raw latents drawn from their posteriors."""

    pixels: Float[Tensor, "b t 3 h w"]
    latents: Float[Tensor, "b t z h2 w2"]
    waiting_s: float = 0.0
    """How long the step had to wait for them."""


class FramesData(Protocol):
    """Clips with their latents. What comes follows from the arguments alone."""

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Size of the batch that begins there; None where all batches may have any size."""
        ...

    def frames(self, positions: Sequence[int]) -> Frames:
        """Windows by the running numbers of their samples, all of one batch."""
        ...

    def held_out(self, count: int) -> list[Float[Tensor, "t 3 h w"]]:
        """Pixels of some clips that are spread over all."""
        ...


class RenderedFrames:
    """See `FramesData`: shards of rendered clips, all encoded when the first are asked for."""

    def __init__(self, clips: ClipShards, autoencoder: Autoencoder, cache: Path, *, num_frames: int, seed: int) -> None:
        self._clips, self._autoencoder, self._cache = clips, autoencoder, cache
        self._num_frames, self._seed = num_frames, seed

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Any."""
        del samples_seen
        return None

    def frames(self, positions: Sequence[int]) -> Frames:
        """See `FramesData`."""
        windows = [self._window(position) for position in positions]
        pixels, latents = (torch.stack(parts) for parts in zip(*windows, strict=True))
        return Frames(pixels, latents)

    def held_out(self, count: int) -> list[Float[Tensor, "t 3 h w"]]:
        """See `FramesData`."""
        return [self._clips.pixels(number * len(self._clips) // count) for number in range(count)]

    @cached_property
    def _latents(self) -> LatentCache:
        return LatentCache(self._clips, self._autoencoder, self._cache)

    def _window(self, position: int) -> tuple[Tensor, Tensor]:
        index = sample_index(self._seed, position, len(self._clips))
        start = python_random(self._seed, "window", position).randint(0, self._clips.num_frames - self._num_frames)
        window = slice(start, start + self._num_frames)
        return self._clips.pixels(index)[window], self._latents.draw(index, self._seed, position)[window]


class CuratedFrames:
    """See `FramesData`: windows of curated clips, decoded and encoded at each step."""

    def __init__(self, clips: CuratedClips, autoencoder: Autoencoder, *, seed: int) -> None:
        self._clips, self._autoencoder, self._seed = clips, autoencoder, seed

    def batch_size_at(self, samples_seen: int) -> int | None:
        """See `FramesData`."""
        return self._clips.batch_size_at(samples_seen)

    @torch.no_grad()
    def frames(self, positions: Sequence[int]) -> Frames:
        """See `FramesData`; each clip is encoded alone, so that its latents do not depend on its batch."""
        self._clips.announce(positions)
        pixels, waiting_s = self._clips.pixels(positions)
        latents: list[Tensor] = []
        for clip, position in zip(pixels, positions, strict=True):
            posterior = self._autoencoder.encode(clip[None].to(next(self._autoencoder.encoder.parameters())))
            noise = normal(tuple(posterior.mean.shape[1:]), self._seed, "posterior", position)
            latents.append(posterior.draw(noise[None].to(posterior.mean))[0].cpu())
        return Frames(pixels, torch.stack(latents), waiting_s)

    def held_out(self, count: int) -> list[Float[Tensor, "t 3 h w"]]:
        """See `FramesData`."""
        return [self._clips.held_out_pixels(number, count) for number in range(count)]


def curated_frames(data: CuratedData, autoencoder: Autoencoder, cache: Path, *, seed: int) -> CuratedFrames:
    """Choose and open curated clips; see `prepare_curated` for errors."""
    return CuratedFrames(prepare_curated(data, autoencoder, cache, seed=seed, main_bucket=0), autoencoder, seed=seed)
