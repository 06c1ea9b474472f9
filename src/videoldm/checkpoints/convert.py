"""Conversion of checkpoints between layouts, tensor by tensor and without rounding."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.keymap import KeyMap, Shape
from videoldm.checkpoints.layouts.diffusers_image_config import ImageScheduler
from videoldm.checkpoints.layouts.diffusers_pipeline import image_pipeline, video_pipeline
from videoldm.checkpoints.layouts.single_file import LAYOUTS, predicts_alike
from videoldm.checkpoints.part import Part, report_dropped
from videoldm.checkpoints.storage.safetensors import LazyTensor, TensorSource, write_tensors
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder, write_json
from videoldm.core.progress import notice, progress
from videoldm.models.presets import PRESETS, ModelConfig

TargetLayout = Literal["diffusers", "sgm"]
TOKENIZER = "tokenizer"
COPIED = ("scheduler", "low_res_scheduler", "feature_extractor")
"""Folders of a pipeline with neither a network nor a tokenizer, which are copied."""


def convert(checkpoint: Checkpoint, target: Path, to: TargetLayout, *, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint in another layout: a folder of diffusers, or one file as published by Stability.

    Values keep their bits unless a `dtype` is given. Only what sampling needs is written: a file that is converted
    twice lacks the tensors that were dropped when it was opened. Raises InputError for models that the target layout
    cannot hold, and if the target exists.
    """
    report_dropped(str(checkpoint.source), checkpoint.dropped)
    if to == "sgm":
        _to_file(checkpoint, target, dtype)
    else:
        _to_folder(checkpoint, target, dtype)


def _to_file(checkpoint: Checkpoint, target: Path, dtype: torch.dtype | None) -> None:
    config = _preset_of(checkpoint)
    if target.suffix != ".safetensors":
        raise InputError(f"{target}: is written as one file, its name should end in .safetensors")
    if target.exists():
        raise InputError(f"{target}: exists, give the name of a new file")
    assert checkpoint.preset is not None
    whole = LAYOUTS[checkpoint.preset](config)
    sources: dict[str, TensorSource] = {}
    for name, part in checkpoint.parts().items():
        sources |= _Named(part, f"{name}.").sources(whole, dtype)
    with progress(f"Writing {target.name}", len(sources)) as advance:
        write_tensors(target, sources, advance)
    if checkpoint.scheduler is not None:
        notice(f"{target}: a single file holds no scheduler, readers will assume the published one")
    if checkpoint.tokenizer is not None:
        notice(f"{target}: a single file holds no tokenizer, copy it into {target.parent / 'tokenizer'}")
    if isinstance(checkpoint.scheduler, ImageScheduler) and not predicts_alike(checkpoint.scheduler, target):
        words = "768 if the model predicts v, 512 or base and not 768 if it predicts noise"
        notice(f"{target}: its name should contain {words}")


def _preset_of(checkpoint: Checkpoint) -> ModelConfig:
    """Return the published model of these sizes; raises InputError if there is none."""
    if checkpoint.preset is None:
        raise InputError(f"{checkpoint.source}: has other sizes than {', '.join(LAYOUTS)}, for which sgm has a layout")
    config = PRESETS[checkpoint.preset]
    for name, part in checkpoint.parts().items():
        like = replace(part, config=getattr(config, name))
        if _shapes(part) != _shapes(like):
            raise InputError(f"{part.source}: has other sizes than the {name} of {checkpoint.preset} in sgm's layout")
    return config


def _shapes(part: Part[Any, Any]) -> dict[str, Shape]:
    return {key: tuple(tensor.shape) for key, tensor in part.empty().state_dict().items()}


def _to_folder(checkpoint: Checkpoint, target: Path, dtype: torch.dtype | None) -> None:
    is_image = checkpoint.unet.config.temporal_layers is None
    pipeline = image_pipeline(checkpoint) if is_image else video_pipeline(checkpoint)
    networks = {
        f"{folder}/{network.stem}.safetensors": _Named(network.part, "").sources(network.key_map, dtype)
        for folder, network in pipeline.networks.items()
    }
    total = sum(len(sources) for sources in networks.values())
    with atomic_folder(target) as folder, progress(f"Writing {target.name}", total) as advance:
        for name, values in pipeline.texts.items():
            write_json(folder / name, values)
        _copy_small_files(checkpoint, folder)
        for name, sources in networks.items():
            write_tensors(folder / name, sources, advance)
    if checkpoint.text_encoder is not None and checkpoint.tokenizer is None:
        notice(f"{target}: has no tokenizer, as a single file holds none: put one into {target / TOKENIZER}")


def _copy_small_files(checkpoint: Checkpoint, target: Path) -> None:
    """Copy what is not a network: the small files of a pipeline's folder, and the tokenizer."""
    files = {} if checkpoint.tokenizer is None else {TOKENIZER: checkpoint.tokenizer.files()}
    if checkpoint.layout == "diffusers":
        files |= {name: sorted((checkpoint.source / name).glob("*.json")) for name in COPIED}
    for name, paths in files.items():
        for path in paths:
            (target / name).mkdir(exist_ok=True)
            shutil.copyfile(path, target / name / path.name)


@dataclass(frozen=True)
class _Named:
    """A part whose native names have a prefix, as in the map of a whole file."""

    part: Part[Any, Any]
    prefix: str

    def sources(self, target: KeyMap, dtype: torch.dtype | None) -> dict[str, TensorSource]:
        """Return the tensors of the target layout, each of which is made from ours when it is written."""
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
    ) -> TensorSource:
        needed = [name for name in target.native_keys(key) if name in homes]
        stored = {homes[name]: self.part.tensors[homes[name]] for name in needed}
        kept = dtype or next(iter(stored.values())).dtype
        return TensorSource(shape=shape, dtype=kept, make=lambda: self._make(key, target, stored).to(kept))

    def _make(self, key: str, target: KeyMap, stored: Mapping[str, LazyTensor]) -> Tensor:
        native: dict[str, Tensor] = {}
        for foreign, tensor in stored.items():
            parts = self.part.key_map.native_parts(foreign, tensor.read())
            native |= {self.prefix + name: value for name, value in parts.items()}
        return target.foreign_tensor(key, native)
