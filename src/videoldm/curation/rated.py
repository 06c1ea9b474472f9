"""Clips that people have rated, with their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from videoldm.core.errors import InputError
from videoldm.curation.annotators.embeddings import unit_vectors
from videoldm.curation.annotators.ratings import read_ratings
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_part


@dataclass(frozen=True, eq=False)
class Rated:
    """Of each rated clip its three unit embeddings and its rating."""

    embeddings: Float[np.ndarray, "n 3 d"]
    ratings: Float[np.ndarray, " n"]
    clip_model: str


def rated_embeddings(dataset: Dataset, path: Path) -> Rated:
    """The clips of a dataset that a CSV file rates; InputError if none of them has embeddings, or as `read_ratings`."""
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
