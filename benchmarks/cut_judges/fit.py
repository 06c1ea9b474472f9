"""Fits the judges of shot changes to measures; runs in an environment of its own.

python3.11 -m venv TREES
TREES/bin/pip install lightgbm==4.7.0 numpy
TREES/bin/python benchmarks/cut_judges/fit.py fade src/videoldm/curation/cuts/judges MEASURES.npz ...
TREES/bin/python benchmarks/cut_judges/fit.py cut src/videoldm/curation/cuts/judges MEASURES.npz ...
TREES/bin/python benchmarks/cut_judges/fit.py gradual src/videoldm/curation/cuts/judges MEASURES.npz ...

For cuts and gradual transitions there are two judges: one of measures without motion, which says what is worth a
closer look, and one of all. What is printed was judged by trees that were fitted without the video in question.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np

SEED, NUM_FOLDS = 0, 5
LEAST_COVER = 0.4
MOST_VIDEOS = 100_000
# How many trees with how many leaves.
SIZES = {"fade": (80, 4), "possible_cut": (80, 8), "cut": (150, 8), "possible_gradual": (100, 16), "gradual": (120, 16)}
MOTION = {
    "cut": (
        "across", "before", "after", "drop", "residual", "residual_over_mean", "residual_over_highest", "displacement",
    ),
    "gradual": (
        "across", "shifted", "shifted_halves", "beside", "back", "chain", "chain_visible", "chain_displacement",
        "least_step", "mixture", "mixture_gain", "placed_gain",
    ),
}  # fmt: skip
# Which way a measure may move the probability of a cut, whatever the others are. It costs little on the videos that are
# fitted to; on real footage of a bird that moves its head at once, the most probable false cut falls from 0.84 to 0.62.
# Judges of gradual transitions become worse by it.
SIGNS = {
    "cut": {
        "change": 1, "peak": 1, "peak_over_highest": 1, "histogram": 1, "tone": -1, "still_likeness": -1, "same": -1,
        "one_sign": -1, "across": -1, "before": 1, "after": 1, "drop": 1, "residual": 1, "residual_over_mean": 1,
        "residual_over_highest": 1,
    }
}  # fmt: skip
GATES = (0.002, 0.004, 0.005, 0.01, 0.02, 0.05)
LEAST = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8)


@dataclass(frozen=True)
class Judge:
    """How many trees with how many leaves, and which way each measure may move the probability (0 for either)."""

    name: str
    num_trees: int
    num_leaves: int
    signs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """Measures, one row each, whether they are of a true change, and of which video they are."""

    measures: np.ndarray
    is_true: np.ndarray
    videos: np.ndarray

    def where(self, mask: np.ndarray) -> Rows:
        """Some of the rows."""
        return Rows(self.measures[mask], self.is_true[mask], self.videos[mask])


def main() -> None:
    """Fit, judge each video by trees that were fitted without it, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("change", choices=("fade", "cut", "gradual"))
    parser.add_argument("judges", type=Path)
    parser.add_argument("measures", type=Path, nargs="+")
    options = parser.parse_args()
    columns = joined(options.measures)
    names = [name for name in columns if not name.startswith("_")]
    is_true, is_counted = labels(options.change, columns)
    print(f"{options.change}: {is_counted.sum()} rows, {is_true.sum()} of them true")
    quick = [name for name in names if name not in MOTION.get(options.change, names)]
    for name, chosen in ((f"possible_{options.change}", quick), (options.change, names)):
        if not chosen:
            continue
        signs = [SIGNS.get(options.change, {}).get(measure, 0) for measure in chosen]
        judge = Judge(name, *SIZES[name], tuple(signs))
        rows = np.stack([columns[measure] for measure in chosen], axis=1)
        counted = Rows(rows[is_counted], is_true[is_counted], columns["_video"][is_counted])
        print_counts(judge, judged_apart(judge, counted), counted.is_true)
        write(options.judges / f"{name}.json", chosen, fitted(judge, counted))


