"""`videoldm curate export`: from a selection to files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import PositiveInt

from videoldm.cli.options import OPTIONS, Verb, option_name
from videoldm.core.config import Config, NonNegative
from videoldm.core.errors import InputError, Interrupted, SomeItemsFailed

DESCRIPTION = """Write the clips of a selection: as files, cut out of their sources without encoding them again and each
proven against its source, or as an index that points into the sources.

A copy can begin only where the source's encoder made a point to begin at, so it may start a little later than the clip
and end a little earlier; the index tells by how much. The same command goes on after an interruption.

examples:
  videoldm curate export dataset/ --selection default -o clips/
  videoldm curate export dataset/ -o shards/ --format webdataset --exact
  videoldm curate export dataset/ -o index/ --format parquet-index
"""


class CurateExportOptions(Config):
    """What is written where."""

    model_config = OPTIONS

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    """Folder of the dataset."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")]
    """Folder of the export, new or one that goes on."""
    selection: str | None = None
    """Name of a selection, the newest version of it, or NAME/v0002; without it, all clips."""
    format: Literal["files", "webdataset", "parquet-index"] = "files"
    """One video a clip; tar files of many; or an index alone."""
    shard_size: PositiveInt = 256
    """Clips in a tar file of webdataset."""
    exact: bool = False
    """Encode those clips again that cannot be copied whole, so that nothing of them is lost."""
    shortest_s: NonNegative = 1.0
    """Clips of which less can be copied are left out."""
    workers: PositiveInt | None = None
    """How many pieces of work at a time; without it, one a core."""


def run(options: CurateExportOptions) -> None:
    """Read, write and tell what could not be exported."""
    from videoldm.curation.executors.local import LocalExecutor
    from videoldm.curation.export.cut_out import Cutting
    from videoldm.curation.export.export import export_files, export_folder, export_index, export_shards, rows_to_export
    from videoldm.curation.store.dataset import Dataset

    check_effect(options)
    clips = rows_to_export(Dataset.open(options.dataset), options.selection)
    folder = Path(options.output)
    cutting = Cutting(shortest_s=Fraction(str(options.shortest_s)), is_exact=options.exact)
    try:
        with export_folder(folder, options.format), LocalExecutor(options.workers) as executor:
            match options.format:
                case "files":
                    failed = export_files(clips, folder, executor, cutting)
                case "webdataset":
                    failed = export_shards(clips, folder, executor, cutting, shard_size=options.shard_size)
                case "parquet-index":
                    export_index(clips, folder)
                    failed = []
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on where it stopped") from None
    print(f"{folder}: {len(clips) - len(failed)} of {len(clips)} clips")
    if failed:
        raise SomeItemsFailed(
            [(f"{row['clip_id']} of {row['path']}", row["reason"]) for row in failed], num_items=len(clips)
        )


def check_effect(options: CurateExportOptions) -> None:
    """Raises InputError for an option that would change nothing."""
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
