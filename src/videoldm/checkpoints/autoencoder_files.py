"""An autoencoder alone: read from our folder or diffusers' `vae`, put into a checkpoint, written as SVD's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.keymap import KeyMap, under
from videoldm.checkpoints.layouts import diffusers, sgm
from videoldm.checkpoints.layouts.diffusers_config import DiffusersVideoAutoencoder
from videoldm.checkpoints.layouts.diffusers_folder import vae_part
from videoldm.checkpoints.layouts.diffusers_pipeline import SAMPLE_SIZE
from videoldm.checkpoints.layouts.native import autoencoder_part
from videoldm.checkpoints.layouts.single_file import FIRST_STAGE, SVD_CONDITION
from videoldm.checkpoints.part import AutoencoderPart
from videoldm.checkpoints.storage.file_names import CONFIG_FILE, NETWORK_WEIGHTS
from videoldm.checkpoints.storage.safetensors import save_tensors
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.core.reading import read_mapping
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import preset_of


def open_autoencoder(folder: Path) -> AutoencoderPart:
    """Open the autoencoder in a component folder of ours or in the folder `vae` of one of diffusers' pipelines."""
    path = folder / CONFIG_FILE
    if path.is_file() and "_class_name" in read_mapping(path):
        part = vae_part(folder)
        part.check()
        return part
    return autoencoder_part(folder)


def check_is_svd(config: AutoencoderConfig) -> None:
    """Raise InputError for an autoencoder that SVD's layouts cannot describe, as they state little but widths."""
    held = DiffusersVideoAutoencoder.from_native(config, sample_size=SAMPLE_SIZE).to_native()
    ours, theirs = config.model_dump(), held.model_dump()
    differing = [f"{key} is {ours[key]}, it should be {theirs[key]}" for key in ours if ours[key] != theirs[key]]
    if differing:
        raise InputError(f"SVD's layouts cannot hold this autoencoder: {'; '.join(differing)}")


def write_diffusers_autoencoder(folder: Path, autoencoder: Autoencoder) -> None:
    """Write an autoencoder as an `AutoencoderKLTemporalDecoder`; raises InputError if it has another architecture."""
    check_is_svd(autoencoder.config)
    folder.mkdir(parents=True, exist_ok=True)
    config = DiffusersVideoAutoencoder.from_native(autoencoder.config, sample_size=SAMPLE_SIZE)
    write_json(folder / CONFIG_FILE, config.to_json())
    _write(folder / f"{NETWORK_WEIGHTS}.safetensors", autoencoder, diffusers.autoencoder(autoencoder.config))


def write_sgm_autoencoder(path: Path, autoencoder: Autoencoder) -> None:
    """Write an autoencoder as the tensors of the one in a published file of SVD, under their names there.

    The encoder is stored as that of the image condition, with which SVD encodes. Raises InputError if it has another
    architecture.
    """
    check_is_svd(autoencoder.config)
    names = {
        **under("encoder", SVD_CONDITION, sgm.encoder_names(autoencoder.config)),
        **under("decoder", FIRST_STAGE, sgm.decoder_names(autoencoder.config)),
    }
    _write(path, autoencoder, KeyMap(names))


def _write(path: Path, autoencoder: Autoencoder, key_map: KeyMap) -> None:
    save_tensors(path, key_map.to_foreign(autoencoder.state_dict()), {"format": "pt"})


MAY_DIFFER = {"decoder", "project_latents"}
"""Settings of the decoder alone, which may differ while latents are the same."""


def with_autoencoder(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """Return the checkpoint with the autoencoder in a component folder instead of its own; the decoder may differ.

    Raises InputError if the autoencoder has other latents or sizes than the one that it replaces.
    """
    old, new = checkpoint.autoencoder, autoencoder_part(folder)
    if old is None:
        raise InputError(f"{checkpoint.source}: has no autoencoder that {folder} could replace")
    there, wanted = new.config.model_dump(exclude=MAY_DIFFER), old.config.model_dump(exclude=MAY_DIFFER)
    keys = [key for key in wanted if there[key] != wanted[key]]
    if keys:
        ours, theirs = (", ".join(f"{key}={values[key]}" for key in keys) for values in (there, wanted))
        raise InputError(f"{new.source}: has {ours}, the autoencoder of {old.source} has {theirs}")
    new.check()
    preset = preset_of(checkpoint.unet.config, new.config, checkpoint.num_frames or 1)
    return replace(checkpoint, autoencoder=new, preset=preset)
