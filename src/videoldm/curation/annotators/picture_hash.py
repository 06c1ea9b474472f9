"""Hash of how three frames of a clip look, by which copies of it are found; needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import Float32, UInt8

from videoldm.core.config import NonNegative
from videoldm.curation.annotators.annotator import PLACES, Annotator, ClipFrames, Missing, Values
from videoldm.curation.annotators.letterbox import LetterboxConfig, find_bars
from videoldm.curation.annotators.registry import AnnotatorConfig, register

SIDE_PX = 32
"""Sides of the picture whose frequencies are hashed, whatever its aspect."""
SIDE_BITS = 10
"""Frequencies along each side; all but the mean give a bit."""
NUM_BITS = SIDE_BITS**2 - 1
NUM_BYTES = -(-NUM_BITS // 8)


class PictureHashConfig(AnnotatorConfig):
    """Hashes of the first, middle and last frame."""

    name: Literal["picture_hash"] = "picture_hash"
    letterbox: LetterboxConfig = LetterboxConfig()
    least_contrast: NonNegative = 2.0
    """Standard deviation, in levels, below which a frame is of one colour and has no hash."""

    @property
    def columns(self) -> pa.Schema:
        """The bits of each frame, null for one of one colour."""
        return pa.schema([(place, pa.binary(NUM_BYTES)) for place in PLACES])


@register(PictureHashConfig)
class PictureHash(Annotator[PictureHashConfig]):
    """Signs of the lowest frequencies of luma, within black bars; light, colours and compression hardly change them."""

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Hash the frames of each clip."""
        return [self._values(clip) for clip in clips]

    def _values(self, clip: ClipFrames) -> Values:
        frames = [frame.grey(4 * SIDE_PX) for frame in clip.first_middle_last]
        frames = [cv2.resize(one, frames[0].shape[::-1], interpolation=cv2.INTER_AREA) for one in frames]
        bars = find_bars(np.stack(frames), self.config.letterbox)
        bits = [self._bits(bars.cut_off(one)) for one in frames]
        if all(one is None for one in bits):
            return Missing("its frames are of one colour")
        return dict(zip(PLACES, bits, strict=True))

    def _bits(self, frame: UInt8[np.ndarray, "h w"]) -> bytes | None:
        small = cv2.resize(frame, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        if small.std() < self.config.least_contrast:
            return None
        frequencies = cv2.dct(small)[:SIDE_BITS, :SIDE_BITS]
        return np.packbits(frequencies.reshape(-1)[1:] > 0).tobytes()


def hash_vector(row: Mapping[str, Any]) -> Float32[np.ndarray, " d"] | None:
    """Return the bits of a stored row as -1 and 1, and 0 for a frame without; None if the clip has none.

    The cosine of two such vectors is 1 for equal hashes and about 0 for unrelated ones.
    """
    if all(row[place] is None for place in PLACES):
        return None
    vector = np.zeros((len(PLACES), NUM_BITS), np.float32)
    for number, place in enumerate(PLACES):
        if row[place] is not None:
            vector[number] = np.unpackbits(np.frombuffer(row[place], np.uint8), count=NUM_BITS) * np.float32(2) - 1
    return vector.reshape(-1)
