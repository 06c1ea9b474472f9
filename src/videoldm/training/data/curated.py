"""Curated clips as a stage reads them: from running numbers to samples of one bucket."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import assert_never

import torch

from videoldm.conditioners.motion import motion_of_bucket
from videoldm.core.errors import InputError
from videoldm.core.progress import notice
from videoldm.core.random import SampleKey, normal, python_random
from videoldm.dataset.clips import ClipRecord, to_pixels
from videoldm.dataset.order import sample_index
from videoldm.dataset.plan import BatchPlan
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.tasks.task import TrainingClips
from videoldm.training.data.choose import Chosen, caption_shares, choose_for_training
from videoldm.training.data.config import CachedLatents, CuratedData, EncodedAnew, Fixed, Measured, NoCaptions
from videoldm.training.data.prefetch import Prefetcher
from videoldm.training.data.samples import Samples, first_frame
from videoldm.training.data.store import EncodedWindow
from videoldm.training.data.windows import FreshWindows, Pixels, StoredWindows, Unreadable, Wanted, Windows

MOST_SUBSTITUTES = 16
"""Clips in a row that may be unreadable before the run stops: then it is not the clips."""


@dataclass(frozen=True)
class _Read:
    """A window that was read, in the place of one that could not be if need be."""

    wanted: Wanted
    content: Pixels | EncodedWindow


class CuratedClips:
    """See `TrainingData`.

    Of a clip that cannot be read, the next one of its bucket takes the place, in the order of the index: that follows
    from the data alone, so a resumed run does the same. Such clips are told of once and counted in `skipped`.
    """

    def __init__(self, chosen: Chosen, windows: Windows, *, seed: int, main_bucket: int) -> None:
        self._data, self._source, self._clips = chosen.data, chosen.source, chosen.assignment.clips
        self._windows, self._seed, self._main = windows, seed, main_bucket
        self._plan = BatchPlan(self._data.buckets, seed=seed)
        reading = self._data.reading
        self._reader = Prefetcher(self._read, threads=reading.threads, ahead=reading.samples_ahead)
        self._lock = threading.Lock()
        self.skipped: dict[str, str] = {}
        """Names of clips that could not be read so far, and why."""

    @property
    def num_clips(self) -> int:
        """Of the model's size."""
        return len(self._clips[self._main])

    @property
    def num_skipped(self) -> int:
        """See `TrainingData`."""
        return len(self.skipped)

    def batch_size_at(self, samples_seen: int) -> int | None:
        """That of the bucket."""
        return self._plan.batch_at(samples_seen).size

    def close(self) -> None:
        """Read no further ahead."""
        self._reader.close()

    def announce(self, positions: Sequence[int]) -> None:
        """See `TrainingData`."""
        self._reader.announce(positions)

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """See `TrainingData`; the latents of a clip are drawn by the sample's own stream."""
        read, waiting_s = self._reader(positions)
        return self._samples(read, [(self._seed, position) for position in positions], waiting_s, is_image=is_image)

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """See `TrainingData`."""
        slot = number * self.num_clips // count
        return self._samples([self._read_or_substitute(self._main, slot, number=0)], [key], 0.0, is_image=False)

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """See `TrainingData`."""
        read = [self._read_or_substitute(self._main, slot, number=0) for slot in range(len(keys))]
        return self._training_clips(read, [self._windows.encoded(one.content) for one in read], keys)

    def _samples(
        self, read: Sequence[_Read], keys: Sequence[SampleKey], waiting_s: float, *, is_image: bool
    ) -> Samples:
        windows = [self._windows.encoded(one.content) for one in read]
        latents = torch.stack([_drawn(window, key) for window, key in zip(windows, keys, strict=True)])
        if is_image:
            starts = [first_frame(latents.shape[1] - 1, key) for key in keys]
            latents = torch.stack([clip[start : start + 1] for clip, start in zip(latents, starts, strict=True)])
        return Samples(latents, self._training_clips(read, windows, keys), waiting_s)

    def _training_clips(
        self, read: Sequence[_Read], windows: Sequence[EncodedWindow], keys: Sequence[SampleKey]
    ) -> TrainingClips:
        return TrainingClips(
            samples=keys,
            records=[self._record(one.wanted, key) for one, key in zip(read, keys, strict=True)],
            first_frames=torch.stack([to_pixels(window.first_frame) for window in windows]),
        )

    def _record(self, wanted: Wanted, key: SampleKey) -> ClipRecord:
        """What the conditions of a sample are made from."""
        clip = self._source.clip(wanted.index)
        caption = image_caption = ""
        if not isinstance(self._data.captions, NoCaptions):
            shares = caption_shares(self._data.captions, clip)
            seed, *position = key
            [kind] = python_random(seed, "caption", *position).choices(list(shares), list(shares.values()))
            caption, image_caption = clip.captions[kind], clip.captions.get("image", clip.captions[kind])
        match self._data.signals:
            case Measured():
                assert clip.motion is not None, "clips without measured motion were left out"
                fps, motion = wanted.bucket.fps, clip.motion
            case Fixed(fps=rate, motion_bucket=motion_bucket):
                fps, motion = Fraction(str(rate)), motion_of_bucket(motion_bucket)
            case _:
                assert_never(self._data.signals)
        return ClipRecord(caption=caption, image_caption=image_caption, fps=fps, motion=motion)

    def _read(self, position: int) -> _Read:
        """The window that the sample with this running number is of."""
        place = self._plan.place(position)
        num_clips = len(self._clips[place.bucket])
        slot = sample_index(self._seed, place.visit, num_clips, stream=f"data order {place.bucket}")
        return self._read_or_substitute(place.bucket, slot, number=place.visit // num_clips)

    def _read_or_substitute(self, bucket: int, slot: int, *, number: int) -> _Read:
        clips, num_windows = self._clips[bucket], self._data.latents.windows_per_clip
        for turn in range(min(len(clips), MOST_SUBSTITUTES)):
            index = clips[(slot + turn) % len(clips)]
            wanted = Wanted(self._data.buckets[bucket], index, number % num_windows, num_windows)
            content = self._windows.read(wanted)
            if not isinstance(content, Unreadable):
                return _Read(wanted, content)
            self._skip(self._source.clip(index).name, content.reason)
        raise InputError(
            f"{self._data.folder}: {min(len(clips), MOST_SUBSTITUTES)} clips in a row cannot be read, the last one: "
            f"{list(self.skipped.values())[-1]}"
        )

    def _skip(self, name: str, reason: str) -> None:
        with self._lock:
            is_new = name not in self.skipped
            self.skipped[name] = reason
        if is_new:
            notice(f"{name} is skipped, the next one takes its place: {reason}")


def prepare_curated(
    data: CuratedData, autoencoder: Autoencoder, cache: Path, *, seed: int, main_bucket: int
) -> CuratedClips:
    """Choose the clips, encode those that `cache` lacks if they are to be kept, and open them.

    Raises InputError if the index cannot be read, a bucket is empty or its size cannot be encoded.
    """
    chosen = choose_for_training(data)
    factor = autoencoder.config.factor
    for bucket in data.buckets:
        if bucket.height % factor or bucket.width % factor:
            raise InputError(
                f"{data.folder}: the bucket {bucket.name} should have sides that are multiples of {factor}"
            )
    match data.latents:
        case EncodedAnew():
            windows: Windows = FreshWindows(chosen.source, autoencoder)
        case CachedLatents(windows_per_clip=num_windows):
            wanted = [
                Wanted(bucket, index, number, num_windows)
                for bucket, clips in zip(data.buckets, chosen.assignment.clips, strict=True)
                for index in clips
                for number in range(num_windows)
            ]
            windows = StoredWindows(chosen.source, autoencoder, cache, wanted, threads=data.reading.threads)
        case _:
            assert_never(data.latents)
    return CuratedClips(chosen, windows, seed=seed, main_bucket=main_bucket)


def _drawn(window: EncodedWindow, key: SampleKey) -> torch.Tensor:
    """Raw latents from the window's posterior."""
    seed, *position = key
    return window.mean + window.deviation * normal(tuple(window.mean.shape), seed, "posterior", *position)
