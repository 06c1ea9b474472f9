"""Changing a trained autoencoder: adding temporal layers to its decoder, removing the layer before the decoder."""

import torch
from torch import nn

from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder

TEMPORAL_MODULES = frozenset({"temporal", "merge", "temporal_conv_out"})


def is_temporal(key: str) -> bool:
    """Return whether a parameter belongs to the temporal layers or their merges, which a per-frame decoder lacks."""
    return not TEMPORAL_MODULES.isdisjoint(key.split("."))


def insert_temporal_layers(autoencoder: Autoencoder, temporal: TemporalDecoder | None = None) -> Autoencoder:
    """Return an autoencoder whose decoder sees whole clips and starts as the given one applied to each frame.

    The last convolution of every temporal block is zero and the one after the decoder is the identity, so the start
    does not depend on how the branches are merged. The other temporal layers are drawn from torch's global generator,
    as in every constructor of a module. Raises ValueError if the decoder has temporal layers already.
    (Video LDM, section 3.1.1)
    """
    if autoencoder.config.decoder.kind != "plain":
        raise ValueError("insert_temporal_layers: this decoder has temporal layers already")
    grown = _like(autoencoder, autoencoder.config.model_copy(update={"decoder": temporal or TemporalDecoder()}))
    loaded = grown.load_state_dict(autoencoder.state_dict(), strict=False)
    assert not loaded.unexpected_keys, loaded.unexpected_keys
    assert all(is_temporal(key) for key in loaded.missing_keys), loaded.missing_keys
    return grown


@torch.no_grad()
def fold_projection(autoencoder: Autoencoder) -> Autoencoder:
    """Return an autoencoder whose decoder has the 1 x 1 convolution before it folded into its first 3 x 3 convolution.

    SVD's decoder has no such layer. The result is exact except in the outermost latents, where the 3 x 3 convolution
    pads with zeros, to which the bias of the removed layer was not added. An autoencoder without the layer is returned
    unchanged.
    """
    if not autoencoder.config.project_latents:
        return autoencoder
    folded = _like(autoencoder, autoencoder.config.model_copy(update={"project_latents": False}))
    state = autoencoder.state_dict()
    projection = state.pop("decoder.projection.weight")[:, :, 0, 0]
    shift = state.pop("decoder.projection.bias")
    weight = state["decoder.conv_in.weight"]
    state["decoder.conv_in.weight"] = torch.einsum("omhw,mi->oihw", weight, projection)
    state["decoder.conv_in.bias"] = state["decoder.conv_in.bias"] + weight.sum((2, 3)) @ shift
    folded.load_state_dict(state)
    return folded


def _like(autoencoder: nn.Module, config: AutoencoderConfig) -> Autoencoder:
    """Build an autoencoder of another configuration, of the same dtype, on the same device and in the same mode."""
    parameter = next(autoencoder.parameters())
    return Autoencoder(config).to(device=parameter.device, dtype=parameter.dtype).train(autoencoder.training)
