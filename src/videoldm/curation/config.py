"""Everything that can be configured about curation; torch-free."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from videoldm.core.config import GIB, Config, NonNegative, Positive
from videoldm.curation.annotators.registry import AnnotationConfig, default_config
from videoldm.curation.cuts.config import CutConfig

DEFAULT_ANNOTATIONS = (
    "motion",
    "text_area",
    "picture_hash",
    "degradation",
    "embeddings",
    "image_caption",
    "video_caption",
    "summary",
    "text_similarity",
    "aesthetics",
)


class SidecarConfig(Config):
    """The small frames that annotators see."""

    every_s: Positive = 1.0
    """Interval at which a frame is kept in colour."""
    short_side: PositiveInt = 360
    """Largest short side of a frame, in pixels."""
    jpeg_quality: int = Field(default=90, ge=1, le=100)
    max_edges_per_s: Positive = 4.0
    """Largest number of possible cuts a second whose frames on either side are kept."""
    motion_every_s: Positive = 0.5
    """Interval at which a small grey frame is kept, for motion."""
    motion_short_side: PositiveInt = 128
    companion_s: Fraction = Field(default=Fraction(1, 25), gt=0)
    """Where pictures change quickly, another grey frame is kept this long after each, or later if none is shown then.
    """
    companion_change: NonNegative = 3.0
    """Least mean change from a companion's previous frame, in levels 0..255: slow motion needs no companion."""


class ClipConfig(Config):
    """Lengths of the spans between transitions that become clips."""

    min_s: NonNegative = 2.0
    """Shorter spans are left out."""
    max_s: Positive = 60.0
    """Longer spans are divided into equal parts."""

    @model_validator(mode="after")
    def _fits(self) -> ClipConfig:
        if self.max_s < 2 * self.min_s:
            raise ValueError(f"max_s is {self.max_s}, it should be at least twice min_s, which is {self.min_s}")
        return self


class Limits(Config):
    """Limits of one piece of work in a disposable process; what exceeds them is stopped, and the run goes on."""

    time_s: Positive = 3600.0
    """Wall time."""
    memory_gib: Positive = 4.0
    """Resident memory of the process."""

    def changed(self, *, time_s: float | None, memory_gib: float | None) -> Limits:
        """Return these limits with those replaced that are given."""
        return Limits(time_s=time_s or self.time_s, memory_gib=memory_gib or self.memory_gib)

    @property
    def memory_bytes(self) -> float:
        """`memory_gib` in bytes."""
        return self.memory_gib * GIB


class ComparisonConfig(Config):
    """Base of the configs of comparisons, which are stored like annotations, under their `name`."""

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Names of the annotations that are compared; those that are not made are left out."""

    def identity(self) -> dict[str, Any]:
        """Return what the values depend on, for the hash."""
        return self.model_dump(mode="json")


class ByPictureHash(Config):
    """Clips whose frames look the same: copies in other sizes, qualities, colours, and a little cropped."""

    annotation: Literal["picture_hash"] = "picture_hash"
    threshold: float = Field(default=0.45, gt=0, lt=1)
    """Smallest cosine of the bits, 1 - 2 * the share of bits that differ; unrelated clips have 0 +- 0.08."""


class ByEmbeddings(Config):
    """Clips whose frames show the same things, as the model of `embeddings` sees them."""

    annotation: Literal["embeddings"] = "embeddings"
    threshold: float = Field(default=0.97, gt=0, lt=1)
    """Smallest mean cosine between the first, middle and last frames."""


class NearDuplicatesConfig(ComparisonConfig):
    """Groups of clips that are alike; compares all pairs, so it does not suit many millions of clips."""

    name: Literal["near_duplicates"] = "near_duplicates"
    by: ByPictureHash | ByEmbeddings = Field(default=ByPictureHash(), discriminator="annotation")

    @property
    def needs(self) -> tuple[str, ...]:
        """The annotation that clips are compared by."""
        return (self.by.annotation,)


class RepeatedCaptionsConfig(ComparisonConfig):
    """Captions that many clips share, such as those of a language model that answers without looking."""

    name: Literal["repeated_captions"] = "repeated_captions"
    min_clips: PositiveInt = 10

    @property
    def needs(self) -> tuple[str, ...]:
        """All annotations that are captions."""
        return ("image_caption", "video_caption", "summary")


AnyComparison = Annotated[NearDuplicatesConfig | RepeatedCaptionsConfig, Field(discriminator="name")]


def default_annotations() -> tuple[AnnotationConfig, ...]:
    """Return the annotations of a default run, whose models have permissive licences and run on this machine."""
    return tuple(default_config(name) for name in DEFAULT_ANNOTATIONS)


class CurationConfig(Config):
    """Everything that decides what a dataset holds."""

    batch_size: PositiveInt = 64
    """Number of inputs that share their parts of the tables."""
    stream: NonNegativeInt | None = None
    """Number of the video stream of each file, from 0; default: the one that players show."""
    sidecar: SidecarConfig = SidecarConfig()
    cuts: CutConfig = CutConfig()
    clips: ClipConfig = ClipConfig()
    decode_limits: Limits = Limits()
    """Limits of decoding one source."""
    annotations: tuple[AnnotationConfig, ...] = Field(default_factory=default_annotations)
    """Annotations in the order in which they are made; each after those that it needs."""
    comparisons: tuple[AnyComparison, ...] = (NearDuplicatesConfig(), RepeatedCaptionsConfig())
    """Comparisons of all clips; those without any annotation to compare are left out."""
    annotate_limits: Limits = Limits(memory_gib=16.0)
    """Limits of one annotation of some clips."""

    @model_validator(mode="after")
    def _are_in_order(self) -> CurationConfig:
        before: list[str] = []
        for one in self.annotations:
            lacking = [name for name in one.needs if name not in before]
            if one.name in before or lacking:
                what = f"needs {', '.join(lacking)} before it" if lacking else "appears twice"
                raise ValueError(f"annotations: {one.name} {what}")
            before.append(one.name)
        return self

    @property
    def possible_comparisons(self) -> list[AnyComparison]:
        """Comparisons of which at least one annotation is made."""
        made = {one.name for one in self.annotations}
        return [one for one in self.comparisons if made.intersection(one.needs)]
