"""Which comparisons are made, and how; torch-free. Each is stored as an annotation is, under its `name`."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from videoldm.core.config import Config

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
