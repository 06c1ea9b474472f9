"""A folder of real pictures at several scales, held in memory, and random crops of them."""

import math
import random
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.dataset.clips import to_pixels
from videoldm.video.picture import load_picture
from videoldm.video.picture_files import pictures_in
from videoldm.video.resize import resize

MARGIN = 1.125
"""How much larger than a crop the short side of a shrunken picture stays at least."""


PictureScales = list[list[Tensor]]
"""Of each picture its versions, c x h x w in [-1, 1], largest first."""


class PictureCrops:
    """Crops at random scales between the whole picture and about its native resolution."""

    def __init__(self, folder: str, *, size: tuple[int, int]) -> None:
        self._height, self._width = size
        self._scales = picture_scales(Path(folder), math.ceil(MARGIN * max(size))) if folder else []

    def crop(self, choice: random.Random) -> Float[Tensor, "c h w"]:
        """One crop; its picture, scale, place and mirror image are drawn from `choice`."""
        picture = choice.choice(choice.choice(self._scales))
        top = choice.randint(0, picture.shape[1] - self._height)
        left = choice.randint(0, picture.shape[2] - self._width)
        crop = picture[:, top : top + self._height, left : left + self._width]
        return crop.flip(-1) if choice.random() < 0.5 else crop


def picture_scales(folder: Path, smallest: int) -> PictureScales:
    """Each picture of `folder` at every half-octave between its own size and a short side of about `smallest` pixels.

    Raises InputError if there are none or one of them is smaller.
    """
    return [_shrunken(_loaded(path, smallest), smallest) for path in pictures_in(folder)]


def _loaded(path: Path, smallest: int) -> Float[Tensor, "c h w"]:
    picture = to_pixels(torch.from_numpy(load_picture(path)))
    if min(picture.shape[1:]) < smallest:
        height, width = picture.shape[1:]
        raise InputError(f"{path} has {width}x{height} pixels, both sides should be at least {smallest}")
    return picture


def _shrunken(picture: Float[Tensor, "c h w"], smallest: int) -> list[Float[Tensor, "c h w"]]:
    scales = []
    short_side = min(picture.shape[1:])
    while short_side >= smallest:
        factor = short_side / min(picture.shape[1:])
        size = (round(picture.shape[1] * factor), round(picture.shape[2] * factor))
        scales.append(resize(picture, *size))
        short_side = int(short_side / 2**0.5)
    return scales
