"""Training clips: rendered, panned over pictures, or curated; torch-free."""

from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from videoldm.core.config import Config, Positive, Share
from videoldm.dataset.config import Bucket, Rate
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.vocabulary import CameraMotion

CLIPS_PER_SHARD = 64


class ClipDimensions(NamedTuple):
    """Length and size of clips, in pixels."""

    num_frames: int
    height: int
    width: int


class SampledCaptions(Config):
    """One of its clip's captions for each sample, drawn with these shares; shares of missing captions go to the others.

    SVD, C: half of them the image captioner's, the rest the video captioner's and the summary's. Captions that a guard
    of curation caught count as missing. The caption from a list of inputs stands in where a clip has no other.
    """

    kind: Literal["sampled"] = "sampled"
    image: Share = 0.5
    video: Share = 0.25
    summary: Share = 0.25
    given: Share = 0.0
    without: Literal["leave-out", "refuse"] = "leave-out"
    """Treatment of clips that have none of these captions."""

    @model_validator(mode="after")
    def _some_are_taken(self) -> Self:
        if not self.image + self.video + self.summary + self.given:
            raise ValueError("image, video, summary and given are all 0, one of them should be above 0")
        return self


class NoCaptions(Config):
    """No captions, for tasks that need none."""

    kind: Literal["none"] = "none"


class Measured(Config):
    """Rate at which frames are taken, and measured motion; curated clips without it are left out."""

    kind: Literal["measured"] = "measured"


class Fixed(Config):
    """Same signals for all clips, whatever they show, so that the model learns to ignore them."""

    kind: Literal["fixed"] = "fixed"
    fps: Positive
    motion_bucket: Annotated[int, Field(ge=0, le=255)]


Signals = Annotated[Measured | Fixed, Field(discriminator="kind")]


class CachedLatents(Config):
    """Latents of all windows, encoded before the first step and kept with the first frame of each."""

    kind: Literal["cached"] = "cached"
    windows_per_clip: PositiveInt = 1
    """Number of windows, evenly spread over a clip that is longer than its bucket; each visit takes the next one."""


class EncodedAnew(Config):
    """Windows that are decoded and encoded at each step; nothing is kept."""

    kind: Literal["anew"] = "anew"
    windows_per_clip: PositiveInt = 16


class Reading(Config):
    """Reading of clips ahead of the step that needs them."""

    threads: PositiveInt = 2
    samples_ahead: PositiveInt = 32


class AllVideos(Config):
    """Clips of all videos."""

    kind: Literal["all"] = "all"


class HeldOutVideos(Config):
    """Clips of a share of the videos, at least one, chosen by the hashes of their content."""

    kind: Literal["held-out"] = "held-out"
    share: Share = 0.05


class OtherVideos(Config):
    """Clips of the videos that an equal share does not hold out, so that no video is in both."""

    kind: Literal["others"] = "others"
    share: Share = 0.05


Videos = Annotated[AllVideos | HeldOutVideos | OtherVideos, Field(discriminator="kind")]


class CuratedData(Config):
    """Clips that `videoldm curate export` wrote to a folder."""

    kind: Literal["curated"] = "curated"
    folder: Annotated[str, Field(examples=["clips"])]
    videos: Videos = AllVideos()
    buckets: Annotated[
        tuple[Bucket, ...],
        Field(min_length=1, examples=["[{height: 320, width: 576, num_frames: 14, fps: 7, batch_size: 8}]"]),
    ]
    captions: Annotated[SampledCaptions | NoCaptions, Field(discriminator="kind")] = SampledCaptions()
    signals: Signals = Measured()
    latents: Annotated[CachedLatents | EncodedAnew, Field(discriminator="kind")] = CachedLatents()
    reading: Reading = Reading()

    @model_validator(mode="after")
    def _buckets_differ(self) -> Self:
        shapes = [(one.height, one.width, one.num_frames, one.fps) for one in self.buckets]
        for bucket, shape in zip(self.buckets, shapes, strict=True):
            if shapes.count(shape) > 1:
                raise ValueError(f"buckets has {bucket.name} twice")
        return self

    def bucket_of(self, *, height: int, width: int, num_frames: int) -> int | None:
        """Return the number of the first bucket of that size and length; None if there is none."""
        shape = (height, width, num_frames)
        shapes = [(one.height, one.width, one.num_frames) for one in self.buckets]
        return shapes.index(shape) if shape in shapes else None

    def has_clips(self, size: ClipDimensions) -> bool:
        """Whether a bucket has clips of exactly that size."""
        return self.bucket_of(height=size.height, width=size.width, num_frames=size.num_frames) is not None

    @property
    def largest_bucket(self) -> Bucket:
        """The bucket whose batches have the most pixels."""
        return max(self.buckets, key=lambda one: one.num_frames * one.height * one.width * one.batch_size)

    def largest_clips(self, model_frames: int) -> ClipDimensions:
        """Return the size of the clips in the largest batches, on which the buckets alone decide."""
        del model_frames
        return ClipDimensions(self.largest_bucket.num_frames, self.largest_bucket.height, self.largest_bucket.width)

    def first_clips(self, model_frames: int) -> ClipDimensions:
        """Return the size of the clips in the first bucket."""
        del model_frames
        return ClipDimensions(self.buckets[0].num_frames, self.buckets[0].height, self.buckets[0].width)


