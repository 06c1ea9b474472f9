"""Which class makes which annotation."""

from __future__ import annotations

from videoldm.curation.annotators.annotator import Annotator
from videoldm.curation.annotators.config import AnnotationConfig, EmbeddingsConfig, MotionConfig


def make(config: AnnotationConfig) -> Annotator:
    """The annotator of a config; its module, with the libraries it needs, is imported only here."""
    match config:
        case MotionConfig():
            from videoldm.curation.annotators.motion import MotionAnnotator

            return MotionAnnotator(config)
        case EmbeddingsConfig():
            from videoldm.curation.annotators.embeddings import Embeddings

            return Embeddings(config)
