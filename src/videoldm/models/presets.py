"""Sizes of the published models and of the small one that ships with the package."""

from pydantic import PositiveInt

from videoldm.core.config import Config
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.clip.config import (
    MINI_IMAGE_ENCODER,
    MINI_TEXT_ENCODER,
    SD14_TEXT_ENCODER,
    SD21_TEXT_ENCODER,
    SVD_IMAGE_ENCODER,
    ImageEncoderConfig,
    TextEncoderConfig,
)
from videoldm.models.unet.config import NoTemporalLayers, PlacedNormEps, UNetConfig, UniformNormEps


class ModelConfig(Config):
    """The networks of a video model, or of an image model."""

    unet: UNetConfig
    autoencoder: AutoencoderConfig
    text_encoder: TextEncoderConfig | None = None
    """Encoder of prompts, None for a model that reads no text."""
    image_encoder: ImageEncoderConfig | None = None
    """Encoder of pictures, None for a model whose context holds no picture."""
    num_frames: PositiveInt
    """Length of the clips that the model was trained on, 1 for an image model; other lengths work."""


def _image_to_video(*, vector_dim: int, autoencoder: AutoencoderConfig, num_frames: int) -> ModelConfig:
    """Build a model of SVD's family."""
    return ModelConfig(
        unet=UNetConfig(concat_channels=4, vector_dim=vector_dim),
        autoencoder=autoencoder,
        image_encoder=SVD_IMAGE_ENCODER,
        num_frames=num_frames,
    )


_TEMPORAL = AutoencoderConfig(project_latents=False, decoder=TemporalDecoder())
_PER_FRAME = AutoencoderConfig()

SVD = _image_to_video(vector_dim=768, autoencoder=_TEMPORAL, num_frames=14)
SVD_XT = _image_to_video(vector_dim=768, autoencoder=_TEMPORAL, num_frames=25)
SVD_IMAGE_DECODER = _image_to_video(vector_dim=768, autoencoder=_PER_FRAME, num_frames=14)
SVD_XT_IMAGE_DECODER = _image_to_video(vector_dim=768, autoencoder=_PER_FRAME, num_frames=25)

# SV3D is conditioned on the noise level alone, or also on two angles of the camera in every frame.
_SV3D_AUTOENCODER = AutoencoderConfig(project_latents=False)
SV3D_U = _image_to_video(vector_dim=256, autoencoder=_SV3D_AUTOENCODER, num_frames=21)
SV3D_P = _image_to_video(vector_dim=1280, autoencoder=_SV3D_AUTOENCODER, num_frames=21)

SD21 = ModelConfig(
    unet=UNetConfig(temporal=NoTemporalLayers()),
    autoencoder=AutoencoderConfig(),
    text_encoder=SD21_TEXT_ENCODER,
    num_frames=1,
)
SD14 = ModelConfig(
    unet=UNetConfig(context_dim=768, head_channels=(40, 80, 160, 160), temporal=NoTemporalLayers()),
    autoencoder=AutoencoderConfig(),
    text_encoder=SD14_TEXT_ENCODER,
    num_frames=1,
)
# The low-resolution picture is joined to the latents, which are a fourth of the large picture's size.
X4_UPSCALER = ModelConfig(
    unet=UNetConfig(
        concat_channels=3,
        channels=(256, 512, 512, 1024),
        attention_levels=(False, True, True, True),
        head_channels=(32, 64, 64, 128),
        self_attention_levels=(False, False, False, True),
        num_noise_indices=1000,
        temporal=NoTemporalLayers(),
    ),
    autoencoder=AutoencoderConfig(channels=(128, 256, 512), scaling_factor=0.08333),
    text_encoder=SD21_TEXT_ENCODER,
    num_frames=1,
)

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
    text_encoder=MINI_TEXT_ENCODER,
    image_encoder=MINI_IMAGE_ENCODER,
    num_frames=14,
)

PRESETS = {
    "svd": SVD,
    "svd-xt": SVD_XT,
    "svd-image-decoder": SVD_IMAGE_DECODER,
    "svd-xt-image-decoder": SVD_XT_IMAGE_DECODER,
    "sv3d-u": SV3D_U,
    "sv3d-p": SV3D_P,
    "sd-2.1": SD21,
    "sd-x4-upscaler": X4_UPSCALER,
    "mini": MINI,
}


def preset_of(unet: UNetConfig, autoencoder: AutoencoderConfig, num_frames: int) -> str | None:
    """Return the name of the published model with these sizes, None if there is none."""
    if isinstance(unet.norm_eps, PlacedNormEps):  # as diffusers builds UNets; the official ones have one epsilon
        unet = unet.model_copy(update={"norm_eps": UniformNormEps()})
    for name, preset in PRESETS.items():
        if (preset.unet, preset.autoencoder, preset.num_frames) == (unet, autoencoder, num_frames):
            return name
    return None
