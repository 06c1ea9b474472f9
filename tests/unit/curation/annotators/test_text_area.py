"""Text areas of pictures whose text is known; the detector beside rapidocr's own code around the same network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageFont

from videoldm.curation.annotators.annotator import ClipFrames, Missing
from videoldm.curation.annotators.models.text_detector import TextDetector, TextDetectorConfig
from videoldm.curation.annotators.text_area import TextAreaAnnotator, TextAreaConfig, union_area

pytest.importorskip("rapidocr")

ClipOf = Callable[..., ClipFrames]
HEIGHT, WIDTH = 240, 400


@pytest.fixture(scope="module")
def annotator() -> TextAreaAnnotator:
    return TextAreaAnnotator(TextAreaConfig())


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    return TextDetector(TextDetectorConfig())


def written(picture: np.ndarray, *lines: tuple[str, int, tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """The picture with lines (text, size, left top corner), and where the lines are from ascent to descent."""
    image, mask = Image.fromarray(picture), np.zeros(picture.shape[:2], bool)
    for text, size, (left, top) in lines:
        font = ImageFont.load_default(size)
        ImageDraw.Draw(image).text((left, top), text, font=font, fill=(255, 255, 255))
        mask[top : top + sum(font.getmetrics()), left : left + round(font.getlength(text))] = True
    return np.asarray(image), mask


def drawn(boxes: np.ndarray) -> np.ndarray:
    """Where the boxes are, in a picture."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for box in boxes:
        cv2.fillPoly(mask, [np.round(box * (WIDTH, HEIGHT)).astype(int)], 1)
    return mask.astype(bool)


@pytest.fixture(scope="module")
def scene(texture: np.ndarray) -> np.ndarray:
    """A soft dark picture without text."""
    return (texture[:HEIGHT, :WIDTH] * 0.5).astype(np.uint8)


TWO_LINES = (("Once upon a time", 24, (60, 40)), ("there was text", 32, (90, 120)))


def test_lines_are_found_where_they_are(detector: TextDetector, scene: np.ndarray) -> None:
    picture, truth = written(scene, *TWO_LINES)
    boxes = detector.lines(picture)
    assert len(boxes) == 2
    found = drawn(boxes)
    assert (found & truth).sum() / (found | truth).sum() > 0.8
    turned = detector.lines(np.ascontiguousarray(np.rot90(picture, 2)))
    assert union_area(turned) == pytest.approx(union_area(boxes), rel=0.2)


def test_what_stands_out_is_not_text(detector: TextDetector, scene: np.ndarray) -> None:
    assert len(detector.lines(scene)) == 0
    ring, square = scene.copy(), scene.copy()
    cv2.circle(ring, (200, 120), 45, (240, 230, 30), 24, cv2.LINE_AA)
    cv2.rectangle(square, (150, 70), (250, 170), (220, 40, 40), -1)
    assert [len(detector.lines(picture)) for picture in (ring, square)] == [0, 0]


