"""CLIP embeddings of three frames of a clip, from which similarity, aesthetics and near-duplicates are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from videoldm.curation.annotators.annotator import ClipFrames, Missing, Values
from videoldm.curation.annotators.config import EmbeddingsConfig
from videoldm.curation.annotators.models.clip_model import ClipModel
from videoldm.curation.annotators.models.local_model import unless_missing

PLACES = ("first", "middle", "last")


class Embeddings:
    """Unit vectors of a clip's first, middle and last frame, and the model they come from. SVD, C.

    Raises InputError if the model is broken or of another width; if it is not on this machine no clip has values.
    """

    def __init__(self, config: EmbeddingsConfig) -> None:
        self.config = config
        self._clip = unless_missing(lambda: ClipModel(config.clip))

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the values."""
        number = pa.float16() if self.config.stored_as == "float16" else pa.float32()
        vector = pa.list_(number, self.config.clip.width)
        return pa.schema([*((place, vector) for place in PLACES), ("model", pa.string())])

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The vectors of each clip, as arrays."""
        if isinstance(self._clip, Missing):
            return [self._clip] * len(clips)
        frames = [frame.pixels for clip in clips for frame in clip.first_middle_last]
        vectors = self._clip.embed_images(frames).reshape(len(clips), len(PLACES), self.config.clip.width)
        return [self._values(rows.astype(self.config.stored_as)) for rows in vectors]

    def _values(self, rows: np.ndarray) -> Values:
        if not np.isfinite(rows).all():
            return Missing(f"{self.config.clip.model} gave numbers that are not finite")
        return {**dict(zip(PLACES, rows, strict=True)), "model": self.config.clip.model}


def unit_vectors(row: Mapping[str, Any] | None) -> Float32[np.ndarray, "3 d"] | None:
    """The vectors of a stored row, of length one again after their rounding; None if the clip has none."""
    if row is None or row["first"] is None:
        return None
    vectors = np.array([row[place] for place in PLACES], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
