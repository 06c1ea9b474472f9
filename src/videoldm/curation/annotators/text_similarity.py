"""Similarity of a clip with its captions: cosines of CLIP embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import PLACES, Annotator, ClipFrames, Missing, Values
from videoldm.curation.annotators.embeddings import unit_vectors
from videoldm.curation.annotators.models.local_model import ClipModelConfig, open_clip
from videoldm.curation.annotators.registry import AnnotatorConfig, register
from videoldm.dataset.config import GIVEN_CAPTION

if TYPE_CHECKING:
    from videoldm.curation.annotators.models.clip_model import ClipModel

METADATA, MADE = "metadata_caption", ("image_caption", "video_caption", "summary")
CAPTIONS = (METADATA, *MADE)


class TextSimilarityConfig(AnnotatorConfig):
    """Cosines between a clip's CLIP embeddings and those of all its captions."""

    needs: ClassVar[tuple[str, ...]] = ("embeddings", *MADE)
    reads_metadata: ClassVar[bool] = True
    name: Literal["text_similarity"] = "text_similarity"
    clip: ClipModelConfig = ClipModelConfig()
    """The model that made the embeddings."""
    metadata_key: str = GIVEN_CAPTION
    """Column of a list of inputs that holds a caption."""

    @property
    def columns(self) -> pa.Schema:
        """For each caption a column with its name, the mean over the frames, and one ending in `_frames`."""
        means = [(name, pa.float32()) for name in CAPTIONS]
        frames = [(f"{name}_frames", pa.list_(pa.float32(), len(PLACES))) for name in CAPTIONS]
        return pa.schema([("score", pa.float32()), *means, *frames])


@register(TextSimilarityConfig)
class TextSimilarity(Annotator[TextSimilarityConfig]):
    """The cosine of each of three frames with each caption. SVD, appendix C: similarity with all captions.

    The mean over the frames counts, as a caption should hold for the whole clip and not for its best frame. `score`,
    which selections use, is the mean over the generated captions that no guard caught, one of which training will
    draw; the caption of the metadata stands in where there are none. CLIP sees about the first 75 tokens of a caption.
    """

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Compare each clip with its captions, null for those that it lacks; raises InputError for a broken model."""
        if isinstance(self._clip, Missing):
            return [self._clip] * len(clips)
        captions = [self._captions(clip) for clip in clips]
        texts = [text for found in captions for text in found.values()]
        vectors = iter(self._clip.embed_texts(texts))
        of_clips = [{name: next(vectors) for name in found} for found in captions]
        return [self._values(clip, of_clip) for clip, of_clip in zip(clips, of_clips, strict=True)]

    @cached_property
    def _clip(self) -> ClipModel | Missing:
        return open_clip(self.config.clip)

    def _captions(self, clip: ClipFrames) -> dict[str, str]:
        """Return the captions that are not empty."""
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
