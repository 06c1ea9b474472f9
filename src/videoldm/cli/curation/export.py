"""`videoldm curate export`: write the clips of a selection as files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import PositiveInt

from videoldm.cli.options import OPTIONS, Verb, option_name
from videoldm.core.config import Config, NonNegative
from videoldm.core.errors import InputError, Interrupted, SomeItemsFailed
from videoldm.core.wording import counted

DESCRIPTION = """Write the clips of a selection: as files, copied out of their sources without encoding and each
compared with its source, or as an index that points into the sources.

A copy can only begin at a key frame of the source, so it may start a little later than the clip and end a little
earlier; the index says by how much. The same command resumes an interrupted export.

examples:
  videoldm curate export dataset/ --selection default -o clips/
  videoldm curate export dataset/ -o shards/ --format webdataset --exact
  videoldm curate export dataset/ -o index/ --format parquet-index
"""


class CurateExportOptions(Config):
    """Options of `curate export`."""

    model_config = OPTIONS

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    """Folder of the dataset."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")]
    """Folder of the export, new or one to resume."""
    selection: str | None = None
    """Name of a selection, for its newest version, or NAME/v0002; default: all clips."""
    format: Literal["files", "webdataset", "parquet-index"] = "files"
    """One video a clip; tar files of many clips; or an index alone."""
    shard_size: PositiveInt = 256
    """Number of clips in a tar file of webdataset."""
    exact: bool = False
    """Encode clips again that cannot be copied whole, so that nothing of them is lost."""
    shortest_s: NonNegative = 1.0
    """Leave out clips of which less can be copied."""
    workers: PositiveInt | None = None
    """Number of tasks at a time; default: one a core."""


def run(options: CurateExportOptions) -> None:
    """Export the clips, and list those that could not be exported."""
    from videoldm.curation.executors.local import LocalExecutor
    from videoldm.curation.export.cut_out import CutOutOptions
    from videoldm.curation.export.export import export_files, export_folder, export_index, export_shards, rows_to_export
    from videoldm.curation.store.dataset import Dataset

    check_effect(options)
    clips = rows_to_export(Dataset.open(options.dataset), options.selection)
    folder = Path(options.output)
    cut_out = CutOutOptions(shortest_s=Fraction(str(options.shortest_s)), is_exact=options.exact)
    try:
        with export_folder(folder, options.format), LocalExecutor(options.workers) as executor:
            match options.format:
                case "files":
                    failed = export_files(clips, folder, executor, cut_out)
                case "webdataset":
                    failed = export_shards(clips, folder, executor, cut_out, shard_size=options.shard_size)
                case "parquet-index":
                    export_index(clips, folder)
                    failed = []
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command resumes the export") from None
    print(f"{folder}: {len(clips) - len(failed):,} of {counted(len(clips), 'clip')}")
    if failed:
        raise SomeItemsFailed(
            [(f"{row['clip_id']} of {row['path']}", row["reason"]) for row in failed], num_items=len(clips)
        )


def check_effect(options: CurateExportOptions) -> None:
    """Raise InputError for an option that has no effect."""
    without_effect = {
        "shard_size": options.format != "webdataset",
        "exact": options.format == "parquet-index",
        "shortest_s": options.format == "parquet-index" or options.exact,
    }
    for name, has_none in without_effect.items():
        if has_none and name in options.model_fields_set:
            other = "with --exact" if name == "shortest_s" and options.exact else f"on {options.format}"
            raise InputError(f"{option_name(name)} has no effect {other}, leave it out")


VERB = Verb(
    name="curate export", options=CurateExportOptions, run=run, description=DESCRIPTION, positional=("dataset",)
)
