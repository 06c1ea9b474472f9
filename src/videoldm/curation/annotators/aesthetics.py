"""How beautiful a clip is, as a linear head on its CLIP embeddings rates it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash
from videoldm.curation.annotators.annotator import ClipFrames, Missing, Values
from videoldm.curation.annotators.config import AestheticsConfig
from videoldm.curation.annotators.embeddings import PLACES, unit_vectors
from videoldm.curation.annotators.models.aesthetic_head import AestheticHead, read_head


class Aesthetics:
    """The mean score of a clip's first, middle and last frame, and the three scores. SVD, C."""

    def __init__(self, config: AestheticsConfig) -> None:
        self.config = config
        self._head = None if config.head is None else _pinned_head(Path(config.head), config.head_hash)

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the values."""
        return pa.schema([("score", pa.float32()), ("frames", pa.list_(pa.float32(), len(PLACES)))])

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The scores of each clip."""
        if self._head is None:
            return [Missing("no aesthetic head is given, `videoldm curate fit-aesthetic` fits one")] * len(clips)
        return [self._values(clip, self._head) for clip in clips]

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
    """The config with the hash of the head's file; raises InputError if there is no such file."""
    return config if config.head is None else config.model_copy(update={"head_hash": file_hash(config.head)})


def _pinned_head(path: Path, expected: str | None) -> AestheticHead:
    if expected is not None and file_hash(path) != expected:
        raise InputError(f"{path}: is another file than the one that the run began with")
    return read_head(path)
