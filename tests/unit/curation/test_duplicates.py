"""Near-duplicate groups against all pairs in plain Python, and against scipy's connected components."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from videoldm.core.errors import InputError
from videoldm.curation.comparisons import near_duplicates


def clustered(seed: int, num: int, *, spread: float = 0.16) -> tuple[list[str], np.ndarray]:
    """Vectors around a few directions, so that there are chains; ids in no order."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(num // 6, 12))
    vectors = centres[random.integers(0, len(centres), num)] + spread * random.normal(size=(num, 12))
    ids = [f"clip-{number:04}" for number in random.permutation(num)]
    return ids, (vectors * random.uniform(0.5, 2, (num, 1))).astype(np.float32)


def by_scipy(ids: list[str], vectors: np.ndarray, threshold: float) -> list[str]:
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    _, labels = connected_components(unit @ unit.T >= threshold, directed=False)
    return [min(ids[j] for j in np.flatnonzero(labels == label)) for label in labels]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_connected_components(seed: int) -> None:
    ids, vectors = clustered(seed, 150)
    expected = by_scipy(ids, vectors, 0.97)
    assert near_duplicates(ids, vectors, threshold=0.97, block_size=32) == expected
    assert 20 < len(set(expected)) < 140


def test_neither_order_nor_blocks_matter() -> None:
    ids, vectors = clustered(9, 120)
    expected = dict(zip(ids, near_duplicates(ids, vectors, threshold=0.97), strict=True))
    shuffled = np.random.default_rng(1).permutation(120)
    for block_size in (1, 7, 50, 1000):
        found = near_duplicates([ids[i] for i in shuffled], vectors[shuffled], threshold=0.97, block_size=block_size)
        assert dict(zip((ids[i] for i in shuffled), found, strict=True)) == expected


def test_chains_are_closed() -> None:
    angles = np.deg2rad([0, 10, 20, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert near_duplicates(["d", "c", "b", "a"], vectors, threshold=float(np.cos(np.deg2rad(10.1)))) == [*"bbb", "a"]


def test_pairs_beside_the_threshold_are_decided_exactly() -> None:
    """Float32 products of blocks err by some 1e-7, which must not decide."""
    threshold = 0.9
    for offset, is_similar in ((3e-8, True), (-3e-8, False)):
        cosine = np.float64(threshold) + offset
        random = np.random.default_rng(3)
        for _ in range(20):
            a, b = np.linalg.qr(random.normal(size=(512, 2)))[0].T
            pair = np.stack([a, cosine * a + np.sqrt(1 - cosine**2) * b])
            exact = pair / np.linalg.norm(pair, axis=1, keepdims=True)
            rounded = exact.astype(np.float32)
            true = rounded[0].astype(np.float64) @ rounded[1].astype(np.float64)
            if (true >= threshold) != is_similar:
                continue  # rounding the input moved it to the other side
            assert (len(set(near_duplicates(["a", "b"], rounded, threshold=threshold))) == 1) == is_similar


def test_many_equal_clips_are_one_group() -> None:
    vectors = np.tile(np.array([[1, 2, 3]], np.float32), (3000, 1))
    ids = [f"{i:05}" for i in range(3000)]
    assert set(near_duplicates(ids, vectors, threshold=0.97, block_size=1024)) == {"00000"}


def test_clips_alone() -> None:
    assert near_duplicates([], np.empty((0, 4), np.float32), threshold=0.9) == []
    assert near_duplicates(["x"], np.ones((1, 4), np.float32), threshold=0.9) == ["x"]


def test_wrong_input_is_refused() -> None:
    one = np.ones((2, 4), np.float32)
    with pytest.raises(InputError, match="given twice"):
        near_duplicates(["a", "a"], one, threshold=0.9)
    with pytest.raises(InputError, match="zero or not finite"):
        near_duplicates(["a", "b"], one * np.array([[1], [0]], np.float32), threshold=0.9)
    with pytest.raises(InputError, match=r"threshold is 1\.0, it should lie between 0 and 1"):
        near_duplicates(["a", "b"], one, threshold=1.0)