class WorldData(Config):
    """Clips of the synthetic world. Rates cycle from shard to shard, so that the fps condition means something."""

    kind: Literal["world"] = "world"
    seed: int = 0
    split: Literal["train", "validation", "test"] = "train"
    num_clips: Annotated[int, Field(ge=CLIPS_PER_SHARD, multiple_of=CLIPS_PER_SHARD)]
    num_frames: Annotated[int, Field(ge=2)] = 14
    height: PositiveInt = 64
    width: PositiveInt = 64
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = tuple(map(Fraction, (7, 6, 8, 7, 5, 10)))
    options: WorldOptions = WorldOptions()
    cameras: tuple[CameraMotion, ...] = ()
    """Camera motions of the clips that are taken; without any, all are."""
    signals: Signals = Measured()
    """Rate and motion that a model is conditioned on: those of the rendered clip, or the same for all."""

    @model_validator(mode="after")
    def _needs_no_pictures(self) -> Self:
        if self.options.grounds.get("photo"):
            raise ValueError("options.grounds holds photo, but training renders without pictures: give it no weight")
        return self

    def has_clips(self, size: ClipDimensions) -> bool:
        """Whether windows of that size can be cut out of the clips."""
        return (self.height, self.width) == (size.height, size.width) and self.num_frames >= size.num_frames

    def largest_clips(self, model_frames: int) -> ClipDimensions:
        """Return the size of the windows that a model of that many frames is trained on."""
        return ClipDimensions(model_frames, self.height, self.width)

    def first_clips(self, model_frames: int) -> ClipDimensions:
        """Return the same: all windows have one size."""
        return self.largest_clips(model_frames)


class PannedPictures(Config):
    """Clips of a camera that pans and zooms over the pictures of a folder; they have no captions."""

    folder: str
    num_clips: Annotated[int, Field(ge=CLIPS_PER_SHARD, multiple_of=CLIPS_PER_SHARD)]


def _world_unless_named(data: Any) -> Any:
    """Take data without a kind, as in recipes of before there was a choice, for rendered clips."""
    return {"kind": "world", **data} if isinstance(data, dict) else data


Data = Annotated[
    Annotated[WorldData | CuratedData, Field(discriminator="kind")],
    BeforeValidator(_world_unless_named),
]
"""Clips that are rendered here, or curated from videos."""


def check_pictures(pictures: PannedPictures | None, data: Data) -> None:
    """Raise ValueError for pictures among clips that are not rendered here."""
    if pictures and not isinstance(data, WorldData):
        raise ValueError("panned_pictures are made like the clips of a world, data is curated: leave them out")


def check_enough(name: str, num_clips: int, validation: Data) -> None:
    """Raise ValueError, which names the number, for more clips than there are to validate on."""
    if isinstance(validation, WorldData) and num_clips > validation.num_clips:
        raise ValueError(f"{name} is {num_clips}, validation has {validation.num_clips} clips")


def check_validation(data: Data, validation: Data, num_clips: int) -> None:
    """Raise ValueError for too few validation clips, or if videos are held out in one folder for clips of another."""
    check_enough("num_validation_clips", num_clips, validation)
    if not isinstance(data, CuratedData) or not isinstance(validation, CuratedData):
        return
    if data.videos.kind == "others" and validation.videos.kind == "held-out" and data.folder != validation.folder:
        raise ValueError(
            f"data.folder is {data.folder!r}, validation.folder {validation.folder!r}: where data are the videos that "
            f"validation does not hold out, both should be the same"
        )
