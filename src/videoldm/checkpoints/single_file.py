"""The original checkpoints: one file that holds all networks of a model, and things that nobody needs.

Each map leads to a module with the children `unet`, `autoencoder` and `image_encoder` or `text_encoder`.
"""

from videoldm.checkpoints import openclip, sgm
from videoldm.checkpoints.keymap import KeyMap, Names, under
from videoldm.models.presets import ModelConfig

UNET = "model.diffusion_model"
FIRST_STAGE = "first_stage_model"
IMAGE_TOWER = "conditioner.embedders.0.open_clip.model"
TEXT_TOWER = "cond_stage_model.model"
SVD_CONDITION = "conditioner.embedders.3.encoder"
SV3D_CONDITION = "conditioner.embedders.1.encoder"

SCHEDULE = ("betas", "alphas_cumprod", "sqrt_", "log_one_minus_alphas_cumprod", "posterior_")
"""Numbers of the noise schedule, which follow from its configuration."""
TRAINING = ("model_ema.",)
"""Moving averages of weights; the files for sampling hold them as the weights themselves."""
LOW_RESOLUTION = ("low_scale_model.",)
"""The schedule by which the upscaler's input is noised."""


def svd(config: ModelConfig) -> KeyMap:
    """Map a file of SVD, with the temporal or the plain decoder."""
    return _image_to_video(config, SVD_CONDITION)


def sv3d(config: ModelConfig) -> KeyMap:
    """Map a file of SV3D."""
    return _image_to_video(config, SV3D_CONDITION)


def stable_diffusion(config: ModelConfig) -> KeyMap:
    """Map a file of Stable Diffusion 2.1 or of its x4 upscaler."""
    assert config.text_encoder is not None
    names = {
        **_unet(config),
        **under("autoencoder.encoder", FIRST_STAGE, sgm.encoder_names(config.autoencoder)),
        **under("autoencoder.decoder", FIRST_STAGE, sgm.decoder_names(config.autoencoder)),
        **under("text_encoder", TEXT_TOWER, openclip.text_encoder_names(config.text_encoder)),
    }
    unused = openclip.text_encoder_droppable(config.text_encoder)
    return KeyMap(names, droppable=(*_below(TEXT_TOWER, unused), *SCHEDULE, *TRAINING, *LOW_RESOLUTION))


def _image_to_video(config: ModelConfig, condition: str) -> KeyMap:
    """The encoder is that of the image condition: the first stage's is not used in sampling, and often missing."""
    assert config.image_encoder is not None
    names = {
        **_unet(config),
        **under("autoencoder.encoder", condition, sgm.encoder_names(config.autoencoder)),
        **under("autoencoder.decoder", FIRST_STAGE, sgm.decoder_names(config.autoencoder)),
        **under("image_encoder", IMAGE_TOWER, openclip.image_encoder_names(config.image_encoder)),
    }
    droppable = (
        *_below(FIRST_STAGE, ("encoder.", "quant_conv.")),
        *_below(condition, ("decoder.", "post_quant_conv.")),
        *_below(IMAGE_TOWER, openclip.TEXT_TOWER),
    )
    return KeyMap(names, droppable)


def _unet(config: ModelConfig) -> Names:
    return under("unet", UNET, sgm.unet_names(config.unet))


def _below(module: str, prefixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{module}.{prefix}" for prefix in prefixes)
