"""A checkpoint with an autoencoder that a run of ours has trained in the place of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.native import autoencoder_part
from videoldm.core.errors import InputError
from videoldm.models.presets import preset_of

MAY_DIFFER = {"decoder", "project_latents"}
"""What tells a temporal decoder from one of single frames; latents are the same."""


def with_autoencoder(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """The checkpoint with the autoencoder in a folder with a `config.json`, whose decoder may be another.

    Raises InputError for an autoencoder of other latents or sizes than the one whose place it takes.
    """
    old, new = checkpoint.autoencoder, autoencoder_part(folder)
    if old is None:
        raise InputError(f"{checkpoint.source}: has no autoencoder whose place {folder} could take")
    there, wanted = new.config.model_dump(exclude=MAY_DIFFER), old.config.model_dump(exclude=MAY_DIFFER)
    keys = [key for key in wanted if there[key] != wanted[key]]
    if keys:
        ours, theirs = (", ".join(f"{key}={values[key]}" for key in keys) for values in (there, wanted))
        raise InputError(f"{new.source}: has {ours}, the autoencoder of {old.source} has {theirs}")
    new.check()
    preset = preset_of(checkpoint.unet.config, new.config, checkpoint.num_frames or 1)
    return replace(checkpoint, autoencoder=new, preset=preset)
