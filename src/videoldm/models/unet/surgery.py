"""UNets made of trained ones: grown by temporal layers, inputs or signals, or with the layers of an image model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.models.layers import SpatioTemporalResBlock, zero_parameters
from videoldm.models.unet.config import TemporalLayers, UNetConfig
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.transformer import SpatioTemporalTransformer, TemporalTransformerLayer


def grow_unet(unet: VideoUNet, config: UNetConfig) -> VideoUNet:
    """Return a UNet that starts as `unet` and has what `config` has beyond it.

    These are temporal layers, channels of concatenated conditioning, a frame mask and signals at the end of the vector.
    Whatever else differs stays as it is in `unet`.
    """
    if unet.config.temporal_layers is None and config.temporal_layers is not None:
        unet = insert_temporal_layers(unet, config.temporal_layers)
    if config.concat_channels > unet.config.concat_channels:
        unet = extend_concat_channels(unet, config.concat_channels - unet.config.concat_channels)
    if config.reads_frame_mask and not unet.config.reads_frame_mask:
        unet = add_frame_mask(unet)
    if (config.vector_dim or 0) > (unet.config.vector_dim or 0):
        unet = extend_vector(unet, config.vector_dim or 0)
    return unet


def insert_temporal_layers(image_unet: VideoUNet, temporal: TemporalLayers | None = None) -> VideoUNet:
    """Return a video UNet that starts as the image UNet applied to each frame.

    The last layer of every temporal branch is zero, so the branches return their input, whatever the merge weights are.
    The other temporal layers are drawn from torch's global generator, as in every constructor of a module.
    Raises ValueError if the UNet has temporal layers already.
    """
    if image_unet.config.temporal_layers is not None:
        raise ValueError("insert_temporal_layers: this UNet has temporal layers already")
    video_unet = _like(image_unet, image_unet.config.model_copy(update={"temporal": temporal or TemporalLayers()}))
    loaded = video_unet.load_state_dict(image_unet.state_dict(), strict=False)
    assert not loaded.unexpected_keys, loaded.unexpected_keys
    assert all(is_temporal(key) for key in loaded.missing_keys), loaded.missing_keys
    silence_temporal_layers(video_unet)
    return video_unet


def silence_temporal_layers(unet: VideoUNet) -> None:
    """Set the last layer of every temporal branch to zero."""
    for module in unet.modules():
        if isinstance(module, SpatioTemporalResBlock) and module.temporal is not None:
            zero_parameters(module.temporal.conv2)
        if isinstance(module, SpatioTemporalTransformer) and module.has_time:
            zero_parameters(module.frame_embedding.linear2)
        if isinstance(module, TemporalTransformerLayer):
            zero_parameters(module.feed_forward_in.project_out)
            zero_parameters(module.self_attention.to_out)
            zero_parameters(module.cross_attention.to_out)
            zero_parameters(module.feed_forward.project_out)


def extend_concat_channels(unet: VideoUNet, channels: int) -> VideoUNet:
    """Return a UNet that takes `channels` more channels of concatenated conditioning and ignores them at first."""
    config = unet.config.model_copy(update={"concat_channels": unet.config.concat_channels + channels})
    return _with_inputs(unet, config, after=unet.config.in_channels + unet.config.concat_channels)


def add_frame_mask(unet: VideoUNet) -> VideoUNet:
    """Return a UNet that takes a frame mask and ignores it at first; raises ValueError if it takes one already."""
    if unet.config.reads_frame_mask:
        raise ValueError("add_frame_mask: this UNet takes a frame mask already")
    config = unet.config.model_copy(update={"reads_frame_mask": True})
    return _with_inputs(unet, config, after=unet.config.num_input_channels)


def _with_inputs(unet: VideoUNet, config: UNetConfig, *, after: int) -> VideoUNet:
    """Return a UNet of a configuration with more input channels, those after the first `after` with weights of zero."""
    extended = _like(unet, config)
    state = unet.state_dict()
    weight = state["conv_in.weight"]
    new = weight.new_zeros(weight.shape[0], config.num_input_channels - weight.shape[1], *weight.shape[2:])
    widened = torch.cat([weight[:, :after], new, weight[:, after:]], dim=1)
    extended.load_state_dict(state | {"conv_in.weight": widened})
    return extended


def extend_vector(unet: VideoUNet, vector_dim: int) -> VideoUNet:
    """Return a UNet that takes a vector of `vector_dim` numbers and ignores the new ones at first.

    A new vector embedding ends with a layer of zeros; an existing one gets weights of zero for the new numbers.
    """
    extended = _like(unet, unet.config.model_copy(update={"vector_dim": vector_dim}))
    state = extended.state_dict() | unet.state_dict()
    if unet.config.vector_dim is None:
        for name in ("weight", "bias"):
            state[f"vector_embedding.linear2.{name}"].zero_()
    else:
        weight = state["vector_embedding.linear1.weight"]
        new = weight.new_zeros(weight.shape[0], vector_dim - weight.shape[1])
        state["vector_embedding.linear1.weight"] = torch.cat([weight, new], dim=1)
    extended.load_state_dict(state)
    return extended


def _like(unet: VideoUNet, config: UNetConfig) -> VideoUNet:
    """Build a UNet of another configuration, of the same dtype, on the same device and in the same mode."""
    parameter = next(unet.parameters())
    return VideoUNet(config).to(device=parameter.device, dtype=parameter.dtype).train(unet.training)


def with_image_layers(video: VideoUNet, image: VideoUNet) -> VideoUNet:
    """Return a copy of a video UNet with the spatial layers of an image UNet (Video LDM, section 4.2).

    For pictures, which the temporal layers leave alone, it computes what the image UNet does.
    Raises InputError if the spatial layers of the two have other shapes.
    """
    ours = {key: weight for key, weight in video.state_dict().items() if not is_temporal(key)}
    theirs = image.state_dict()
    odd = [key for key in ours.keys() | theirs.keys() if _shape(ours, key) != _shape(theirs, key)]
    if odd or image.config.temporal_layers is not None or video.config.temporal_layers is None:
        raise InputError(_why(video, image, sorted(odd)))
    result = copy.deepcopy(video)
    result.load_state_dict(theirs, strict=False)
    return result


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...] | None:
    return tuple(state[key].shape) if key in state else None


def _why(video: VideoUNet, image: VideoUNet, odd: Sequence[str]) -> str:
    if video.config.temporal_layers is None:
        return "the video model has no temporal layers, it should be a model for clips"
    if image.config.temporal_layers is not None:
        return "the image model has temporal layers, it should be a model for pictures"
    there = _shape(image.state_dict(), odd[0])
    return (
        f"the image model is not a backbone of this video model, {len(odd)} of their layers differ: {odd[0]} is "
        f"{_shape(video.state_dict(), odd[0]) or 'missing'} in the video model, {there or 'missing'} in the image model"
    )
