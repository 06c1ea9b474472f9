"""The same networks twice: ours with random weights, and diffusers' on the same tensors; and the same clip by both.

The two clips start from the same picture and noise and take the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil

from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.layouts.diffusers_config import DiffusersVideoAutoencoder, DiffusersVideoUNet, svd_scheduler
from videoldm.conditioners.config import MICRO_ORDER, MicroConfig
from videoldm.conditioners.image import ImageConditioner
from videoldm.core.errors import InputError
from videoldm.core.random import generator
from videoldm.diffusion.config import Guidance, Karras, LinearOverFrames
from videoldm.diffusion.noise import start_noise
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.inference.decode import decode
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.encoders import build_image_encoder, number_positions
from videoldm.models.presets import ModelConfig
from videoldm.models.unet.config import PlacedNormEps, UNetConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.image_to_video import svd
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_latents
from videoldm.tasks.task import Inputs

M = TypeVar("M", bound=nn.Module)

STRETCH = 65_537
SEED = 2026
SCALES = (1.0, 3.0)
"""Scale of guidance at the first and the last frame."""
FACTOR = 8


def random_unet(config: UNetConfig, *, dtype: torch.dtype, device: torch.device) -> VideoUNet:
    """Build our UNet with diffusers' group norms and random weights, in evaluation mode."""
    with torch.device("meta"):
        unet = VideoUNet(config.model_copy(update={"norm_eps": PlacedNormEps()}))
    return _random(unet, dtype, device)


def random_autoencoder(config: AutoencoderConfig, *, dtype: torch.dtype, device: torch.device) -> Autoencoder:
    """Build our autoencoder with random weights, in evaluation mode."""
    with torch.device("meta"):
        autoencoder = Autoencoder(config)
    return _random(autoencoder, dtype, device)


def diffusers_unet(unet: VideoUNet, *, embedding_dim: int, num_frames: int) -> nn.Module | None:
    """Build diffusers' UNet on the same weights; None if diffusers is not installed."""
    config = DiffusersVideoUNet.from_native(unet.config, embedding_dim=embedding_dim, num_frames=num_frames)
    return _foreign(config.class_name, config.to_json(), layout.unet(unet.config).to_foreign(unet.state_dict()))


def diffusers_autoencoder(autoencoder: Autoencoder) -> nn.Module | None:
    """Build diffusers' autoencoder on the same weights; None if diffusers is not installed."""
    config = DiffusersVideoAutoencoder.from_native(autoencoder.config, sample_size=768)
    weights = layout.autoencoder(autoencoder.config).to_foreign(autoencoder.state_dict())
    return _foreign(config.class_name, config.to_json(), weights)


