"""Pipelines in diffusers' layout: a folder with `model_index.json` and one folder a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError
from torch import nn

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.layouts.diffusers_config import (
    DiffusersConfig,
    DiffusersVideoAutoencoder,
    DiffusersVideoUNet,
    EulerScheduler,
    read_diffusers_config,
)
from videoldm.checkpoints.layouts.diffusers_image_config import (
    DiffusersImageAutoencoder,
    DiffusersImageUNet,
    ImageScheduler,
)
from videoldm.checkpoints.layouts.transformers import open_image_encoder, open_text_encoder
from videoldm.checkpoints.part import AutoencoderPart, NetworkBuilder, Part
from videoldm.checkpoints.storage.file_names import CONFIG_FILE, INDEX_FILE, NETWORK_WEIGHTS, SCHEDULER_FILE
from videoldm.checkpoints.storage.pickles import PickledTensor
from videoldm.checkpoints.storage.safetensors import StoredTensor
from videoldm.checkpoints.storage.weights_file import tensors_in, weights_file
from videoldm.checkpoints.tokenizer import Tokenizer
from videoldm.core.config import Config, input_error
from videoldm.core.errors import InputError
from videoldm.core.progress import notice
from videoldm.core.reading import read_mapping
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import preset_of
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")
D = TypeVar("D", bound=DiffusersConfig)
N = TypeVar("N", bound=Config)
N_co = TypeVar("N_co", bound=Config, covariant=True)

OLD_ATTENTION = ".attentions.0.query."
"""Part of the names that older versions of diffusers wrote."""


class ToNative(Protocol[N_co]):
    """A configuration of diffusers for which we have a network."""

    def to_native(self) -> N_co:
        """Return our configuration of the same network."""
        ...


def open_folder(folder: Path, *, variant: str | None = None) -> Checkpoint:
    """Open the folder of a pipeline and check all keys and shapes, without reading weights.

    `variant` names one of several precisions, such as "fp16"; None is the one without a name, or else the only one.
    Raises InputError if a part is missing or does not fit, or is a pickle outside of `pickles_trusted`.
    """
    read_mapping(folder / INDEX_FILE)  # only to check that it can be read
    config = read_diffusers_config(folder / "unet" / CONFIG_FILE, DiffusersVideoUNet, DiffusersImageUNet)
    unet_config = _native(config, UNetConfig, folder / "unet")
    autoencoder = _autoencoder(folder / "vae", variant)
    networks = Checkpoint(
        source=folder,
        layout="diffusers",
        preset=None,
        files=(),
        unet=_part(folder / "unet", variant, VideoUNet, unet_config, layout.unet),
        autoencoder=autoencoder,
    )
    checkpoint = _with_the_rest(networks, config, variant)
    _check_variant(checkpoint, variant)
    dropped = [key for part in checkpoint.parts().values() for key in part.check()]
    num_frames = checkpoint.num_frames or 1
    preset = preset_of(unet_config, autoencoder.config, num_frames)
    return replace(checkpoint, preset=preset, files=_files(checkpoint), dropped=tuple(dropped))


def _check_variant(checkpoint: Checkpoint, variant: str | None) -> None:
    """Raise InputError for a variant that no network has; some networks may lack it."""
    files = {tensor.file.name for tensor in _stored(checkpoint)}
    if variant is not None and not any(f".{variant}." in name for name in files):
        weights = checkpoint.source.glob("*/*.safetensors")
        others = {path.name.split(".")[1] for path in weights if path.name.count(".") > 1}
        there = ", ".join(sorted(others)) or "none, leave out --variant"
        raise InputError(f"{checkpoint.source}: has no weights of the variant {variant!r}, it has {there}")


def _with_the_rest(
    networks: Checkpoint, config: DiffusersVideoUNet | DiffusersImageUNet, variant: str | None
) -> Checkpoint:
    """Add the encoder, an image encoder for SVD and a text encoder for Stable Diffusion, and what goes with it."""
    folder = networks.source
    if isinstance(config, DiffusersVideoUNet):
        return replace(
            networks,
            image_encoder=open_image_encoder(folder / "image_encoder", variant=variant),
            num_frames=config.num_frames,
            scheduler=_scheduler(folder, EulerScheduler),
        )
    tokenizer = Tokenizer(folder / "tokenizer") if (folder / "tokenizer").is_dir() else None
    if tokenizer is not None:
        tokenizer.check()
    return replace(
        networks,
        text_encoder=open_text_encoder(folder / "text_encoder", variant=variant),
        tokenizer=tokenizer,
        num_frames=1,
        latent_size=config.sample_size,
        scheduler=_scheduler(folder, ImageScheduler),
    )


def vae_part(folder: Path) -> AutoencoderPart:
    """Open the autoencoder in a pipeline's folder `vae`, in the variant without a name or else the only one."""
    return _autoencoder(folder, None)


def _autoencoder(folder: Path, variant: str | None) -> AutoencoderPart:
    config = read_diffusers_config(folder / CONFIG_FILE, DiffusersVideoAutoencoder, DiffusersImageAutoencoder)
    native = _native(config, AutoencoderConfig, folder)
    part = _part(folder, variant, Autoencoder, native, layout.autoencoder)
    if not any(OLD_ATTENTION in key for key in part.tensors):
        return part
    return replace(part, key_map=layout.autoencoder(native, attention=layout.OLD_PIXEL_ATTENTION))


def _scheduler(folder: Path, config_type: type[D]) -> D | None:
    path = folder / SCHEDULER_FILE
    if path.is_file():
        return read_diffusers_config(path, config_type)
    notice(f"{folder}: has no {SCHEDULER_FILE}, the noise levels of the published model are used")
    return None


def _native(config: ToNative[N], config_type: type[N], folder: Path) -> N:
    """Return our configuration of a network; raises InputError, which names the file, if its sizes are inconsistent."""
    path = str(folder / CONFIG_FILE)
    try:
        return config.to_native()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except ValidationError as error:
        raise input_error(error, config_type, {}, source=path) from None


def _part(
    folder: Path, variant: str | None, network: NetworkBuilder[M, C], config: C, map_of: Callable[[C], KeyMap]
) -> Part[M, C]:
    path = weights_file(folder, NETWORK_WEIGHTS, variant)
    tensors = tensors_in(path)
    return Part(source=str(path), network=network, config=config, tensors=tensors, key_map=map_of(config))


def _files(checkpoint: Checkpoint) -> list[Path]:
    """Return all files of a folder that are read, except the tokenizer's."""
    folder = checkpoint.source
    encoder = "image_encoder" if checkpoint.text_encoder is None else "text_encoder"
    texts = [folder / name / CONFIG_FILE for name in ("unet", "vae", encoder)]
    if checkpoint.scheduler is not None:
        texts.append(folder / SCHEDULER_FILE)
    return sorted({*texts, *(tensor.file for tensor in _stored(checkpoint))})


def _stored(checkpoint: Checkpoint) -> list[StoredTensor | PickledTensor]:
    """Return all tensors in files."""
    tensors = [tensor for part in checkpoint.parts().values() for tensor in part.tensors.values()]
    return [tensor for tensor in tensors if isinstance(tensor, StoredTensor | PickledTensor)]
