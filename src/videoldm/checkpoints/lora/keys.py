"""Key styles of LoRA files: PEFT, diffusers (also its old attention processors) and kohya, in any layout of names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from videoldm.checkpoints.layouts import diffusers, sgm
from videoldm.models.adapters.low_rank import adaptable_layers
from videoldm.models.unet.network import VideoUNet

Part = Literal["down", "up", "alpha"]

# x.lora_A.weight, x.lora_A.default.weight; x.lora.down.weight, x.lora_down.weight, to_q_lora.down.weight
MATRIX = re.compile(
    r"(?P<layer>.+?)(\.lora_(?P<letter>[AB])(\.\w+)?|[._]lora(_linear_layer)?[._](?P<side>down|up))\.weight"
)
# x.alpha, and in diffusers: x.to_q_lora.down.weight.alpha
ALPHA = re.compile(r"(?P<layer>.+?)([._]lora([._](down|up))?(\.weight)?)?\.alpha")
PREFIX = re.compile(r"^(base_model\.model\.|unet\.|model\.diffusion_model\.|diffusion_model\.|lora_unet_|lycoris_)+")
TEXT_ENCODER = re.compile(r"(base_model\.model\.)?(text_encoder|text_model|lora_te)")
OTHER_KINDS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lora_mid.": "LoCon with a Tucker core",
    ".hada_w": "LoHa",
    ".lokr_w": "LoKr",
    ".oft_": "OFT",
    "lora_B.bias": "LoRA with biases",
    "lora_up.bias": "LoRA with biases",
}


@dataclass(frozen=True)
class LoraKey:
    """A key of a LoRA file: a layer by its name in the file, without prefixes, and a part of its update."""

    layer: str
    part: Part


def parse_key(key: str) -> LoraKey | None:
    """Parse a key of any style; return None if it is not part of a LoRA."""
    found = MATRIX.fullmatch(key)
    if found is not None:
        part: Part = "down" if found["letter"] == "A" or found["side"] == "down" else "up"
    else:
        found, part = ALPHA.fullmatch(key), "alpha"
    if found is None:
        return None
    return LoraKey(PREFIX.sub("", found["layer"]).replace(".processor.", "."), part)


def is_lora(keys: Iterable[str]) -> bool:
    """Return whether a file with these keys is a LoRA of any kind, and not the weights of a model."""
    return any(MATRIX.fullmatch(key) or other_kind(key) for key in keys)


def other_kind(key: str) -> str | None:
    """Return the kind of adapter of a key, None for plain LoRAs and what is not an adapter."""
    return next((kind for marker, kind in OTHER_KINDS.items() if marker in key), None)


def is_text_encoder(key: str) -> bool:
    """Return whether a key belongs to the LoRA of a text encoder."""
    return TEXT_ENCODER.match(key) is not None


def layer_names(unet: VideoUNet) -> dict[str, str]:
    """Return the path of each layer of a UNet by its names in the layouts of diffusers, of sgm and in ours.

    Names are compared in the form of `comparable`, as kohya's files do not distinguish dots from underscores.
    """
    known = adaptable_layers(unet)
    names: dict[str, str] = {}
    for layout in (diffusers.unet(unet.config).paths, sgm.unet(unet.config).paths, {path: path for path in known}):
        for path, name in layout.items():
            if path in known:
                names[comparable(name)] = path
                # Attention processors name the output projection without its number.
                names[comparable(name.removesuffix(".0") if name.endswith("to_out.0") else name)] = path
    return names


def comparable(name: str) -> str:
    """Return a layer's name in the form in which names of all styles are compared."""
    return name.replace(".", "_")
