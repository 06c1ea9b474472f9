"""Aesthetic score of a clip, by a linear head on its CLIP embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa

from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash
from videoldm.curation.annotators.annotator import PLACES, Annotator, ClipFrames, Missing, Values
from videoldm.curation.annotators.embeddings import unit_vectors
from videoldm.curation.annotators.registry import AnnotatorConfig, register

if TYPE_CHECKING:
    from videoldm.curation.annotators.models.aesthetic_head import AestheticHead


class AestheticsConfig(AnnotatorConfig):
    """The score of a linear head on the CLIP embeddings."""

    needs: ClassVar[tuple[str, ...]] = ("embeddings",)
    name: Literal["aesthetics"] = "aesthetics"
    head: str | None = None
    """A file of weights; without one no clip has a score."""
    head_hash: str | None = None
    """Hash of the file's bytes, so that another head in the same place gives other values; `pinned` fills it in."""

    @property
    def columns(self) -> pa.Schema:
        """The mean score, and the score of each frame."""
        return pa.schema([("score", pa.float32()), ("frames", pa.list_(pa.float32(), len(PLACES)))])


@register(AestheticsConfig)
class Aesthetics(Annotator[AestheticsConfig]):
    """The mean score of a clip's first, middle and last frame, and the three scores. SVD, appendix C."""

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Score each clip; raises InputError if the head does not fit the embeddings or its file has changed."""
        if self._head is None:
            return [Missing("no aesthetic head is given, `videoldm curate fit-aesthetic` fits one")] * len(clips)
        return [self._values(clip, self._head) for clip in clips]

    @cached_property
    def _head(self) -> AestheticHead | None:
        if self.config.head is None:
            return None
        from videoldm.curation.annotators.models.aesthetic_head import read_head

        path = Path(self.config.head)
        if self.config.head_hash is not None and file_hash(path) != self.config.head_hash:
            raise InputError(f"{path}: is another file than the one that the run began with")
        return read_head(path)

    def _values(self, clip: ClipFrames, head: AestheticHead) -> Values:
        row = clip.annotations.get("embeddings")
        frames = unit_vectors(row)
        if row is None or frames is None:
            return Missing("the clip has no embeddings", may_come_later=True)
        if head.clip_model and head.clip_model != row["model"]:
            raise InputError(f"{self.config.head}: rates embeddings of {head.clip_model}, these are of {row['model']}")
        if len(head.weights) != frames.shape[1]:
            raise InputError(
                f"{self.config.head}: rates embeddings of {len(head.weights)} numbers, these have {frames.shape[1]}"
            )
        scores = head(frames)
        return {"score": float(scores.mean()), "frames": scores}


def pinned(config: AestheticsConfig) -> AestheticsConfig:
    """Return the config with the hash of the head's file; raises InputError if there is no such file."""
    return config if config.head is None else config.model_copy(update={"head_hash": file_hash(config.head)})
