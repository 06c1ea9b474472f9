"""The same network or model twice: ours with random weights, and diffusers' on the very same tensors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil

from videoldm.checkpoints import diffusers as layout
from videoldm.checkpoints.diffusers_config import VideoAutoencoder, VideoUNet
from videoldm.conditioners.config import MICRO_ORDER, MicroConfig
from videoldm.conditioners.image import ImageConditioner
from videoldm.core.errors import InputError
from videoldm.core.random import generator
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.build import build_image_encoder, number_positions
from videoldm.models.presets import ModelConfig
from videoldm.models.unet.config import PlacedNormEps, UNetConfig
from videoldm.models.unet.network import VideoUNet as UNet
from videoldm.tasks.model import VideoModel
from videoldm.tasks.published import SVD

M = TypeVar("M", bound=nn.Module)

STRETCH = 65_537
SVD_SCHEDULER: Mapping[str, Any] = MappingProxyType(
    {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": "v_prediction",
        "use_karras_sigmas": True,
        "sigma_min": 0.002,
        "sigma_max": 700.0,
        "timestep_spacing": "leading",
        "timestep_type": "continuous",
        "steps_offset": 1,
    }
)
"""Of diffusers' EulerDiscreteScheduler, as SVD's repository has it."""


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


def random_model(sizes: ModelConfig, *, dtype: torch.dtype, device: torch.device) -> VideoModel:
    """Our image-to-video model, all of it in one precision."""
    assert sizes.image_encoder is not None, "image-to-video needs an image encoder"
    with torch.device("meta"):
        encoder = build_image_encoder(sizes.image_encoder)
    encoder = _random(encoder, dtype, device)
    number_positions(encoder, device=device)
    micro = MicroConfig(embedding_dim=(sizes.unet.vector_dim or 0) // len(MICRO_ORDER))
    return VideoModel(
        config=SVD.model_copy(update={"micro": micro}),
        unet=random_unet(sizes.unet, dtype=dtype, device=device),
        autoencoder=random_autoencoder(sizes.autoencoder, dtype=dtype, device=device),
        image=ImageConditioner(encoder),
    )


def diffusers_pipeline(model: VideoModel, *, num_frames: int) -> Any | None:
    """Diffusers' pipeline on the networks' same tensors; None if diffusers is not installed."""
    unet: Any = diffusers_unet(model.unet, embedding_dim=model.config.micro.embedding_dim, num_frames=num_frames)
    autoencoder: Any = diffusers_autoencoder(model.autoencoder)
    if unet is None or autoencoder is None:
        return None
    from diffusers import EulerDiscreteScheduler, StableVideoDiffusionPipeline

    # In float16 the pipeline would change the precision of the weights that it shares with ours.
    autoencoder.register_to_config(force_upcast=False)
    processor: Any = CLIPImageProcessorPil()  # which needs no torchvision
    pipeline = StableVideoDiffusionPipeline(
        vae=autoencoder,
        image_encoder=model.image_conditioner.model,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SVD_SCHEDULER),
        feature_extractor=processor,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


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
