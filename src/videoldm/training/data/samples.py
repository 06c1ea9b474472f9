"""What a diffusion stage asks of its data, whatever this is read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.micro import motion_of_bucket
from videoldm.core.errors import InputError
from videoldm.core.random import SampleKey, generator, python_random
from videoldm.dataset.clips import ClipRecord, ClipShards, to_pixels
from videoldm.tasks.task import TrainingClips
from videoldm.training.data.choose import caption_shares
from videoldm.training.data.config import Fixed, Measured, NoCaptions, Signals
from videoldm.training.data.curated_windows import CuratedWindows, ReadWindow
from videoldm.training.data.latents import EncodedWindow, LatentCache
from videoldm.training.data.reader import RenderedReader, SampleReader
from videoldm.training.data.windows import Wanted


@dataclass(frozen=True)
class Samples:
    """Samples of one size and length: raw latents drawn from their posteriors, and what conditions are made from."""

    latents: Float[Tensor, "b t c h w"]
    clips: TrainingClips
    waiting_s: float = 0.0
    """How long the step had to wait for them."""


class TrainingData(Protocol):
    """Clips with their latents. What comes follows from the arguments alone."""

    @property
    def reader(self) -> SampleReader:
        """In which order they come."""
        ...

    @property
    def num_clips(self) -> int:
        """How many clips there are to hold out."""
        ...

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """Samples of one batch by their running numbers: windows of clips, or one frame of each."""
        ...

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """Sample `number` of `count` that are spread over all clips of the model's size."""
        ...

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """The first clips of the model's size, one for each key."""
        ...


class RenderedData:
    """See `TrainingData`: encoded clips of one size and length, of which the chosen ones are taken."""

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
        """See `TrainingData`."""
        return len(self._chosen)

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """See `TrainingData`."""
        indices = [self.reader.clip(position) for position in positions]
        keys = [(self._seed, position) for position in positions]
        return self._windows(indices, keys, 1 if is_image else self._num_frames)

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """Spread over all shards, as each has a rate of its own."""
        return self._windows([self._chosen[number * (self.num_clips // count)]], [key], self._num_frames)

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """See `TrainingData`."""
        return self._training_clips(self._chosen[: len(keys)], keys, starts=[0] * len(keys))

    def _windows(self, indices: Sequence[int], keys: Sequence[SampleKey], num_frames: int) -> Samples:
        starts = [first_frame(self._clips.num_frames - num_frames, key) for key in keys]
        windows = [
            self._latents.draw(index, *key)[start : start + num_frames]
            for index, key, start in zip(indices, keys, starts, strict=True)
        ]
        return Samples(torch.stack(windows), self._training_clips(indices, keys, starts))

    def _training_clips(
        self, indices: Sequence[int], keys: Sequence[SampleKey], starts: Sequence[int]
    ) -> TrainingClips:
        return TrainingClips(
            samples=keys,
            records=[told(self._clips.records[i], self._signals) for i in indices],
            read_frames=lambda row, positions: self._frames(indices[row], starts[row], positions),
        )

    def _frames(self, index: int, start: int, positions: Sequence[int]) -> Float[Tensor, "n 3 h w"]:
        """Frames of the window of a clip that begins at `start`."""
        places = range(start, start + self._num_frames)
        return torch.stack([self._clips.frame(index, places[position]) for position in positions])


def told(record: ClipRecord, signals: Signals) -> ClipRecord:
    """The record with the rate and the motion that a model is told."""
    match signals:
        case Measured():
            return record
        case Fixed(fps=rate, motion_bucket=bucket):
            return record.model_copy(update={"fps": Fraction(str(rate)), "motion": motion_of_bucket(bucket)})
        case _:
            assert_never(signals)


def first_frame(last_start: int, key: SampleKey) -> int:
    """Where in a clip that is longer than what is taken of it a sample begins."""
    seed, *position = key
    return int(torch.randint(last_start + 1, (), generator=generator(seed, "first frame", *position)))


class CuratedClips:
    """See `TrainingData`."""

    def __init__(self, reader: CuratedWindows, *, seed: int) -> None:
        self.reader, self._seed = reader, seed

    @property
    def num_clips(self) -> int:
        """Of the model's size."""
        return self.reader.num_clips

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """See `TrainingData`; the latents of a clip are drawn by the sample's own stream."""
        read, waiting_s = self.reader(positions)
        return self._samples(read, [(self._seed, position) for position in positions], waiting_s, is_image=is_image)

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """See `TrainingData`."""
        slot = number * self.num_clips // count
        return self._samples([self.reader.of_main_bucket(slot)], [key], 0.0, is_image=False)

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """See `TrainingData`."""
        read = [self.reader.of_main_bucket(slot) for slot in range(len(keys))]
        return self._training_clips(read, [self.reader.encoded(one) for one in read], keys)

    def _samples(
        self, read: Sequence[ReadWindow], keys: Sequence[SampleKey], waiting_s: float, *, is_image: bool
    ) -> Samples:
        windows = [self.reader.encoded(one) for one in read]
        latents = torch.stack([window.draw(key) for window, key in zip(windows, keys, strict=True)])
        if is_image:
            starts = [first_frame(latents.shape[1] - 1, key) for key in keys]
            latents = torch.stack([clip[start : start + 1] for clip, start in zip(latents, starts, strict=True)])
        return Samples(latents, self._training_clips(read, windows, keys), waiting_s)

    def _training_clips(
        self, read: Sequence[ReadWindow], windows: Sequence[EncodedWindow], keys: Sequence[SampleKey]
    ) -> TrainingClips:
        return TrainingClips(
            samples=keys,
            records=[self._record(one.wanted, key) for one, key in zip(read, keys, strict=True)],
            read_frames=lambda row, positions: _kept_frames(windows[row], positions),
        )

    def _record(self, wanted: Wanted, key: SampleKey) -> ClipRecord:
        """What the conditions of a sample are made from."""
        clip, data = self.reader.source.clip(wanted.index), self.reader.data
        caption = image_caption = ""
        if not isinstance(data.captions, NoCaptions):
            shares = caption_shares(data.captions, clip)
            seed, *position = key
            [kind] = python_random(seed, "caption", *position).choices(list(shares), list(shares.values()))
            caption, image_caption = clip.captions[kind], clip.captions.get("image", clip.captions[kind])
        match data.signals:
            case Measured():
                assert clip.motion is not None, "clips without measured motion were left out"
                fps, motion = wanted.bucket.fps, clip.motion
            case Fixed(fps=rate, motion_bucket=motion_bucket):
                fps, motion = Fraction(str(rate)), motion_of_bucket(motion_bucket)
            case _:
                assert_never(data.signals)
        return ClipRecord(caption=caption, image_caption=image_caption, fps=fps, motion=motion)


def _kept_frames(window: EncodedWindow, positions: Sequence[int]) -> Float[Tensor, "n 3 h w"]:
    """Return frames of a window that are kept beside its latents: the first one."""
    if any(positions):
        raise InputError(f"frames {list(positions)} of curated clips are needed, only the first is kept with latents")
    return torch.stack([to_pixels(window.first_frame) for _ in positions])
