"""Display of stored frames: orientation, colour tags, conversion to RGB and back."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from jaxtyping import Float32, Num, UInt8

from videoldm.video.hdr import is_hdr, tone_mapped

# Numbers of ITU-T H.273, which FFmpeg uses too; 2 means unspecified.
_MATRICES = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc"}
_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 12: "display-p3"}
_TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "srgb", 14: "bt2020-10",
    15: "bt2020-12", 16: "pq", 18: "hlg",
}  # fmt: skip
_RANGES = {1: "limited", 2: "full"}
_UNSPECIFIED = 2

# Without these flags swscale rounds coarsely (white becomes 253) and differently on other processors.
_EXACT = (
    Interpolation.BILINEAR
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)
# Formats with separate 8-bit planes of luma, blue and red difference.
_PLANAR = frozenset(f"yuv{j}{kind}p" for j in ("", "j") for kind in ("410", "411", "420", "422", "440", "444"))
_GENERAL_FORMAT = "yuv444p"
# With these flags, swscale loses the green channel of rgb48le.
_DEEP_RGB = "gbrp16le"
# Weights of red and blue in luma, by the number of the matrix in ITU-T H.273; others are treated as BT.601.
_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}
_BT601 = (0.299, 0.114)
# Full-range levels of luma from 16 to 235.
_FULL_LUMA = ((np.arange(256) - 16) * (255 / 219)).round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Orientation:
    """Transformation of a stored frame for display: transpose first, then mirror left-right and top-bottom."""

    is_transposed: bool = False
    is_mirrored_x: bool = False
    is_mirrored_y: bool = False

    @property
    def rotation(self) -> int:
        """Clockwise rotation of the stored frame in degrees: 0, 90, 180 or 270."""
        if self.is_transposed:
            return 270 if self.is_mirrored_y else 90
        return 180 if self.is_mirrored_y else 0

    @property
    def is_mirrored(self) -> bool:
        """Whether the stored frame is mirrored left-right after `rotation`."""
        return self.is_transposed ^ self.is_mirrored_x ^ self.is_mirrored_y

    def apply(self, picture: UInt8[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "new_h new_w *c"]:
        """Return the picture as it is displayed."""
        if self.is_transposed:
            picture = picture.swapaxes(0, 1)
        if self.is_mirrored_x:
            picture = picture[:, ::-1]
        if self.is_mirrored_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """Return the frame's display matrix, nine 16.16 fixed-point numbers; None if the file has none."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    return tuple(int(number) for number in np.frombuffer(bytes(data), dtype=np.int32))


def orientation(matrix: tuple[int, ...] | None) -> Orientation:
    """Return the multiple of 90 degrees and the mirroring nearest to a display matrix.

    The matrix (a b u; c d v; x y w) shows the stored point (p, q) at (a p + c q + x, b p + d q + y).
    """
    if matrix is None:
        return Orientation()
    a, b, _, c, d = matrix[:5]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(is_transposed=True, is_mirrored_x=c < 0, is_mirrored_y=b < 0)
    return Orientation(is_mirrored_x=a < 0, is_mirrored_y=d < 0)


@dataclass(frozen=True, slots=True)
class ColourTags:
    """Colour tags of a stream; None where it has none."""

    matrix: str | None
    primaries: str | None
    transfer: str | None
    range: str | None


def colour_tags(frame: VideoFrame) -> ColourTags:
    """Return the colour tags of a decoded frame; a number without a common name becomes "h273-<number>"."""
    return ColourTags(
        matrix=_name(_MATRICES, frame.colorspace),
        primaries=_name(_PRIMARIES, frame.color_primaries),
        transfer=_name(_TRANSFERS, frame.color_trc),
        range=_RANGES.get(int(frame.color_range)),
    )


def effective_tags(frame: VideoFrame) -> ColourTags:
    """Return the colour tags by which the frame is shown: players read a missing range or matrix as the usual one."""
    tags = colour_tags(frame)
    if frame.format.is_rgb or frame.format.has_palette:
        return tags
    return dataclasses.replace(
        tags, matrix=_name(_MATRICES, source_matrix(frame)), range="full" if is_full_range(frame) else "limited"
    )


def default_matrix(width: int, height: int) -> int:
    """Return the YCbCr matrix that players assume for an untagged video: BT.709 from 720p on, BT.601 below."""
    return int(Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601)


def source_matrix(frame: VideoFrame) -> int:
    """Return the YCbCr matrix of a decoded frame, by its tag or else by its size."""
    is_tagged = int(frame.colorspace) != _UNSPECIFIED
    return int(frame.colorspace) if is_tagged else default_matrix(frame.width, frame.height)


def is_full_range(frame: VideoFrame) -> bool:
    """Whether the levels of a YCbCr frame span 0 to 255, by its tag or its format."""
    return frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG


