"""The image encoder's preprocessing and output against diffusers' own image-to-video pipeline."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import (
    StableVideoDiffusionPipeline,
    _resize_with_antialiasing,
)
from diffusers.video_processor import VideoProcessor
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from videoldm.conditioners.image import ImageConditioner, resize_antialiased
from videoldm.models.clip.config import ImageEncoderConfig
from videoldm.models.clip.encoders import build_image_encoder

# Both shrink, one shrinks and one grows, both grow, equal, odd, kernels of even length before rounding, very flat.
SIZES = [(576, 1024), (100, 640), (300, 200), (50, 60), (224, 224), (333, 517), (225, 449), (700, 230), (2, 1500)]


def pixels(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))) * 2 - 1


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_resize_equals_diffusers(height: int, width: int) -> None:
    picture = pixels(2, 3, height, width)
    expected = _resize_with_antialiasing(picture, (224, 224))
    assert (resize_antialiased(picture, 224, 224) - expected).abs().max() < 1e-5


def test_embedding_equals_that_of_the_diffusers_pipeline(tmp_path: Path) -> None:
    config = ImageEncoderConfig(image_size=224, patch_size=56, width=12, num_layers=2, num_heads=3, projection_dim=6)
    build_image_encoder(config).save_pretrained(tmp_path)
    model = CLIPVisionModelWithProjection.from_pretrained(tmp_path).eval()
    rgb = np.random.default_rng(0).integers(0, 256, (2, 300, 500, 3), dtype=np.uint8)

    pipeline = SimpleNamespace(
        image_encoder=model,
        feature_extractor=CLIPImageProcessorPil(),
        video_processor=VideoProcessor(do_resize=True, vae_scale_factor=8),
    )
    with torch.no_grad():
        expected = StableVideoDiffusionPipeline._encode_image(
            pipeline, [Image.fromarray(picture) for picture in rgb], "cpu", 1, False
        )
        ours = ImageConditioner(model)(torch.from_numpy(rgb).permute(0, 3, 1, 2) / 127.5 - 1)
    assert ours.shape == (2, 1, 6)
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()
