"""Windows of curated clips by running number: whose turn it is, and what takes the place of an unreadable one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from jaxtyping import UInt8
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.core.progress import notice
from videoldm.dataset.order import BatchPlan, sample_index
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.training.data.choose import ChosenClips, choose_for_training
from videoldm.training.data.config import CachedLatents, CuratedData, EncodedAnew
from videoldm.training.data.latents import EncodedWindow
from videoldm.training.data.reader import Prefetcher
from videoldm.training.data.windows import FreshWindows, Pixels, StoredWindows, Unreadable, WindowRef, Windows

MOST_SUBSTITUTES = 16
"""Number of unreadable clips in a row that stops a run: then it is not the clips."""


@dataclass(frozen=True)
class ReadWindow:
    """A window with its content; it may stand in for one that could not be read."""

    window: WindowRef
    content: Pixels | EncodedWindow


class CuratedWindows:
    """Reader of windows, which are read ahead.

    Where a clip cannot be read, the next one of its bucket takes its place, in the order of the index: that follows
    from the data alone, so a resumed run does the same. Such clips are reported once and counted in `skipped`.
    """

    def __init__(self, chosen: ChosenClips, windows: Windows, *, seed: int, main_bucket: int) -> None:
        self.data, self.source, self._clips = chosen.data, chosen.source, chosen.assignment.clips
        self._windows, self._seed, self._main = windows, seed, main_bucket
        self._plan = BatchPlan(self.data.buckets, seed=seed)
        reading = self.data.reading
        self._reader = Prefetcher(self._read, threads=reading.threads, ahead=reading.samples_ahead)
        self._lock = threading.Lock()
        self.skipped: dict[str, str] = {}
        """Names of clips that could not be read so far, and why."""

    @property
    def num_clips(self) -> int:
        """Number of clips in the main bucket."""
        return len(self._clips[self._main])

    @property
    def num_skipped(self) -> int:
        """Number of clips that could not be read so far."""
        return len(self.skipped)

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Return the batch size of the bucket whose turn it is."""
        return self._plan.batch_at(samples_seen).size

    def prepare(self) -> None:
        """Encode what is to be kept.

        Raises InputError if hardly a clip of the main bucket can be read: better now than after hours.
        """
        self._windows.prepare()
        self.of_main_bucket(0)

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.close()

    def announce(self, positions: Sequence[int]) -> None:
        """Read the samples of this batch, and of the next ones."""
        self._reader.announce(positions)

    def __call__(self, positions: Sequence[int]) -> tuple[list[ReadWindow], float]:
        """Return the windows of samples of one batch, and the seconds spent waiting for them."""
        return self._reader(positions)

    def of_main_bucket(self, slot: int) -> ReadWindow:
        """Return the first window of a clip of the main bucket, or of the clip that takes its place."""
        return self._read_or_substitute(self._main, slot, number=0)

    def encoded(self, read: ReadWindow) -> EncodedWindow:
        """Return the latents of a window."""
        return self._windows.encoded(read.content)

    def frames(self, read: ReadWindow, positions: Sequence[int]) -> UInt8[Tensor, "n h w 3"]:
        """Return frames of a window by their positions, negative ones from its end.

        Raises InputError for frames that are not kept beside cached latents.
        """
        if isinstance(read.content, Tensor):
            return read.content[list(positions)]
        if any(positions):
            raise InputError(
                f"{self.data.folder}: latents.kind is cached, which keeps only the first frame of each window beside "
                f"its latents, but frames {', '.join(map(str, positions))} are needed: set latents.kind=anew"
            )
        first = read.content.first_frame
        return first.expand(len(positions), *first.shape)

    def describe(self, position: int) -> str:
        """Return clip and bucket of a sample, not knowing whether another clip had to take its place."""
        bucket, slot, number = self._turn(position)
        clip, size = self.source.clip(self._clips[bucket][slot]), self.data.buckets[bucket].name
        return f"{clip.name}, {size}, window {number % self.data.latents.windows_per_clip}"

    def _read(self, position: int) -> ReadWindow:
        bucket, slot, number = self._turn(position)
        return self._read_or_substitute(bucket, slot, number=number)

    def _turn(self, position: int) -> tuple[int, int, int]:
        """Return bucket, clip of the bucket and running number of the window of a sample."""
        place = self._plan.place(position)
        num_clips = len(self._clips[place.bucket])
        slot = sample_index(self._seed, place.visit, num_clips, stream=f"data order {place.bucket}")
        return place.bucket, slot, place.visit // num_clips

    def _read_or_substitute(self, bucket: int, slot: int, *, number: int) -> ReadWindow:
        clips, num_windows = self._clips[bucket], self.data.latents.windows_per_clip
        for turn in range(min(len(clips), MOST_SUBSTITUTES)):
            index = clips[(slot + turn) % len(clips)]
            window = WindowRef(self.data.buckets[bucket], index, number % num_windows, num_windows)
            content = self._windows.read(window)
            if not isinstance(content, Unreadable):
                return ReadWindow(window, content)
            self._skip(self.source.clip(index).name, content.reason)
        raise InputError(
            f"{self.data.folder}: {min(len(clips), MOST_SUBSTITUTES)} clips in a row cannot be read, the last one: "
            f"{list(self.skipped.values())[-1]}"
        )

    def _skip(self, name: str, reason: str) -> None:
        with self._lock:
            is_new = name not in self.skipped
            self.skipped[name] = reason
        if is_new:
            notice(f"{name} is skipped, the next one takes its place: {reason}")


def curated_windows(
    data: CuratedData, autoencoder: Autoencoder, cache: Path, *, seed: int, main_bucket: int
) -> CuratedWindows:
    """Choose the clips; latents that are to be kept are kept in `cache`.

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
            refs = [
                WindowRef(bucket, index, number, num_windows)
                for bucket, clips in zip(data.buckets, chosen.assignment.clips, strict=True)
                for index in clips
                for number in range(num_windows)
            ]
            windows = StoredWindows(chosen.source, autoencoder, cache, refs, threads=data.reading.threads)
        case _:
            assert_never(data.latents)
    return CuratedWindows(chosen, windows, seed=seed, main_bucket=main_bucket)