def to_rgb(frame: VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Convert the frame to RGB 0..255 by its own tags; transparency is dropped, HDR is mapped to SDR."""
    return tone_mapped(_rgb_levels(frame, _DEEP_RGB), frame) if is_hdr(frame) else stored_rgb(frame)


def stored_rgb(frame: VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Convert the frame to RGB 0..255 as `to_rgb` does, with the levels of its own transfer even if that is HDR."""
    return _rgb_levels(frame, "rgb24")


def _rgb_levels(frame: VideoFrame, pixel_format: str) -> Any:
    return frame.to_ndarray(
        format=pixel_format,
        src_colorspace=source_matrix(frame),
        src_color_range=frame.color_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    )


def from_rgb(picture: UInt8[np.ndarray, "h w 3"], pixel_format: str) -> VideoFrame:
    """Convert RGB 0..255 to a tagged frame of `pixel_format`, in the matrix that players expect at this size."""
    height, width, _ = picture.shape
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=default_matrix(width, height),
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_color_primaries=ColorPrimaries.BT709,
        dst_color_trc=ColorTrc.BT709,
        interpolation=_EXACT,
        threads=1,
    )


def to_pixel_format(frame: VideoFrame, pixel_format: str) -> VideoFrame:
    """Convert the frame to another `pixel_format` of the same kind (YCbCr or RGB), keeping its colours and tags."""
    return frame.reformat(
        format=pixel_format,
        src_colorspace=frame.colorspace,
        dst_colorspace=frame.colorspace,
        src_color_range=frame.color_range,
        dst_color_range=frame.color_range,
        interpolation=_EXACT,
        threads=1,
    )


def small_bgr(frame: VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """Shrink the frame to `width` x `height`, as blue, green, red 0..255 of SDR by its own colour tags.

    Much cheaper than converting the whole frame, as it works on the planes in place.
    """
    matrix = source_matrix(frame)
    if is_hdr(frame):
        small = frame.reformat(width=width, height=height, interpolation="AREA", threads=1)
        return np.ascontiguousarray(to_rgb(small)[..., ::-1])
    if frame.format.name not in _PLANAR or any(plane.line_size < 0 for plane in frame.planes):
        frame = frame.reformat(width=width, height=height, format=_GENERAL_FORMAT, interpolation="AREA", threads=1)
    planes = [_resized(plane, width, height) for plane in frame.planes[:3]]
    return cv2.transform(cv2.merge(planes), _to_bgr(matrix, is_full_range(frame)))


def small_grey(frame: VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "height width"]:
    """Shrink the luma of the frame to `width` x `height`, 0..255 of SDR by its own colour tags."""
    if is_hdr(frame) or frame.format.name not in _PLANAR or frame.planes[0].line_size < 0:
        return cv2.cvtColor(small_bgr(frame, width, height), cv2.COLOR_BGR2GRAY)
    luma = shrunk(plane_samples(frame.planes[0], np.dtype(np.uint8)), width, height)
    return luma if is_full_range(frame) else cv2.LUT(luma, _FULL_LUMA)


def shrunk(picture: UInt8[np.ndarray, "h w"], width: int, height: int) -> UInt8[np.ndarray, "height width"]:
    """Shrink a picture by 4 x 4 samples for each pixel at most, so that the cost does not grow with its size."""
    if picture.shape[0] > 2 * height and picture.shape[1] > 2 * width:
        picture = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def is_planar(frame: VideoFrame) -> bool:
    """Whether the frame's first plane holds its luma alone, in samples of one byte or two, the lower byte first."""
    name = frame.format.name
    return name.startswith(("yuv4", "yuvj4", "yuva4")) and not name.endswith("be") and frame.planes[0].line_size > 0


def plane_samples(plane: VideoPlane, sample: np.dtype[Any]) -> Num[np.ndarray, "h w"]:
    """Return a view of a plane's samples, without the padding of its lines."""
    rows = np.frombuffer(memoryview(plane), sample).reshape(plane.height, plane.line_size // sample.itemsize)
    return rows[:, : plane.width]


def _name(names: dict[int, str], number: int) -> str | None:
    if number in names:
        return names[number]
    return None if number in (0, _UNSPECIFIED) else f"h273-{int(number)}"


def _resized(plane: VideoPlane, width: int, height: int) -> UInt8[np.ndarray, "height width"]:
    samples = plane_samples(plane, np.dtype(np.uint8))
    if (plane.height, plane.width) == (height, width):
        return samples
    if plane.width >= width and plane.height >= height:
        return shrunk(samples, width, height)
    # Chroma, which is stored as small as JPEG stores it: repeated samples come out as they were, and take less time.
    return cv2.resize(samples, (width, height), interpolation=cv2.INTER_NEAREST)


@functools.cache
def _to_bgr(matrix: int, is_full: bool) -> Float32[np.ndarray, "3 4"]:
    """Return the affine map from luma, blue and red difference to blue, green and red (ITU-T H.273, 8.3)."""
    red, blue = _WEIGHTS.get(matrix, _BT601)
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if is_full else (255 / 219, 255 / 224)
    black = 0 if is_full else 16
    from_blue, from_red = 2 * (1 - blue) * chroma, 2 * (1 - red) * chroma
    rows = np.array(
        [
            [luma, from_blue, 0],
            [luma, -blue / green * from_blue, -red / green * from_red],
            [luma, 0, from_red],
        ]
    )
    offset = -rows @ np.array([black, 128, 128])
    return np.column_stack([rows, offset]).astype(np.float32)
