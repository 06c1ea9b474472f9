"""Picture files that users bring: unusual ones that work, and broken ones with what should be said of them."""

from pathlib import Path

import numpy as np
from PIL import Image

EXIF_ORIENTATION = 0x0112


def noise(height, width, channels=3, *, seed=0):
    """Random 8-bit samples."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def write_good(folder):
    """Pictures that must work, whatever is unusual about them."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(1, 1)).save(folder / "one_pixel.png")
    Image.fromarray(noise(10, 20_000)).save(folder / "wide.png")
    Image.fromarray(noise(32, 24, 4), mode="CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(noise(24, 32, 4), mode="RGBA").save(folder / "alpha.png")
    deep = np.random.default_rng(1).integers(0, 65536, (20, 20), dtype=np.uint16)
    Image.fromarray(deep).save(folder / "sixteen_bit.png")
    upright = Image.fromarray(noise(48, 32, seed=2))
    upright.save(folder / "upright.png")
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "upright_by_exif.png", exif=exif)
    return sorted(folder.iterdir())


def write_bad(folder):
    """Name of each broken file -> a part of what should be said of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture at all, but named like one")
    Image.fromarray(noise(64, 64)).save(folder / "whole.png")
    whole = folder / "whole.png"
    (folder / "cut.png").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (folder / "header.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    whole.unlink()
    return {
        "empty.png": "is empty (0 bytes)",
        "text.jpg": "is not a picture",
        "cut.png": "is cut off or broken",
        "header.jpg": "is cut off or broken",
    }


def write_one(path: Path) -> Path:
    """An ordinary picture."""
    Image.fromarray(noise(40, 60, seed=3)).save(path)
    return path
