"""Signals that detectors read: a few numbers and a tiny picture of every frame, taken while a source is decoded."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import pyarrow as pa
from av.video.plane import VideoPlane
from jaxtyping import Bool, Float, Float32, Int64, Num, UInt8

from videoldm.core.errors import InputError
from videoldm.curation.cuts.config import CutConfig
from videoldm.video.display import is_full_range, plane_samples

CHUNK_FRAMES = 128
"""Few enough that everything computed from them fits into a processor's cache."""
LUMA = (18, 32)
"""Rows and columns of the luma kept for every frame."""
PICTURE_CHROMA = (3, 4)
"""Rows and columns of either chroma plane kept for every frame."""
COARSE = (9, 16)
"""Rows and columns of luma in which fades and dissolves are sought."""
NUM_LUMA = COARSE[0] * COARSE[1]
# Bins of luma and of both chroma planes, whose levels lie closer together.
_NUM_BINS = (16, 32, 32)
# Rate at which the mean of earlier changes, which `add` compares with, forgets.
_FORGET = 0.2

Column = Float32[np.ndarray, " t"]
CHANGES = ("luma_change", "chroma_change", "histogram_change")
SIGNAL_COLUMNS = ("pts", *CHANGES, "picture")
"""Names of the columns that signals are stored in."""
LUMA_SIZE = LUMA[0] * LUMA[1]
_PICTURE_SIZE = LUMA_SIZE + 2 * PICTURE_CHROMA[0] * PICTURE_CHROMA[1]
CHROMA = (9, 16)
"""Rows and columns of either chroma plane of the tiny picture."""
# Points at which luma is read for each cell of the tiny picture, across and down: enough to even out noise and fine
# texture, and the cost does not grow with the size of the frame. Chroma is read at one.
_LUMA_POINTS = 2
_POINTS = (LUMA[0] * _LUMA_POINTS, LUMA[1] * _LUMA_POINTS)
_NUM_POINTS = _POINTS[0] * _POINTS[1]
# Pixel formats whose planes hold luma, blue and red difference, and the bits of their samples.
_PLANAR_BITS = {
    **{f"yuv{kind}p": 8 for kind in ("410", "411", "420", "422", "440", "444")},
    **{f"yuvj{kind}p": 8 for kind in ("420", "422", "440", "444")},
    **{f"yuva{kind}p": 8 for kind in ("420", "422", "444")},
    **{f"yuv{kind}p{bits}le": bits for kind in ("420", "422", "444") for bits in (9, 10, 12, 14, 16)},
}
_GENERAL_FORMAT = "yuv420p"
_TWO_BYTES = np.dtype("<u2")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SignalTable:
    """One row a frame, in the order they are shown; changes are against the frame before, the first row's are 0.

    `luma_change`, `chroma_change`: mean difference of levels 0..255; `histogram_change`: from 0 to 3, the share of the
    picture that lies at other levels of luma, blue and red difference; `pictures`: luma at `LUMA`, then blue and red
    difference at `PICTURE_CHROMA`, flat, 600 bytes a frame.
    """

    time_base: Fraction
    pts: Int64[np.ndarray, " t"]
    luma_change: Column
    chroma_change: Column
    histogram_change: Column
    pictures: UInt8[np.ndarray, "t n"]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.pts)

    def since(self, first: int) -> SignalTable:
        """Return the rows from number `first` on."""
        columns = {name: getattr(self, name)[first:] for name in ("pts", *CHANGES, "pictures")}
        return SignalTable(time_base=self.time_base, **columns)

    @property
    def luma(self) -> UInt8[np.ndarray, "t h w"]:
        """Luma of `pictures`."""
        return self.pictures[:, :LUMA_SIZE].reshape(-1, *LUMA)

    def coarse(self, frames: slice | Sequence[int] = slice(None)) -> UInt8[np.ndarray, "k n"]:
        """Return `pictures` of some frames with their luma reduced to `COARSE`."""
        return np.concatenate([_means(self.luma[frames], COARSE), self.pictures[frames, LUMA_SIZE:]], axis=1)

    def to_arrow(self) -> pa.Table:
        """Convert to Arrow columns; the time base is in the schema's metadata."""
        columns: dict[str, pa.Array] = {"pts": pa.array(self.pts)}
        columns |= {name: pa.array(getattr(self, name)) for name in CHANGES}
        flat = pa.py_buffer(np.ascontiguousarray(self.pictures))
        columns["picture"] = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_PICTURE_SIZE), len(self), [None, flat])
        return pa.table(columns).replace_schema_metadata({"time_base": str(self.time_base)})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> SignalTable:
        """Convert back what `to_arrow` returned."""
        table = table.combine_chunks()
        pictures = table["picture"].combine_chunks()
        flat = np.frombuffer(pictures.buffers()[1], np.uint8)[pictures.offset * _PICTURE_SIZE :]
        return cls(
            time_base=Fraction(table.schema.metadata[b"time_base"].decode()),
            pts=table["pts"].to_numpy(),
            **{name: table[name].to_numpy() for name in CHANGES},
            pictures=flat[: len(table) * _PICTURE_SIZE].reshape(-1, _PICTURE_SIZE),
        )


