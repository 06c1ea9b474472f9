"""A published checkpoint with networks that a run of ours has trained in the places of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.native import autoencoder_part, unet_part
from videoldm.checkpoints.part import Part
from videoldm.core.errors import InputError


def with_trained_parts(checkpoint: Checkpoint, *, unet: Path | None, autoencoder: Path | None) -> Checkpoint:
    """The checkpoint with the networks in these folders, each with a `config.json`, instead of its own.

    Raises InputError for a network of another configuration than the one whose place it takes.
    """
    if unet is not None:
        checkpoint = replace(checkpoint, unet=_in_place_of(checkpoint.unet, unet_part(unet), "unet"))
    if autoencoder is not None:
        if checkpoint.autoencoder is None:
            raise InputError(f"{checkpoint.source}: has no autoencoder whose place {autoencoder} could take")
        part = _in_place_of(checkpoint.autoencoder, autoencoder_part(autoencoder), "autoencoder")
        checkpoint = replace(checkpoint, autoencoder=part)
    return checkpoint


def _in_place_of(old: Part[Any, Any], new: Part[Any, Any], name: str) -> Part[Any, Any]:
    there, wanted = new.config.model_dump(), old.config.model_dump()
    keys = [key for key in wanted if there[key] != wanted[key]]
    if keys:
        raise InputError(
            f"{new.source}: has {', '.join(f'{key}={there[key]}' for key in keys)}, the {name} of {old.source} has "
            f"{', '.join(f'{key}={wanted[key]}' for key in keys)}"
        )
    new.check()
    return new
