"""LoRA files written in the styles of PEFT and diffusers, with the layer names of diffusers' UNet."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from videoldm.checkpoints.layouts import diffusers
from videoldm.checkpoints.lora.read import DIFFUSERS_HEADER, PEFT_WEIGHTS
from videoldm.checkpoints.storage.file_names import PEFT_CONFIG
from videoldm.checkpoints.storage.safetensors import save_tensors
from videoldm.core.files import write_json
from videoldm.models.adapters.low_rank import LoRA
from videoldm.models.unet.config import UNetConfig

N = TypeVar("N", int, float)


def save_peft(folder: Path, lora: LoRA, config: UNetConfig) -> None:
    """Write the folder of a PEFT adapter: `adapter_model.safetensors` and `adapter_config.json`."""
    renamed = _renamed(lora, config)
    write_json(folder / PEFT_CONFIG, {"peft_type": "LORA", **_peft_config(renamed)})
    save_tensors(folder / PEFT_WEIGHTS, _tensors(renamed, prefix="base_model.model."))


def save_diffusers(path: Path, lora: LoRA, config: UNetConfig) -> None:
    """Write one file as a diffusers pipeline does, which names it `pytorch_lora_weights.safetensors`."""
    renamed = _renamed(lora, config)
    header = {f"unet.{key}": value for key, value in _peft_config(renamed).items()}
    save_tensors(path, _tensors(renamed, prefix="unet."), {"format": "pt", DIFFUSERS_HEADER: json.dumps(header)})


def _renamed(lora: LoRA, config: UNetConfig) -> LoRA:
    names = diffusers.unet(config).paths
    return {names[path]: update for path, update in sorted(lora.items())}


def _tensors(lora: LoRA, *, prefix: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, update in lora.items():
        tensors[f"{prefix}{name}.lora_A.weight"] = update.down.contiguous()
        tensors[f"{prefix}{name}.lora_B.weight"] = update.up.contiguous()
    return tensors


def _peft_config(lora: LoRA) -> dict[str, Any]:
    r, rank_pattern = _with_exceptions({name: update.rank for name, update in lora.items()})
    alpha, alpha_pattern = _with_exceptions({name: update.alpha for name, update in lora.items()})
    return {
        "r": r,
        "lora_alpha": alpha,
        "rank_pattern": rank_pattern,
        "alpha_pattern": alpha_pattern,
        "target_modules": list(lora),
    }


def _with_exceptions(values: Mapping[str, N]) -> tuple[N, dict[str, N]]:
    """Return the most frequent value, and the other values by patterns that match one layer each."""
    usual = Counter(values.values()).most_common(1)[0][0]
    return usual, {f"^{name}": value for name, value in values.items() if value != usual}
