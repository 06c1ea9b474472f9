"""Everything that can be configured about curation; torch-free."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from videoldm.core.config import GIB, Config, NonNegative, Positive
from videoldm.curation.annotators.config import AnnotationConfig
from videoldm.curation.annotators.profiles import default_annotations
from videoldm.curation.cuts.config import CutConfig


class Limits(Config):
    """Of one piece of work in a disposable process; what exceeds them is stopped, and the run goes on."""

    time_s: Positive = 3600.0
    """By the clock."""
    memory_gib: Positive = 4.0
    """Resident memory of its process."""

    def changed(self, *, time_s: float | None, memory_gib: float | None) -> Limits:
        """With other limits where they are given."""
        return Limits(time_s=time_s or self.time_s, memory_gib=memory_gib or self.memory_gib)

    @property
    def memory_bytes(self) -> float:
        """The same in bytes."""
        return self.memory_gib * GIB


CAPTIONS = ("image_caption", "video_caption", "summary")


class ComparisonConfig(Config):
    """The base of every comparison's config."""

    needs: ClassVar[tuple[str, ...]]
    """Names of the annotations that are compared; those that are not made are left out."""

    def identity(self) -> dict[str, Any]:
        """What the values depend on, for the hash."""
        return self.model_dump(mode="json")


class NearDuplicatesConfig(ComparisonConfig):
    """Groups of clips whose embeddings are alike; looks at all pairs, so it is not for many millions of clips."""

    needs: ClassVar[tuple[str, ...]] = ("embeddings",)
    name: Literal["near_duplicates"] = "near_duplicates"
    threshold: float = Field(default=0.97, gt=0, lt=1)
    """Of the mean cosine between first, middle and last frames."""


class RepeatedCaptionsConfig(ComparisonConfig):
    """Captions that many clips have, as a language model's that answers without looking."""

    needs: ClassVar[tuple[str, ...]] = CAPTIONS
    name: Literal["repeated_captions"] = "repeated_captions"
    min_clips: PositiveInt = 10


AnyComparison = Annotated[NearDuplicatesConfig | RepeatedCaptionsConfig, Field(discriminator="name")]


class SidecarConfig(Config):
    """The small frames that annotators see."""

    every_s: Positive = 0.5
    """A frame is kept in each such interval."""
    short_side: PositiveInt = 360
    """In pixels, at most."""
    jpeg_quality: int = Field(default=90, ge=1, le=100)
    max_edges_per_s: Positive = 4.0
    """At most as many candidates for a cut have the frames on either side kept."""


class ClipConfig(Config):
    """Which spans become clips."""

    min_s: NonNegative = 2.0
    """Shorter ones are left out."""
    max_s: Positive = 60.0
    """Longer ones are divided into equal parts."""

    @model_validator(mode="after")
    def _fits(self) -> ClipConfig:
        if self.max_s < 2 * self.min_s:
            raise ValueError(f"max_s is {self.max_s}, it should be at least twice min_s, which is {self.min_s}")
        return self


class CurationConfig(Config):
    """One way of making a dataset."""

    batch_size: PositiveInt = 64
    """Inputs that share their parts of the tables."""
    sidecar: SidecarConfig = SidecarConfig()
    cuts: CutConfig = CutConfig()
    clips: ClipConfig = ClipConfig()
    decode_limits: Limits = Limits()
    """Of decoding one source."""
    annotations: tuple[AnnotationConfig, ...] = default_annotations()
    """In this order; each after those that it needs."""
    comparisons: tuple[AnyComparison, ...] = (NearDuplicatesConfig(), RepeatedCaptionsConfig())
    """Of all clips, made of annotations that are made; others are left out."""
    annotate_limits: Limits = Limits(memory_gib=16.0)
    """Of one annotation of some clips."""

    @model_validator(mode="after")
    def _are_in_order(self) -> CurationConfig:
        before: list[str] = []
        for one in self.annotations:
            lacking = [name for name in one.needs if name not in before]
            if one.name in before or lacking:
                what = f"needs {', '.join(lacking)} before it" if lacking else "is there twice"
                raise ValueError(f"annotations: {one.name} {what}")
            before.append(one.name)
        return self

    @property
    def possible_comparisons(self) -> list[AnyComparison]:
        """Those of which something that they compare is made."""
        made = {one.name for one in self.annotations}
        return [one for one in self.comparisons if made.intersection(one.needs)]
