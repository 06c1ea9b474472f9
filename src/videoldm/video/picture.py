"""Reading the pictures of users, as upright 8-bit RGB, and fitting them to the size that a model needs."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file
from videoldm.video.picture_files import FitMode
from videoldm.video.pixels import from_uint8

# Neither formats that start other programs (EPS) nor formats that only resemble pictures; MPO opens as JPEG.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "ICO")
_FORMAT_NAMES = "JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP"
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\x00", b"MM\x00*")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1")
# Exceptions of Pillow's readers on damaged files, beside its own.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, AttributeError, ArithmeticError, RuntimeError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE = (255, 255, 255, 255)
SQUARE = Fraction(1)


def load_picture(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read a picture file as RGB 0..255, upright by its EXIF orientation.

    Any number of channels of 8 or 16 bits: colours are converted to sRGB by the embedded profile, transparent parts
    become white, an animation gives its first frame. Raises InputError for anything but an intact picture of at most
    178 million pixels.
    """
    return _load(path, _rgb)


def load_object(path: str | Path, height: int, width: int, mode: FitMode = "crop") -> Float[Tensor, "3 height width"]:
    """Read a picture of an object on a transparent background, centred on white, as pixels in [-1, 1].

    The object keeps its size in proportion to the picture's height, unless it is larger. A picture without transparent
    parts is fitted by `mode`, with a warning, as its background is unknown. Raises InputError if everything is
    transparent, or as `load_picture` does.
    """
    layer = _load(path, _rgba)
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
    return _pixels(_on_white(fitted))


def fit_picture(
    picture: UInt8[np.ndarray, "h w 3"],
    height: int,
    width: int,
    mode: FitMode = "crop",
    *,
    pixel_aspect: Fraction = SQUARE,
) -> Float[Tensor, "3 height width"]:
    """Resize the picture to `height` x `width`, antialiased bicubic, as pixels in [-1, 1].

    mode: `crop` keeps the centred part with the target's aspect ratio, `pad` adds black bars, `stretch` distorts.
    pixel_aspect: width of the picture's pixels as shown, divided by their height; those of the result are square.
    Raises InputError for sizes below 1 and unknown modes.
    """
    if height < 1 or width < 1:
        raise InputError(f"size is {height}x{width}, height and width should be at least 1")
    image = Image.fromarray(picture)
    shown_width = image.width * pixel_aspect
    match mode:
        case "crop":
            box = _centre_box(image, height, width, shown_width)
            image = image.resize((width, height), Image.Resampling.BICUBIC, box=box)
        case "pad":
            image = _letterbox(image, height, width, shown_width)
        case "stretch":
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        case _:
            raise InputError(f"mode is {mode!r}, it should be crop, pad or stretch")
    return _pixels(image)


def _load(path: str | Path, convert: Callable[[Image.Image, str | Path], Image.Image]) -> UInt8[np.ndarray, "h w c"]:
    found = existing_file(path, kind=f"a picture ({_FORMAT_NAMES})")
    with warnings.catch_warnings():
        # Pillow warns about large pictures and invalid EXIF data; both work.
        warnings.simplefilter("ignore")
        try:
            with Image.open(found, formats=_FORMATS) as image:
                image.load()
                return np.array(convert(_upright(image), path))
        except InputError:
            raise
        except Image.DecompressionBombError:
            raise InputError(f"{path}: has more than 178 million pixels, it should have fewer") from None
        except UnidentifiedImageError as error:
            raise InputError(f"{path}: {_why_unknown(found)}") from error
        except _DAMAGE as error:
            raise InputError(f"{path}: is cut off or broken ({_one_line(error)})") from error


def _pixels(image: Image.Image) -> Float[Tensor, "3 h w"]:
    return from_uint8(torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous())


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except _DAMAGE:
        turn = None  # unreadable EXIF data says nothing about orientation
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image, path: str | Path) -> Image.Image:
    profile = image.info.get("icc_profile")
    image = _eight_bit(image, path)
    if image.has_transparency_data:
        image = _on_white(image.convert("RGBA"))
    return _to_srgb(image, profile).convert("RGB")


def _rgba(image: Image.Image, path: str | Path) -> Image.Image:
    profile = image.info.get("icc_profile")
    layer = _eight_bit(image, path).convert("RGBA")
    colours = _to_srgb(layer.convert("RGB"), profile).convert("RGB")
    colours.putalpha(layer.getchannel("A"))
    return colours


def _on_white(layer: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")


def _eight_bit(image: Image.Image, path: str | Path) -> Image.Image:
    """Convert grey pictures of 16 bits or floats to 8 bits, which Pillow itself would clip; keep others as they are."""
    if image.mode == "F" or image.mode.startswith("I"):
        samples = np.asarray(image).astype(np.float64)
        full = 1.0 if image.mode == "F" else 65535.0
        if not bool(np.all((samples >= 0) & (samples <= full))):
            raise InputError(f"{path}: has samples outside 0 to {full:g}, it should be saved with 8 or 16 bits")
        return Image.fromarray(np.round(samples / full * 255).astype(np.uint8))
    return image


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert colours by the embedded profile (phones store Display P3); ignores an unusable profile."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return image if converted is None else converted


def _centre_box(
    image: Image.Image, height: int, width: int, shown_width: Fraction
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the largest centred part that is shown with the aspect ratio of the target."""
    scale = min(shown_width / width, Fraction(image.height, height))
    left, top = (1 - width * scale / shown_width) * image.width / 2, (image.height - height * scale) / 2
    return float(left), float(top), float(image.width - left), float(image.height - top)


def _letterbox(image: Image.Image, height: int, width: int, shown_width: Fraction) -> Image.Image:
    scale = min(width / shown_width, Fraction(height, image.height))
    inner = (max(1, round(shown_width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image.resize(inner, Image.Resampling.BICUBIC), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def _why_unknown(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        return f"is a HEIC picture, which cannot be read here: save it as one of {_FORMAT_NAMES}"
    if start.startswith(_MAGIC):
        return "is cut off or broken: its header cannot be read"
    return f"is not a picture, it should be one of {_FORMAT_NAMES}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
