"""Buckets of clips, and names of files of datasets and exports that curation writes and training reads; torch-free."""

from fractions import Fraction
from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveInt

from videoldm.core.config import Config, Positive

Rate = Annotated[Fraction, Field(gt=0)]
"""Frames a second, exact."""
ExportFormat = Literal["files", "webdataset", "parquet-index"]
FORMATS: tuple[str, ...] = get_args(ExportFormat)
INDEX_FILE = "clips.parquet"
"""Index with one row a clip."""
INFO_FILE = "export.json"
"""Names the format of the export."""
GIVEN_CAPTION = "caption"
"""Column of a list of inputs with the caption of a video."""
DATASET_FILE = "dataset.json"
"""File that marks a curated dataset, as opposed to an export."""


class Bucket(Config):
    """Clips that can share a batch: one size, one length, one rate."""

    height: PositiveInt
    width: PositiveInt
    num_frames: PositiveInt
    fps: Rate
    batch_size: PositiveInt
    probability: Positive = 1.0
    """How often a batch is drawn from this bucket, relative to the others."""

    @property
    def span_s(self) -> Fraction:
        """Time from the first frame to the last, in seconds."""
        return (self.num_frames - 1) / self.fps

    @property
    def name(self) -> str:
        """Width, height, length and rate as text."""
        return f"{self.width}x{self.height}, {self.num_frames} frames at {self.fps}"