def print_counts(judge: Judge, probabilities: np.ndarray, is_true: np.ndarray) -> None:
    """Print what is found from some probabilities."""
    for least in GATES if judge.name.startswith("possible") else LEAST:
        is_found = probabilities >= least
        print(
            f"{judge.name} from {least}: {is_found.mean():.3f} of all rows, {(is_found & ~is_true).sum()} false, "
            f"{(is_true & ~is_found).sum()} missed"
        )


def joined(paths: list[Path]) -> dict[str, np.ndarray]:
    """The columns of all files; no two videos have one number."""
    parts = [dict(np.load(path)) for path in paths]
    for number, part in enumerate(parts):
        part["_video"] = part["_video"] + number * MOST_VIDEOS
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def labels(change: str, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are true, and which are counted."""
    if change != "gradual":
        return columns["_is_true"], ~columns["_is_left_out"]
    is_true = columns["_cover"] > LEAST_COVER
    return is_true, is_true | ~columns["_is_touching"]


def fitted(judge: Judge, rows: Rows) -> lightgbm.LGBMClassifier:
    """Boosted trees."""
    return lightgbm.LGBMClassifier(
        n_estimators=judge.num_trees, num_leaves=judge.num_leaves, monotone_constraints=list(judge.signs),
        learning_rate=0.06, min_child_samples=15, reg_lambda=3, colsample_bytree=0.4, subsample=0.8, subsample_freq=1,
        random_state=SEED, n_jobs=1, verbose=-1,
    ).fit(rows.measures, rows.is_true)  # fmt: skip


def judged_apart(judge: Judge, rows: Rows) -> np.ndarray:
    """Probabilities of all rows by trees that were fitted to other videos."""
    order = np.random.default_rng(SEED).permutation(np.unique(rows.videos))
    result = np.zeros(len(rows.videos))
    for fold in range(NUM_FOLDS):
        is_apart = np.isin(rows.videos, order[fold::NUM_FOLDS])
        trees = fitted(judge, rows.where(~is_apart))
        result[is_apart] = trees.predict_proba(rows.measures[is_apart])[:, 1]
    return result


def write(path: Path, names: list[str], model: lightgbm.LGBMClassifier) -> None:
    """Write the trees as arrays, one row each; a leaf is its own child."""
    keys = ("measured", "thresholds", "lower", "higher", "values")
    arrays: dict[str, list[list[float]]] = {key: [] for key in keys}
    trees = [_nodes(tree["tree_structure"]) for tree in model.booster_.dump_model()["tree_info"]]
    most = max(map(len, trees))
    for tree in trees:
        # Leaves without use, up to the same number in every tree.
        nodes = tree + [(0, 0.0, at, at, 0.0) for at in range(len(tree), most)]
        for key, column in zip(keys, zip(*nodes, strict=True), strict=True):
            arrays[key].append(list(column))
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'"measures": {json.dumps(names)}'] + [f'"{key}": {json.dumps(value)}' for key, value in arrays.items()]
    path.write_text("{" + ",\n".join(lines) + "}\n")


def _nodes(root: dict) -> list[tuple[int, float, int, int, float]]:
    """All nodes, the root first."""
    flat, waiting = [], [root]
    children: list[tuple[int, int]] = []
    while waiting:
        node = waiting.pop(0)
        flat.append(node)
        if "left_child" in node:
            at = len(flat) + len(waiting)
            children.append((at, at + 1))
            waiting += [node["left_child"], node["right_child"]]
        else:
            children.append((len(flat) - 1, len(flat) - 1))
    return [
        (
            node.get("split_feature", 0), _short(node.get("threshold", 0.0)), *child,
            0.0 if "left_child" in node else _short(node["leaf_value"]),
        )
        for node, child in zip(flat, children, strict=True)
    ]  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.5g}")


if __name__ == "__main__":
    main()
