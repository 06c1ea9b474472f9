"""Values at ranks, and ids among equals, against sorting."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from videoldm.curation.selection.ranks import Rank, nth_tied, values_at

_REALS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, 1.5, -1.5])
_WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)


def _check(values: np.ndarray, places: list[int], num_batches: int) -> None:
    batches = np.array_split(values, num_batches)
    found = values_at([Rank("x", place) for place in places], lambda: ({"x": batch} for batch in batches))
    in_order = np.sort(values)
    for place, ranked in zip(places, found, strict=True):
        assert ranked.value == in_order[place]
        assert ranked.num_below == int((values < in_order[place]).sum())
        assert ranked.num_equal == int((values == in_order[place]).sum())


@given(st.lists(_REALS, min_size=1, max_size=16), st.integers(1, 4))
@example([0.0, -0.0, 5e-324, -5e-324, float("inf"), float("-inf")], 2)
def test_every_rank_of_real_numbers_is_that_of_sorting(values: list[float], num_batches: int) -> None:
    _check(np.array(values), list(range(len(values))), num_batches)


@given(st.lists(_WHOLE, min_size=1, max_size=16), st.integers(1, 4))
@example([2**63 - 1, 2**63 - 2, -(2**63), 2**53, 2**53 + 1], 2)
def test_every_rank_of_whole_numbers_is_that_of_sorting(values: list[int], num_batches: int) -> None:
    _check(np.array(values, np.int64), list(range(len(values))), num_batches)


def test_columns_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=5000), "b": rng.integers(-50, 50, 3000)}
    ranks = [Rank("a", 1249), Rank("b", 7), Rank("a", 4999), Rank("b", 1500)]
    found = values_at(ranks, lambda: [columns])
    assert [ranked.value for ranked in found] == [np.sort(columns[rank.column])[rank.place] for rank in ranks]


def test_rank_beyond_the_rows_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="no rank 3 in a column of 3"):
        values_at([Rank("a", 3)], lambda: [{"a": np.zeros(3)}])


@settings(max_examples=10)
@given(st.sets(st.text("ab'é0", max_size=9), min_size=1, max_size=60))
def test_id_at_a_place_is_that_of_sorting(ids: set[str]) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE clips (clip_id VARCHAR, value INTEGER)")
        connection.executemany("INSERT INTO clips VALUES (?, ?)", [[clip_id, 1] for clip_id in ids])
        connection.execute("INSERT INTO clips VALUES ('', 2)")
        in_order = sorted(ids, key=str.encode)
        for place in {0, len(ids) // 3, len(ids) - 1}:
            assert nth_tied(connection, "clips", "value = 1", place, few=1) == in_order[place]


def test_same_id_many_times_ends_the_search() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE clips AS SELECT 'abcd' AS clip_id, 1 AS value FROM range(5)")
        assert nth_tied(connection, "clips", "value = 1", 3, few=1) == "abcd"
