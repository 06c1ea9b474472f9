"""Text drawn over frames, with its exact position."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from videoldm.synthetic.vocabulary import Rgb

Frame = npt.NDArray[np.uint8]
Point = tuple[float, float]
Polygon = tuple[Point, Point, Point, Point]

MARGIN_PX = 2


@dataclass(frozen=True)
class TextBox:
    """One line of text on the frames `first_frame` to `last_frame`, both included.

    `polygon` holds the corners around the drawn text in pixels (x right, y down), from the top left clockwise as the
    text is read.
    """

    text: str
    polygon: Polygon
    first_frame: int
    last_frame: int
    size_px: int
    colour: Rgb
    has_plate: bool
    angle_deg: float


def place_text(text: str, *, size_px: int, angle_deg: float, left_px: float, top_px: float) -> Polygon:
    """Return the polygon of `text` if the upright box around the turned text begins at (`left_px`, `top_px`)."""
    width, height = _plain_size(text, size_px)
    corners = [_turned(x, y, angle_deg) for x, y in ((0, 0), (width, 0), (width, height), (0, height))]
    shift_x = left_px - min(x for x, _ in corners)
    shift_y = top_px - min(y for _, y in corners)
    a, b, c, d = ((x + shift_x, y + shift_y) for x, y in corners)
    return a, b, c, d


def draw_text(frame: Frame, box: TextBox) -> Frame:
    """Draw the text of `box` on a copy of `frame` (`h w 3`)."""
    layer = _layer(box, frame.shape[0], frame.shape[1])
    ink, opacity = layer[..., :3], layer[..., 3:]
    return (frame * (1 - opacity) + ink * opacity).round().astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _layer(box: TextBox, height: int, width: int) -> npt.NDArray[np.float32]:
    """Draw the text alone, `h w 4`: colour in 0 to 255 and opacity in 0 to 1."""
    plain = _plain_picture(box)
    (x0, y0), (x1, y1), _, (x3, y3) = box.polygon
    # PIL needs the inverse map, from positions in the frame to positions in the plain picture.
    columns, rows = plain.size
    ux, uy = (x1 - x0) / columns, (y1 - y0) / columns
    vx, vy = (x3 - x0) / rows, (y3 - y0) / rows
    scale = 1 / (ux * vy - uy * vx)
    a, b, d, e = vy * scale, -vx * scale, -uy * scale, ux * scale
    inverse = (a, b, -(a * x0 + b * y0), d, e, -(d * x0 + e * y0))
    turned = plain.transform((width, height), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)
    layer = np.asarray(turned, dtype=np.float32).copy()
    layer[..., 3] /= 255
    return layer


def _plain_picture(box: TextBox) -> Image.Image:
    columns, rows = _plain_size(box.text, box.size_px)
    ink = tuple(round(255 * value) for value in box.colour)
    backing = (20, 20, 20) if box.has_plate else ink
    picture = Image.new("RGBA", (columns, rows), (*backing, 200 if box.has_plate else 0))
    left, top, _, _ = _ink_box(box.text, box.size_px)
    pen = ImageDraw.Draw(picture)
    pen.text((MARGIN_PX - left, MARGIN_PX - top), box.text, fill=(*ink, 255), font=_font(box.size_px))
    return picture


def _plain_size(text: str, size_px: int) -> tuple[int, int]:
    left, top, right, bottom = _ink_box(text, size_px)
    return right - left + 2 * MARGIN_PX, bottom - top + 2 * MARGIN_PX


def _ink_box(text: str, size_px: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = _font(size_px).getbbox(text)
    return int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))


@functools.cache
def _font(size_px: int) -> Any:
    return ImageFont.load_default(size_px)


def _turned(x: float, y: float, angle_deg: float) -> Point:
    """Rotate the point clockwise on the screen about the origin."""
    cos, sin = float(np.cos(np.deg2rad(angle_deg))), float(np.sin(np.deg2rad(angle_deg)))
    return x * cos - y * sin, x * sin + y * cos
