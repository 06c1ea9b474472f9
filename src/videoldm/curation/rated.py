"""Clips that people have rated, with their embeddings."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from videoldm.core.errors import InputError
from videoldm.core.input_file import existing_file
from videoldm.curation.annotators.embeddings import unit_vectors
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_part

COLUMNS = ("clip_id", "rating")


@dataclass(frozen=True, eq=False)
class Rated:
    """Of each rated clip its three unit embeddings and its rating."""

    embeddings: Float[np.ndarray, "n 3 d"]
    ratings: Float[np.ndarray, " n"]
    clip_model: str


def rated_embeddings(dataset: Dataset, path: Path) -> Rated:
    """The clips of a dataset that a CSV file rates, several ratings of one clip averaged.

    Raises InputError for a file without the columns clip_id and rating, and if no rated clip has embeddings.
    """
    ratings = read_ratings(path)
    found: dict[str, np.ndarray] = {}
    models: set[str] = set()
    for part in dataset.view().annotations.get("embeddings", []):
        for row in read_part(part).to_pylist():
            vectors = unit_vectors(row) if row["clip_id"] in ratings else None
            if vectors is not None:
                found[row["clip_id"]] = vectors
                models.add(row["model"])
    if not found:
        raise InputError(f"{path}: none of its {len(ratings)} clips has embeddings in {dataset.folder}")
    order = sorted(found)
    return Rated(
        np.stack([found[clip_id] for clip_id in order]),
        np.array([ratings[clip_id] for clip_id in order]),
        models.pop() if len(models) == 1 else "",
    )


def read_ratings(path: Path) -> dict[str, float]:
    """The mean rating of each clip in a CSV file."""
    text = existing_file(path, kind="a CSV file of ratings").read_text(encoding="utf-8-sig")
    values: dict[str, list[float]] = {}
    for number, row in enumerate(csv.DictReader(text.splitlines()), start=1):
        if any(not row.get(name) for name in COLUMNS):
            raise InputError(f"{path}, row {number}: should have the columns {' and '.join(COLUMNS)}")
        try:
            values.setdefault(row["clip_id"], []).append(float(row["rating"]))
        except ValueError:
            raise InputError(f"{path}, row {number}: rating is {row['rating']!r}, it should be a number") from None
    if not values:
        raise InputError(f"{path}: has no ratings, it should be a CSV file with {' and '.join(COLUMNS)}")
    return {clip_id: sum(each) / len(each) for clip_id, each in values.items()}
