"""The folder of a pipeline as diffusers reads it, before it is written: of SVD's family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videoldm.checkpoints import diffusers, transformers
from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.diffusers_config import VideoAutoencoder, VideoUNet, svd_scheduler
from videoldm.checkpoints.diffusers_folder import SCHEDULER_FILE
from videoldm.checkpoints.diffusers_folder import WEIGHTS as NETWORK_WEIGHTS
from videoldm.checkpoints.encoders import CONFIG_FILE
from videoldm.checkpoints.encoders import WEIGHTS as ENCODER_WEIGHTS
from videoldm.checkpoints.file_names import INDEX_FILE
from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.part import Part
from videoldm.core.errors import InputError
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.clip.build import image_config
from videoldm.models.clip.config import CLIP_MEAN, CLIP_STD, ImageEncoderConfig
from videoldm.models.presets import PRESETS

SIGNALS = 3
"""Frame rate, motion bucket and noise level, of one width each in the vector condition."""
SAMPLE_SIZE = 768


@dataclass(frozen=True, kw_only=True)
class FolderPart:
    """A network in a folder of its own: the name of its file without ending, and its names there."""

    part: Part[Any, Any]
    key_map: KeyMap
    stem: str


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline's folder: its JSON files by path, and its networks by folder."""

    texts: Mapping[str, Mapping[str, Any]]
    networks: Mapping[str, FolderPart]


def video_pipeline(checkpoint: Checkpoint) -> Pipeline:
    """A `StableVideoDiffusionPipeline`; raises InputError for models that it cannot hold."""
    unet, autoencoder, encoder = checkpoint.unet, checkpoint.autoencoder, checkpoint.image_encoder
    if autoencoder is None or encoder is None or (unet.config.vector_dim or 0) % SIGNALS:
        kind = checkpoint.preset or "of unknown sizes"
        raise InputError(f"{checkpoint.source}: is {kind}; diffusers' pipeline holds SVD with image encoder")
    if not isinstance(autoencoder.config.decoder, TemporalDecoder):
        raise InputError(
            f"{checkpoint.source}: decodes frame by frame, diffusers' pipeline holds SVD's temporal decoder: give one "
            f"with --autoencoder"
        )
    image_encoder = transformers.image_encoder(encoder.part.config)
    return Pipeline(
        texts=_texts(checkpoint, encoder.part.config),
        networks={
            "unet": FolderPart(part=unet, key_map=diffusers.unet(unet.config), stem=NETWORK_WEIGHTS),
            "vae": FolderPart(
                part=autoencoder, key_map=diffusers.autoencoder(autoencoder.config), stem=NETWORK_WEIGHTS
            ),
            "image_encoder": FolderPart(part=encoder.part, key_map=image_encoder, stem=ENCODER_WEIGHTS),
        },
    )


def _texts(checkpoint: Checkpoint, encoder: ImageEncoderConfig) -> Mapping[str, Mapping[str, Any]]:
    """The JSON files of a pipeline's folder."""
    assert checkpoint.autoencoder is not None
    unet = VideoUNet.from_native(
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
            "vae": ["diffusers", VideoAutoencoder.class_name],
        },
        f"unet/{CONFIG_FILE}": unet.to_json(),
        f"vae/{CONFIG_FILE}": VideoAutoencoder.from_native(
            checkpoint.autoencoder.config, sample_size=SAMPLE_SIZE
        ).to_json(),
        f"image_encoder/{CONFIG_FILE}": {
            **image_config(encoder).to_dict(),
            "architectures": ["CLIPVisionModelWithProjection"],
        },
        SCHEDULER_FILE: scheduler.to_json()
        | {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "leading"}
        | {"steps_offset": 1, "num_train_timesteps": 1000},
        "feature_extractor/preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": {"height": encoder.image_size, "width": encoder.image_size},
            "size": {"shortest_edge": encoder.image_size},
            "image_mean": CLIP_MEAN,
            "image_std": CLIP_STD,
        },
    }
