"""Order in which training visits buckets and items: a stateless function of the seed and the number of samples seen."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from videoldm.core.random import generator, python_random
from videoldm.dataset.config import Bucket

BATCHES_PER_ROUND = 100
"""Largest number of batches in a round, unless there are more buckets; probabilities are rounded to it."""


@dataclass(frozen=True)
class PlannedBatch:
    """A batch: its bucket, its number of samples, and the number of its first sample among those of the bucket."""

    bucket: int
    size: int
    first_visit: int


@dataclass(frozen=True)
class Place:
    """A sample: its bucket, and its number among the bucket's samples."""

    bucket: int
    visit: int


class BatchPlan:
    """Batches come in rounds; a round has a fixed number of batches of each bucket, in an order of its own.

    Nothing is stored between calls, so a resumed run continues the same sequence. The visits of a bucket are 0, 1, 2
    and so on without gaps, so that every clip of a bucket is visited once in each of its epochs.
    """

    def __init__(self, buckets: Sequence[Bucket], *, seed: int) -> None:
        self._seed = seed
        self._sizes = tuple(bucket.batch_size for bucket in buckets)
        self._counts = _batches_of_round([bucket.probability for bucket in buckets])
        self._round_size = sum(count * size for count, size in zip(self._counts, self._sizes, strict=True))

    def batch_at(self, samples_seen: int) -> PlannedBatch:
        """Return the batch after `samples_seen` samples; if these end within a batch, the rest of it."""
        number, offset = divmod(samples_seen, self._round_size)
        order, ends = self._round(number)
        turn = bisect_right(ends, offset)
        bucket, left = order[turn], ends[turn] - offset
        batches_before = number * self._counts[bucket] + order[:turn].count(bucket)
        in_batch = self._sizes[bucket] - left
        return PlannedBatch(bucket, left, batches_before * self._sizes[bucket] + in_batch)

    def num_batches(self, num_samples: int) -> int:
        """Return how many batches begin before `num_samples` samples are seen."""
        rounds, left = divmod(num_samples, self._round_size)
        order, ends = self._round(rounds)
        return rounds * len(order) + (bisect_left(ends, left) + 1 if left else 0)

    def place(self, position: int) -> Place:
        """Return the bucket of the sample at `position`, and its number among the bucket's samples."""
        batch = self.batch_at(position)
        return Place(batch.bucket, batch.first_visit)

    def _round(self, number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return _round(self._seed, number, self._counts, self._sizes)


@lru_cache(maxsize=4)
def _round(
    seed: int, number: int, counts: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the buckets of a round's batches in order, and where in the round each batch ends, in samples."""
    order = [bucket for bucket, count in enumerate(counts) for _ in range(count)]
    python_random(seed, "bucket order", number).shuffle(order)
    return tuple(order), tuple(accumulate(sizes[bucket] for bucket in order))


def _batches_of_round(probabilities: Sequence[float]) -> tuple[int, ...]:
    """Return how many batches of each bucket a round has: at least one, the rest by largest remainders."""
    total = sum(probabilities)
    exact = [BATCHES_PER_ROUND * probability / total for probability in probabilities]
    counts = [max(1, math.floor(share)) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda bucket: (counts[bucket] - exact[bucket], bucket))
    for bucket in by_remainder[: max(0, BATCHES_PER_ROUND - sum(counts))]:
        counts[bucket] += 1
    divisor = math.gcd(*counts)
    return tuple(count // divisor for count in counts)


def sample_index(seed: int, position: int, num_items: int, *, stream: str = "data order") -> int:
    """Return the index of the item that training visits at `position` samples, in `[0, num_items)`.

    Each epoch visits every item once in an order of its own. Nothing is stored between calls, so a resumed run,
    or one with another batch size, continues the same sequence.
    """
    epoch, offset = divmod(position, num_items)
    return int(_epoch_order(seed, stream, epoch, num_items)[offset])


@lru_cache(maxsize=64)
def _epoch_order(seed: int, stream: str, epoch: int, num_items: int) -> Tensor:
    return torch.randperm(num_items, generator=generator(seed, stream, epoch))
