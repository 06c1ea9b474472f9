"""Which annotations are made, and how; torch-free.

Each annotator's config is one variant, told apart by `name`, which also names its table. Its hash, with those of
the annotations it `needs`, decides what has to be made anew.
"""

from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from videoldm.core.config import Config, Positive, Share, validate
from videoldm.core.errors import InputError
from videoldm.dataset.config import GIVEN_CAPTION
from videoldm.inference.config import Precision
from videoldm.measures.config import CameraFitConfig, DisConfig, FarnebackConfig


class AnnotatorConfig(Config):
    """The base of every annotator's config."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the annotations whose rows the annotator reads."""
    reads_metadata: ClassVar[bool] = False
    """Whether what a list of inputs says of a source decides its values."""

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


class RaftConfig(Config):
    """RAFT, or another network that takes two pictures and gives their flow, as an .onnx file."""

    method: Literal["raft"] = "raft"
    model: str
    """The file: two RGB pictures `1 3 h w` in, in order; the last of its outputs is the flow `1 2 h w` in pixels."""
    pixel_range: Literal["0..255", "-1..1"] = "0..255"
    """0..255 for files made from the authors' code, as OpenCV's zoo has them; -1..1 for those made from torchvision."""
    working_short_side: int = Field(default=256, ge=128)
    """Pictures are scaled to the size that the file says, or where it says none to multiples of 8 near this one."""
    num_threads: PositiveInt = 1


FlowConfig = Annotated[DisConfig | FarnebackConfig | RaftConfig, Field(discriminator="method")]

FARNEBACK_OF_PAPER = FarnebackConfig(
    working_short_side=128, num_levels=3, window_px=13, num_iterations=2, polynomial_px=3
)
"""More iterations or a wider polynomial cost a millisecond each and come hardly closer to the truth."""


class MotionConfig(AnnotatorConfig):
    """Optical flow between frames half a second apart, and the camera's part of it (SVD, appendix C)."""

    name: Literal["motion"] = "motion"
    flow: FlowConfig = DisConfig()
    least_gain: Share = 0.2
    """Moving has to explain the next frame with this much less error than standing still, or it counts as noise."""
    least_gain_levels: NonNegativeFloat = 0.1
    """And with so many grey values (of 255) less."""
    camera: CameraFitConfig = CameraFitConfig(num_iterations=5, grid_px=8, margin_px=1)
    """Without the maps' edges: what is there was seen leaving the frame, not arriving."""
    stored_short_side: int = Field(default=16, ge=4)
    """Pictures are compared at a multiple of the stored maps' size, at least at the flow's working short side."""
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

    name: Literal["text_area"] = "text_area"
    detector: TextDetectorConfig = TextDetectorConfig()
    area_scale: Positive = 0.98
    """Turns the area of the boxes into that of the lines from ascent to descent. The median ratio on the 120 frames
    with text of `benchmarks/annotations.py --fit --seed 100 --text-frames 180`, whose texts no figure is taken from."""


class TextSimilarityConfig(AnnotatorConfig):
    """Cosines between a clip's CLIP embeddings and those of every caption it has."""

    needs: ClassVar[tuple[str, ...]] = ("embeddings", "image_caption", "video_caption", "summary")
    reads_metadata: ClassVar[bool] = True
    name: Literal["text_similarity"] = "text_similarity"
    clip: ClipModelConfig = ClipModelConfig()
    """The model that made the embeddings."""
    metadata_key: str = GIVEN_CAPTION
    """Under which the list of inputs holds a caption."""


class AestheticsConfig(AnnotatorConfig):
    """The score of a linear head on the CLIP embeddings."""

    needs: ClassVar[tuple[str, ...]] = ("embeddings",)
    name: Literal["aesthetics"] = "aesthetics"
    head: str | None = None
    """A file of weights; without one no clip has a score."""
    head_hash: str | None = None
    """Of the file's bytes, so that another head at the same place makes other values; `pinned` fills it in."""


SMALL_PICTURES: dict[str, Any] = {"do_image_splitting": False}
"""For SmolVLM: frames of the sidecar are smaller than the tiles into which it would cut their enlargements."""


class LocalCaptioner(LocalModel):
    """A vision-language model of transformers, or for summaries a language model."""

    kind: Literal["transformers"] = "transformers"
    model: str = "HuggingFaceTB/SmolVLM-500M-Instruct"
    """The default is under the Apache licence 2.0."""
    image_options: dict[str, Any] = Field(default_factory=dict)
    """Set on the model's image processor, such as `do_image_splitting: false`."""
    padding_multiple: PositiveInt = 32
    """Prompts of a language model are filled up to a multiple of so many tokens, that they fit into few batches."""


