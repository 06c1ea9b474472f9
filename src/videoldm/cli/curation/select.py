"""`videoldm curate select`: select clips by exact percentiles and conditions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import tyro

from videoldm.cli.options import OPTIONS, OwnGrammar, Verb
from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.curation.selection.config import FILTERS, Filter, Selection, split_filters

DESCRIPTION = """Select the clips to train on. Each filter looks at the whole dataset; a clip stays if it passes all.

  --drop-lowest NAME=25% ...   drop exactly this share of all clips with a value, the lowest; ties by clip id
  --drop-highest NAME=25% ...  drop exactly this share, the highest
  --text-area-max 0.07         drop clips with more of the frame covered by text
  --where SQL                  keep clips that satisfy a condition over the columns, such as 'duration_s > 4'

A selection has a name and versions; the tables it was made from are recorded with it.

examples:
  videoldm curate select dataset/ --drop-lowest motion=25% aesthetics=25% text_similarity=50%
  videoldm curate select dataset/ --text-area-max 0.07 --where "duration_s >= 4 AND height >= 480" --name hq
  videoldm curate select dataset/ --drop-lowest motion=25% --dry-run --gallery gallery/
"""


class CurateSelectOptions(Config):
    """Options of `curate select`."""

    model_config = OPTIONS

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    """Folder of the dataset."""
    filters: tyro.conf.Suppress[tuple[Filter, ...]] = ()
    """Filters in the order in which they are typed."""
    keep_missing: bool = False
    """Keep clips without a value that a filter needs; by default they are dropped and counted."""
    name: str = "default"
    """Name of the selection."""
    dry_run: bool = False
    """Show what would be left without writing a selection."""
    gallery: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for a page and a picture of some clips that each filter drops."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object instead of a table."""


def run(options: CurateSelectOptions) -> None:
    """Apply the filters, print the counts, and save unless it is a dry run."""
    if not options.filters:
        raise InputError(f"a selection needs a filter: {', '.join(FILTERS)}")
    from videoldm.cli.tables import wide_console
    from videoldm.curation.report.figures import figures_table, judgement_figures
    from videoldm.curation.report.pages import write_gallery
    from videoldm.curation.selection.evaluate import judge
    from videoldm.curation.selection.manifest import save_selection
    from videoldm.curation.store.dataset import Dataset
    from videoldm.curation.store.view import open_dataset

    selection = Selection(filters=options.filters, keep_missing=options.keep_missing)
    found = Dataset.open(options.dataset)
    with open_dataset(found.view()) as dataset:
        judgement = judge(dataset, selection)
        files = [] if options.gallery is None else write_gallery(dataset, judgement, Path(options.gallery))
        saved = None if options.dry_run else save_selection(dataset, judgement, found.folder, options.name)
    if options.json_:
        result = {"clips": judgement.num_clips, "left": judgement.num_left}
        filters = [one.as_json() for one in judgement.filters]
        print(json.dumps({**result, "filters": filters, "folder": None if saved is None else str(saved.folder)}))
        judgement.check_any_left()
        return
    wide_console().print(figures_table(judgement_figures(judgement)))
    for counts in judgement.filters:
        if counts.tie is not None:
            print(counts.tie)
    if files and judgement.num_left == judgement.num_clips:
        print("nothing would be dropped")
    for file in files:
        print(file)
    judgement.check_any_left()  # as without a dry run, once the pictures show what would go
    if saved is not None:
        print(saved.folder if saved.is_new else f"{saved.folder}  (nothing has changed since)")


VERB = Verb(
    name="curate select",
    options=CurateSelectOptions,
    run=run,
    description=DESCRIPTION,
    positional=("dataset",),
    own_grammar=OwnGrammar(field="filters", names=FILTERS, split=split_filters),
)
