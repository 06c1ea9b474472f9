"""Difference between latents and frames of diffusers' StableVideoDiffusionPipeline and ours for the same clip.

Writes a pipeline of random weights in the layout of diffusers, runs it on a picture of noise, loads the same folder
with `videoldm`, runs that from the same start noise, and prints the largest differences over the largest value, all in
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
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from videoldm.checkpoints.layouts.diffusers_config import svd_scheduler
from videoldm.core.random import generator
from videoldm.evaluation.speed.contenders import (
    ClipRequest,
    diffusers_frames,
    diffusers_latents,
    our_frames,
    our_latents,
    random_picture,
)
from videoldm.generation.load import load_model

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
    request = ClipRequest(
        picture=random_picture(arguments.height, arguments.width),
        num_frames=arguments.num_frames,
        num_steps=arguments.steps,
    )
    with tempfile.TemporaryDirectory() as folder:
        write_pipeline(Path(folder), arguments.size, arguments.num_frames)
        theirs = by_diffusers(Path(folder), request)
        gc.collect()
        ours = by_us(Path(folder), request)
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
    StableVideoDiffusionPipeline(
        vae=_randomise(vae),
        image_encoder=_randomise(encoder),
        unet=unet,
        scheduler=EulerDiscreteScheduler.from_config(svd_scheduler().to_json()),
        feature_extractor=CLIPImageProcessor(),
    ).save_pretrained(folder)


def by_diffusers(folder: Path, request: ClipRequest) -> Clip:
    """Latents and frames of diffusers' pipeline."""
    pipeline = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    latents = diffusers_latents(pipeline, request)
    return Clip(latents=latents, frames=diffusers_frames(pipeline, latents))


def by_us(folder: Path, request: ClipRequest) -> Clip:
    """Latents and frames of ours."""
    model = load_model(str(folder), "image-to-video")
    latents = our_latents(model, request)
    return Clip(latents=latents, frames=our_frames(model, latents))


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over largest magnitude."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


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
