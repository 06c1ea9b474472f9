"""The same network twice: ours with random weights, and diffusers' on the very same tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from videoldm.checkpoints import diffusers as layout
from videoldm.checkpoints.diffusers_config import VideoAutoencoder, VideoUNet
from videoldm.core.errors import InputError
from videoldm.core.random import generator
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.config import PlacedNormEps, UNetConfig
from videoldm.models.unet.network import VideoUNet as UNet

M = TypeVar("M", bound=nn.Module)

STRETCH = 65_537


def random_unet(config: UNetConfig, *, dtype: torch.dtype, device: torch.device) -> UNet:
    """Our UNet with diffusers' group norms, in evaluation mode."""
    with torch.device("meta"):
        unet = UNet(config.model_copy(update={"norm_eps": PlacedNormEps()}))
    return _random(unet, dtype, device)


def random_autoencoder(config: AutoencoderConfig, *, dtype: torch.dtype, device: torch.device) -> Autoencoder:
    """Our autoencoder, in evaluation mode."""
    with torch.device("meta"):
        autoencoder = Autoencoder(config)
    return _random(autoencoder, dtype, device)


def diffusers_unet(unet: UNet, *, embedding_dim: int, num_frames: int) -> nn.Module | None:
    """Diffusers' UNet with the same weights; None if diffusers is not installed."""
    config = VideoUNet.from_native(unet.config, embedding_dim=embedding_dim, num_frames=num_frames)
    return _foreign(config.class_name, config.to_json(), layout.unet(unet.config).to_foreign(unet.state_dict()))


def diffusers_autoencoder(autoencoder: Autoencoder) -> nn.Module | None:
    """Diffusers' autoencoder with the same weights; None if diffusers is not installed."""
    config = VideoAutoencoder.from_native(autoencoder.config, sample_size=768)
    weights = layout.autoencoder(autoencoder.config).to_foreign(autoencoder.state_dict())
    return _foreign(config.class_name, config.to_json(), weights)


def _foreign(class_name: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module | None:
    try:
        import diffusers
    except ImportError:
        return None
    with torch.device("meta"):
        network = getattr(diffusers, class_name).from_config(dict(config))
    network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def _random(network: M, dtype: torch.dtype, device: torch.device) -> M:
    """Weights that keep activations at about their size, so that 16 bits suffice."""
    try:
        network = network.to(dtype).to_empty(device=device)
    except (RuntimeError, MemoryError) as error:
        raise InputError(f"memory is too small for this network in {dtype}: {error}") from error
    for position, (name, parameter) in enumerate(sorted(network.named_parameters())):
        if parameter.ndim > 1:
            # One stretch of random numbers repeated: drawing a billion takes longer than a step. Its length is a prime,
            # so that no two rows of a matrix are alike.
            drawn = torch.randn(STRETCH, generator=generator(0, "weights", position)).to(device, dtype)
            repeats = -(-parameter.numel() // len(drawn))
            values = drawn.repeat(repeats)[: parameter.numel()].view_as(parameter)
            parameter.data = values / parameter[0].numel() ** 0.5
        else:
            parameter.data.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.1)
    return network.eval().requires_grad_(False)
