"""`videoldm dataset check`: which exported clips training would use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core.config import Config, apply_overrides
from videoldm.core.errors import InputError, hint
from videoldm.core.reading import is_folder
from videoldm.dataset.config import Bucket
from videoldm.recipes.registry import find_recipe
from videoldm.training.data.config import CuratedData

if TYPE_CHECKING:
    from videoldm.training.data.choose import ChosenClips

HELP = """usage: videoldm dataset COMMAND ...

  check   number of clips per bucket, and clips left out with the reason

  videoldm dataset check --help   options and examples

examples:
  videoldm dataset check mine.yaml
"""
DESCRIPTION = """Print how many exported clips training would have in each bucket, and which ones it would leave out.

Without a recipe the buckets are those of Stable Video Diffusion. Exit code 2 if a bucket is empty.

examples:
  videoldm dataset check mine.yaml
  videoldm dataset check mine.yaml stage.data.folder=clips --json
  videoldm dataset check clips/ captions.kind=none
"""
SVD_BUCKETS = tuple(
    Bucket(height=height, width=width, num_frames=num_frames, fps=6, batch_size=8)  # pyright: ignore[reportArgumentType]
    for height, width, num_frames in ((320, 576, 14), (576, 1024, 14), (576, 1024, 25))
)
NAMES_SHOWN, NAMES_LISTED = 3, 100


class DatasetCheckOptions(Config):
    """Options of `dataset check`."""

    model_config = OPTIONS

    target: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FOLDER|RECIPE|FILE.yaml")]]
    """Folder of an export, or a recipe that trains on curated clips."""
    overrides: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="key.path=value")]] = ()
    """Changes to the recipe, or for a folder to the configuration of the data."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object instead of tables."""


@dataclass(frozen=True)
class _Checked:
    """Result for the data of one key."""

    key: str
    chosen: ChosenClips

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values, with the names of some of the clips that are left out."""
        data, assignment = self.chosen.data, self.chosen.assignment
        return {
            "folder": data.folder,
            "buckets": [
                {**bucket.model_dump(mode="json"), "clips": len(clips)}
                for bucket, clips in zip(data.buckets, assignment.clips, strict=True)
            ],
            "left_out": [
                {"reason": reason, "clips": len(names), "names": names[:NAMES_LISTED]}
                for reason, names in self.by_count()
            ],
        }

    def by_count(self) -> list[tuple[str, list[str]]]:
        """Return reasons and names of clips that are left out, the most frequent first."""
        return sorted(self.chosen.assignment.left_out.items(), key=lambda item: (-len(item[1]), item[0]))


def run(options: DatasetCheckOptions) -> None:
    """Print the clips of each bucket, and raise the errors that training would raise."""
    from videoldm.training.data.choose import choose_clips

    checked = [_Checked(key, choose_clips(data)) for key, data in data_of(options.target, options.overrides).items()]
    if options.json_:
        print(json.dumps({one.key: one.as_json() for one in checked}))
    else:
        for one in checked:
            _show(one)
    for one in checked:
        one.chosen.check()


def data_of(target: str, overrides: Sequence[str]) -> dict[str, CuratedData]:
    """Return the curated data of a folder or a recipe, by the key that names it."""
    if is_folder(target):
        data = CuratedData(folder=target, buckets=SVD_BUCKETS)
        return {"data": apply_overrides(data, overrides, source=target)}
    if "/" in target and not Path(target).suffix:
        raise InputError(f"{target}: there is no such folder")
    stage = apply_overrides(find_recipe(target), overrides, source=target).stage
    curated = {key.removeprefix("stage."): data for key, data in stage.curated.items()}
    if not curated:
        raise InputError(
            f"{target}: trains on no curated clips, give a folder or a recipe whose stage.data is of kind curated"
        )
    return curated


def _show(checked: _Checked) -> None:
    from rich.markup import escape
    from rich.table import Table

    from videoldm.cli.tables import wide_console

    data, assignment = checked.chosen.data, checked.chosen.assignment
    console = wide_console()
    table = Table("bucket", title=escape(f"{checked.key}: {data.folder}"), title_justify="left")
    for heading in ("clips", "batch", "share of batches"):
        table.add_column(heading, justify="right")
    total = sum(bucket.probability for bucket in data.buckets)
    for bucket, clips in zip(data.buckets, assignment.clips, strict=True):
        table.add_row(bucket.name, f"{len(clips):,}", str(bucket.batch_size), f"{bucket.probability / total:.0%}")
    console.print(table)
    if assignment.num_left_out:
        number = assignment.num_left_out
        console.print(f"{number:,} clip{'s are' if number > 1 else ' is'} left out:")
    for reason, names in checked.by_count():
        shown = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
        console.print(f"  {len(names):,}: {escape(reason)} ({escape(shown)})")


CHECK = Verb(
    name="dataset check",
    options=DatasetCheckOptions,
    run=run,
    description=DESCRIPTION,
    positional=("target",),
    rest="overrides",
)


def dataset(words: Sequence[str]) -> None:
    """Run the verb that the words after `dataset` name."""
    match words:
        case []:
            raise InputError("dataset: the command is missing: give check or --help")
        case ["--help" | "-h" | "help", *_]:
            print(HELP, end="")
        case ["check", *rest]:
            CHECK(rest)
        case _:
            raise InputError(
                f"dataset: unknown command {words[0]!r}, {hint(words[0], ['check'], 'the command is check')}"
            )


VERB = dataset
