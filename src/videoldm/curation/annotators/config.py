"""Which annotations are made, and how; torch-free.

Each annotator's config is one variant, told apart by `name`, which also names its table. Its hash, with those of
the annotations it `needs`, decides what has to be made anew.
"""

from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field

from videoldm.core.config import Config
from videoldm.core.numbers import Positive, Share
from videoldm.measures.config import CameraFitConfig, FarnebackConfig


class AnnotatorConfig(Config):
    """The base of every annotator's config."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the annotations whose rows the annotator reads."""


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


class FirstLook(Config):
    """A look at a smaller picture, which spares the rest of the work where it finds nothing."""

    short_side: int = Field(default=192, ge=32)
    least_mark: Share = 0.3


class TextDetectorConfig(Config):
    """The network that finds text, and how its marks become boxes; rapidocr's values where it has one."""

    model: str = "PP-OCRv6_det_small"
    """A model inside the installed rapidocr, or the path of an .onnx file."""
    working_short_side: int = Field(default=352, ge=32)
    """What pictures are scaled to, rounded to multiples of 32."""
    first_look: FirstLook | None = FirstLook()
    """A third of the cost; lines too small for it, below about a twenty-fifth of the height, have little area."""
    num_threads: int = Field(default=1, ge=1)
    least_mark: Share = 0.3
    least_mean_mark: Share = 0.5
    growth: Positive = 1.6
    tall: Share = 0.2
    """Boxes taller than this share of the picture's height are no text unless they are long."""
    least_tall_aspect: Positive = 2.0


class TextAreaConfig(AnnotatorConfig):
    """How much of the picture is text (SVD, appendix C)."""

    name: Literal["text"] = "text"
    detector: TextDetectorConfig = TextDetectorConfig()
    area_scale: Positive = 0.98
    """Turns the area of the boxes into that of the lines from ascent to descent. The median ratio on the 120 frames
    with text of `benchmarks/annotations.py --fit --seed 100 --text-frames 180`, whose texts no figure is taken from."""
