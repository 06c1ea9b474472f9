"""Judges: small ensembles of trees that say from measures how probable a shot change is."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int64

from videoldm.core.errors import InputError

Measures = dict[str, Float[np.ndarray, " k"]]
JudgeName = Literal["possible_cut", "cut", "possible_gradual", "gradual", "fade"]
_ARRAYS = ("measured", "thresholds", "lower", "higher", "values")


@dataclass(frozen=True, eq=False, slots=True)
class Judge:
    """Boosted trees, one row each: a node has a measure, a threshold and two children; a leaf is its own child.

    The sum of the reached leaves' `values` is the logarithm of the odds.
    """

    measures: tuple[str, ...]
    measured: Int64[np.ndarray, "trees nodes"]
    thresholds: Float[np.ndarray, "trees nodes"]
    lower: Int64[np.ndarray, "trees nodes"]
    higher: Int64[np.ndarray, "trees nodes"]
    values: Float[np.ndarray, "trees nodes"]

    def probabilities(self, measures: Measures) -> Float[np.ndarray, " k"]:
        """Return how probable a change is for each row of measures, from 0 to 1."""
        rows = np.stack([measures[name] for name in self.measures], axis=1)
        trees = np.arange(len(self.values))
        at = np.zeros((len(rows), len(trees)), np.int64)
        while True:
            is_low: Bool[np.ndarray, "k trees"] = (
                np.take_along_axis(rows, self.measured[trees, at], axis=1) <= self.thresholds[trees, at]
            )
            following = np.where(is_low, self.lower[trees, at], self.higher[trees, at])
            if (following == at).all():
                return 1 / (1 + np.exp(-self.values[trees, at].sum(axis=1)))
            at = following


def columns_of(rows: Sequence[Mapping[str, float]]) -> Measures:
    """Return the measures of rows, of which there is at least one."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def in_parts(measure: Callable[[slice], Measures], num_rows: int, most: int = 24) -> Measures:
    """Return the measures of `num_rows` rows, at least one, taken `most` at a time to fit into a core's cache."""
    parts = [measure(slice(start, start + most)) for start in range(0, num_rows, most)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@functools.cache
def judge(name: JudgeName) -> Judge:
    """Return the judge of this name, which `benchmarks/cut_judges/fit.py` fitted."""
    return parsed(_text_of(name))


@functools.cache
def judges_hash() -> str:
    """Return a hash over all judges: shot changes are found anew when one of them has been fitted again."""
    return hashlib.sha256("".join(map(_text_of, get_args(JudgeName))).encode()).hexdigest()


def _text_of(name: JudgeName) -> str:
    return files("videoldm.curation.cuts").joinpath("judges", f"{name}.json").read_text(encoding="utf-8")


def parsed(text: str) -> Judge:
    """Return the judge that is written in JSON; raises InputError if it isn't one."""
    try:
        stored = json.loads(text)
        measures = tuple(stored["measures"])
        arrays = {key: np.asarray(stored[key]) for key in _ARRAYS}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"a judge is a JSON object with measures, {', '.join(_ARRAYS)}, this is none") from error
    if len({array.shape for array in arrays.values()}) != 1:
        raise InputError("the arrays of a judge differ in size")
    return Judge(measures, **arrays)
