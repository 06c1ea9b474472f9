"""`videoldm curate fit-aesthetic`: fit a head that rates clips as people did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core.config import Config

DESCRIPTION = """Fit an aesthetic head, linear on CLIP embeddings, to ratings of clips of a dataset, and store it there:
the next `videoldm curate run` scores all clips with it.

Ratings are a CSV file with the columns clip_id and rating. How well the head predicts ratings that it has not seen is
measured on five held-out parts and printed.

examples:
  videoldm curate fit-aesthetic dataset/ ratings.csv
  videoldm curate fit-aesthetic dataset/ ratings.csv -o head.safetensors
"""


class CurateFitAestheticOptions(Config):
    """Options of `curate fit-aesthetic`."""

    model_config = OPTIONS

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    """Folder of the dataset."""
    ratings: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RATINGS.csv")]]
    """CSV file with ratings of clips."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.safetensors")] = None
    """File for the head; default: inside the dataset."""


def run(options: CurateFitAestheticOptions) -> None:
    """Fit the head, write it and print its correlations."""
    from videoldm.curation.annotators.models.aesthetic_head import fit_aesthetic_head, save_head
    from videoldm.curation.ratings import rated_embeddings
    from videoldm.curation.store.dataset import Dataset

    dataset = Dataset.open(options.dataset)
    rated = rated_embeddings(dataset, Path(options.ratings))
    fit = fit_aesthetic_head(rated.embeddings, rated.ratings, clip_model=rated.clip_model)
    path = dataset.aesthetic_head if options.output is None else Path(options.output)
    save_head(fit, path)
    print(f"{path}: {fit.num_ratings} ratings, held-out correlation {fit.pearson:.3f} (ranks {fit.spearman:.3f})")


VERB = Verb(
    name="curate fit-aesthetic",
    options=CurateFitAestheticOptions,
    run=run,
    description=DESCRIPTION,
    positional=("dataset", "ratings"),
)
