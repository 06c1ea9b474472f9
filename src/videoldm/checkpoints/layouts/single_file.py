"""Single files: original checkpoints, recognised by their keys and shapes, and files that hold a UNet alone.

The map of a whole file leads to a module with the children `unet`, `autoencoder`, `image_encoder` or `text_encoder`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from videoldm.checkpoints.checkpoint import Assumption, Checkpoint
from videoldm.checkpoints.keymap import KeyMap, Names, Shape, under
from videoldm.checkpoints.layouts import diffusers, openclip, sgm
from videoldm.checkpoints.layouts.diffusers_image_config import SD_SCHEDULER, ImageScheduler
from videoldm.checkpoints.lora.keys import is_lora
from videoldm.checkpoints.part import ClipEncoder, NetworkBuilder, Part, UNetPart, check_shapes
from videoldm.checkpoints.storage.weights_file import FileTensors, tensors_in
from videoldm.checkpoints.tokenizer import tokenizer_beside
from videoldm.core.errors import InputError
from videoldm.diffusion.config import PredictionType
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder
from videoldm.models.presets import PRESETS, ModelConfig
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")

PUBLISHED_PREDICTIONS: Mapping[str, PredictionType] = {
    "v2-1_768-ema-pruned": "v_prediction",
    "v2-1_768-nonema-pruned": "v_prediction",
    "768-v-ema": "v_prediction",
    "v2-1_512-ema-pruned": "epsilon",
    "v2-1_512-nonema-pruned": "epsilon",
    "512-base-ema": "epsilon",
}
"""File names of Stable Diffusion 2, whose models of either kind have equal tensors."""
HINTS: Sequence[tuple[str, PredictionType]] = (("768", "v_prediction"), ("512", "epsilon"), ("base", "epsilon"))
"""Parts of other names, the strongest first: fine-tunes of the 768 model are called base, too."""
MIN_SHARE = 0.5
"""Share of a layout that a file must have to be taken for it."""
MIN_UNET_SHARE = 0.5
"""Share of the tensors of a file whose names must be those of a UNet."""
UNET = "model.diffusion_model"
FIRST_STAGE = "first_stage_model"
IMAGE_TOWER = "conditioner.embedders.0.open_clip.model"
TEXT_TOWER = "cond_stage_model.model"
SVD_CONDITION = "conditioner.embedders.3.encoder"
SV3D_CONDITION = "conditioner.embedders.1.encoder"

SCHEDULE = ("betas", "alphas_cumprod", "sqrt_", "log_one_minus_alphas_cumprod", "posterior_")
"""Numbers of the noise schedule, which follow from its configuration."""
TRAINING = ("model_ema.",)
"""Moving averages of weights, which files for sampling hold as the weights themselves."""
LOW_RESOLUTION = ("low_scale_model.",)
"""Numbers of the noise schedule of the upscaler's low-resolution input."""


def open_file(path: Path) -> Checkpoint:
    """Open a single file and check all keys and shapes, without reading weights.

    Models with equal tensors are distinguished by the file's name: "xt" is SVD-XT, "512" or "base" the base model of
    Stable Diffusion 2.1, which predicts noise; that is an assumption. A tokenizer beside the file is used.
    Raises InputError for an unknown model, and if tensors are missing, unexpected or misshapen.
    """
    tensors = tensors_in(path)
    if is_lora(list(tensors)):
        raise InputError(f"{path}: is a LoRA, which goes with a model: give it with --lora")
    layout = recognise(tensors, name=path.stem)
    if layout is None and is_unet(tensors, PRESETS["svd"].unet):
        raise InputError(f"{path}: is a UNet alone: give it with --unet, and its model with --model")
    if layout is None:
        first = ", ".join(sorted(tensors)[:3])
        raise InputError(f"{path}: is none of {', '.join(LAYOUTS)}: its {len(tensors)} tensors begin with {first}")
    dropped = check_shapes(tensors, layout.shapes, layout.key_map.droppable, source=str(path))
    config, child = layout.config, _Children(path, tensors, layout.key_map).part
    image, text = config.image_encoder, config.text_encoder
    return Checkpoint(
        source=path,
        layout="sgm",
        preset=layout.preset,
        files=[path],
        unet=child("unet", VideoUNet, config.unet),
        autoencoder=child("autoencoder", Autoencoder, config.autoencoder),
        image_encoder=image and ClipEncoder(child("image_encoder", build_image_encoder, image)),
        text_encoder=text and ClipEncoder(child("text_encoder", build_text_encoder, text)),
        tokenizer=tokenizer_beside(path) if text else None,
        num_frames=config.num_frames,
        scheduler=_scheduler(config, path.stem),
        assumption=assumption(path.stem) if _draws(config) else None,
        dropped=tuple(dropped),
    )


def open_unet(path: Path, config: UNetConfig) -> UNetPart:
    """Open a file that holds a UNet alone, in whichever layout fits best, and check all keys and shapes.

    Raises InputError if the file is not a UNet of these sizes.
    """
    tensors = tensors_in(path)
    if is_lora(list(tensors)):
        raise InputError(f"{path}: is a LoRA, not a UNet: give it with --lora")
    key_map = max(_key_maps(config), key=lambda key_map: _share(key_map, tensors))
    if _share(key_map, tensors) < MIN_UNET_SHARE:
        raise InputError(f"{path}: is not a UNet of this model, its {len(tensors)} tensors begin with {min(tensors)}")
    part = UNetPart(source=str(path), network=VideoUNet, config=config, tensors=tensors, key_map=key_map)
    part.check()
    return part


