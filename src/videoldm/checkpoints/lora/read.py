"""LoRA files of a UNet, of every style, read as updates of our modules."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat
from safetensors import safe_open
from torch import Tensor

from videoldm.checkpoints.lora.keys import (
    Part,
    comparable,
    is_lora,
    is_text_encoder,
    layer_names,
    other_kind,
    parse_key,
)
from videoldm.checkpoints.storage.file_names import PEFT_CONFIG
from videoldm.checkpoints.storage.pickles import is_pickle
from videoldm.core.config import Config, validate
from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file, read_mapping, safetensors_errors
from videoldm.core.wording import are, counted
from videoldm.models.adapters.low_rank import (
    LoRA,
    LowRank,
    adaptable_layers,
    adapted_layers,
    without_effect_on_one_token,
)
from videoldm.models.unet.network import VideoUNet

PEFT_WEIGHTS = "adapter_model.safetensors"
DIFFUSERS_WEIGHTS, DIFFUSERS_HEADER = "pytorch_lora_weights.safetensors", "lora_adapter_metadata"
SHOWN_KEYS = 5

LayerParts = dict[Part, str]
"""Part of an update -> its key in the file."""


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA, and a report of what its file holds."""

    path: Path
    lora: LoRA
    matched: tuple[str, ...]
    """Keys that are part of the LoRA."""
    unmatched: tuple[str, ...]
    """Keys that fit no layer of the UNet."""
    text_encoder: tuple[str, ...]
    """Keys of a text encoder's LoRA."""

    def summary(self) -> str:
        """Summarise the contents in one line."""
        ranks = sorted({update.rank for update in self.lora.values()})
        rank = f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}"
        total = len(self.matched) + len(self.unmatched) + len(self.text_encoder)
        return f"{self.path}: {len(self.matched)} of {total} keys matched, {len(self.lora)} layers, {rank}"


def read_lora(path: str | Path, unet: VideoUNet, *, has_one_token: bool) -> LoraFile:
    """Read a LoRA for `unet` from a safetensors file, or from a folder that PEFT or diffusers wrote.

    `has_one_token` states that the context of this model is a single token, as in image-to-video. Warnings report keys
    that match no layer and layers without effect. The UNet may be on the meta device.
    Raises InputError if the file is broken, is not a LoRA, or holds nothing for this UNet.
    """
    file = lora_file(Path(path))
    with safetensors_errors(file), safe_open(file, "pt") as opened:
        keys, header = list[str](opened.keys()), opened.metadata() or {}
        _check_kind(file, keys)
        parts = _parts(file, keys, layer_names(unet))
        matched = {key for keys_of_layer in parts.values() for key in keys_of_layer.values()}
        tensors = {key: _checked(file, key, opened.get_tensor(key)) for key in sorted(matched)}
    read = LoraFile(
        file,
        lora=_updates(file, parts, tensors, _scaling(file, header, tensors), unet),
        matched=tuple(tensors),
        unmatched=tuple(key for key in keys if key not in matched and not is_text_encoder(key)),
        text_encoder=tuple(key for key in keys if key not in matched and is_text_encoder(key)),
    )
    _warn(read, has_one_token=has_one_token)
    return read


def lora_file(path: Path) -> Path:
    """Return the file with a LoRA's tensors; raises InputError if there is none."""
    if path.is_dir():
        names = [name for name in (PEFT_WEIGHTS, DIFFUSERS_WEIGHTS) if (path / name).is_file()]
        if len(names) != 1:
            raise InputError(
                f"{path}: holds {' and '.join(names) or f'neither {PEFT_WEIGHTS} nor {DIFFUSERS_WEIGHTS}'}, "
                "give the name of a LoRA's file"
            )
        return path / names[0]
    if is_pickle(path):
        raise InputError(
            f"{path}: is a pickle, which can run code when it is read; a LoRA should be a safetensors file"
        )
    return existing_file(path, kind="a LoRA as safetensors")


def _check_kind(file: Path, keys: Sequence[str]) -> None:
    """Raise InputError for other files before any tensor is read, as they may be models of many gigabytes."""
    if not is_lora(keys):
        raise InputError(f"{file}: is not a LoRA, it holds {_some(keys) or 'no tensors'}; is it a model's weights?")
    for key in keys:
        kind = other_kind(key)
        if kind is not None and not is_text_encoder(key):
            raise InputError(f"{file}: is a {kind} ({key}), which is not supported; it should be a plain LoRA")


def _parts(file: Path, keys: Sequence[str], names: Mapping[str, str]) -> dict[str, LayerParts]:
    """Return the keys of each layer that the LoRA updates, by path."""
    parts: dict[str, LayerParts] = {}
    for key in keys:
        parsed = None if is_text_encoder(key) else parse_key(key)
        if parsed is None or comparable(parsed.layer) not in names:
            continue
        of_layer = parts.setdefault(names[comparable(parsed.layer)], {})
        if parsed.part in of_layer:
            raise InputError(f"{file}: {of_layer[parsed.part]} and {key} are the same part of one layer")
        of_layer[parsed.part] = key
    parts = {path: of_layer for path, of_layer in parts.items() if of_layer.keys() != {"alpha"}}
    for of_layer in parts.values():
        if not {"down", "up"} <= of_layer.keys():
            raise InputError(f"{file}: {next(iter(of_layer.values()))} lacks its other matrix, the file is incomplete")
    if not parts:
        only = "a text encoder" if all(map(is_text_encoder, keys)) else "another model"
        raise InputError(f"{file}: is a LoRA of {only} ({_some(keys)}), none of its keys fits a layer of this UNet")
    return parts


