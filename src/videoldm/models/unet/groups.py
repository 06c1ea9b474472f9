"""Parameters of a UNet by their names: temporal or not, what they are part of, and which cannot learn."""

from collections.abc import Iterator
from typing import Literal

from torch import nn

from videoldm.models.unet.transformer import TransformerLayer

Group = Literal[
    "time embedding",
    "signal embedding",
    "spatial convolutions",
    "spatial attention",
    "temporal convolutions",
    "temporal attention",
    "input, output, sizes",
]
TEMPORAL_MODULES = frozenset({"temporal", "frame_embedding", "merge"})


def is_temporal(key: str) -> bool:
    """Return whether a parameter belongs to the temporal layers or their merges, which an image UNet lacks."""
    return not TEMPORAL_MODULES.isdisjoint(key.split("."))


def group_of(key: str) -> Group:
    """Return the group of the parameter of that name; a merge belongs to the layers that it merges."""
    parts = key.split(".")
    if parts[0] == "time_embedding":
        return "time embedding"
    if parts[0] in ("vector_embedding", "noise_embedding"):
        return "signal embedding"
    if "resnet" in parts:
        return "temporal convolutions" if is_temporal(key) else "spatial convolutions"
    if "transformer" in parts:
        return "temporal attention" if is_temporal(key) else "spatial attention"
    return "input, output, sizes"


def idle_with_one_token(unet: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters that get no gradient if the context is one token: those that choose a token to attend to.

    The softmax over one key is 1 whatever query and key are, so their projections and the norm before the query get no
    gradient in cross-attention, spatial or temporal.
    """
    for layer in unet.modules():
        if isinstance(layer, TransformerLayer):
            idle: list[nn.Module] = [layer.norm2, layer.cross_attention.to_q, layer.cross_attention.to_k]
            if not layer.has_self_attention:
                idle += [layer.norm1, layer.self_attention.to_q, layer.self_attention.to_k]
            for module in idle:
                yield from module.parameters()
