"""`videoldm curate stats`: statistics of a dataset, and a report with pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import tyro

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core.config import Config

DESCRIPTION = """Print what is in a dataset: clips, mean length, total time and clips per video, inputs by state,
what each annotation lacks and why, and the distributions of its values. --report writes them as one page with
thumbnails.

examples:
  videoldm curate stats dataset/
  videoldm curate stats dataset/ --report report/
  videoldm curate stats dataset/ --json
"""


class CurateStatsOptions(Config):
    """Options of `curate stats`."""

    model_config = OPTIONS

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    """Folder of the dataset."""
    report: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for an HTML report, and a picture of the histograms."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object instead of tables."""


def run(options: CurateStatsOptions) -> None:
    """Measure the statistics, print them, and write the report."""
    from videoldm.cli.tables import wide_console
    from videoldm.curation.report.figures import stats_tables
    from videoldm.curation.report.pages import write_stats_report
    from videoldm.curation.report.stats import measure_stats
    from videoldm.curation.store.dataset import Dataset
    from videoldm.curation.store.view import open_dataset

    with open_dataset(Dataset.open(options.dataset).view()) as dataset:
        stats = measure_stats(dataset)
        title = Path(options.dataset).resolve().name
        folder = options.report
        files = [] if folder is None else write_stats_report(dataset, stats, Path(folder), title=title)
    if options.json_:
        print(json.dumps(stats.as_json()))
        return
    console = wide_console()
    for table in stats_tables(stats):
        console.print(table)
    for file in files:
        print(file)


VERB = Verb(name="curate stats", options=CurateStatsOptions, run=run, description=DESCRIPTION, positional=("dataset",))
