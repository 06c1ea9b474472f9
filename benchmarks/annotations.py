"""Accuracy and cost of the annotators of motion and text on generated clips.

Clips are rendered with noise, dark scenes and black bars among them, go through H.264, and are kept as JPEG files of
the sidecar's size. Motion: still clips against moving ones, and the threshold below which a quarter of all lies. Text:
areas against those of the lines (ascent to descent), and frames with text against frames without. Cost: processor time
on one thread, the annotator in turns with its network alone, or with its flow alone.

  python benchmarks/annotations.py --seed 1 --motion-clips 120 --text-frames 240
  python benchmarks/annotations.py --fit --seed 100 --text-frames 240    # the scale of areas
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from annotation_clips import MotionSample, TextSample, find_fonts, motion_sample, text_clip, text_sample
from rich.console import Console
from rich.table import Table
from scipy import stats

from videoldm.curation.annotators.models.flow import make_flow
from videoldm.curation.annotators.models.text_detector import TextDetector, TextDetectorConfig
from videoldm.curation.annotators.motion import FARNEBACK_OF_PAPER, MotionAnnotator, MotionConfig
from videoldm.curation.annotators.text_area import TextAreaAnnotator, TextAreaConfig, union_area


def main() -> None:
    """Measure and print."""
    options = parse_arguments()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    fonts = find_fonts(options.fonts)
    texts = [text_sample(options.seed, index, fonts) for index in range(options.text_frames)]
    table = Table("what", "measured", "bar", title=f"generated with seed {options.seed}, {1 + len(fonts)} fonts")
    if options.fit:
        rows = fitted_scale(texts)
    else:
        clips = [motion_sample(options.seed, index) for index in range(options.motion_clips)]
        rows = [
            *motion_rows(clips, MotionConfig()),
            *motion_rows(clips, MotionConfig(flow=FARNEBACK_OF_PAPER)),
            *text_rows(texts, compare=options.compare),
        ]
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    print(f"1 thread, load {os.getloadavg()[0]:.1f}")


def parse_arguments() -> argparse.Namespace:
    """What is measured, and on how much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--motion-clips", type=int, default=120)
    parser.add_argument("--text-frames", type=int, default=240)
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts/truetype"), help="folder of .ttf files")
    parser.add_argument("--fit", action="store_true", help="only the scale that makes the areas those of the lines")
    parser.add_argument("--compare", action="store_true", help="also rapidocr's detector as it comes")
    return parser.parse_args()


