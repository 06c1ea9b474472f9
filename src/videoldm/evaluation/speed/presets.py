"""Sizes of the models that can be timed: published ones and a small one for trials; torch-free."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.clip.config import ImageEncoderConfig
from videoldm.models.presets import SVD, SVD_XT, ModelConfig
from videoldm.models.unet.config import UNetConfig

PresetName = Literal["svd", "svd-xt", "small"]

SMALL = ModelConfig(
    unet=UNetConfig(concat_channels=4, channels=(64, 128, 256, 256), vector_dim=768),
    autoencoder=AutoencoderConfig(channels=(32, 64, 128, 128), project_latents=False, decoder=TemporalDecoder()),
    image_encoder=ImageEncoderConfig(
        image_size=224, patch_size=14, width=256, num_layers=4, num_heads=4, projection_dim=1024
    ),
    num_frames=14,
)
"""SVD's architecture with a fifth of its channels."""

SIZES: Mapping[PresetName, ModelConfig] = MappingProxyType({"svd": SVD, "svd-xt": SVD_XT, "small": SMALL})
