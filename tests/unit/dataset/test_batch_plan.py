"""Batches of buckets: their shares, their order, and that it follows from the number of samples alone."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from videoldm.dataset.config import Bucket
from videoldm.dataset.order import BATCHES_PER_ROUND, BatchPlan, sample_index


def bucket(batch_size: int, probability: float = 1.0, height: int = 16) -> Bucket:
    return Bucket(
        height=height, width=16, num_frames=3, fps=Fraction(6), batch_size=batch_size, probability=probability
    )


BUCKETS = (bucket(4, 5), bucket(3, 3), bucket(8, 2))


def batches(plan: BatchPlan, start: int, count: int) -> list[tuple[int, int, int, int]]:
    found = []
    for _ in range(count):
        batch = plan.batch_at(start)
        found.append((start, batch.bucket, batch.size, batch.first_visit))
        start += batch.size
    return found


def test_shares_of_batches_are_the_probabilities() -> None:
    counts = Counter(one[1] for one in batches(BatchPlan(BUCKETS, seed=3), 0, 20 * BATCHES_PER_ROUND))
    assert [counts[number] for number in range(3)] == [1000, 600, 400]


def test_number_of_batches_is_that_of_their_beginnings() -> None:
    plan = BatchPlan(BUCKETS, seed=3)
    starts = [start for start, *_ in batches(plan, 0, 300)]
    for num_samples in (*range(1, 40), 440, 441, 444, 500, 1000):
        assert plan.num_batches(num_samples) == sum(start < num_samples for start in starts)


def test_sizes_are_those_of_the_buckets_and_visits_have_no_gaps() -> None:
    visits = dict.fromkeys(range(3), 0)
    for _, number, size, first_visit in batches(BatchPlan(BUCKETS, seed=3), 0, 500):
        assert size == BUCKETS[number].batch_size
        assert first_visit == visits[number]
        visits[number] += size


def test_every_sample_has_its_place_in_its_batch() -> None:
    plan = BatchPlan(BUCKETS, seed=1)
    for start, number, size, first_visit in batches(plan, 0, 60):
        for offset in range(size):
            place = plan.place(start + offset)
            assert (place.bucket, place.visit) == (number, first_visit + offset)


def test_a_resumed_run_sees_the_same_batches() -> None:
    whole = batches(BatchPlan(BUCKETS, seed=5), 0, 400)
    start = whole[250][0]
    assert batches(BatchPlan(BUCKETS, seed=5), start, 150) == whole[250:]
    assert batches(BatchPlan(BUCKETS, seed=6), 0, 400) != whole


def test_within_a_batch_its_rest_is_left() -> None:
    plan = BatchPlan((bucket(5),), seed=0)
    batch = plan.batch_at(12)
    assert (batch.size, batch.first_visit) == (3, 12)


def test_a_rare_bucket_has_its_turn_in_each_round() -> None:
    counts = Counter(one[1] for one in batches(BatchPlan((bucket(2, 1.0), bucket(2, 1e-6)), seed=0), 0, 101))
    assert counts == {0: 100, 1: 1}


def test_every_clip_of_a_bucket_is_visited_once_an_epoch() -> None:
    plan, num_clips = BatchPlan(BUCKETS, seed=2), 7
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for position in range(2000):
        place = plan.place(position)
        seen[place.bucket].append(sample_index(2, place.visit, num_clips, stream=f"data order {place.bucket}"))
    for visits in seen.values():
        for epoch in range(len(visits) // num_clips):
            assert sorted(visits[epoch * num_clips : (epoch + 1) * num_clips]) == list(range(num_clips))
