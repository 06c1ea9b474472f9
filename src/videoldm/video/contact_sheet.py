"""Contact sheets: one picture of several clips, a row for each clip, time from left to right."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.video.pixels import to_uint8

_FRAME_PX = 192
_GAP_PX = 4
_LABEL_PX = 22
_FONT_SIZE = 14
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)


def contact_sheet(
    clips: Sequence[Float[Tensor, "_t c _h _w"]], labels: Sequence[str], *, num_columns: int = 8
) -> Image.Image:
    """Draw a sheet of clips with pixels in [-1, 1]: a row has a label and up to `num_columns` evenly spread frames.

    The first and the last frame are among them. Small frames are enlarged by a whole factor, so that their pixels stay
    visible; large ones are reduced. Clips may differ in size and length. Raises InputError if there is nothing to draw.
    """
    if not clips or len(clips) != len(labels) or num_columns < 1:
        raise InputError(
            f"a contact sheet of {len(clips)} clips, {len(labels)} labels and {num_columns} columns cannot be drawn: "
            f"it needs at least one clip and column, and a label for each clip"
        )
    rows = [_row(clip, label, num_columns) for clip, label in zip(clips, labels, strict=True)]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), _PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(clip: Float[Tensor, "t c h w"], label: str, num_columns: int) -> Image.Image:
    samples = to_uint8(clip[spread_frames(clip.shape[0], num_columns)].detach().cpu()).permute(0, 2, 3, 1).numpy()
    tiles = [_tile(Image.fromarray(frame)) for frame in samples]
    width, height = tiles[0].size
    row = Image.new("RGB", (_GAP_PX + len(tiles) * (width + _GAP_PX), _LABEL_PX + height + _GAP_PX), _PAPER)
    _write_label(row, label)
    for index, tile in enumerate(tiles):
        row.paste(tile, (_GAP_PX + index * (width + _GAP_PX), _LABEL_PX))
    return row


def spread_frames(num_frames: int, num_columns: int) -> list[int]:
    """Return the indices of up to `num_columns` evenly spread frames, the first and the last included."""
    positions = np.linspace(0, num_frames - 1, min(num_frames, num_columns))
    return [round(float(position)) for position in positions]


def _tile(frame: Image.Image) -> Image.Image:
    longer = max(frame.size)
    if longer > _FRAME_PX:
        size = tuple(max(1, round(side * _FRAME_PX / longer)) for side in frame.size)
        return frame.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    factor = _FRAME_PX // longer
    return frame.resize((frame.width * factor, frame.height * factor), Image.Resampling.NEAREST)


def _write_label(row: Image.Image, label: str) -> None:
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(size=_FONT_SIZE)
    text, room = " ".join(label.split()), row.width - 2 * _GAP_PX
    if draw.textlength(text, font=font) > room:
        num_kept = bisect.bisect(range(len(text)), room, key=lambda end: draw.textlength(f"{text[:end]}...", font=font))
        text = f"{text[: max(0, num_kept - 1)]}..."
    draw.text((_GAP_PX, _LABEL_PX // 2), text, font=font, fill=_INK, anchor="lm")
