"""`videoldm convert`: a checkpoint in another layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from videoldm.cli.options import OPTIONS, PickleOption, Verb, trust_in_pickles
from videoldm.diffusion.config import PredictionType
from videoldm.inference.config import Precision

DESCRIPTION = """Write a model in another layout, tensor by tensor; values keep their bits.

examples:
  videoldm convert svd_xt.safetensors svd-xt/ --to diffusers
  videoldm convert stabilityai/stable-video-diffusion-img2vid svd.safetensors --to sgm
  videoldm convert svd.safetensors svd-half/ --to diffusers --dtype float16
  videoldm convert v2-1_768.ckpt v2-1_768.safetensors --to sgm --allow-pickle
  videoldm convert runs/mine/export mine/ --to diffusers --autoencoder runs/temporal-decoder/export
"""


class ConvertOptions(PickleOption):
    """Source, target and format."""

    model_config = OPTIONS

    source: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SOURCE")]]
    """A pipeline's folder, a file, a name on the hub, or an image-to-video model that videoldm train has exported."""
    target: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="TARGET")]]
    """The new folder (diffusers) or file (sgm)."""
    to: Literal["diffusers", "sgm"]
    """A pipeline's folder as diffusers reads it, or one file as Stability's code reads it."""
    variant: str | None = None
    """Which of several precisions in the source's folder to read, such as fp16."""
    tokenizer: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """The tokenizer to put into the new folder, for a single file of Stable Diffusion that has none beside it."""
    prediction_type: PredictionType | None = None
    """What a single file of Stable Diffusion 2.1 predicts, which the new folder states: epsilon (noise) or
    v_prediction. Without it, a name as published decides, or else one call of the network with pure noise."""
    autoencoder: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """An autoencoder that videoldm train has exported, in the place of the source's."""
    dtype: Precision | None = None
    """Round all weights to this precision; without it they stay as they are."""


def run(options: ConvertOptions) -> None:
    """Open, check and write."""
    from videoldm.checkpoints.autoencoder_files import with_autoencoder
    from videoldm.checkpoints.convert import convert
    from videoldm.inference.precision import DTYPES
    from videoldm.pipelines.as_checkpoint import as_checkpoint
    from videoldm.pipelines.folder import NativeFolder
    from videoldm.pipelines.open import open_model, open_to_sample
    from videoldm.pipelines.published import PublishedModel
    from videoldm.pipelines.reference import ModelRef

    with trust_in_pickles(options):
        ref = ModelRef(
            name=options.source,
            variant=options.variant,
            tokenizer=options.tokenizer,
            prediction_type=options.prediction_type,
        )
        files = open_to_sample(ref) if options.to == "diffusers" else open_model(ref)
    if isinstance(files, NativeFolder):
        checkpoint = as_checkpoint(files)
    else:
        assert isinstance(files, PublishedModel), "there are no other models"
        checkpoint = files.checkpoint
    if options.autoencoder is not None:
        checkpoint = with_autoencoder(checkpoint, Path(options.autoencoder))
    convert(
        checkpoint,
        Path(options.target),
        options.to,
        dtype=None if options.dtype is None else DTYPES[options.dtype],
    )
    print(options.target)


VERB = Verb(name="convert", options=ConvertOptions, run=run, description=DESCRIPTION, positional=("source", "target"))
