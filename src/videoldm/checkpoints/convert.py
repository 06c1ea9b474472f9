"""Checkpoints from one layout to the other, tensor by tensor and without rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from videoldm.checkpoints import diffusers, transformers
from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.diffusers_config import EulerScheduler, VideoAutoencoder, VideoUNet
from videoldm.checkpoints.diffusers_folder import INDEX_FILE
from videoldm.checkpoints.diffusers_folder import WEIGHTS as NETWORK_WEIGHTS
from videoldm.checkpoints.encoders import CONFIG_FILE
from videoldm.checkpoints.encoders import WEIGHTS as ENCODER_WEIGHTS
from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.loading import Readable
from videoldm.checkpoints.open_file import LAYOUTS
from videoldm.checkpoints.part import Part
from videoldm.checkpoints.writing import Source, write_tensors
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder, write_json
from videoldm.core.progress import progress
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.clip.build import image_config
from videoldm.models.clip.config import CLIP_MEAN, CLIP_STD, ImageEncoderConfig
from videoldm.models.presets import PRESETS

Layout = Literal["diffusers", "sgm"]
SIGNALS = 3
"""Frame rate, motion bucket and noise level, of one width each in the vector condition."""
SAMPLE_SIZE = 768


def convert(checkpoint: Checkpoint, target: Path, to: Layout, *, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint in another layout: a folder of diffusers, or one file as Stability publishes them.

    Values keep their bits, unless a `dtype` is given. Only what sampling needs is written, so that a file that comes
    back lacks the tensors that were dropped when it was opened. Raises InputError for models that the target layout
    cannot hold, and if the target exists.
    """
    if to == "sgm":
        _to_file(checkpoint, target, dtype)
    else:
        _to_folder(checkpoint, target, dtype)


def _to_file(checkpoint: Checkpoint, target: Path, dtype: torch.dtype | None) -> None:
    if checkpoint.preset is None:
        raise InputError(f"{checkpoint.source}: has other sizes than {', '.join(LAYOUTS)}, sgm has no layout for them")
    if target.suffix != ".safetensors":
        raise InputError(f"{target}: is to be one file, its name should end in .safetensors")
    if target.exists():
        raise InputError(f"{target}: exists, give the name of a new file")
    whole = LAYOUTS[checkpoint.preset](PRESETS[checkpoint.preset])
    parts = [_below(name, part) for name, part in checkpoint.parts().items()]
    sources: dict[str, Source] = {}
    for part in parts:
        sources |= part.sources(whole, dtype)
    with progress(f"Writing {target.name}", len(sources)) as advance:
        write_tensors(target, sources, advance)


def _to_folder(checkpoint: Checkpoint, target: Path, dtype: torch.dtype | None) -> None:
    unet, autoencoder, encoder = checkpoint.unet, checkpoint.autoencoder, checkpoint.image_encoder
    is_svd = autoencoder is not None and isinstance(autoencoder.config.decoder, TemporalDecoder)
    if not is_svd or encoder is None or (unet.config.vector_dim or 0) % SIGNALS:
        kind = checkpoint.preset or "of unknown sizes"
        raise InputError(
            f"{checkpoint.source}: is {kind}; diffusers' pipeline holds SVD with image encoder and temporal decoder"
        )
    assert autoencoder is not None
    folders = {
        "unet": (NETWORK_WEIGHTS, _sources(unet, diffusers.unet(unet.config), dtype)),
        "vae": (NETWORK_WEIGHTS, _sources(autoencoder, diffusers.autoencoder(autoencoder.config), dtype)),
        "image_encoder": (
            ENCODER_WEIGHTS,
            _sources(encoder.part, transformers.image_encoder(encoder.part.config), dtype),
        ),
    }
    total = sum(len(sources) for _, sources in folders.values())
    with atomic_folder(target) as folder, progress(f"Writing {target.name}", total) as advance:
        for name, values in _texts(checkpoint, encoder.part.config).items():
            write_json(folder / name, values)
        for name, (stem, sources) in folders.items():
            write_tensors(folder / name / f"{stem}.safetensors", sources, advance)


def _texts(checkpoint: Checkpoint, encoder: ImageEncoderConfig) -> Mapping[str, Mapping[str, Any]]:
    """The JSON files of a pipeline's folder."""
    assert checkpoint.autoencoder is not None
    unet = VideoUNet.from_native(
        checkpoint.unet.config,
        embedding_dim=(checkpoint.unet.config.vector_dim or 0) // SIGNALS,
        num_frames=checkpoint.num_frames or PRESETS["svd"].num_frames,
    )
    scheduler = checkpoint.scheduler or EulerScheduler(
        prediction_type="v_prediction",
        timestep_type="continuous",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
    )
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
        "scheduler/scheduler_config.json": scheduler.to_json()
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


def _sources(part: Part[Any, Any], target: KeyMap, dtype: torch.dtype | None) -> dict[str, Source]:
    return _Named(part, "").sources(target, dtype)


def _below(name: str, part: Part[Any, Any]) -> _Named:
    return _Named(part, f"{name}.")


@dataclass(frozen=True)
class _Named:
    """A part whose native names get a prefix, as a whole file's map has them."""

    part: Part[Any, Any]
    prefix: str

    def sources(self, target: KeyMap, dtype: torch.dtype | None) -> dict[str, Source]:
        """The tensors of the target layout, each made of ours when its turn comes."""
        native = {self.prefix + key: tensor for key, tensor in self.part.empty().state_dict().items()}
        homes = {
            self.prefix + key: foreign
            for foreign in self.part.tensors
            for key in self.part.key_map.native_keys(foreign)
        }
        return {
            key: self._source(key, shape, target, homes, dtype) for key, shape in target.foreign_shapes(native).items()
        }

    def _source(
        self, key: str, shape: tuple[int, ...], target: KeyMap, homes: Mapping[str, str], dtype: torch.dtype | None
    ) -> Source:
        needed = [name for name in target.native_keys(key) if name in homes]
        stored = {homes[name]: self.part.tensors[homes[name]] for name in needed}
        kept = dtype or next(iter(stored.values())).dtype
        return Source(shape=shape, dtype=kept, make=lambda: self._make(key, target, stored).to(kept))

    def _make(self, key: str, target: KeyMap, stored: Mapping[str, Readable]) -> Tensor:
        native: dict[str, Tensor] = {}
        for foreign, tensor in stored.items():
            parts = self.part.key_map.native_parts(foreign, tensor.read())
            native |= {self.prefix + name: value for name, value in parts.items()}
        return target.foreign_tensor(key, native)