def random_model(sizes: ModelConfig, *, dtype: torch.dtype, device: torch.device) -> VideoModel:
    """Build our image-to-video model with random weights, all networks in one precision."""
    assert sizes.image_encoder is not None, "image-to-video needs an image encoder"
    with torch.device("meta"):
        encoder = build_image_encoder(sizes.image_encoder)
    encoder = _random(encoder, dtype, device)
    number_positions(encoder, device=device)
    micro = MicroConfig(embedding_dim=(sizes.unet.vector_dim or 0) // len(MICRO_ORDER))
    return VideoModel(
        config=svd().model_copy(update={"micro": micro}),
        unet=random_unet(sizes.unet, dtype=dtype, device=device),
        autoencoder=random_autoencoder(sizes.autoencoder, dtype=dtype, device=device),
        image=ImageConditioner(encoder),
    )


def diffusers_pipeline(model: VideoModel, *, num_frames: int) -> Any | None:
    """Build diffusers' pipeline on the same weights; None if diffusers is not installed."""
    unet: Any = diffusers_unet(model.unet, embedding_dim=model.config.micro.embedding_dim, num_frames=num_frames)
    autoencoder: Any = diffusers_autoencoder(model.autoencoder)
    if unet is None or autoencoder is None:
        return None
    from diffusers import EulerDiscreteScheduler, StableVideoDiffusionPipeline

    # In float16 the pipeline would otherwise change the precision of the weights that it shares with ours.
    autoencoder.register_to_config(force_upcast=False)
    processor: Any = CLIPImageProcessorPil()  # the variant that needs no torchvision
    scheduler: Any = EulerDiscreteScheduler.from_config(svd_scheduler().to_json())
    pipeline = StableVideoDiffusionPipeline(
        vae=autoencoder,
        image_encoder=model.image_conditioner.model,
        unet=unet,
        scheduler=scheduler,
        feature_extractor=processor,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@dataclass(frozen=True, kw_only=True)
class ClipRequest:
    """A clip to be made by both; without noise on its picture, as the two would draw different noise."""

    picture: Image.Image
    num_frames: int
    num_steps: int


def random_picture(height: int, width: int) -> Image.Image:
    """Draw a picture of coarse random colours."""
    coarse = torch.rand(8, 8, 3, generator=generator(SEED, "picture"))
    return Image.fromarray((coarse * 255).byte().numpy()).resize((width, height), Image.Resampling.BICUBIC)


@torch.no_grad()
def our_latents(model: VideoModel, request: ClipRequest) -> Float[Tensor, "1 t c h w"]:
    """Sample model latents with our model."""
    pixels = torch.from_numpy(np.array(request.picture)).permute(2, 0, 1)[None] / 127.5 - 1
    inputs = Inputs(samples=[(SEED,)], pictures=pixels, fps=[7], motion_bucket=[127], noise_level=[0.0])
    lowest, highest = SCALES
    sampling = SamplingConfig(
        num_inference_steps=request.num_steps,
        schedule=Karras(),
        guidance=Guidance(scale=LinearOverFrames(min_scale=lowest, max_scale=highest)),
    )
    width, height = request.picture.size
    return sample_latents(model, inputs, sampling=sampling, num_frames=request.num_frames, height=height, width=width)


def our_frames(model: VideoModel, latents: Float[Tensor, "1 t c h w"]) -> Float[Tensor, "1 t 3 hf wf"]:
    """Decode model latents with our model, in bounded memory."""
    return decode(model.autoencoder, model.to_raw_latents(latents), device=model.device).clamp(-1, 1).float()


def diffusers_latents(pipeline: Any, request: ClipRequest) -> Float[Tensor, "1 t c h w"]:
    """Sample model latents with diffusers' StableVideoDiffusionPipeline."""
    width, height = request.picture.size
    shape = (request.num_frames, pipeline.unet.config.out_channels, height // FACTOR, width // FACTOR)
    noise = start_noise([(SEED,)], shape, float(schedule_sigmas(Karras(), request.num_steps)[0]))
    pipeline.scheduler.set_timesteps(request.num_steps)
    lowest, highest = SCALES
    return pipeline(
        request.picture,
        height=height,
        width=width,
        num_frames=request.num_frames,
        num_inference_steps=request.num_steps,
        min_guidance_scale=lowest,
        max_guidance_scale=highest,
        noise_aug_strength=0.0,
        latents=(noise / pipeline.scheduler.init_noise_sigma).to(pipeline.device, pipeline.dtype),
        output_type="latent",
    ).frames


@torch.no_grad()
def diffusers_frames(pipeline: Any, latents: Float[Tensor, "1 t c h w"]) -> Float[Tensor, "1 t 3 hf wf"]:
    """Decode model latents with diffusers, all frames at once, as its pipeline does by default."""
    num_frames = latents.shape[1]
    frames: Tensor = pipeline.decode_latents(latents, num_frames, decode_chunk_size=num_frames)
    return frames.clamp(-1, 1).transpose(1, 2)


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
    """Fill a network with random weights that keep activations at about the same size, so that 16 bits suffice."""
    try:
        network = network.to(dtype).to_empty(device=device)
    except (RuntimeError, MemoryError) as error:
        raise InputError(f"memory is too small for this network in {dtype}: {error}") from error
    for position, (name, parameter) in enumerate(sorted(network.named_parameters())):
        if parameter.ndim > 1:
            # Repeat a short stretch of random numbers, as drawing a billion takes longer than a step. Its length is a
            # prime, so that no two rows of a matrix are equal.
            drawn = torch.randn(STRETCH, generator=generator(0, "weights", position)).to(device, dtype)
            repeats = -(-parameter.numel() // len(drawn))
            values = drawn.repeat(repeats)[: parameter.numel()].view_as(parameter)
            parameter.data = values / parameter[0].numel() ** 0.5
        else:
            parameter.data.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.1)
    return network.eval().requires_grad_(False)
