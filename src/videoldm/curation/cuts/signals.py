"""What the detectors read: a few numbers and a very small picture of every frame, taken while a source is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64, UInt8

from videoldm.core.errors import InputError
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.picture import CHROMA, LUMA, tiny_picture

# Few enough that what is computed of them fits into a processor's cache.
CHUNK_FRAMES = 64
PICTURE = (9, 16)
"""Rows and columns of the luma that is kept of every frame."""
NUM_LUMA = PICTURE[0] * PICTURE[1]
PICTURE_CHROMA = (3, 4)
"""The same of either chroma plane."""
# Of luma and of both chroma planes, whose levels lie closer together.
_NUM_BINS = (16, 32, 32)
# How fast the mean of earlier changes, which `add` compares with, forgets.
_FORGET = 0.2

Column = Float32[np.ndarray, " t"]
CHANGES = ("luma_change", "chroma_change", "histogram_change")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SignalTable:
    """One row a frame, in the order they are shown; changes are against the frame before, the first row's are 0.

    `luma_change`, `chroma_change`: mean difference of levels 0..255; `histogram_change`: from 0 to 3, how much of the
    picture lies at other levels of luma, blue and red difference; `pictures`: luma at `PICTURE`, then blue and red
    difference at `PICTURE_CHROMA`, flat.
    """

    time_base: Fraction
    pts: Int64[np.ndarray, " t"]
    luma_change: Column
    chroma_change: Column
    histogram_change: Column
    pictures: UInt8[np.ndarray, "t n"]

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.pts)

    @property
    def luma(self) -> UInt8[np.ndarray, "t n"]:
        """The luma of `pictures`."""
        return self.pictures[:, :NUM_LUMA]

    def to_arrow(self) -> pa.Table:
        """The same as columns; the time base is in the schema's metadata."""
        columns: dict[str, pa.Array] = {"pts": pa.array(self.pts)}
        columns |= {name: pa.array(getattr(self, name)) for name in CHANGES}
        flat = pa.array(np.ascontiguousarray(self.pictures).reshape(-1))
        columns["picture"] = pa.FixedSizeListArray.from_arrays(flat, _PICTURE_SIZE)
        return pa.table(columns).replace_schema_metadata({"time_base": str(self.time_base)})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> SignalTable:
        """What `to_arrow` gave."""
        table = table.combine_chunks()
        flat = table["picture"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return cls(
            time_base=Fraction(table.schema.metadata[b"time_base"].decode()),
            pts=table["pts"].to_numpy(),
            **{name: table[name].to_numpy() for name in CHANGES},
            pictures=flat.reshape(-1, _PICTURE_SIZE),
        )


_PICTURE_SIZE = NUM_LUMA + 2 * PICTURE_CHROMA[0] * PICTURE_CHROMA[1]


class CutSignals:
    """Takes the frames of one stream as they are decoded, in the order they are shown."""

    def __init__(self, config: CutConfig) -> None:
        self._config = config
        self._time_base: Fraction | None = None
        self._chunk = _Chunk.empty(CHUNK_FRAMES)
        self._num_waiting = 0
        self._last: _Chunk | None = None
        self._done: list[SignalTable] = []
        self._usual_change = 0.0

    def add(self, frame: av.VideoFrame) -> bool:
        """Whether `frame` may be the first of a new shot, by a rule that lets more through than detection does."""
        assert frame.pts is not None
        # Only once, as each look at it makes a new Fraction.
        self._time_base = self._time_base or frame.time_base
        row = self._num_waiting
        luma, blue, red = tiny_picture(frame)
        before = self._chunk.luma[row - 1] if row else self._last.luma[0] if self._last else luma
        chunk = self._chunk
        chunk.pts[row], chunk.luma[row], chunk.chroma[row, 0], chunk.chroma[row, 1] = frame.pts, luma, blue, red
        self._num_waiting += 1
        if self._num_waiting == CHUNK_FRAMES:
            self._flush()
        return self._is_candidate(cv2.norm(luma, before, cv2.NORM_L1) / luma.size)

    def finish(self) -> SignalTable:
        """The signals of all frames; raises InputError if there were none."""
        if self._num_waiting:
            self._flush()
        if not self._done:
            raise InputError("there are no frames to find cuts in")
        return _joined(self._done)

    def _is_candidate(self, change: float) -> bool:
        config, usual = self._config.candidates, self._usual_change
        self._usual_change += _FORGET * (change - usual)
        return change > config.change and change > config.ratio * usual

    def _flush(self) -> None:
        assert self._time_base is not None
        chunk = self._chunk.rows(0, self._num_waiting)
        before = self._last or chunk.rows(0, 1)
        self._done.append(_signals(before, chunk, self._time_base))
        self._last = chunk.rows(len(chunk.pts) - 1, len(chunk.pts)).copied()
        self._num_waiting = 0


@dataclass(frozen=True, eq=False, slots=True)
class _Chunk:
    """Tiny pictures of successive frames."""

    pts: Int64[np.ndarray, " t"]
    luma: UInt8[np.ndarray, "t h w"]
    chroma: UInt8[np.ndarray, "t 2 y x"]

    @classmethod
    def empty(cls, size: int) -> _Chunk:
        return cls(np.empty(size, np.int64), np.empty((size, *LUMA), np.uint8), np.empty((size, 2, *CHROMA), np.uint8))

    def rows(self, first: int, end: int) -> _Chunk:
        return _Chunk(self.pts[first:end], self.luma[first:end], self.chroma[first:end])

    def copied(self) -> _Chunk:
        return _Chunk(self.pts.copy(), self.luma.copy(), self.chroma.copy())


def _signals(before: _Chunk, chunk: _Chunk, time_base: Fraction) -> SignalTable:
    """The rows of `chunk`, which follows the one frame of `before`."""
    luma = np.concatenate([before.luma, chunk.luma]).astype(np.float32)
    chroma = np.concatenate([before.chroma, chunk.chroma]).astype(np.float32)
    small = [_means(luma[1:], PICTURE), *(_means(chroma[1:, plane], PICTURE_CHROMA) for plane in (0, 1))]
    return SignalTable(
        time_base=time_base,
        pts=chunk.pts.copy(),
        luma_change=_change(luma),
        chroma_change=_change(chroma),
        histogram_change=_histogram_change(before, chunk),
        pictures=np.concatenate(small, axis=1).round().astype(np.uint8),
    )


def _change(values: Float32[np.ndarray, "k ..."]) -> Column:
    return np.abs(np.diff(values, axis=0)).reshape(len(values) - 1, -1).mean(axis=1)


def _histogram_change(before: _Chunk, chunk: _Chunk) -> Column:
    planes = [np.concatenate([before.luma, chunk.luma])]
    planes += [np.concatenate([before.chroma[:, plane], chunk.chroma[:, plane]]) for plane in (0, 1)]
    counts = np.concatenate(
        [histograms(plane, num_bins) for plane, num_bins in zip(planes, _NUM_BINS, strict=True)], axis=1
    )
    return np.abs(np.diff(counts, axis=0)).sum(axis=1) / 2


def histograms(levels: UInt8[np.ndarray, "t ..."], num_bins: int) -> Float32[np.ndarray, "t bins"]:
    """Which part of each picture lies in each of `num_bins` equal bins, a power of 2, blurred a little."""
    num_pictures, padded = len(levels), num_bins + 2
    bins = levels.reshape(num_pictures, -1) // (256 // num_bins)
    places = bins + np.arange(1, num_pictures * padded, padded)[:, None]
    counts = np.bincount(places.ravel(), minlength=num_pictures * padded).reshape(num_pictures, padded)
    blurred = counts[:, :-2] + 2 * counts[:, 1:-1] + counts[:, 2:]
    return (blurred / (4 * bins.shape[1])).astype(np.float32)


def _means(values: Float32[np.ndarray, "t h w"], size: tuple[int, int]) -> Float32[np.ndarray, "t n"]:
    """Each picture as the flat means of `size` blocks."""
    height, width = values.shape[1] // size[0], values.shape[2] // size[1]
    # A sum of strided views is several times as fast as a mean over two of five axes.
    cells = sum(values[:, row::height, column::width] for row in range(height) for column in range(width))
    return np.asarray(cells).reshape(len(values), -1) / (height * width)


def _joined(parts: list[SignalTable]) -> SignalTable:
    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return SignalTable(
        time_base=parts[0].time_base,
        pts=column("pts"),
        pictures=column("pictures"),
        **{name: column(name) for name in CHANGES},
    )
