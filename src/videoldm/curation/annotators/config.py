"""Which annotations are made, and how; torch-free.

Each annotator's config is one variant, told apart by `name`, which also names its table. Its hash, with those of
the annotations it `needs`, decides what has to be made anew.
"""

from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from videoldm.core.config import Config
from videoldm.core.numbers import Share
from videoldm.inference.config import Precision
from videoldm.measures.config import CameraFitConfig, FarnebackConfig


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


class LetterboxConfig(Config):
    """What counts as black bars around the picture."""

    darkest: int = Field(default=24, ge=0, le=255)
    """Grey values up to this are black; compression lifts some of a bar's pixels above 0."""
    largest: Share = 0.4
    """No bar takes more than this of the frame's height or width."""


class MotionConfig(AnnotatorConfig):
    """Optical flow between frames half a second apart, and the camera's part of it (SVD, appendix C)."""

    name: Literal["motion"] = "motion"
    flow: FarnebackConfig = FarnebackConfig(
        working_short_side=128, num_levels=3, window_px=13, num_iterations=2, polynomial_px=3
    )
    """More iterations or a wider polynomial cost a millisecond each and come hardly closer to the truth."""
    least_gain: Share = 0.2
    """Moving has to explain the next frame with this much less error than standing still, or it counts as noise."""
    camera: CameraFitConfig = CameraFitConfig(num_iterations=5, grid_px=8)
    stored_short_side: int = Field(default=16, ge=4)
    shortest_step_s: Fraction = Field(default=Fraction(1, 5), gt=0)
    """Frames closer in time than this are not compared."""
    letterbox: LetterboxConfig = LetterboxConfig()


AnnotationConfig = Annotated[MotionConfig | EmbeddingsConfig, Field(discriminator="name")]
"""Any annotation."""
