"""Ranks."""

from __future__ import annotations

import pytest

from videoldm.core.ranks import Rank


def test_default_is_a_single_process() -> None:
    assert Rank() == Rank(index=0, count=1)
    assert Rank().is_main
    assert not Rank(1, 2).is_main


@pytest.mark.parametrize(("index", "count"), [(1, 1), (-1, 2), (0, 0)])
def test_impossible_rank_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"rank {index} of {count}"):
        Rank(index, count)
