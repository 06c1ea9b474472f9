"""How well captions fit what a clip shows: cosines of CLIP embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import ClipFrames, Missing, Values
from videoldm.curation.annotators.config import TextSimilarityConfig
from videoldm.curation.annotators.embeddings import PLACES, unit_vectors
from videoldm.curation.annotators.models.clip_model import ClipModel
from videoldm.curation.annotators.models.local_model import unless_missing

METADATA, MADE = "metadata_caption", ("image_caption", "video_caption", "summary")
CAPTIONS = (METADATA, *MADE)


class TextSimilarity:
    """The cosine of each of three frames with each caption that there is. SVD, C: similarity with all captions.

    For a caption there is a column with its name, the mean over the frames, as a caption should hold for the whole
    clip and not for its best frame, and one ending in `_frames` with the three values. `score`, which selections use,
    is the mean over the captions that were made and not caught by a guard, one of which training will draw; the
    caption of the metadata stands in where there are none. Of long captions CLIP sees the first 75 tokens or so.
    """

    def __init__(self, config: TextSimilarityConfig) -> None:
        self.config = config
        self._clip = unless_missing(lambda: ClipModel(config.clip))

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the values."""
        means = [(name, pa.float32()) for name in CAPTIONS]
        frames = [(f"{name}_frames", pa.list_(pa.float32(), len(PLACES))) for name in CAPTIONS]
        return pa.schema([("score", pa.float32()), *means, *frames])

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The cosines of each clip, null for captions that it lacks."""
        if isinstance(self._clip, Missing):
            return [self._clip] * len(clips)
        captions = [self._captions(clip) for clip in clips]
        texts = [text for found in captions for text in found.values()]
        vectors = iter(self._clip.embed_texts(texts))
        of_clips = [{name: next(vectors) for name in found} for found in captions]
        return [self._values(clip, of_clip) for clip, of_clip in zip(clips, of_clips, strict=True)]

    def _captions(self, clip: ClipFrames) -> dict[str, str]:
        """The captions that are not empty."""
        texts = {METADATA: clip.metadata.get(self.config.metadata_key)}
        texts |= {name: (clip.annotations.get(name) or {}).get("text") for name in MADE}
        return {name: text for name, text in texts.items() if text and text.strip()}

    def _values(self, clip: ClipFrames, texts: Mapping[str, Float32[np.ndarray, " d"]]) -> Values:
        row = clip.annotations.get("embeddings")
        frames = unit_vectors(row)
        if row is None or frames is None:
            return Missing("the clip has no embeddings", may_come_later=True)
        if row["model"] != self.config.clip.model:
            raise InputError(f"text_similarity: the embeddings are of {row['model']}, clip is {self.config.clip.model}")
        if not texts:
            return Missing("the clip has no caption", may_come_later=True)
        # Not as one product for all captions, whose rounding could differ with their number.
        cosines = {name: (frames * vector).sum(axis=1) for name, vector in texts.items()}
        means = {name: float(values.mean()) for name, values in cosines.items()}
        counted = [name for name in MADE if name in means and not clip.annotations[name].get("is_caught")]
        values: dict[str, Any] = {"score": float(np.mean([means[name] for name in counted or means]))}
        values |= {name: means.get(name) for name in CAPTIONS}
        return values | {f"{name}_frames": cosines.get(name) for name in CAPTIONS}