@dataclass(frozen=True, kw_only=True)
class FileLayout:
    """Layout of one published model's file: its map, and the names and shapes of all tensors that it must hold."""

    preset: str
    config: ModelConfig
    key_map: KeyMap
    shapes: Mapping[str, Shape]

    def share(self, tensors: FileTensors) -> float:
        """Return the share of the layout whose tensors a file holds in the same shape."""
        fitting = sum(key in tensors and tensors[key].shape == shape for key, shape in self.shapes.items())
        return fitting / len(self.shapes)


def recognise(tensors: FileTensors, *, name: str) -> FileLayout | None:
    """Return the layout that fits a file best, None if none fits; `name` decides between layouts of equal tensors."""
    has_xt = "xt" in _words(name)
    layouts = {preset: layout_of(preset) for preset in LAYOUTS}
    shares = {preset: layout.share(tensors) for preset, layout in layouts.items()}
    best = max(shares, key=lambda preset: (shares[preset], ("-xt" in preset) == has_xt))
    return layouts[best] if shares[best] >= MIN_SHARE else None


def _draws(config: ModelConfig) -> bool:
    """Return whether this is a text-to-image model."""
    return config.text_encoder is not None and config.unet.num_noise_indices is None


def _scheduler(config: ModelConfig, name: str) -> ImageScheduler | None:
    """Return the scheduler of a text-to-image model, which files do not hold; None for other models."""
    if not _draws(config):
        return None
    return SD_SCHEDULER.model_copy(update={"prediction_type": _prediction(name)})


def predicts_alike(scheduler: ImageScheduler, file: Path) -> bool:
    """Return whether a file of this name is taken for a model with the prediction type of the scheduler."""
    return scheduler.prediction_type == _prediction(file.stem)


def assumption(name: str) -> Assumption:
    """Return why a file of this name is taken for a model that predicts noise, or v."""
    if name.lower() in PUBLISHED_PREDICTIONS:
        return Assumption(reason=f"{name} is the name of the published file", is_sure=True)
    hint = _hint(name)
    reason = f"its name contains {hint!r}" if hint else "its name contains none of 768, 512 and base"
    return Assumption(reason=f"{reason}, which proves nothing", is_sure=False)


def _prediction(name: str) -> PredictionType:
    if name.lower() in PUBLISHED_PREDICTIONS:
        return PUBLISHED_PREDICTIONS[name.lower()]
    return dict(HINTS).get(_hint(name) or "", "v_prediction")


def _hint(name: str) -> str | None:
    return next((hint for hint, _ in HINTS if hint in name.lower()), None)


def _words(name: str) -> set[str]:
    return set(name.lower().replace("-", "_").split("_"))


@cache
def layout_of(preset: str) -> FileLayout:
    """Return the layout of a published model's file."""
    config = PRESETS[preset]
    key_map = LAYOUTS[preset](config)
    with torch.device("meta"):
        children: dict[str, nn.Module] = {
            "unet": VideoUNet(config.unet),
            "autoencoder": Autoencoder(config.autoencoder),
        }
        if config.image_encoder is not None:
            children["image_encoder"] = build_image_encoder(config.image_encoder)
        if config.text_encoder is not None:
            children["text_encoder"] = build_text_encoder(config.text_encoder)
    shapes = key_map.foreign_shapes(nn.ModuleDict(children).state_dict())
    return FileLayout(preset=preset, config=config, key_map=key_map, shapes=shapes)


@dataclass(frozen=True)
class _Children:
    """The networks in a whole file."""

    path: Path
    tensors: FileTensors
    key_map: KeyMap

    def part(self, name: str, network: NetworkBuilder[M, C], config: C) -> Part[M, C]:
        """Return one network by its name in the map."""
        prefix = f"{name}."
        names = {
            ours.removeprefix(prefix): theirs for ours, theirs in self.key_map.names.items() if ours.startswith(prefix)
        }
        own = {
            key: tensor
            for key, tensor in self.tensors.items()
            if any(native.startswith(prefix) for native in self.key_map.native_keys(key))
        }
        return Part(source=str(self.path), network=network, config=config, tensors=own, key_map=KeyMap(names))


def is_unet(tensors: Collection[str], config: UNetConfig) -> bool:
    """Return whether tensors of these names are a UNet alone, with the architecture of the given one."""
    return any(_share(key_map, tensors) >= MIN_UNET_SHARE for key_map in _key_maps(config))


def _key_maps(config: UNetConfig) -> list[KeyMap]:
    return [diffusers.unet(config), sgm.unet(config), KeyMap(under("", UNET, sgm.unet_names(config)))]


def _share(key_map: KeyMap, tensors: Collection[str]) -> float:
    """Return the share of the tensors whose names are in a map."""
    return sum(bool(key_map.native_keys(key)) for key in tensors) / len(tensors)


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
    """Map the encoder of the image condition, as that of the first stage is not used in sampling and often missing."""
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


LAYOUTS: Mapping[str, Callable[[ModelConfig], KeyMap]] = {
    "svd": svd,
    "svd-xt": svd,
    "svd-image-decoder": svd,
    "svd-xt-image-decoder": svd,
    "sv3d-u": sv3d,
    "sv3d-p": sv3d,
    "sd-2.1": stable_diffusion,
    "sd-x4-upscaler": stable_diffusion,
}
"""Key map of each published model's file."""