class ServerCaptioner(Config):
    """A model behind a server that speaks OpenAI's protocol; its key, if it wants one, is in OPENAI_API_KEY."""

    kind: Literal["openai"] = "openai"
    model: str
    url: str
    """Up to and with the version, such as `http://localhost:8000/v1`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further fields of each request; null takes away one that is sent otherwise, such as `temperature`."""
    concurrency: PositiveInt = 8
    timeout_s: PositiveFloat = 60
    """For one answer from the request to its last byte."""
    num_retries: NonNegativeInt = 3
    first_wait_s: NonNegativeFloat = 1
    """Before the first retry; each further one waits twice as long."""
    rest_s: NonNegativeFloat = 30
    """How long a server is left alone that could not be reached."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        place = urlsplit(url)
        # Asking for the port raises ValueError if it is no number.
        if place.scheme not in ("http", "https") or not place.hostname or place.port == 0 or place.username:
            raise ValueError("should look like http://host:port/v1 or https://host/v1")
        return url.rstrip("/")


CaptionerConfig = Annotated[LocalCaptioner | ServerCaptioner, Field(discriminator="kind")]


def parse_captioner(text: str) -> CaptionerConfig:
    """`openai:http://host:port/v1#model` as a server, anything else as the folder or hub name of a model."""
    if not text.startswith("openai:"):
        return LocalCaptioner(model=text)
    url, _, model = text.removeprefix("openai:").partition("#")
    if not model:
        raise InputError(f"captioner is {text!r}, it should name a model too: openai:http://host:port/v1#model")
    return validate(ServerCaptioner, {"url": url, "model": model}, source=f"captioner {text!r}")


_NOT_OF_VALUES = {"url", "concurrency", "timeout_s", "num_retries", "first_wait_s", "rest_s"}


class CaptionConfig(AnnotatorConfig):
    """What is asked of whom; `prompt` is the beginning of the answer for models that know no chat, such as BLIP."""

    captioner: CaptionerConfig
    prompt: str
    max_new_tokens: PositiveInt = 96

    def identity(self) -> dict[str, Any]:
        """Without where a server is and how it is asked: another one gives the same model's captions."""
        excluded = _NOT_OF_VALUES if isinstance(self.captioner, ServerCaptioner) else set[str]()
        return self.model_dump(mode="json", exclude={"captioner": excluded})


class ImageCaptionConfig(CaptionConfig):
    """A caption of the middle frame."""

    name: Literal["image_caption"] = "image_caption"
    captioner: CaptionerConfig = LocalCaptioner(image_options=SMALL_PICTURES)
    prompt: str = "Describe this picture in one sentence: what is seen, where, and how it looks."


class VideoCaptionConfig(CaptionConfig):
    """A caption of some frames, evenly over the clip."""

    name: Literal["video_caption"] = "video_caption"
    captioner: CaptionerConfig = LocalCaptioner(image_options=SMALL_PICTURES)
    num_frames: PositiveInt = 8
    prompt: str = (
        "These pictures are frames of one video in the order of time. Say in one sentence what happens in it: who or "
        "what moves, how, and what the camera does."
    )


class SummaryConfig(CaptionConfig):
    """Both captions in one sentence, by a language model."""

    needs: ClassVar[tuple[str, ...]] = ("image_caption", "video_caption")
    name: Literal["summary"] = "summary"
    captioner: CaptionerConfig = LocalCaptioner(model="HuggingFaceTB/SmolLM2-1.7B-Instruct")
    prompt: str = (
        "Two captions describe the same video, one a single frame of it, the other its motion. Merge them into one "
        "plain sentence that keeps what both of them say and adds nothing. Answer with that sentence only.\n"
        "Frame: {image_caption}\nMotion: {video_caption}"
    )

    @field_validator("prompt")
    @classmethod
    def _check_places(cls, prompt: str) -> str:
        if lacking := [place for name in cls.needs if (place := f"{{{name}}}") not in prompt]:
            raise ValueError(f"should hold {' and '.join(lacking)}, the place of a caption")
        return prompt


AnnotationConfig = Annotated[
    MotionConfig
    | TextAreaConfig
    | EmbeddingsConfig
    | ImageCaptionConfig
    | VideoCaptionConfig
    | SummaryConfig
    | TextSimilarityConfig
    | AestheticsConfig,
    Field(discriminator="name"),
]
"""Any annotation."""
