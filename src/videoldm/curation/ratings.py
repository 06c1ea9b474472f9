"""Ratings that people gave to clips, read from CSV, and the embeddings of these clips."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file
from videoldm.curation.annotators.embeddings import unit_vectors
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_part

CLIP, RATING = "clip_id", "rating"


@dataclass(frozen=True, eq=False)
class RatedClips:
    """Three unit embeddings and the rating of each rated clip."""

    embeddings: Float[np.ndarray, "n 3 d"]
    ratings: Float[np.ndarray, " n"]
    clip_model: str


def rated_embeddings(dataset: Dataset, path: Path) -> RatedClips:
    """Return the clips of a dataset that a CSV file rates; InputError if none has embeddings, or as `read_ratings`."""
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
    return RatedClips(
        np.stack([found[clip_id] for clip_id in order]),
        np.array([ratings[clip_id] for clip_id in order]),
        models.pop() if len(models) == 1 else "",
    )


def read_ratings(path: Path) -> dict[str, float]:
    """Read the mean rating of each clip from a CSV file with the columns `clip_id` and `rating`, and any others.

    A clip may be rated by several people, each in its own line. Raises InputError that names the wrong line.
    """
    existing_file(path, kind="a CSV file of ratings")
    given: dict[str, list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if lacking := {CLIP, RATING}.difference(reader.fieldnames or ()):
                raise InputError(f"{path}: has no column {min(lacking)}, its first line should name it")
            for line in reader:
                given.setdefault(line[CLIP], []).append(_number(line[RATING], f"{path}: line {reader.line_num}"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV in UTF-8: {error}") from None
    return {clip_id: math.fsum(ratings) / len(ratings) for clip_id, ratings in given.items()}


def _number(text: str | None, where: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: rating is {text!r}, it should be a number")
    return number
