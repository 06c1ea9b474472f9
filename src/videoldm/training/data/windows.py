"""Windows of curated clips and their latents, encoded once and kept, or encoded at each step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import UInt8
from torch import Tensor

from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.core.progress import Advance, progress
from videoldm.dataset.clips import to_pixels, to_stored
from videoldm.dataset.config import Bucket
from videoldm.dataset.source import ClipSource, ClipWindow, read_window, window_of
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.training.data.latents import EncodedWindow, LatentStore, weights_hash, window_key

WINDOWS_PER_SHARD = 64
FRAMES_AT_ONCE = 8
"""Number of frames that are encoded together."""

Pixels = UInt8[Tensor, "t h w 3"]
"""Fitted frames have 8 bits, so these are exact, and four times smaller while they wait."""


@dataclass(frozen=True)
class WindowRef:
    """Window `number` of `num_windows` of the clip `index`, for a bucket."""

    bucket: Bucket
    index: int
    number: int
    num_windows: int

    def window(self, source: ClipSource) -> ClipWindow:
        """Return where the window lies in the clip."""
        return window_of(source.clip(self.index).duration_s, self.bucket, self.number, self.num_windows)


@dataclass(frozen=True)
class Unreadable:
    """Stands for a window of a clip that cannot be read."""

    reason: str


class Windows(Protocol):
    """Windows by reference: threads read them ahead, the step that needs them encodes them."""

    def prepare(self) -> None:
        """Make what is kept; every process calls it before the first window is read."""
        ...

    def read(self, ref: WindowRef) -> Pixels | EncodedWindow | Unreadable:
        """Return what lies on disk."""
        ...

    def encoded(self, content: Pixels | EncodedWindow) -> EncodedWindow:
        """Return the latents of what was read."""
        ...


class FreshWindows:
    """Windows that are decoded and encoded at each step, in the step's precision.

    In 16 bits the error is two thirds of the posterior's own standard deviation (mini, photographs).
    """

    def __init__(self, source: ClipSource, autoencoder: Autoencoder) -> None:
        self._source, self._autoencoder = source, autoencoder

    def prepare(self) -> None:
        """Do nothing: nothing is kept."""

    def read(self, ref: WindowRef) -> Pixels | Unreadable:
        """Decode the window's frames."""
        try:
            return to_stored(read_window(self._source, ref.index, ref.window(self._source)))
        except InputError as error:
            return Unreadable(str(error))

    def encoded(self, content: Pixels | EncodedWindow) -> EncodedWindow:
        """Encode the frames."""
        return content if isinstance(content, EncodedWindow) else encode(self._autoencoder, content)


