"""What batches of clips look like; torch-free."""

from fractions import Fraction
from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveInt

from videoldm.core.config import Config, Positive

Rate = Annotated[Fraction, Field(gt=0)]
"""Frames a second, exact."""


class Bucket(Config):
    """Clips that can share a batch: one size, one length, one rate."""

    height: PositiveInt
    width: PositiveInt
    num_frames: PositiveInt
    fps: Rate
    batch_size: PositiveInt
    probability: Positive = 1.0
    """How often a batch is of this bucket, relative to the others."""

    @property
    def span_s(self) -> Fraction:
        """Time from the first frame to the last, in seconds."""
        return (self.num_frames - 1) / self.fps

    @property
    def name(self) -> str:
        """Width, height, length and rate."""
        return f"{self.width}x{self.height}, {self.num_frames} frames at {self.fps}"


ExportFormat = Literal["files", "webdataset", "parquet-index"]
FORMATS: tuple[str, ...] = get_args(ExportFormat)

INDEX_FILE = "clips.parquet"
"""One row a clip."""
INFO_FILE = "export.json"
"""Names the format."""
GIVEN_CAPTION = "caption"
"""The column of a list of inputs that says what a video shows."""
DATASET_FILE = "dataset.json"
"""Of a curated dataset, which is no export yet."""