def test_the_first_look_spares_the_second_where_there_is_no_text(
    detector: TextDetector, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    marked = TextDetector._marked

    def counted(self: TextDetector, pixels: np.ndarray, short_side: int) -> np.ndarray:
        sizes.append(short_side)
        return marked(self, pixels, short_side)

    monkeypatch.setattr(TextDetector, "_marked", counted)
    assert len(detector.lines(scene)) == 0
    assert sizes == [192]
    picture, _ = written(scene, *TWO_LINES)
    thorough = TextDetector(TextDetectorConfig(first_look=None))
    np.testing.assert_array_equal(detector.lines(picture), thorough.lines(picture))
    assert sizes == [192, 192, 352, 352]


def test_the_boxes_are_those_of_rapidocr(detector: TextDetector, scene: np.ndarray) -> None:
    from rapidocr.ch_ppocr_det.utils import DBPostProcess

    picture, _ = written(scene, *TWO_LINES, ("askew", 20, (10, 200)))
    marked = detector._marked(picture, detector.config.working_short_side)
    height, width = marked.shape
    process = DBPostProcess(thresh=0.3, box_thresh=0.5, unclip_ratio=1.6, use_dilation=True)
    theirs, _ = process(marked[None, None], (height, width))
    ours = detector.lines(picture) * (width, height)
    assert len(ours) == len(theirs) == 3
    by_top = [sorted(boxes, key=lambda box: box[:, 1].min()) for boxes in (ours, theirs)]
    for our, their in zip(*by_top, strict=True):
        # Theirs are rounded to pixels twice.
        np.testing.assert_allclose(our.min(axis=0), np.array(their).min(axis=0), atol=2.5)
        np.testing.assert_allclose(our.max(axis=0), np.array(their).max(axis=0), atol=2.5)


def test_areas_of_the_three_frames(annotator: TextAreaAnnotator, clip_of: ClipOf, scene: np.ndarray) -> None:
    one, one_truth = written(scene, TWO_LINES[0])
    two, two_truth = written(scene, *TWO_LINES)
    (row,) = annotator.annotate([clip_of([scene, two, one])])
    assert not isinstance(row, Missing)
    assert row["first"] == 0
    assert row["middle"] == row["text_area"] == pytest.approx(two_truth.mean(), rel=0.3)
    assert row["last"] == pytest.approx(one_truth.mean(), rel=0.3)
    assert row["mean"] == pytest.approx((row["middle"] + row["last"]) / 3)
    assert [len(row[f"{name}_boxes"]) for name in ("first", "middle", "last")] == [0, 2, 1]
    assert row["last"] == pytest.approx(
        annotator.config.area_scale * union_area(np.array(row["last_boxes"], np.float32).reshape(-1, 4, 2))
    )
    table = pa.Table.from_pylist([dict(row)], schema=annotator.config.columns)
    assert table.num_columns == len(row)


def test_a_clip_of_one_frame(annotator: TextAreaAnnotator, clip_of: ClipOf, scene: np.ndarray) -> None:
    picture, _ = written(scene, TWO_LINES[0])
    clip = clip_of([picture])
    calls = []
    seen = TextAreaAnnotator(annotator.config)
    lines = seen._detector.lines
    seen._detector.lines = lambda pixels: calls.append(1) or lines(pixels)
    (row,) = seen.annotate([clip])
    assert len(calls) == 1
    assert row["text_area"] == row["first"] == row["last"] > 0


def test_overlapping_and_outlying_boxes_count_once() -> None:
    def box(left: float, top: float, right: float, bottom: float) -> list:
        return [[left, top], [right, top], [right, bottom], [left, bottom]]

    boxes = np.array([box(0.1, 0.1, 0.5, 0.3), box(0.3, 0.1, 0.7, 0.3), box(0.9, 0.5, 1.2, 0.6)], np.float32)
    assert union_area(boxes) == pytest.approx(0.6 * 0.2 + 0.1 * 0.1, rel=1e-5)
    assert union_area(boxes[:0]) == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (16, 4000, 3), (300, 20, 3)])
def test_odd_sizes(annotator: TextAreaAnnotator, clip_of: ClipOf, shape: tuple[int, ...]) -> None:
    (row,) = annotator.annotate([clip_of([np.full(shape, 90, np.uint8)])])
    assert row["text_area"] == 0


def test_values_do_not_depend_on_the_batch(annotator: TextAreaAnnotator, clip_of: ClipOf, scene: np.ndarray) -> None:
    clips = [clip_of([written(scene, line)[0]]) for line in TWO_LINES]
    clips[1] = replace(clips[1], clip_id="other")
    assert annotator.annotate(clips) == [TextAreaAnnotator(annotator.config).annotate([clip])[0] for clip in clips]


def test_a_missing_model_is_missing(
    clip_of: ClipOf, scene: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(model: str) -> str:
        config = TextAreaConfig(detector=TextDetectorConfig(model=model))
        (row,) = TextAreaAnnotator(config).annotate([clip_of([scene])])
        assert isinstance(row, Missing)
        return row.reason

    assert reason("PP-OCRv99_det").startswith("rapidocr has no model 'PP-OCRv99_det', its text detectors are: PP-OCR")
    assert reason(f"{tmp_path}/no.onnx") == f"{tmp_path}/no.onnx: is not a file, a text detector should be an ONNX file"
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    assert reason(f"{tmp_path}/bad.onnx").startswith(f"{tmp_path}/bad.onnx: is not a model that onnxruntime ")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert reason("PP-OCRv6_det_small") == "rapidocr is not installed, install videoldm[curate]"
