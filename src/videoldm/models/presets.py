"""Sizes of the published models and of the small one that ships with the package."""

from pydantic import PositiveInt

from videoldm.core.config import Config
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.unet.config import UNetConfig


class ModelConfig(Config):
    """The networks of a video model."""

    unet: UNetConfig
    autoencoder: AutoencoderConfig
    num_frames: PositiveInt
    """Length of the clips the model was trained on; others work."""


SVD_UNET = UNetConfig(concat_channels=4, vector_dim=768)
SVD_AUTOENCODER = AutoencoderConfig(project_latents=False, decoder=TemporalDecoder())

SVD = ModelConfig(unet=SVD_UNET, autoencoder=SVD_AUTOENCODER, num_frames=14)
SVD_XT = ModelConfig(unet=SVD_UNET, autoencoder=SVD_AUTOENCODER, num_frames=25)

MINI = ModelConfig(
    unet=UNetConfig(
        in_channels=32,
        out_channels=32,
        channels=(64, 96),
        num_res_blocks=1,
        attention_levels=(True, False),
        head_channels=32,
        context_dim=96,
        vector_dim=192,
        norm_groups=8,
    ),
    autoencoder=AutoencoderConfig(
        latent_channels=32,
        patch_size=4,
        channels=(96, 128),
        num_res_blocks=1,
        norm_groups=2,
        project_moments=False,
        project_latents=False,
        scaling_factor=1.0,
    ),
    num_frames=14,
)

PRESETS = {"svd": SVD, "svd-xt": SVD_XT, "mini": MINI}
