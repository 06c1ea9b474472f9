"""Pictures of one object, cut out from its background by transparency, as models of objects see them: on white."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.video.config import FitMode
from videoldm.video.picture import fit_picture, load_layer, load_picture
from videoldm.video.pixels import from_uint8


def load_object(path: str | Path, height: int, width: int, mode: FitMode = "crop") -> Float[Tensor, "3 height width"]:
    """The object in the middle of a white picture, as pixels in [-1, 1].

    It keeps its size in proportion to the picture's height, unless it is larger. A picture without transparent parts is
    fitted as any other, by `mode`, with a warning: what is background nobody says. Raises InputError if all is
    transparent, or as `load_picture` does.
    """
    layer = load_layer(path)
    if layer[..., 3].min() == 255:
        warnings.warn(
            f"{path}: has no transparent background, the model knows objects on white: cut the object out (.png)",
            stacklevel=1,
        )
        return fit_picture(load_picture(path), height, width, mode)
    box = Image.fromarray(layer[..., 3]).getbbox()
    if box is None:
        raise InputError(f"{path}: is transparent everywhere, it should show an object")
    part = Image.fromarray(layer).crop(box)
    side = max(layer.shape[0], part.height, round(part.width * height / width))
    canvas = Image.new("RGBA", (round(side * width / height), side))
    canvas.paste(part, (canvas.width // 2 - part.width // 2, side // 2 - part.height // 2))
    fitted = canvas.resize((width, height), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", fitted.size, "white")
    pixels = np.array(Image.alpha_composite(white, fitted).convert("RGB"))
    return from_uint8(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