def _checked(file: Path, key: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        raise InputError(f"{file}: {key} holds {tensor.numel()} numbers of {tensor.dtype}, it should hold real numbers")
    if not tensor.float().isfinite().all():
        raise InputError(f"{file}: {key} holds NaN or infinity, the file is broken")
    return tensor


def _updates(
    file: Path,
    parts: Mapping[str, LayerParts],
    tensors: Mapping[str, Tensor],
    scaling: PeftScaling | None,
    unet: VideoUNet,
) -> dict[str, LowRank]:
    dims = {path: layer.weight.ndim for path, layer in adaptable_layers(unet).items()}
    lora: dict[str, LowRank] = {}
    for path, keys in parts.items():
        down, up = tensors[keys["down"]], tensors[keys["up"]]
        is_pair = down.ndim >= 2 and up.ndim >= 2 and down.shape[0] == up.shape[1] and up[0, 0].numel() == 1
        if not is_pair:
            shapes = f"{keys['down']} {tuple(down.shape)} and {keys['up']} {tuple(up.shape)}"
            raise InputError(f"{file}: {shapes} do not form a pair, they should be (rank, in, ...) and (out, rank)")
        if "alpha" in keys:
            alpha = float(tensors[keys["alpha"]].flatten()[0])
        else:
            alpha = float(len(down)) if scaling is None else scaling.alpha(_layer(keys["down"]), len(down))
        lora[path] = LowRank(down=_with_dims(down, dims[path]), up=_with_dims(up, dims[path]), alpha=alpha)
    adapted_layers(unet, lora, source=str(file))
    return lora


def _layer(key: str) -> str:
    parsed = parse_key(key)
    assert parsed is not None, key
    return parsed.layer


def _with_dims(matrix: Tensor, num_dims: int) -> Tensor:
    """Add or remove axes of size 1 at the end, as a linear layer may be a 1 x 1 convolution in the file."""
    while matrix.ndim > num_dims and matrix.shape[-1] == 1:
        matrix = matrix.squeeze(-1)
    return matrix[(..., *[None] * (num_dims - matrix.ndim))]


def _patterns(patterns: dict[str, float]) -> dict[str, float]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return patterns


class PeftScaling(Config):
    """Scaling of the updates in PEFT's configuration, whose other entries concern training."""

    model_config = ConfigDict(extra="ignore")

    peft_type: Literal["LORA"] = "LORA"
    lora_alpha: FiniteFloat = 8
    alpha_pattern: Annotated[dict[str, FiniteFloat], AfterValidator(_patterns)] = Field(default_factory=dict)
    """Regular expressions for the ends of layer names, with an alpha of their own."""
    use_rslora: bool = False
    """Whether alpha is divided by the square root of the rank (arXiv 2312.03732)."""

    def alpha(self, layer: str, rank: int) -> float:
        """Return the alpha of a layer, to be divided by the rank."""
        found = (alpha for end, alpha in self.alpha_pattern.items() if re.match(rf"(.*\.)?({end})$", layer))
        alpha = next(found, self.lora_alpha)
        return alpha * math.sqrt(rank) if self.use_rslora else alpha


def _scaling(file: Path, header: Mapping[str, str], keys: Collection[str]) -> PeftScaling | None:
    """Return the scaling of updates that have no key for alpha; None for alpha = rank, as in files that state none."""
    config = file.with_name(PEFT_CONFIG)
    if DIFFUSERS_HEADER in header:
        source = f"{file}, {DIFFUSERS_HEADER} in its header"
        try:
            entries: dict[str, Any] = dict(json.loads(header[DIFFUSERS_HEADER]))
        except (ValueError, TypeError) as error:
            raise InputError(f"{source}: holds no JSON object: {error}") from None
        # A pipeline's file describes several networks; one network's file has no prefixes.
        entries = {key.removeprefix("unet."): value for key, value in entries.items()}
        return validate(PeftScaling, entries, source=source)
    if not any(".lora_A." in key for key in keys):
        return None
    if config.is_file():
        return validate(PeftScaling, read_mapping(config), source=str(config))
    if any(key.startswith("base_model.model.") for key in keys):
        warnings.warn(f"{file}: has no {PEFT_CONFIG} beside it, alpha is assumed to be the rank", stacklevel=1)
    return None


def _warn(file: LoraFile, *, has_one_token: bool) -> None:
    warn = partial(warnings.warn, stacklevel=1)
    if file.unmatched:
        keys = _some(file.unmatched)
        num_keys = len(file.unmatched)
        matching = f"{counted(num_keys, 'key')} match{'es' if num_keys == 1 else ''} no layer of this UNet"
        warn(f"{file.path}: {matching} and {are(num_keys)} skipped: {keys}")
    if file.text_encoder:
        num_keys = len(file.text_encoder)
        belonging = f"{counted(num_keys, 'key')} belong{'s' if num_keys == 1 else ''} to a text encoder's LoRA"
        warn(f"{file.path}: {belonging} and {are(num_keys)} skipped")
    idle = without_effect_on_one_token(file.lora) if has_one_token else []
    if idle:
        warn(
            f"{file.path}: {len(idle)} of {len(file.lora)} layers have no effect: queries and keys of cross-attention "
            "change nothing in a model that attends to one token"
        )


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return f"{', '.join(keys[:SHOWN_KEYS])}{more}"
