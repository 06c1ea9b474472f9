"""The same clip by diffusers' StableVideoDiffusionPipeline and by us: how far apart are latents and frames?

Builds a pipeline with random weights, writes it as diffusers does, runs it on a picture of noise, loads the same folder
with `videoldm`, runs that from the same start noise, and prints the largest differences over the largest value. All in
float32. The full size needs 10 GB of memory, 9 GB of disk and some minutes; `--size tiny` takes seconds.

  python benchmarks/pipeline_parity.py --size full
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from videoldm.core.random import generator
from videoldm.diffusion.config import Guidance, Karras, LinearOverFrames
from videoldm.diffusion.noise import start_noise
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.model import load_model
from videoldm.tasks.sampling import sample_latents
from videoldm.tasks.task import Inputs

SEED = 2026
TINY_UNET: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "layers_per_block": 1,
    "num_attention_heads": (2, 4),
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96,
}
TINY_CLIP = {"hidden_size": 32, "intermediate_size": 128, "projection_dim": 32, "num_hidden_layers": 2}
TINY_CLIP |= {"num_attention_heads": 2, "image_size": 224, "patch_size": 56}  # diffusers resizes to 224 for any encoder
FULL_CLIP = {"hidden_size": 1280, "intermediate_size": 5120, "projection_dim": 1024, "num_hidden_layers": 32}
FULL_CLIP |= {"num_attention_heads": 16, "image_size": 224, "patch_size": 14}


@dataclass(frozen=True)
class Clip:
    """What a pipeline made."""

    latents: Float[Tensor, "1 t c h w"]
    frames: Float[Tensor, "1 t 3 h w"]


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--num-frames", type=int, default=4)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    picture = random_picture(arguments.height, arguments.width)
    with tempfile.TemporaryDirectory() as folder:
        write_pipeline(Path(folder), arguments.size, arguments.num_frames)
        theirs = by_diffusers(Path(folder), picture, arguments.num_frames, arguments.steps)
        gc.collect()
        ours = by_us(folder, picture, arguments.num_frames, arguments.steps)
    result = {
        "size": arguments.size,
        "latents": relative_error(ours.latents, theirs.latents),
        "frames": relative_error(ours.frames, theirs.frames),
        "diffusers": diffusers.__version__,
        "torch": torch.__version__,
    }
    print(json.dumps(result) if arguments.json else "\n".join(f"{name:10} {value}" for name, value in result.items()))


def write_pipeline(folder: Path, size: str, num_frames: int) -> None:
    """Write a pipeline of random weights whose every layer has an effect."""
    is_tiny = size == "tiny"
    levels = (32, 32, 32, 64) if is_tiny else (128, 256, 512, 512)
    unet = UNetSpatioTemporalConditionModel(**(TINY_UNET if is_tiny else {}), num_frames=num_frames)
    _randomise(unet)
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=levels, down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=2, sample_size=768
    )
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(**(TINY_CLIP if is_tiny else FULL_CLIP), hidden_act="gelu")
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_spacing="leading",
        timestep_type="continuous",
        steps_offset=1,
    )
    StableVideoDiffusionPipeline(
        vae=_randomise(vae),
        image_encoder=_randomise(encoder),
        unet=unet,
        scheduler=scheduler,
        feature_extractor=CLIPImageProcessor(),
    ).save_pretrained(folder)


def by_diffusers(folder: Path, picture: Image.Image, num_frames: int, steps: int) -> Clip:
    """Latents and frames of diffusers' pipeline."""
    pipeline = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    noise = _start_noise(picture, num_frames, pipeline.unet.config.out_channels, steps)
    pipeline.scheduler.set_timesteps(steps)
    latents = pipeline(
        picture,
        height=picture.height,
        width=picture.width,
        num_frames=num_frames,
        num_inference_steps=steps,
        min_guidance_scale=1.0,
        max_guidance_scale=3.0,
        noise_aug_strength=0.0,
        latents=noise / pipeline.scheduler.init_noise_sigma,
        output_type="latent",
    ).frames
    with torch.no_grad():
        frames = pipeline.decode_latents(latents, num_frames).clamp(-1, 1)
    return Clip(latents=latents, frames=frames.transpose(1, 2))


def by_us(folder: str, picture: Image.Image, num_frames: int, steps: int) -> Clip:
    """Latents and frames of ours."""
    model = load_model(folder, "image-to-video")
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
    inputs = Inputs(samples=[(SEED,)], pictures=pixels, fps=[7], motion_bucket=[127], noise_level=[0.0])
    sampling = SamplingConfig(
        num_inference_steps=steps,
        schedule=Karras(),
        guidance=Guidance(scale=LinearOverFrames(min_scale=1.0, max_scale=3.0)),
    )
    with torch.no_grad():
        latents = sample_latents(
            model, inputs, sampling=sampling, num_frames=num_frames, height=picture.height, width=picture.width
        )
        return Clip(latents=latents, frames=model.autoencoder.decode(model.to_raw_latents(latents)).clamp(-1, 1))


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over largest magnitude."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def random_picture(height: int, width: int) -> Image.Image:
    """Coarse random colours."""
    coarse = torch.rand(8, 8, 3, generator=generator(SEED, "picture"))
    return Image.fromarray((coarse * 255).byte().numpy()).resize((width, height), Image.Resampling.BICUBIC)


def _start_noise(picture: Image.Image, num_frames: int, channels: int, steps: int) -> Float[Tensor, "1 t c h w"]:
    shape = (num_frames, channels, picture.height // 8, picture.width // 8)
    return start_noise([(SEED,)], shape, float(schedule_sigmas(Karras(), steps)[0]))


def _randomise(network: nn.Module) -> nn.Module:
    for position, (name, parameter) in enumerate(sorted(network.named_parameters())):
        drawn = torch.randn(parameter.shape, generator=generator(SEED, "weights", position))
        if "norm" in name and name.endswith("weight"):
            parameter.data = 1 + 0.1 * drawn
        elif parameter.ndim == 1:
            parameter.data = 0.1 * drawn
        else:
            parameter.data = drawn / parameter[0].numel() ** 0.5
    return network.eval()


if __name__ == "__main__":
    main()
