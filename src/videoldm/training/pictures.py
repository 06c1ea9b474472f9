"""Random crops of a folder of real pictures, held in memory."""

import random
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.dataset.clips import to_pixels
from videoldm.video.picture import load_picture
from videoldm.video.resize import resize

SMALLEST_SHORT_SIDE = 72


class PictureCrops:
    """Crops at random scales between the whole picture and about its native resolution."""

    def __init__(self, folder: str, *, size: tuple[int, int]) -> None:
        paths = sorted(path for path in Path(folder).iterdir() if path.is_file()) if folder else []
        if folder and not paths:
            raise InputError(f"{folder} holds no pictures to crop")
        self._height, self._width = size
        self._scales = [_shrunken(to_pixels(torch.from_numpy(load_picture(path)))) for path in paths]

    def crop(self, choice: random.Random) -> Float[Tensor, "c h w"]:
        """One crop; its picture, scale, place and mirror image are drawn from `choice`."""
        picture = choice.choice(choice.choice(self._scales))
        top = choice.randint(0, picture.shape[1] - self._height)
        left = choice.randint(0, picture.shape[2] - self._width)
        crop = picture[:, top : top + self._height, left : left + self._width]
        return crop.flip(-1) if choice.random() < 0.5 else crop


def _shrunken(picture: Float[Tensor, "c h w"]) -> list[Float[Tensor, "c h w"]]:
    """The picture at every half-octave between its own size and a short side just above the crop."""
    scales = []
    short_side = min(picture.shape[1:])
    while short_side >= SMALLEST_SHORT_SIDE:
        factor = short_side / min(picture.shape[1:])
        size = (round(picture.shape[1] * factor), round(picture.shape[2] * factor))
        scales.append(resize(picture, *size))
        short_side = int(short_side / 2**0.5)
    return scales
