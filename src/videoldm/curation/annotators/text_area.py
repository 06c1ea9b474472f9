"""Text in a clip's picture: boxes around its lines on the first, middle and last frame, and their area."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from jaxtyping import Float
from numpy import ndarray

from videoldm.core.config import Positive
from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import PLACES, Annotator, ClipFrames, Missing, Values
from videoldm.curation.annotators.models.text_detector import TextDetector, TextDetectorConfig
from videoldm.curation.annotators.registry import AnnotatorConfig, register

Boxes = Float[ndarray, "_ 4 2"]


class TextAreaConfig(AnnotatorConfig):
    """Share of the picture that is text (SVD, appendix C)."""

    name: Literal["text_area"] = "text_area"
    detector: TextDetectorConfig = TextDetectorConfig()
    area_scale: Positive = 0.98
    """Turns the area of the boxes into that of the lines from ascent to descent. The median ratio on the 120 frames
    with text of `benchmarks/annotations.py --fit --seed 100 --text-frames 180`, none of which any figure is measured
    on."""

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
                *((name, area) for name in PLACES),
                *((f"{name}_boxes", boxes) for name in PLACES),
            ]
        )


@register(TextAreaConfig)
class TextAreaAnnotator(Annotator[TextAreaConfig]):
    """Area of the union of the boxes around lines of text, over the area of the frame (SVD, appendix C).

    Frames go through the network one by one. Without rapidocr or its model no clip has values.
    """

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Measure the text areas of each clip."""
        if isinstance(self._detector, Missing):
            return [self._detector] * len(clips)
        return [self._values(clip, self._detector) for clip in clips]

    @cached_property
    def _detector(self) -> TextDetector | Missing:
        try:
            return TextDetector(self.config.detector)
        except InputError as error:
            return Missing(str(error))

    def _values(self, clip: ClipFrames, detector: TextDetector) -> dict[str, Any]:
        frames = clip.first_middle_last
        # Short clips may have fewer than three frames.
        found = {frame.pts: detector.lines(frame.pixels) for frame in {frame.pts: frame for frame in frames}.values()}
        boxes = [found[frame.pts] for frame in frames]
        areas = [min(1.0, self.config.area_scale * union_area(each)) for each in boxes]
        return {
            "text_area": max(areas),
            "mean": sum(areas) / len(areas),
            **dict(zip(PLACES, areas, strict=True)),
            **{f"{name}_boxes": _flat(each) for name, each in zip(PLACES, boxes, strict=True)},
        }


def union_area(boxes: Boxes) -> float:
    """Return the share of the frame inside at least one of the boxes, whose corners are shares of its sides."""
    import shapely

    if len(boxes) == 0:
        return 0.0
    return float(shapely.union_all(shapely.polygons(boxes)).intersection(shapely.box(0, 0, 1, 1)).area)


def _flat(boxes: Iterable[Float[ndarray, "4 2"]]) -> list[list[float]]:
    return [[float(value) for value in box.ravel()] for box in boxes]
