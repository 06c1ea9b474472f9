"""Which annotations are made, and how; torch-free.

Each annotator's config is one variant, told apart by `name`, which also names its table. Its hash, with those of
the annotations it `needs`, decides what has to be made anew.
"""

from typing import Any, ClassVar, Literal

from pydantic import PositiveInt

from videoldm.core.config import Config
from videoldm.inference.config import Precision


class AnnotatorConfig(Config):
    """The base of every annotator's config."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the annotations whose rows the annotator reads."""

    def identity(self) -> dict[str, Any]:
        """What the values depend on, for the hash: all but settings that change only how long it takes."""
        return self.model_dump(mode="json")


class LocalModel(Config):
    """A model of transformers that runs in the worker.

    Everything here can change the last bits of its values, so that all of it belongs to what they depend on.
    """

    model: str
    """A folder, or a name on the Hugging Face hub of what lies in its cache."""
    device: str = "cpu"
    precision: Precision = "float32"
    num_threads: PositiveInt = 1
    batch_size: PositiveInt = 1
    """Always as many go through the model at once; the last batch is filled up."""


class ClipModelConfig(LocalModel):
    """A model that embeds pictures and texts into one space: CLIP or SigLIP.

    The default was trained on LAION-2B and is under the MIT licence.
    """

    model: str = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    width: PositiveInt = 512
    """Of the space they share."""
    batch_size: PositiveInt = 12


class EmbeddingsConfig(AnnotatorConfig):
    """CLIP embeddings of the first, middle and last frame."""

    name: Literal["embeddings"] = "embeddings"
    clip: ClipModelConfig = ClipModelConfig()
    stored_as: Literal["float16", "float32"] = "float16"
    """float16 keeps cosines to about 1e-4."""


AnnotationConfig = EmbeddingsConfig
"""All annotations."""
