"""Which class makes which annotation."""

from __future__ import annotations

from videoldm.curation.annotators import config as configs
from videoldm.curation.annotators.annotator import Annotator


def make(config: configs.AnnotationConfig) -> Annotator:
    """The annotator of a config; its module, with the libraries it needs, is imported only here."""
    match config:
        case configs.MotionConfig():
            from videoldm.curation.annotators.motion import MotionAnnotator

            return MotionAnnotator(config)
        case configs.TextAreaConfig():
            from videoldm.curation.annotators.text_area import TextAreaAnnotator

            return TextAreaAnnotator(config)
        case configs.EmbeddingsConfig():
            from videoldm.curation.annotators.embeddings import Embeddings

            return Embeddings(config)
        case configs.ImageCaptionConfig():
            from videoldm.curation.annotators.captions import ImageCaption

            return ImageCaption(config)
        case configs.VideoCaptionConfig():
            from videoldm.curation.annotators.captions import VideoCaption

            return VideoCaption(config)
        case configs.SummaryConfig():
            from videoldm.curation.annotators.captions import Summary

            return Summary(config)
        case configs.TextSimilarityConfig():
            from videoldm.curation.annotators.text_similarity import TextSimilarity

            return TextSimilarity(config)
        case configs.AestheticsConfig():
            from videoldm.curation.annotators.aesthetics import Aesthetics

            return Aesthetics(config)