class StoredWindows:
    """Windows that are encoded once: after `prepare` no video is decoded."""

    def __init__(
        self, source: ClipSource, autoencoder: Autoencoder, cache: Path, refs: Sequence[WindowRef], *, threads: int
    ) -> None:
        self._source, self._autoencoder, self._refs, self._threads = source, autoencoder, refs, threads
        self._encoder = weights_hash(autoencoder)
        self._folder = cache / f"windows-{self._encoder}"
        self._stores: dict[Bucket, LatentStore] = {}
        self._unreadable: dict[str, Unreadable] = {}

    def prepare(self) -> None:
        """Encode what the store lacks; each process takes some shards and finds those of the others on the disk."""
        self._open()
        missing = [one for one in self._refs if self._key(one) not in self._stores[one.bucket]]
        mine = list(_shards(missing))[ranks.rank() :: ranks.world_size()]
        ranks.barrier()  # until then no process writes, so that all see the same windows missing
        with (
            progress("Encoding clips", total=sum(len(shard) for _, shard in mine)) as advance,
            ThreadPoolExecutor(self._threads) as pool,
        ):
            for bucket, shard in mine:
                self._encode(bucket, shard, pool, advance)
        for unreadable in ranks.all_gather(self._unreadable):
            self._unreadable |= unreadable
        self._open()
        if not all(self._key(one) in self._stores[one.bucket] or self._key(one) in self._unreadable for one in missing):
            raise InputError(
                f"{self._folder}: windows that other processes have encoded are missing, it should be a folder that "
                f"all of them see (--cache)"
            )

    def read(self, ref: WindowRef) -> EncodedWindow | Unreadable:
        """Return what is kept; a clip that could not be read when it was to be encoded stays so until the next run."""
        key = self._key(ref)
        return self._unreadable[key] if key in self._unreadable else self._stores[ref.bucket][key]

    def encoded(self, content: Pixels | EncodedWindow) -> EncodedWindow:
        """Return what was read, which is encoded already."""
        assert isinstance(content, EncodedWindow)
        return content

    def _encode(self, bucket: Bucket, shard: Sequence[WindowRef], pool: ThreadPoolExecutor, advance: Advance) -> None:
        encoded: dict[str, EncodedWindow] = {}
        fresh = FreshWindows(self._source, self._autoencoder)
        for one, pixels in _read_ahead(pool, fresh, shard, 2 * self._threads):
            if isinstance(pixels, Unreadable):
                self._unreadable[self._key(one)] = pixels
            else:
                encoded[self._key(one)] = encode(self._autoencoder, pixels)
            advance(1)
        if encoded:
            self._stores[bucket].write(encoded)

    def _key(self, ref: WindowRef) -> str:
        return window_key(self._source.clip(ref.index).content, ref.window(self._source), self._encoder)

    def _open(self) -> None:
        """Open what is there; only the first process reports what is broken."""
        buckets = dict.fromkeys(one.bucket for one in self._refs)
        self._stores = ranks.first_then_others(lambda: {bucket: self._store(bucket) for bucket in buckets})

    def _store(self, bucket: Bucket) -> LatentStore:
        rate = f"{bucket.fps.numerator}-{bucket.fps.denominator}"
        name = f"{bucket.width}x{bucket.height}-{bucket.num_frames}-{rate}"
        return LatentStore(self._folder / name, self._encoder)


@torch.no_grad()
def encode(autoencoder: Autoencoder, pixels: Pixels) -> EncodedWindow:
    """Encode one window in the precision of the weights, or of the step around it: no batch changes a bit of it."""
    weights = next(autoencoder.parameters())
    means: list[Tensor] = []
    deviations: list[Tensor] = []
    for frames in pixels.split(FRAMES_AT_ONCE):
        posterior = autoencoder.encode(to_pixels(frames)[None].to(weights))
        means.append(posterior.mean[0])
        deviations.append(posterior.deviation[0])
    # PyTorch 2.13 crashes in the gradients of a group norm's weights where channels come last in memory, as in frames
    # of a video, and nothing before it is trained (CPU).
    mean, deviation = (torch.cat(parts).float().cpu().contiguous() for parts in (means, deviations))
    return EncodedWindow(mean, deviation, pixels[0])


def _shards(refs: Sequence[WindowRef]) -> Iterator[tuple[Bucket, list[WindowRef]]]:
    """Yield windows of one bucket each, at most as many as a shard has."""
    by_bucket: dict[Bucket, list[WindowRef]] = {}
    for one in refs:
        by_bucket.setdefault(one.bucket, []).append(one)
    for bucket, windows in by_bucket.items():
        for start in range(0, len(windows), WINDOWS_PER_SHARD):
            yield bucket, windows[start : start + WINDOWS_PER_SHARD]


def _read_ahead(
    pool: ThreadPoolExecutor, windows: FreshWindows, refs: Iterable[WindowRef], depth: int
) -> Iterator[tuple[WindowRef, Pixels | Unreadable]]:
    """Yield the content of each window, in order; at most `depth` wait to be taken."""
    remaining = iter(refs)
    pending: deque[tuple[WindowRef, Future[Pixels | Unreadable]]] = deque()
    for one in islice(remaining, depth):
        pending.append((one, pool.submit(windows.read, one)))
    while pending:
        one, future = pending.popleft()
        for following in islice(remaining, 1):
            pending.append((following, pool.submit(windows.read, following)))
        yield one, future.result()
