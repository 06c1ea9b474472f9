"""Colour of video frames: what the tags say, what to assume without tags, conversion to RGB and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from jaxtyping import UInt8

# Numbers of ITU-T H.273, which FFmpeg uses too; 2 means unspecified.
_MATRICES = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc"}
_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 12: "display-p3"}
_TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "srgb", 14: "bt2020-10",
    15: "bt2020-12", 16: "pq", 18: "hlg",
}  # fmt: skip
_RANGES = {1: "limited", 2: "full"}
_UNSPECIFIED = 2

# Without these flags swscale rounds coarsely (white becomes 253), and differently on other processors.
_EXACT = (
    Interpolation.BILINEAR
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)


@dataclass(frozen=True, slots=True)
class ColourTags:
    """What a stream says of its colours; None where it says nothing."""

    matrix: str | None
    primaries: str | None
    transfer: str | None
    range: str | None


def colour_tags(frame: VideoFrame) -> ColourTags:
    """The colour tags of a decoded frame; a number without a common name is given as "h273-<number>"."""
    return ColourTags(
        matrix=_name(_MATRICES, frame.colorspace),
        primaries=_name(_PRIMARIES, frame.color_primaries),
        transfer=_name(_TRANSFERS, frame.color_trc),
        range=_RANGES.get(int(frame.color_range)),
    )


def usual_matrix(width: int, height: int) -> int:
    """The YCbCr matrix that players assume for an untagged video: BT.709 from 720p on, BT.601 below."""
    return int(Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601)


def source_matrix(frame: VideoFrame) -> int:
    """The YCbCr matrix of a decoded frame, by its tag or by its size."""
    is_tagged = int(frame.colorspace) != _UNSPECIFIED
    return int(frame.colorspace) if is_tagged else usual_matrix(frame.width, frame.height)


def is_full_range(frame: VideoFrame) -> bool:
    """Whether a YCbCr frame's levels go from 0 to 255, by its tag or its format."""
    return frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG


def to_rgb(frame: VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """The frame as RGB 0..255 by its own tags; transparency is dropped, HDR is not tone-mapped."""
    return frame.to_ndarray(
        format="rgb24",
        src_colorspace=source_matrix(frame),
        src_color_range=frame.color_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    )


def from_rgb(picture: UInt8[np.ndarray, "h w 3"], pixel_format: str) -> VideoFrame:
    """RGB 0..255 as a tagged frame of `pixel_format`, in the matrix that players expect at this size."""
    height, width, _ = picture.shape
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=usual_matrix(width, height),
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_color_primaries=ColorPrimaries.BT709,
        dst_color_trc=ColorTrc.BT709,
        interpolation=_EXACT,
        threads=1,
    )


def to_layout(frame: VideoFrame, pixel_format: str) -> VideoFrame:
    """The frame in another `pixel_format` of the same kind (YCbCr or RGB), its colours and tags as they are."""
    return frame.reformat(
        format=pixel_format,
        src_colorspace=frame.colorspace,
        dst_colorspace=frame.colorspace,
        src_color_range=frame.color_range,
        dst_color_range=frame.color_range,
        interpolation=_EXACT,
        threads=1,
    )


def _name(names: dict[int, str], number: int) -> str | None:
    if number in names:
        return names[number]
    return None if number in (0, _UNSPECIFIED) else f"h273-{int(number)}"
