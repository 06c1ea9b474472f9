"""Trees that judge measures."""

import json

import numpy as np
import pytest

from videoldm.core.errors import InputError
from videoldm.curation.cuts.judges import judge, parsed

# If a <= 2: 1, else if b <= 5: -1, else 3; and a tree that is one leaf.
STORED = {
    "measures": ["a", "b"],
    "measured": [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]],
    "thresholds": [[2.0, 0.0, 5.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]],
    "lower": [[1, 1, 3, 3, 4], [0, 1, 2, 3, 4]],
    "higher": [[2, 1, 4, 3, 4], [0, 1, 2, 3, 4]],
    "values": [[0.0, 1.0, 0.0, -1.0, 3.0], [0.5, 0.0, 0.0, 0.0, 0.0]],
}


def test_probabilities_are_those_of_the_leaves_that_rows_reach():
    measures = {"b": np.array([9.0, 5.0, 6.0]), "a": np.array([2.0, 3.0, 3.0]), "more": np.zeros(3)}
    odds = np.log(
        [probability / (1 - probability) for probability in parsed(json.dumps(STORED)).probabilities(measures)]
    )
    assert odds == pytest.approx([1.5, -0.5, 3.5])


def test_no_rows_have_no_probabilities():
    assert parsed(json.dumps(STORED)).probabilities({"a": np.zeros(0), "b": np.zeros(0)}).shape == (0,)


def test_arrays_of_different_sizes_are_an_error():
    with pytest.raises(InputError, match="differ in size"):
        parsed(json.dumps(STORED | {"values": [[0.0]]}))


@pytest.mark.parametrize("text", ["{", "[]", json.dumps(STORED | {"measures": None}), json.dumps({"measures": ["a"]})])
def test_another_text_is_an_error(text):
    with pytest.raises(InputError, match="a judge is a JSON object with measures, measured"):
        parsed(text)


@pytest.mark.parametrize("name", ["fade", "possible_cut", "cut", "possible_gradual", "gradual"])
def test_shipped_judges_end_in_leaves(name):
    shipped = judge(name)
    nodes = np.indices(shipped.lower.shape)[1]
    is_leaf = shipped.lower == nodes
    assert (is_leaf == (shipped.higher == nodes)).all()
    for children in (shipped.lower, shipped.higher):
        assert (is_leaf | (children > nodes)).all()  # else rows may go round for ever
        assert (children < nodes.shape[1]).all()
    rows = np.random.default_rng(0).normal(size=(50, len(shipped.measures))) * 5
    probabilities = shipped.probabilities(dict(zip(shipped.measures, rows.T, strict=True)))
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert np.ptp(probabilities) > 0.01
