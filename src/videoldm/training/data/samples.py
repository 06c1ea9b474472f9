"""Samples of a stage that denoises clips: latents with what their conditions are made from, from either source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.micro import motion_of_bucket
from videoldm.core.random import SampleKey, generator, python_random
from videoldm.dataset.clips import ClipRecord, ClipShards, to_pixels
from videoldm.tasks.task import TrainingClips
from videoldm.training.data.choose import caption_shares
from videoldm.training.data.config import Fixed, Measured, NoCaptions, Signals
from videoldm.training.data.curated_windows import CuratedWindows, ReadWindow
from videoldm.training.data.latents import LatentCache
from videoldm.training.data.reader import RenderedReader, SampleReader
from videoldm.training.data.windows import WindowRef


@dataclass(frozen=True)
class Samples:
    """Samples of one size and length: raw latents drawn from their posteriors, and what conditions are made from."""

    latents: Float[Tensor, "b t c h w"]
    clips: TrainingClips
    waiting_s: float = 0.0
    """Time that the step spent waiting for them."""


class TrainingData(Protocol):
    """Clips with their latents; what comes depends on the arguments alone."""

    @property
    def reader(self) -> SampleReader:
        """Reader that gives the order of samples."""
        ...

    @property
    def num_clips(self) -> int:
        """Number of clips of the model's size."""
        ...

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """Return samples of one batch by their running numbers: windows of clips, or one frame of each."""
        ...

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """Return sample `number` of `count` that are spread over all clips of the model's size."""
        ...

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """Return the first clips of the model's size, one for each key."""
        ...


class RenderedTrainingData:
    """Training data from encoded clips of one size and length, of which those numbered in `chosen` are taken."""

    def __init__(
        self,
        clips: ClipShards,
        latents: LatentCache,
        *,
        chosen: Sequence[int],
        num_frames: int,
        seed: int,
        signals: Signals,
    ) -> None:
        self._clips, self._latents, self._chosen = clips, latents, chosen
        self._num_frames, self._seed, self._signals = num_frames, seed, signals
        self.reader = RenderedReader(chosen, seed=seed)

    @property
    def num_clips(self) -> int:
        """Number of clips taken."""
        return len(self._chosen)

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """Return windows that begin anywhere in their clips."""
        indices = [self.reader.clip(position) for position in positions]
        keys = [(self._seed, position) for position in positions]
        return self._windows(indices, keys, 1 if is_image else self._num_frames)

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """Return a sample; samples are spread over all shards, as each has a rate of its own."""
        return self._windows([self._chosen[number * (self.num_clips // count)]], [key], self._num_frames)

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """Return the beginnings of the first clips."""
        return self._training_clips(self._chosen[: len(keys)], keys, [range(self._num_frames)] * len(keys))

    def _windows(self, indices: Sequence[int], keys: Sequence[SampleKey], num_frames: int) -> Samples:
        starts = [first_frame(self._clips.num_frames - num_frames, key) for key in keys]
        windows = [range(start, start + num_frames) for start in starts]
        latents = [
            self._latents.draw(index, *key)[window.start : window.stop]
            for index, key, window in zip(indices, keys, windows, strict=True)
        ]
        return Samples(torch.stack(latents), self._training_clips(indices, keys, windows))

    def _training_clips(
        self, indices: Sequence[int], keys: Sequence[SampleKey], windows: Sequence[range]
    ) -> TrainingClips:
        """Describe the windows of these clips, each given by its frames."""

        def read_frames(row: int, positions: Sequence[int]) -> Float[Tensor, "n 3 h w"]:
            return torch.stack([self._clips.frame(indices[row], windows[row][position]) for position in positions])

        return TrainingClips(
            samples=keys,
            records=[with_signals(self._clips.records[i], self._signals) for i in indices],
            read_frames=read_frames,
        )


class CuratedTrainingData:
    """Training data from windows of curated clips, whose latents are drawn by each sample's own stream."""

    def __init__(self, reader: CuratedWindows, *, seed: int) -> None:
        self.reader, self._seed = reader, seed

    @property
    def num_clips(self) -> int:
        """Number of clips in the bucket of the model's size."""
        return self.reader.num_clips

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """Return windows of the bucket whose turn it is."""
        read, waiting_s = self.reader(positions)
        return self._samples(read, [(self._seed, position) for position in positions], waiting_s, is_image=is_image)

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """Return the first window of a clip."""
        slot = number * self.num_clips // count
        return self._samples([self.reader.of_main_bucket(slot)], [key], 0.0, is_image=False)

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """Return the first windows of the first clips."""
        return self._training_clips([self.reader.of_main_bucket(slot) for slot in range(len(keys))], keys)

    def _samples(
        self, read: Sequence[ReadWindow], keys: Sequence[SampleKey], waiting_s: float, *, is_image: bool
    ) -> Samples:
        latents = torch.stack([self.reader.encoded(one).draw(key) for one, key in zip(read, keys, strict=True)])
        if is_image:
            starts = [first_frame(latents.shape[1] - 1, key) for key in keys]
            latents = torch.stack([clip[start : start + 1] for clip, start in zip(latents, starts, strict=True)])
        return Samples(latents, self._training_clips(read, keys), waiting_s)

    def _training_clips(self, read: Sequence[ReadWindow], keys: Sequence[SampleKey]) -> TrainingClips:
        return TrainingClips(
            samples=keys,
            records=[self._record(one.window, key) for one, key in zip(read, keys, strict=True)],
            read_frames=lambda row, positions: to_pixels(self.reader.frames(read[row], positions)),
        )

    def _record(self, window: WindowRef, key: SampleKey) -> ClipRecord:
        """Describe a sample, with the caption that is drawn for it."""
        clip, data = self.reader.source.clip(window.index), self.reader.data
        caption = image_caption = ""
        if not isinstance(data.captions, NoCaptions):
            shares = caption_shares(data.captions, clip)
            seed, *position = key
            [kind] = python_random(seed, "caption", *position).choices(list(shares), list(shares.values()))
            caption, image_caption = clip.captions[kind], clip.captions.get("image", clip.captions[kind])
        # Motion is unknown only where the signals are fixed.
        record = ClipRecord(
            caption=caption, image_caption=image_caption, fps=window.bucket.fps, motion=clip.motion or 0.0
        )
        return with_signals(record, data.signals)


def with_signals(record: ClipRecord, signals: Signals) -> ClipRecord:
    """Return the record with the rate and the motion that the model is conditioned on."""
    match signals:
        case Measured():
            return record
        case Fixed(fps=rate, motion_bucket=bucket):
            return record.model_copy(update={"fps": Fraction(str(rate)), "motion": motion_of_bucket(bucket)})
        case _:
            assert_never(signals)


def first_frame(last_start: int, key: SampleKey) -> int:
    """Draw where a sample begins in a clip that is longer, from 0 to `last_start`."""
    seed, *position = key
    return int(torch.randint(last_start + 1, (), generator=generator(seed, "first frame", *position)))