def motion_rows(samples: Sequence[MotionSample], config: MotionConfig) -> list[tuple[str, str, str]]:
    """Separation of moving from standing clips and of bars from dark scenes, and the cost of a pair of frames."""
    annotator = MotionAnnotator(config)
    start = time.process_time()
    rows: list[Any] = annotator.annotate([sample.clip for sample in samples])
    seconds = time.process_time() - start
    motion, bars = (np.array([row[name] for row in rows]) for name in ("motion", "letterbox"))
    is_moving = np.array([sample.is_moving for sample in samples])
    true_bars = np.array([sample.bars for sample in samples])
    still, moving = motion[~is_moving], motion[is_moving]
    line = np.quantile(motion, 0.25)
    num_pairs = sum(row["flow_shape"][0] for row in rows)
    bare = bare_flow_seconds(samples[: max(1, len(samples) // 4)], annotator.config)
    name = config.flow.method
    return [
        (f"{name}: clips standing, moving", f"{len(still)}, {len(moving)}", ""),
        (f"{name}: AUC, moving against standing", f"{auc(moving, still):.4f}", ">= 0.99"),
        (f"{name}: standing clips below the 25 % line", f"{(still < line).mean():.1%}", "all"),
        (f"{name}: moving clips above it", f"{(moving > line).mean():.1%}", "all"),
        (f"{name}: largest standing, smallest moving", f"{still.max():.5f}, {moving.min():.5f}", ""),
        (
            f"{name}: bars found, of clips with bars",
            f"{(bars[true_bars > 0] > 0).sum()} of {(true_bars > 0).sum()}",
            "",
        ),
        (
            f"{name}: bars found, of clips without",
            f"{(bars[true_bars == 0] > 0).sum()} of {(true_bars == 0).sum()}",
            "0",
        ),
        (f"{name}: ms a pair of frames, of that the flow", f"{1e3 * seconds / num_pairs:.1f}, {1e3 * bare:.1f}", ""),
    ]


def bare_flow_seconds(samples: Sequence[MotionSample], config: MotionConfig) -> float:
    """Processor time of the flow alone, a pair."""
    flow = make_flow(config.flow)
    seconds, count = 0.0, 0
    for sample in samples:
        pictures = [flow.picture(frame) for frame in sample.clip.frames]
        height, width = pictures[0].shape
        size = round(width * config.flow.working_short_side / height), config.flow.working_short_side
        small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
        start = time.process_time()
        for first, second in itertools.pairwise(small):
            flow.between(first, second)
        seconds, count = seconds + time.process_time() - start, count + len(small) - 1
    return seconds / count


def text_rows(samples: Sequence[TextSample], *, compare: bool) -> list[tuple[str, str, str]]:
    """How close areas are, how well text is distinguished from none, and the cost beside that of the network alone."""
    annotator = TextAreaAnnotator(TextAreaConfig())
    thorough = TextAreaAnnotator(TextAreaConfig(detector=TextDetectorConfig(first_look=None)))
    detector = TextDetector(annotator.config.detector)
    for each in (annotator, thorough):
        each.annotate([text_clip(samples[0])])  # loads the network
    areas, seconds = np.zeros((2, len(samples))), np.zeros((3, len(samples)))
    for i, sample in enumerate(samples):
        clip = text_clip(sample)
        network_input = detector.prepare(sample.pixels, detector.config.working_short_side)
        for k, each in enumerate((annotator, thorough)):
            (row,), seconds[k, i] = timed(lambda each=each, clip=clip: each.annotate([clip]))
            areas[k, i] = row["text_area"]
        feed = {detector.input_name: network_input}
        _, seconds[2, i] = timed(lambda feed=feed: detector.session.run(None, feed))
    truth = np.array([sample.area for sample in samples])
    has_text = truth > 0
    is_lost = has_text & (areas[0] == 0) & (areas[1] > 0)
    looked, whole, bare = seconds
    rows = [
        *accuracy_rows("text", areas[0], samples),
        ("text: throughput over the bare network's, no first look", f"{bare.sum() / whole.sum():.1%}", ">= 85 %"),
        ("text: the same with a first look, all frames", f"{bare.sum() / looked.sum():.1%}", ">= 85 %"),
        ("text: ms a frame, network alone", f"{1e3 * np.median(bare):.0f}", ""),
        ("first look: time saved on frames without text", f"{1 - total_ratio(looked, whole, ~has_text):.0%}", ""),
        ("first look: time lost on frames with text", f"{total_ratio(looked, whole, has_text) - 1:.0%}", ""),
        ("first look: frames it loses", f"{is_lost.sum()} of {has_text.sum()}", ""),
        ("first look: text area it loses", f"{truth[is_lost].sum() / truth.sum():.2%}", ""),
    ]
    return rows + (rapidocr_rows(samples) if compare else [])


def accuracy_rows(name: str, areas: np.ndarray, samples: Sequence[TextSample]) -> list[tuple[str, str, str]]:
    """Areas beside the true ones."""
    truth = np.array([sample.area for sample in samples])
    has_text = truth > 0
    error = np.abs(areas - truth)[has_text] / truth[has_text]
    rank = stats.spearmanr(areas[has_text], truth[has_text]).statistic
    missed, invented = (areas[has_text] == 0).sum(), (areas[~has_text] > 0).sum()
    return [
        (f"{name}: frames with, without", f"{has_text.sum()}, {(~has_text).sum()}", ""),
        (f"{name}: rank correlation of areas", f"{rank:.3f}", ">= 0.95"),
        (f"{name}: median error of areas", f"{np.median(error):.1%}", "<= 20 %"),
        (f"{name}: AUC, text against none", f"{auc(areas[has_text], areas[~has_text]):.4f}", ">= 0.95"),
        (f"{name}: frames missed, invented", f"{missed}, {invented}", ""),
    ]


def rapidocr_rows(samples: Sequence[TextSample]) -> list[tuple[str, str, str]]:
    """The same of rapidocr's detector with its own settings, given the best scale for these frames."""
    from rapidocr import RapidOCR

    engine: Any = RapidOCR(params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": 1})
    areas, seconds = [], []
    for sample in samples:
        height, width, _ = sample.pixels.shape
        bgr = np.ascontiguousarray(sample.pixels[..., ::-1])
        found, spent = timed(lambda bgr=bgr: engine(bgr, use_det=True, use_cls=False, use_rec=False))
        boxes = np.zeros((0, 4, 2)) if found.boxes is None else np.asarray(found.boxes) / (width, height)
        areas.append(union_area(boxes.astype(np.float32)))
        seconds.append(spent)
    scale = best_scale(np.array(areas), samples)
    rows = accuracy_rows("rapidocr", scale * np.array(areas), samples)
    return [*rows, ("rapidocr: ms a frame", f"{1e3 * np.median(seconds):.0f}", "")]


def fitted_scale(samples: Sequence[TextSample]) -> list[tuple[str, str, str]]:
    """The median ratio of true areas to those of the boxes, where there are any."""
    detector = TextDetector(TextAreaConfig().detector)
    areas = np.array([union_area(detector.lines(sample.pixels)) for sample in samples])
    return [("text: scale of areas", f"{best_scale(areas, samples):.3f}", f"{TextAreaConfig().area_scale} is set")]


def total_ratio(over: np.ndarray, under: np.ndarray, chosen: np.ndarray) -> float:
    """The ratio of two sums over the chosen frames."""
    return float(over[chosen].sum() / under[chosen].sum())


def best_scale(areas: np.ndarray, samples: Sequence[TextSample]) -> float:
    """What the areas have to be multiplied by."""
    truth = np.array([sample.area for sample in samples])
    both = (truth > 0) & (areas > 0)
    return float(np.median(truth[both] / areas[both]))


def auc(upper: np.ndarray, lower: np.ndarray) -> float:
    """How often a value of the first lies above one of the second; ties count half."""
    return float(stats.mannwhitneyu(upper, lower).statistic / (len(upper) * len(lower)))


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result and the processor time."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
