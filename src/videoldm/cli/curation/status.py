"""`videoldm curate status`: what is done, and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import tyro

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core.config import Config

DESCRIPTION = """Print the state of a dataset: its inputs by state, its clips, what each annotation lacks and why, and
how long the rest will take, as far as stages were timed.

examples:
  videoldm curate status dataset/
  videoldm curate status dataset/ --json
"""


class CurateStatusOptions(Config):
    """Options of `curate status`."""

    model_config = OPTIONS

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    """Folder of the dataset."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object instead of text."""


def run(options: CurateStatusOptions) -> None:
    """Print the summary, and the time left."""
    from videoldm.curation.status import estimate_of, summarise
    from videoldm.curation.store.dataset import Dataset

    dataset = Dataset.open(options.dataset)
    summary, estimate = summarise(dataset), estimate_of(dataset)
    if options.json_:
        print(json.dumps({**summary.as_json(), "time_left": None if estimate is None else asdict(estimate)}))
        return
    print(summary.as_text())
    for path, state, reason in summary.problems:
        print(f"  {path}: {state}: {reason}")
    if estimate is not None:
        print(f"time left, at the pace of the last run: about {estimate.as_text()}")


VERB = Verb(
    name="curate status", options=CurateStatusOptions, run=run, description=DESCRIPTION, positional=("dataset",)
)
