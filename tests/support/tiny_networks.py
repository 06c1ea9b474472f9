"""Small networks with random weights, and inputs for them."""

import json

import torch
from safetensors import safe_open

from videoldm.core.random import generator
from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.unet.config import NoTemporalLayers, UNetConfig

UNET = UNetConfig(
    in_channels=4,
    concat_channels=3,
    out_channels=4,
    channels=(16, 32),
    num_res_blocks=1,
    attention_levels=(True, False),
    head_channels=8,
    context_dim=12,
    vector_dim=10,
    norm_groups=8,
)
IMAGE_UNET = UNET.model_copy(update={"temporal": NoTemporalLayers()})
UPSCALER_UNET = IMAGE_UNET.model_copy(
    update={
        "vector_dim": None,
        "attention_levels": (False, True),
        "head_channels": (4, 16),
        "self_attention_levels": (True, False),
        "num_noise_indices": 5,
    }
)
MASKED_UNET = UNET.model_copy(update={"reads_frame_mask": True})
AUTOENCODER = AutoencoderConfig(channels=(8, 16, 16), num_res_blocks=1, norm_groups=4, latent_channels=3)


def numbers(*shape, stream="input"):
    """Standard normal numbers, the same in each run."""
    return torch.randn(shape, generator=generator(0, stream))


def randomise(module):
    """Fill a network with weights of which none is zero, neutral or out of proportion; return it for evaluation."""
    for position, (name, parameter) in enumerate(sorted(module.named_parameters())):
        drawn = torch.randn(parameter.shape, generator=generator(0, "weights", position))
        if ("norm" in name or "ln_" in name) and name.endswith("weight"):
            parameter.data = 1 + 0.2 * drawn
        elif parameter.ndim < 2:
            parameter.data = 0.2 * drawn
        else:
            parameter.data = drawn / parameter[0].numel() ** 0.5
    return module.eval()


def conditioning(config, *, batch, num_frames, height=0, width=0, num_tokens=3):
    """Random values for all conditions that a UNet needs."""
    frames = (batch, num_frames)
    concat = numbers(*frames, config.concat_channels, height, width, stream="concat")
    return Conditioning(
        context=numbers(batch, num_tokens, config.context_dim, stream="context"),
        vector=numbers(*frames, config.vector_dim, stream="vector") if config.vector_dim else None,
        concat=concat if config.concat_channels else None,
        frame_mask=(torch.arange(batch * num_frames) % 2.0).view(frames) if config.reads_frame_mask else None,
        noise_index=torch.arange(batch) % config.num_noise_indices if config.num_noise_indices else None,
    )


def unet_inputs(config, *, batch=2, num_frames=3, height=8, width=6, num_tokens=3):
    """Random x, c_noise and conditioning for a UNet."""
    x = numbers(batch, num_frames, config.in_channels, height, width)
    sizes = {"batch": batch, "num_frames": num_frames, "height": height, "width": width, "num_tokens": num_tokens}
    return x, numbers(batch, stream="c_noise"), conditioning(config, **sizes)


def relative_error(actual, expected):
    """Greatest difference over greatest expected magnitude."""
    assert actual.shape == expected.shape
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def read_reference(path):
    """Tensors and metadata of a reference file; its `config` is parsed."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        return {key: file.get_tensor(key) for key in file.keys()}, metadata | {  # noqa: SIM118
            "config": json.loads(metadata["config"])
        }


def official_unet_config(config):
    """Our configuration for the constructor arguments of the official UNet."""
    multipliers = config["channel_mult"]
    return UNetConfig(
        in_channels=config["out_channels"],
        concat_channels=config["in_channels"] - config["out_channels"],
        out_channels=config["out_channels"],
        channels=tuple(config["model_channels"] * multiplier for multiplier in multipliers),
        num_res_blocks=config["num_res_blocks"],
        attention_levels=tuple(2**i in config["attention_resolutions"] for i in range(len(multipliers))),
        head_channels=config["num_head_channels"],
        transformer_depth=config["transformer_depth"],
        context_dim=config["context_dim"],
        vector_dim=config["adm_in_channels"],
    )
