"""Which class makes which annotation."""

from __future__ import annotations

from videoldm.curation.annotators.annotator import Annotator
from videoldm.curation.annotators.config import AnnotationConfig


def make(config: AnnotationConfig) -> Annotator:
    """The annotator of a config; its module, with the libraries it needs, is imported only here."""
    raise NotImplementedError(config)
