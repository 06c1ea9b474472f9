"""The layers of an image model under the temporal layers of a video model (Video LDM, section 4.2)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.surgery import is_temporal


def with_image_layers(video: VideoUNet, image: VideoUNet) -> VideoUNet:
    """Return a copy of a video UNet with an image UNet's weights in place of its own, its temporal layers kept.

    Applied to pictures, which the temporal layers leave alone, it is the image UNet.
    Raises InputError if the layers of the two are not alike.
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
        return "the video model has no temporal layers, it should be one for clips"
    if image.config.temporal_layers is not None:
        return "the image model has temporal layers, it should be one for pictures"
    there = _shape(image.state_dict(), odd[0])
    return (
        f"the image model is no backbone of this video model, {len(odd)} of their layers differ: {odd[0]} is "
        f"{_shape(video.state_dict(), odd[0]) or 'missing'} in the video model, {there or 'missing'} in the image model"
    )
