"""Objects on white, as the official script for SV3D prepares them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from videoldm.core.errors import InputError
from videoldm.video.picture import load_object


def made(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> Path:
    image = Image.new("RGBA", size, (10, 200, 10, 0))
    ImageDraw.Draw(image).ellipse(box, fill=(250, 100, 20, 255))
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[0] + 5, box[1] + 5), fill=(0, 0, 255, 100))
    image.save(path)
    return path


def officially(path: Path, size: int) -> np.ndarray:
    """Box of what is not transparent, in the middle of a square as high as the picture, resized, then on white."""
    layer = np.array(Image.open(path))
    rows, columns = np.nonzero(layer[..., 3].any(1))[0], np.nonzero(layer[..., 3].any(0))[0]
    part = layer[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side, (height, width) = layer.shape[0], part.shape[:2]
    canvas = np.zeros((side, side, 4), np.uint8)
    top, left = side // 2 - height // 2, side // 2 - width // 2
    canvas[top : top + height, left : left + width] = part
    resized = np.array(Image.fromarray(canvas).resize((size, size), Image.Resampling.LANCZOS)) / 255
    return resized[..., :3] * resized[..., 3:] + 1 - resized[..., 3:]


@pytest.mark.parametrize("box", [(2, 30, 41, 90), (60, 5, 118, 30)])
def test_an_object_is_placed_as_officially(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    path = made(tmp_path / "a.png", (120, 120), box)
    pixels = load_object(path, 64, 64).permute(1, 2, 0).numpy()
    assert np.abs((pixels + 1) / 2 - officially(path, 64)).max() <= 1.01 / 255


def test_an_object_wider_than_the_picture_is_high_fits(tmp_path: Path) -> None:
    pixels = load_object(made(tmp_path / "a.png", (200, 60), (20, 10, 180, 50)), 64, 64)
    coloured = (pixels < 0.9).any(0)
    assert coloured.any(0).sum() >= 62
    assert coloured[:20].sum() == coloured[-20:].sum() == 0


def test_a_picture_without_transparent_parts_is_taken_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (10, 20, 30)).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="has no transparent background, the model knows objects on white"):
        pixels = load_object(tmp_path / "a.png", 16, 16)
    assert ((pixels[:, 3, 3] + 1) * 127.5).round().tolist() == [10, 20, 30]
    with pytest.warns(UserWarning, match="no transparent background"):
        padded = load_object(tmp_path / "a.png", 16, 16, "pad")
    assert padded[:, 0, 0].tolist() == [-1, -1, -1]


def test_a_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is transparent everywhere, it should show an object"):
        load_object(tmp_path / "a.png", 16, 16)
