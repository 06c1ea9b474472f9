"""The folder of a pipeline as diffusers reads it, before it is written: of Stable Diffusion 2.1 and its upscaler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoldm.checkpoints import diffusers, transformers
from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.diffusers_folder import SCHEDULER_FILE
from videoldm.checkpoints.diffusers_folder import WEIGHTS as NETWORK_WEIGHTS
from videoldm.checkpoints.diffusers_image_config import (
    LOW_RESOLUTION_SCHEDULER,
    SD_SCHEDULER,
    UPSCALER_SCHEDULER,
    ImageAutoencoder,
    ImageScheduler,
    ImageUNet,
    LatentSize,
)
from videoldm.checkpoints.encoders import CONFIG_FILE
from videoldm.checkpoints.encoders import WEIGHTS as ENCODER_WEIGHTS
from videoldm.checkpoints.file_names import INDEX_FILE
from videoldm.checkpoints.write_video_pipeline import FolderPart, Pipeline
from videoldm.core.errors import InputError
from videoldm.models.clip.build import text_config

LATENT_SIZE = {"v_prediction": 96, "epsilon": 64}
"""What Stable Diffusion 2.1 and its base were trained on; weights do not tell them apart."""
UPSCALER_LATENT_SIZE = 128
MAX_NOISE_LEVEL = 350
"""Of the upscaler's low-resolution picture, as an index."""


def image_pipeline(checkpoint: Checkpoint) -> Pipeline:
    """A `StableDiffusionPipeline` or a `StableDiffusionUpscalePipeline`; raises InputError if a network is missing."""
    unet, autoencoder, encoder = checkpoint.unet, checkpoint.autoencoder, checkpoint.text_encoder
    if autoencoder is None or encoder is None:
        raise InputError(f"{checkpoint.source}: lacks a network that diffusers' pipeline of an image model holds")
    is_upscaler = unet.config.num_noise_indices is not None
    scheduler = UPSCALER_SCHEDULER if is_upscaler else SD_SCHEDULER
    if isinstance(checkpoint.scheduler, ImageScheduler):
        scheduler = checkpoint.scheduler
    usual_size = UPSCALER_LATENT_SIZE if is_upscaler else LATENT_SIZE[scheduler.prediction_type]
    size = checkpoint.latent_size or usual_size
    sample_size = max(_sides(size)) * autoencoder.config.factor
    return Pipeline(
        texts={
            INDEX_FILE: _index(scheduler, is_upscaler=is_upscaler),
            f"unet/{CONFIG_FILE}": ImageUNet.from_native(unet.config, sample_size=size).to_json(),
            f"vae/{CONFIG_FILE}": ImageAutoencoder.from_native(autoencoder.config, sample_size=sample_size).to_json(),
            f"text_encoder/{CONFIG_FILE}": {
                **text_config(encoder.part.config).to_dict(),
                "architectures": ["CLIPTextModel"],
            },
            SCHEDULER_FILE: scheduler.to_json(),
        }
        | ({f"low_res_{SCHEDULER_FILE}": LOW_RESOLUTION_SCHEDULER.to_json()} if is_upscaler else {}),
        networks={
            "unet": FolderPart(part=unet, key_map=diffusers.unet(unet.config), stem=NETWORK_WEIGHTS),
            "vae": FolderPart(
                part=autoencoder, key_map=diffusers.autoencoder(autoencoder.config), stem=NETWORK_WEIGHTS
            ),
            "text_encoder": FolderPart(
                part=encoder.part, key_map=transformers.text_encoder(encoder.part.config), stem=ENCODER_WEIGHTS
            ),
        },
    )


def _index(scheduler: ImageScheduler, *, is_upscaler: bool) -> Mapping[str, Any]:
    """The pipeline's classes; it has no safety checker, which would be one more network."""
    parts = {
        "scheduler": ["diffusers", scheduler.kind],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", ImageUNet.class_name],
        "vae": ["diffusers", ImageAutoencoder.class_name],
    }
    nothing = [None, None]
    if is_upscaler:
        more = {"low_res_scheduler": ["diffusers", LOW_RESOLUTION_SCHEDULER.kind], "max_noise_level": MAX_NOISE_LEVEL}
        return {"_class_name": "StableDiffusionUpscalePipeline", **parts, **more}
    missing = {"feature_extractor": nothing, "safety_checker": nothing, "requires_safety_checker": False}
    return {"_class_name": "StableDiffusionPipeline", **parts, **missing}


def _sides(size: LatentSize) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)
