"""How much of a clip's picture is text: boxes around its lines on the first, middle and last frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import shapely
from jaxtyping import Float
from numpy import ndarray

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import ClipFrames, Missing, Values
from videoldm.curation.annotators.config import TextAreaConfig
from videoldm.curation.annotators.models.text_detector import TextDetector

FRAMES = ("first", "middle", "last")

Boxes = Float[ndarray, "_ 4 2"]


class TextAreaAnnotator:
    """The union of the boxes around lines of text over the area of the frame (SVD, appendix C).

    Frames go through the network one by one. Where rapidocr or its model is not installed, every clip is missing.
    """

    def __init__(self, config: TextAreaConfig) -> None:
        self.config = config
        self._detector = _detector(config)

    @property
    def columns(self) -> pa.Schema:
        """Shares of the frame's area, and boxes whose corners are shares of its width and height."""
        area = pa.float32()
        # Each box as x and y of its four corners, in order around it.
        boxes = pa.list_(pa.list_(pa.float32()))
        return pa.schema(
            [
                # The largest of the three frames, and their mean.
                ("text_area", area),
                ("mean", area),
                *((name, area) for name in FRAMES),
                *((f"{name}_boxes", boxes) for name in FRAMES),
            ]
        )

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """The text areas of each clip."""
        detector = self._detector
        if isinstance(detector, Missing):
            return [detector] * len(clips)
        return [self._values(clip, detector) for clip in clips]

    def _values(self, clip: ClipFrames, detector: TextDetector) -> dict[str, Any]:
        frames = clip.first_middle_last
        # Short clips may have fewer than three frames.
        found = {frame.pts: detector.lines(frame.pixels) for frame in {frame.pts: frame for frame in frames}.values()}
        boxes = [found[frame.pts] for frame in frames]
        areas = [min(1.0, self.config.area_scale * union_area(each)) for each in boxes]
        return {
            "text_area": max(areas),
            "mean": sum(areas) / len(areas),
            **dict(zip(FRAMES, areas, strict=True)),
            **{f"{name}_boxes": _flat(each) for name, each in zip(FRAMES, boxes, strict=True)},
        }


def union_area(boxes: Boxes) -> float:
    """The share of the frame that lies in at least one of the boxes, whose corners are shares of its sides."""
    if len(boxes) == 0:
        return 0.0
    return float(shapely.union_all(shapely.polygons(boxes)).intersection(shapely.box(0, 0, 1, 1)).area)


def _detector(config: TextAreaConfig) -> TextDetector | Missing:
    try:
        return TextDetector(config.detector)
    except InputError as error:
        return Missing(str(error))


def _flat(boxes: Iterable[Float[ndarray, "4 2"]]) -> list[list[float]]:
    return [[float(value) for value in box.ravel()] for box in boxes]
