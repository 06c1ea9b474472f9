"""Folders of diffusers' pipelines before they are written: SVD's family, Stable Diffusion 2.1, its upscaler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.layouts import diffusers, transformers
from videoldm.checkpoints.layouts.diffusers_config import DiffusersVideoAutoencoder, DiffusersVideoUNet, svd_scheduler
from videoldm.checkpoints.layouts.diffusers_image_config import (
    LOW_RESOLUTION_SCHEDULER,
    SD_SCHEDULER,
    UPSCALER_SCHEDULER,
    DiffusersImageAutoencoder,
    DiffusersImageUNet,
    ImageScheduler,
    LatentSize,
)
from videoldm.checkpoints.part import Part
from videoldm.checkpoints.storage.file_names import (
    CONFIG_FILE,
    ENCODER_WEIGHTS,
    INDEX_FILE,
    NETWORK_WEIGHTS,
    SCHEDULER_FILE,
)
from videoldm.core.errors import InputError
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.clip.config import CLIP_MEAN, CLIP_STD, ImageEncoderConfig
from videoldm.models.clip.encoders import image_config, text_config
from videoldm.models.presets import PRESETS

SIGNALS = 3
"""Number of signals in the vector condition: frame rate, motion bucket and noise level, equally wide."""
SAMPLE_SIZE = 768
"""Side of training pictures in published configurations, which nothing depends on."""
LATENT_SIZE = {"v_prediction": 96, "epsilon": 64}
"""Size of the training latents of Stable Diffusion 2.1 and its base, which weights do not reveal."""
UPSCALER_LATENT_SIZE = 128
MAX_NOISE_LEVEL = 350
"""Highest index of noise on the upscaler's low-resolution picture."""


@dataclass(frozen=True, kw_only=True)
class PipelineNetwork:
    """A network in a folder of its own; `stem` is the name of its file without ending, `key_map` its names there."""

    part: Part[Any, Any]
    key_map: KeyMap
    stem: str


@dataclass(frozen=True, kw_only=True)
class PipelineFiles:
    """Content of a pipeline's folder: JSON files by path, networks by folder."""

    texts: Mapping[str, Mapping[str, Any]]
    networks: Mapping[str, PipelineNetwork]


def video_pipeline(checkpoint: Checkpoint) -> PipelineFiles:
    """Describe a `StableVideoDiffusionPipeline`; raises InputError for models that it cannot hold."""
    unet, autoencoder, encoder = checkpoint.unet, checkpoint.autoencoder, checkpoint.image_encoder
    if autoencoder is None or encoder is None or (unet.config.vector_dim or 0) % SIGNALS:
        kind = checkpoint.preset or "of unknown sizes"
        raise InputError(f"{checkpoint.source}: is {kind}; diffusers' pipeline holds SVD with its image encoder")
    if not isinstance(autoencoder.config.decoder, TemporalDecoder):
        raise InputError(
            f"{checkpoint.source}: decodes frame by frame, diffusers' pipeline holds SVD's temporal decoder: give one "
            f"with --autoencoder"
        )
    image_encoder = transformers.image_encoder(encoder.part.config)
    return PipelineFiles(
        texts=_video_texts(checkpoint, encoder.part.config),
        networks={
            "unet": PipelineNetwork(part=unet, key_map=diffusers.unet(unet.config), stem=NETWORK_WEIGHTS),
            "vae": PipelineNetwork(
                part=autoencoder, key_map=diffusers.autoencoder(autoencoder.config), stem=NETWORK_WEIGHTS
            ),
            "image_encoder": PipelineNetwork(part=encoder.part, key_map=image_encoder, stem=ENCODER_WEIGHTS),
        },
    )


