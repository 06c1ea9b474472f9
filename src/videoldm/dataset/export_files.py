"""What the folder of an export is told by; curation writes it and training reads it."""

from typing import Literal, get_args

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