class CutSignals:
    """Computes the signals of one stream from its frames as they are decoded, in the order they are shown."""

    def __init__(self, config: CutConfig) -> None:
        self._config = config.candidates
        self._time_base: Fraction | None = None
        # Row 0 is the frame before the waiting ones, once there is one.
        self._pts, self._points = np.empty(CHUNK_FRAMES + 1, np.int64), Points.empty(CHUNK_FRAMES + 1)
        self._first, self._end = 0, 0
        self._done: list[SignalTable] = []
        self._usual_change = 0.0
        self.latest_change = 0.0
        """Mean difference in levels 0..255 between the latest frame and the one before it."""

    def add(self, frame: av.VideoFrame) -> bool:
        """Add a frame; return whether it may begin a new shot, by a rule that is looser than detection."""
        assert frame.pts is not None
        # Only once, as each access creates a new Fraction.
        self._time_base = self._time_base or frame.time_base
        if self._end > CHUNK_FRAMES:
            self._flush()
        row = self._end
        self._pts[row] = frame.pts
        self._points.read(frame, row)
        self._end += 1
        return row > 0 and self._is_candidate(row)

    def finish(self) -> SignalTable:
        """Return the signals of all frames; raises InputError if there were none."""
        if self._end > self._first:
            self._flush()
        if not self._done:
            raise InputError("there are no frames to find cuts in")
        return _joined(self._done)

    def _is_candidate(self, row: int) -> bool:
        luma, config, usual = self._points.luma, self._config, self._usual_change
        change = cv2.norm(luma[row], luma[row - 1], cv2.NORM_L1) / _NUM_POINTS
        self.latest_change = change
        self._usual_change += _FORGET * (change - usual)
        if change <= config.change or change <= config.ratio * usual:
            return False
        return float(_histogram_change(self._points.rows(row - 1, row + 1).tiny())[1]) > config.histogram

    def _flush(self) -> None:
        """Compute the signals of the waiting frames, and keep the last one for comparison with the next."""
        assert self._time_base is not None
        pictures = self._points.rows(0, self._end).tiny()
        self._done.append(_signals(pictures, self._pts[: self._end], self._time_base).since(self._first))
        for column in (self._pts, self._points.luma, self._points.chroma, self._points.is_full):
            column[0] = column[self._end - 1]
        self._first = self._end = 1


def _signals(pictures: TinyPictures, pts: Int64[np.ndarray, " t"], time_base: Fraction) -> SignalTable:
    """Return the signals of all these frames, with changes of 0 for the first."""
    luma, chroma = pictures.luma, pictures.chroma
    flat = [luma.reshape(len(luma), -1), *(_means(chroma[:, plane], PICTURE_CHROMA) for plane in (0, 1))]
    return SignalTable(
        time_base=time_base,
        pts=pts.copy(),
        luma_change=_change(luma),
        chroma_change=_change(chroma),
        histogram_change=_histogram_change(pictures),
        pictures=np.concatenate(flat, axis=1),
    )


def _change(levels: UInt8[np.ndarray, "t ..."]) -> Column:
    flat = levels.reshape(len(levels), -1)
    return _from_zero(cv2.absdiff(flat[1:], flat[:-1]).mean(axis=1) if len(flat) > 1 else np.empty(0))


def _histogram_change(pictures: TinyPictures) -> Column:
    planes = (pictures.luma, pictures.chroma[:, 0], pictures.chroma[:, 1])
    counts = np.concatenate(
        [histograms(plane, num_bins) for plane, num_bins in zip(planes, _NUM_BINS, strict=True)], axis=1
    )
    return _from_zero(np.abs(np.diff(counts, axis=0)).sum(axis=1) / 2)


def _from_zero(changes: Num[np.ndarray, " k"]) -> Column:
    return np.concatenate([[0], changes]).astype(np.float32)


def histograms(levels: UInt8[np.ndarray, "t ..."], num_bins: int) -> Float32[np.ndarray, "t bins"]:
    """Return the share of each picture in each of `num_bins` equal bins, a power of 2, slightly blurred."""
    num_pictures, padded = len(levels), num_bins + 2
    bins = levels.reshape(num_pictures, -1) // (256 // num_bins)
    places = bins + np.arange(1, num_pictures * padded, padded)[:, None]
    counts = np.bincount(places.ravel(), minlength=num_pictures * padded).reshape(num_pictures, padded)
    blurred = counts[:, :-2] + 2 * counts[:, 1:-1] + counts[:, 2:]
    return (blurred / (4 * bins.shape[1])).astype(np.float32)