def _video_texts(checkpoint: Checkpoint, encoder: ImageEncoderConfig) -> Mapping[str, Mapping[str, Any]]:
    """Return the JSON files of a video pipeline."""
    assert checkpoint.autoencoder is not None
    unet = DiffusersVideoUNet.from_native(
        checkpoint.unet.config,
        embedding_dim=(checkpoint.unet.config.vector_dim or 0) // SIGNALS,
        num_frames=checkpoint.num_frames or PRESETS["svd"].num_frames,
    )
    scheduler = checkpoint.scheduler or svd_scheduler()
    return {
        INDEX_FILE: {
            "_class_name": "StableVideoDiffusionPipeline",
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
            "scheduler": ["diffusers", scheduler.class_name],
            "unet": ["diffusers", unet.class_name],
            "vae": ["diffusers", DiffusersVideoAutoencoder.class_name],
        },
        f"unet/{CONFIG_FILE}": unet.to_json(),
        f"vae/{CONFIG_FILE}": DiffusersVideoAutoencoder.from_native(
            checkpoint.autoencoder.config, sample_size=SAMPLE_SIZE
        ).to_json(),
        f"image_encoder/{CONFIG_FILE}": {
            **image_config(encoder).to_dict(),
            "architectures": ["CLIPVisionModelWithProjection"],
        },
        SCHEDULER_FILE: scheduler.to_json(),
        "feature_extractor/preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": {"height": encoder.image_size, "width": encoder.image_size},
            "size": {"shortest_edge": encoder.image_size},
            "image_mean": CLIP_MEAN,
            "image_std": CLIP_STD,
        },
    }


def image_pipeline(checkpoint: Checkpoint) -> PipelineFiles:
    """Describe a `StableDiffusionPipeline` or its upscaler's pipeline; raises InputError if a network is missing."""
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
    return PipelineFiles(
        texts={
            INDEX_FILE: _image_index(scheduler, is_upscaler=is_upscaler),
            f"unet/{CONFIG_FILE}": DiffusersImageUNet.from_native(unet.config, sample_size=size).to_json(),
            f"vae/{CONFIG_FILE}": DiffusersImageAutoencoder.from_native(
                autoencoder.config, sample_size=sample_size
            ).to_json(),
            f"text_encoder/{CONFIG_FILE}": {
                **text_config(encoder.part.config).to_dict(),
                "architectures": ["CLIPTextModel"],
            },
            SCHEDULER_FILE: scheduler.to_json(),
        }
        | ({f"low_res_{SCHEDULER_FILE}": LOW_RESOLUTION_SCHEDULER.to_json()} if is_upscaler else {}),
        networks={
            "unet": PipelineNetwork(part=unet, key_map=diffusers.unet(unet.config), stem=NETWORK_WEIGHTS),
            "vae": PipelineNetwork(
                part=autoencoder, key_map=diffusers.autoencoder(autoencoder.config), stem=NETWORK_WEIGHTS
            ),
            "text_encoder": PipelineNetwork(
                part=encoder.part, key_map=transformers.text_encoder(encoder.part.config), stem=ENCODER_WEIGHTS
            ),
        },
    )


def _image_index(scheduler: ImageScheduler, *, is_upscaler: bool) -> Mapping[str, Any]:
    """Return the index of an image pipeline; it has no safety checker, which would be one more network."""
    parts = {
        "scheduler": ["diffusers", scheduler.kind],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", DiffusersImageUNet.class_name],
        "vae": ["diffusers", DiffusersImageAutoencoder.class_name],
    }
    nothing = [None, None]
    if is_upscaler:
        more = {"low_res_scheduler": ["diffusers", LOW_RESOLUTION_SCHEDULER.kind], "max_noise_level": MAX_NOISE_LEVEL}
        return {"_class_name": "StableDiffusionUpscalePipeline", **parts, **more}
    missing = {"feature_extractor": nothing, "safety_checker": nothing, "requires_safety_checker": False}
    return {"_class_name": "StableDiffusionPipeline", **parts, **missing}


def _sides(size: LatentSize) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)
