"""CLIP embeddings of three frames of a clip, the basis of text similarity, aesthetics and near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from videoldm.curation.annotators.annotator import PLACES, Annotator, ClipFrames, Missing, Values
from videoldm.curation.annotators.models.local_model import ClipModelConfig, open_clip
from videoldm.curation.annotators.registry import AnnotatorConfig, register

if TYPE_CHECKING:
    from videoldm.curation.annotators.models.clip_model import ClipModel


class EmbeddingsConfig(AnnotatorConfig):
    """CLIP embeddings of the first, middle and last frame."""

    name: Literal["embeddings"] = "embeddings"
    clip: ClipModelConfig = ClipModelConfig()
    stored_as: Literal["float16", "float32"] = "float16"
    """float16 keeps cosines to about 1e-4."""

    @property
    def columns(self) -> pa.Schema:
        """A vector for each frame, and the model that made them."""
        number = pa.float16() if self.stored_as == "float16" else pa.float32()
        vector = pa.list_(number, self.clip.width)
        return pa.schema([*((place, vector) for place in PLACES), ("model", pa.string())])


@register(EmbeddingsConfig)
class Embeddings(Annotator[EmbeddingsConfig]):
    """Unit vectors of a clip's first, middle and last frame, and the model they come from. SVD, appendix C."""

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Embed the frames of each clip; raises InputError if the model is broken or has another width."""
        if isinstance(self._clip, Missing):
            return [self._clip] * len(clips)
        frames = [frame.pixels for clip in clips for frame in clip.first_middle_last]
        vectors = self._clip.embed_images(frames).reshape(len(clips), len(PLACES), self.config.clip.width)
        return [self._values(rows.astype(self.config.stored_as)) for rows in vectors]

    @cached_property
    def _clip(self) -> ClipModel | Missing:
        return open_clip(self.config.clip)

    def _values(self, rows: np.ndarray) -> Values:
        if not np.isfinite(rows).all():
            return Missing(f"{self.config.clip.model} gave numbers that are not finite")
        return {**dict(zip(PLACES, rows, strict=True)), "model": self.config.clip.model}


def unit_vectors(row: Mapping[str, Any] | None) -> Float32[np.ndarray, "3 d"] | None:
    """Return the vectors of a stored row, scaled to length one again after rounding; None if the clip has none."""
    if row is None or row["first"] is None:
        return None
    vectors = np.array([row[place] for place in PLACES], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
