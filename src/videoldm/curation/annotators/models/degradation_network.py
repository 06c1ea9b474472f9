"""A network that estimates how much a picture has lost by blur, noise, compression or enlargement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors.numpy import load_file
from torch import Tensor

from videoldm.assets import packaged
from videoldm.checkpoints.storage.trust import pickles_trusted
from videoldm.checkpoints.storage.weights_file import tensors_in
from videoldm.curation.annotators.models.local_model import MissingModelError
from videoldm.curation.annotators.models.pretrained import fixed_threads
from videoldm.models.efficientnet_lite import (
    NUM_FEATURES,
    SIDE_PX,
    EfficientNetLite0,
    as_input,
    load_efficientnet_lite0,
)

HEAD = Path(packaged.__file__).parent / "degradation_head.safetensors"
_LEAST_SIDE_PX = 32
_CROPS = 2


class DegradationNetwork:
    """EfficientNet-Lite0's features of two crops of a picture, and a linear head of our own on their mean.

    The head was fitted by `benchmarks/degradation.py` to 1 - SSIM of degraded photographs.
    """

    def __init__(self, num_threads: int = 1) -> None:
        """Raise MissingModelError if the package with the weights is not installed."""
        self.network = efficientnet_lite0()
        self.num_threads = num_threads
        head = load_file(HEAD)
        self.weights, self.bias = head["weight"], float(head["bias"][0])

    def __call__(self, pictures: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float32[np.ndarray, " n"]:
        """Return the estimated loss of each RGB picture, 0 to 1; all are of one size."""
        with fixed_threads(self.num_threads):
            features = picture_features(self.network, pictures)
        return ((features * self.weights).sum(axis=1) + np.float32(self.bias)).clip(0, 1) ** 2


def picture_features(
    network: EfficientNetLite0, pictures: Sequence[UInt8[np.ndarray, "h w 3"]]
) -> Float32[np.ndarray, "n d"]:
    """Return the mean features of the crops of each picture."""
    crops = np.stack([crop for picture in pictures for crop in _crops(picture)])
    with torch.inference_mode():
        features = network.features(as_input(torch.from_numpy(crops)))
    return features.view(len(pictures), _CROPS, NUM_FEATURES).mean(dim=1).numpy()


def _crops(picture: UInt8[np.ndarray, "h w 3"]) -> list[UInt8[np.ndarray, "s s 3"]]:
    """Return two squares side by side along the longer side, in the middle, at the picture's own scale.

    What is smaller than they should be gives smaller squares; below 32 px it is enlarged.
    """
    short = min(picture.shape[:2])
    if short < _LEAST_SIDE_PX:
        scale = _LEAST_SIDE_PX / short
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    side = min(SIDE_PX, *picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    height, width = picture.shape[:2]
    step = min(side, (max(height, width) - side)) // 2
    across, down = (step, 0) if width >= height else (0, step)
    places = ((top - down, left - across), (top + down, left + across))
    return [picture[y : y + side, x : x + side] for y, x in places]


@lru_cache(maxsize=1)
def efficientnet_lite0() -> EfficientNetLite0:
    """Return the network with the weights of its package; raises MissingModelError if that is not installed."""
    path = packaged.EFFICIENTNET_LITE0.find()
    if path is None:
        name, extra = packaged.EFFICIENTNET_LITE0.distribution, packaged.EFFICIENTNET_LITE0.extra
        raise MissingModelError(f"{name} is not installed, install videoldm[{extra}]")
    with pickles_trusted():  # tensors alone are read, and the file is known by its hash
        tensors: dict[str, Tensor] = {key: tensor.read() for key, tensor in tensors_in(path).items()}
    return load_efficientnet_lite0(tensors)
