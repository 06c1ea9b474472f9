"""Detection of lines of text in a picture, with the detector that comes with rapidocr."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from pydantic import Field

from videoldm.core.config import Config, Positive, Share
from videoldm.core.errors import InputError
from videoldm.curation.annotators.models.local_model import open_session

_MULTIPLE_PX = 32
"""The network halves its input five times."""
_LONGEST_SIDES = 4
_SMALLEST_CORE_PX = 3
_SAMPLE_PX = 32
_SAMPLE_LINES = ("some words in a line of text", "and below them a few more")


class FirstLook(Config):
    """A look at a smaller picture, which saves the rest of the work if it finds nothing."""

    short_side: int = Field(default=192, ge=32)
    least_mark: Share = 0.3


class TextDetectorConfig(Config):
    """The network that finds text, and how its marks become boxes; rapidocr's values where it has one."""

    model: str = "PP-OCRv6_det_small"
    """A model inside the installed rapidocr, or the path of an .onnx file."""
    working_short_side: int = Field(default=352, ge=32)
    """Short side that pictures are scaled to, rounded to multiples of 32."""
    first_look: FirstLook | None = FirstLook()
    """A third of the cost; lines too small for it, below about a twenty-fifth of the height, have little area."""
    num_threads: int = Field(default=1, ge=1)
    least_mark: Share = 0.3
    least_mean_mark: Share = 0.5
    growth: Positive = 1.6
    tall: Share = 0.2
    """Boxes taller than this share of the picture's height are not text unless they are long."""
    least_tall_aspect: Positive = 2.0


class TextDetector:
    """A network that marks the cores of text lines, and the boxes around these marks.

    Liao et al. 2019, "Real-time Scene Text Detection with Differentiable Binarization". Pictures go through the network
    one by one, on a fixed number of threads, so that a result depends on its picture alone.
    """

    def __init__(self, config: TextDetectorConfig) -> None:
        """Raise InputError if the model cannot be found or read."""
        self.config = config
        self.session = open_session(model_path(config), config.num_threads)
        self.input_name: str = self.session.get_inputs()[0].name

    def lines(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "n 4 2"]:
        """Return the corners (x, y) of the box around each line, as shares of an RGB picture's width and height."""
        look = self.config.first_look
        if look is not None and self._marked(pixels, look.short_side).max() < look.least_mark:
            return np.zeros((0, 4, 2), dtype=np.float32)
        marked = self._marked(pixels, self.config.working_short_side)
        boxes = [*self._boxes(marked)]
        height, width = marked.shape
        return np.array(boxes, dtype=np.float32).reshape(-1, 4, 2) / np.array([width, height], dtype=np.float32)

    def prepare(self, pixels: UInt8[np.ndarray, "h w 3"], short_side: int) -> Float[np.ndarray, "1 3 y x"]:
        """Prepare the network's input: BGR in [-1, 1], sides that it can halve, lines of text below the picture.

        The network weighs its features by their means over the picture, so that without any text it takes whatever
        stands out most for text. Real text in sight prevents that; its marks there are ignored.
        """
        height, width, _ = pixels.shape
        scale = short_side / min(height, width)
        size = _network_side(width * scale, short_side), _network_side(height * scale, short_side)
        is_smaller = size[1] < height
        resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
        return cv2.dnn.blobFromImage(
            np.concatenate([resized, _sample(size[0])]), 1 / 127.5, mean=(127.5, 127.5, 127.5), swapRB=True
        )

    def _marked(self, pixels: UInt8[np.ndarray, "h w 3"], short_side: int) -> Float[np.ndarray, "y x"]:
        """Return how surely each place of the picture, at that size, is the core of a line, 0 to 1."""
        (marked,) = self.session.run(None, {self.input_name: self.prepare(pixels, short_side)})
        return marked[0, 0, :-_SAMPLE_PX]

    def _boxes(self, marked: Float[np.ndarray, "y x"]) -> Iterator[Float[np.ndarray, "4 2"]]:
        """Yield the boxes around the marked cores, grown to the size of the lines."""
        mask = cv2.dilate((marked > self.config.least_mark).astype(np.uint8), np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            centre, (along, across), angle = cv2.minAreaRect(contour)
            if min(along, across) < _SMALLEST_CORE_PX:
                continue
            if _mean_inside(marked, cv2.boxPoints((centre, (along, across), angle))) < self.config.least_mean_mark:
                continue
            # Cores are lines shrunk in proportion to area over circumference; this reverses it.
            margin = self.config.growth * along * across / (along + across)
            along, across = along + margin, across + margin
            if self._is_line(along, across, len(marked)):
                yield cv2.boxPoints((centre, (along, across), angle))

    def _is_line(self, along: float, across: float, height: int) -> bool:
        """Return whether a box can be a line; tall ones that are not long are objects with an outline."""
        tall, long = min(along, across), max(along, across)
        return tall <= self.config.tall * height or long >= self.config.least_tall_aspect * tall


def model_path(config: TextDetectorConfig) -> Path:
    """Return the file of the model; raises InputError if there is none."""
    if config.model.endswith(".onnx"):
        path = Path(config.model)
        if not path.is_file():
            raise InputError(f"{path}: is not a file, a text detector should be an ONNX file")
        return path
    found = importlib.util.find_spec("rapidocr")
    if found is None or found.origin is None:
        raise InputError("rapidocr is not installed, install videoldm[curate]")
    folder = Path(found.origin).parent / "models"
    path = folder / f"{config.model}.onnx"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*det*.onnx"))) or "none"
        raise InputError(f"rapidocr has no model {config.model!r}, its text detectors are: {known}")
    return path


@functools.lru_cache(maxsize=4)
def _sample(width: int) -> UInt8[np.ndarray, "y x 3"]:
    """Draw two lines of small dark letters over the whole width."""
    picture = np.full((_SAMPLE_PX, width, 3), 235, np.uint8)
    for i, words in enumerate(_SAMPLE_LINES):
        line = "  ".join([words] * (1 + width // 100))
        place = (4, 12 + 16 * i)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20, 20, 20), 1, cv2.LINE_AA)
    return picture


def _network_side(side: float, short_side: int) -> int:
    side = min(side, _LONGEST_SIDES * short_side)
    return max(1, round(side / _MULTIPLE_PX)) * _MULTIPLE_PX


def _mean_inside(marked: Float[np.ndarray, "y x"], corners: Float[np.ndarray, "4 2"]) -> float:
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    window = marked[top:bottom, left:right]
    inside = np.zeros(window.shape, np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], (1,))
    return cv2.mean(window, inside)[0]