def _means(levels: UInt8[np.ndarray, "t h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "t n"]:
    """Return each picture as the flat means of `size` blocks, rounded."""
    height, width = levels.shape[1] // size[0], levels.shape[2] // size[1]
    sums = np.zeros((len(levels), *size), np.uint16)
    # A sum of strided views is several times as fast as a mean over two of five axes.
    for row in range(height):
        for column in range(width):
            sums += levels[:, row::height, column::width]
    return np.rint(sums.reshape(len(levels), -1) / (height * width)).astype(np.uint8)


def _joined(parts: list[SignalTable]) -> SignalTable:
    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return SignalTable(
        time_base=parts[0].time_base,
        pts=column("pts"),
        pictures=column("pictures"),
        **{name: column(name) for name in CHANGES},
    )


def _as_levels(values: Float[np.ndarray, " 256"]) -> UInt8[np.ndarray, " 256"]:
    return values.round().clip(0, 255).astype(np.uint8)


# Full-range levels of limited range, 16..235 for luma and 16..240 for chroma.
_LUMA_LEVELS = _as_levels((np.arange(256) - 16) * (255 / 219))
_CHROMA_LEVELS = _as_levels((np.arange(256) - 128) * (255 / 224) + 128)


@dataclass(frozen=True, eq=False, slots=True)
class TinyPictures:
    """Luma at `LUMA` and blue and red difference at `CHROMA` of successive frames, full range 0..255."""

    luma: UInt8[np.ndarray, "t h w"]
    chroma: UInt8[np.ndarray, "t 2 y x"]


@dataclass(frozen=True, eq=False, slots=True)
class Points:
    """Samples read from successive frames, each in its own range of levels."""

    luma: UInt8[np.ndarray, "t h w"]
    chroma: UInt8[np.ndarray, "t 2 y x"]
    is_full: Bool[np.ndarray, " t"]
    """Whether a frame's levels range from 0 to 255."""

    @classmethod
    def empty(cls, num_frames: int) -> Points:
        """Return room for `num_frames` frames."""
        luma, chroma = np.empty((num_frames, *_POINTS), np.uint8), np.empty((num_frames, 2, *CHROMA), np.uint8)
        return cls(luma, chroma, np.empty(num_frames, np.bool_))

    def read(self, frame: av.VideoFrame, row: int) -> None:
        """Fill a row from a frame; formats without separate planes of luma and chroma are converted, which is slow."""
        planes = frame.planes  # created anew by each access
        bits = _PLANAR_BITS.get(frame.format.name)
        if bits is None or planes[0].line_size < 0:
            frame = frame.reformat(
                width=_POINTS[1], height=_POINTS[0], format=_GENERAL_FORMAT, interpolation="AREA", threads=1
            )
            planes, bits = frame.planes, _PLANAR_BITS[_GENERAL_FORMAT]
        chroma = self.chroma[row]
        read_plane = _read_bytes if bits == 8 else functools.partial(_read_words, bits=bits)
        read_plane(planes[0], self.luma[row])
        read_plane(planes[1], chroma[0])
        read_plane(planes[2], chroma[1])
        self.is_full[row] = is_full_range(frame)

    def rows(self, first: int, end: int) -> Points:
        """Return a view of some of the frames."""
        return Points(self.luma[first:end], self.chroma[first:end], self.is_full[first:end])

    def tiny(self) -> TinyPictures:
        """Return the tiny picture of each frame."""
        num_frames, is_full = len(self.luma), self.is_full[:, None, None]
        below_each_other = self.luma.reshape(-1, _POINTS[1])
        cells = cv2.resize(below_each_other, (LUMA[1], num_frames * LUMA[0]), interpolation=cv2.INTER_AREA)
        luma = cells.astype(np.uint8, copy=False).reshape(num_frames, *LUMA)
        return TinyPictures(
            np.where(is_full, luma, _LUMA_LEVELS[luma]),
            np.where(is_full[..., None], self.chroma, _CHROMA_LEVELS[self.chroma]),
        )


def _read_bytes(plane: VideoPlane, points: UInt8[np.ndarray, "h w"]) -> None:
    """Read a plane at the points; linear interpolation reads 2 x 2 samples for each."""
    # As `plane_samples` does, without its calls: this is done three times a frame, and half of it is their cost.
    samples = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    cv2.resize(samples, points.shape[::-1], points, 0, 0, cv2.INTER_LINEAR)


def _read_words(plane: VideoPlane, points: UInt8[np.ndarray, "h w"], *, bits: int) -> None:
    """Read a plane of deeper samples at the points."""
    samples = cv2.resize(plane_samples(plane, _TWO_BYTES), points.shape[::-1], interpolation=cv2.INTER_LINEAR)
    points[:] = np.right_shift(samples, bits - 8)
