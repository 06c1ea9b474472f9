"""Which annotations are made, and how; torch-free.

Each annotator's config is one variant, told apart by `name`, which also names its table. Its hash, with those of
the annotations it `needs`, decides what has to be made anew.
"""

from typing import ClassVar

from videoldm.core.config import Config


class AnnotatorConfig(Config):
    """The base of every annotator's config."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the annotations whose rows the annotator reads."""
