"""Accuracy and cost of each flow of the motion annotator.

The truth is known for textures that pan, zoom or roll (0.002 to 0.2 short sides or radians from one kept frame to the
next) or stay still under noise and changing light, for rendered scenes, and for photographs and frames of real videos
panned at 0.02 to 3 short sides a second (`panned_pictures.py`). Frames are kept as JPEG files of 426x240.
Cost is processor time on one thread, the minimum of several rounds in which the flows take turns.

  VIDEOLDM_VIDEOS=folder python benchmarks/motion_accuracy.py --seed 1
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import torch
from panned_pictures import PHOTOGRAPHS, TUNED_ON, Panned, folder_of_videos, panned, photographs, video_frames
from rich.console import Console
from rich.table import Table
from scipy import stats

from videoldm.core.random import python_random
from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame
from videoldm.curation.annotators.motion import FARNEBACK_OF_PAPER, MotionAnnotator, MotionConfig, flow_maps
from videoldm.synthetic.render import render
from videoldm.synthetic.scene import sample_scene

HEIGHT, WIDTH = 240, 426
NUM_FRAMES, FPS = 4, 2
KINDS = ("pan", "zoom", "roll", "noise", "light")
BANDS = ((0.002, 0.01), (0.01, 0.06), (0.06, 0.2))
KEPT_SIZES = ((320, 180), (426, 240), (640, 360))
METHODS = {"DIS": MotionConfig(), "Farneback": MotionConfig(flow=FARNEBACK_OF_PAPER)}


@dataclass(frozen=True)
class Moved:
    """A texture that moves by `step`, in short sides or radians or log magnification, from frame to frame."""

    clip: ClipFrames
    kind: str
    step: float
    pan: tuple[float, float]


@dataclass(frozen=True)
class Rendered:
    """A rendered scene and its true flow, short sides a step."""

    clip: ClipFrames
    flow: np.ndarray


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--textures", type=int, default=150)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--pans", type=int, default=20, help="clips of each picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    textures = [moved_texture(options.seed, index) for index in range(options.textures)]
    scenes = [rendered_scene(options.seed, index) for index in range(options.scenes)]
    pans = panned_clips(options.seed, options.pans)
    columns = [
        {**texture_rows(textures, config), **scene_rows(scenes, config), **pan_rows(pans, config)}
        for config in METHODS.values()
    ]
    costs = milliseconds_a_pair()
    table = Table("what", *METHODS, title=f"generated with seed {options.seed}")
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    for size, spent in costs.items():
        table.add_row(f"ms a pair, kept as {size}", *(f"{one:.2f}" for one in spent))
    Console().print(table)
    print(f"1 thread, load {os.getloadavg()[0]:.1f}")


def moved_texture(seed: int, index: int) -> Moved:
    """Coarse and fine noise on a plane, moved about the middle of the frame."""
    draw, noise = python_random(seed, "benchmark/moved texture", index), np.random.default_rng((seed, index))
    kind, sigma = KINDS[index % len(KINDS)], draw.choice((0, 2, 5, 9))
    step = math.exp(draw.uniform(math.log(BANDS[0][0]), math.log(BANDS[-1][1]))) * draw.choice((-1, 1))
    angle = draw.uniform(0, 2 * math.pi)
    pan = (step * math.cos(angle), step * math.sin(angle)) if kind == "pan" else (0.0, 0.0)
    texture = _texture(noise, draw.choice((1.5, 3.0, 8.0, 16.0)))
    frames = []
    for i in range(NUM_FRAMES):
        turn = np.exp((step * i if kind == "zoom" else 0) + 1j * (step * i if kind == "roll" else 0))
        light = draw.uniform(0.85, 1.15) if kind == "light" else 1
        frame = light * _moved(texture, turn, [one * HEIGHT * (i - 1.5) for one in pan])
        frames.append(np.clip(frame + noise.normal(0, sigma, frame.shape), 0, 255).astype(np.uint8))
    return Moved(kept(frames), kind, abs(step), pan if kind == "pan" else (step, 0.0))


def rendered_scene(seed: int, index: int) -> Rendered:
    """A scene that moves, with some noise, some of them dark."""
    draw, noise = python_random(seed, "benchmark/true flow", index), np.random.default_rng((seed, index))
    moving = (scene for k in range(1000) if (scene := sample_scene(seed, "test", index + 10_000 * k)).is_moving)
    scene = next(moving).with_speed(draw.choice((0.25, 0.5, 1.0)))
    clips = render([scene], num_frames=NUM_FRAMES, fps=FPS, height=HEIGHT, width=WIDTH, supersampling=1)
    pixels = ((clips.pixels[0] + 1) * 127.5).permute(0, 2, 3, 1).numpy() * draw.choice((1, 1, 1, 0.25))
    noisy = pixels + noise.normal(0, draw.choice((0, 2, 5, 9)), pixels.shape)
    return Rendered(kept(list(np.clip(noisy, 0, 255).astype(np.uint8))), clips.motion[0].numpy() / HEIGHT)


def texture_rows(samples: Sequence[Moved], config: MotionConfig) -> dict[str, str]:
    """Errors of the camera over its true motion, and what counts as motion where there is none."""
    errors, still = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    rows = MotionAnnotator(config).annotate([sample.clip for sample in samples])
    for sample, row in zip(samples, rows, strict=True):
        assert isinstance(row, dict), row
        if sample.kind in ("noise", "light"):
            still[sample.kind].append(row["motion"])
            continue
        truth = {"pan": ("pan_x", "pan_y"), "zoom": ("zoom", None), "roll": ("rotation", None)}[sample.kind]
        # The annotator's signs are those of the camera, zoom apart: the picture moves the other way.
        sign = 1 if sample.kind == "zoom" else -1
        off = [(row[name] / FPS if name else 0.0) - sign * true for name, true in zip(truth, sample.pan, strict=True)]
        low, high = next(band for band in BANDS if sample.step <= band[1] * 1.001)
        errors[f"{sample.kind} of {low} to {high} a step: median error"].append(math.hypot(*off) / sample.step)
    return {
        **{name: f"{np.median(errors[name]):.1%}" for name in sorted(errors)},
        **{f"still, {kind} changes: largest motion": f"{max(values):.5f}" for kind, values in sorted(still.items())},
    }


def scene_rows(samples: Sequence[Rendered], config: MotionConfig) -> dict[str, str]:
    """Mean magnitudes beside those of the true flow, and the maps' errors."""
    rows = MotionAnnotator(config).annotate([sample.clip for sample in samples])
    truth, found, error = [], [], []
    for sample, row in zip(samples, rows, strict=True):
        assert isinstance(row, dict), row
        maps = flow_maps(row) / FPS
        size = maps.shape[:1:-1]
        true = np.stack([cv2.resize(one.transpose(1, 2, 0), size, interpolation=cv2.INTER_AREA) for one in sample.flow])
        truth.append(np.hypot(sample.flow[:, 0], sample.flow[:, 1]).mean())
        found.append(row["motion"] / FPS)
        error.append(np.linalg.norm(maps.transpose(0, 2, 3, 1) - true, axis=-1).mean() / truth[-1])
    rank: Any = stats.spearmanr(found, truth)
    ratio = np.array(found) / np.array(truth)
    return {
        "scenes: rank correlation of mean magnitude": f"{rank.statistic:.3f}",
        "scenes: median ratio of mean magnitude": f"{np.median(ratio):.2f}",
        "scenes: within a factor of two": f"{((ratio > 0.5) & (ratio < 2)).mean():.0%}",
        "scenes: median error of the maps over the true motion": f"{np.median(error):.2f}",
    }


def panned_clips(seed: int, per_picture: int) -> dict[str, list[Panned]]:
    """Pans of pictures, by kind; those that thresholds were chosen with are a kind of their own."""
    videos = video_frames(folder_of_videos())
    if not videos:
        print("VIDEOLDM_VIDEOS names no folder of videos: frames of real videos are skipped")
    kinds = {
        "photographs of the choice of thresholds": photographs(TUNED_ON),
        "photographs": photographs(PHOTOGRAPHS),
        "frames of real videos": videos,
    }
    return {name: list(panned(one, seed=seed, per_picture=per_picture)) for name, one in kinds.items() if one}


def pan_rows(pans: dict[str, list[Panned]], config: MotionConfig) -> dict[str, str]:
    """Rank correlation of motion with the speed of the pan, and how close it is."""
    found = {}
    for name, samples in pans.items():
        rows = MotionAnnotator(config).annotate([sample.clip for sample in samples])
        pairs = [
            (sample.speed, row["motion"]) for sample, row in zip(samples, rows, strict=True) if isinstance(row, dict)
        ]
        speeds, motions = np.array(pairs).T
        rank: Any = stats.spearmanr(speeds, motions)
        ratio = motions / speeds
        found[f"pans of {name} ({len(samples)}): rank correlation"] = f"{rank.statistic:.4f}"
        found[f"pans of {name}: ratio, 2 / 50 / 98 %"] = " / ".join(
            f"{one:.2f}" for one in np.percentile(ratio, (2, 50, 98))
        )
        found[f"pans of {name}: without a value"] = str(len(samples) - len(pairs))
    return found


def milliseconds_a_pair(rounds: int = 10) -> dict[str, list[float]]:
    """Processor time of the annotator for clips of nine kept frames of several sizes."""
    annotators = [MotionAnnotator(config) for config in METHODS.values()]
    found = {}
    for width, height in KEPT_SIZES:
        noise = np.random.default_rng(0)
        texture = _texture(noise, 5.0)[: height + 18, : width + 36]
        texture = cv2.resize(texture, (width + 36, height + 18))
        frames = [
            np.clip(texture[2 * i :, 4 * i :][:height, :width] + noise.normal(0, 2, (height, width, 3)), 0, 255)
            for i in range(9)
        ]
        clips = [kept([frame.astype(np.uint8) for frame in frames])] * 3
        spent = np.full((rounds, len(annotators)), np.inf)
        for number in range(rounds):
            for k, annotator in enumerate(annotators):
                start = time.process_time()
                annotator.annotate(clips)
                spent[number, k] = time.process_time() - start
        found[f"{width}x{height}"] = list(1e3 * spent.min(axis=0) / (len(clips) * 8))
    return found


def kept(frames: Sequence[np.ndarray]) -> ClipFrames:
    """A clip of frames half a second apart, as JPEG files."""
    files = [cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for frame in frames]
    height, width, _ = frames[0].shape
    return ClipFrames(
        clip_id="clip",
        time_base=Fraction(1, FPS),
        start_pts=0,
        end_pts=len(frames),
        width=width,
        height=height,
        frames=[KeptFrame(i, True, file) for i, file in enumerate(files)],
        metadata={},
        annotations={},
    )


def _texture(noise: np.random.Generator, finest_px: float) -> np.ndarray:
    """Noise of three scales, 0..255, larger than the frame."""
    white = noise.normal(0, 1, (500, 800, 3)).astype(np.float32)
    layers = [(finest_px, 1.0), (3 * finest_px, 0.7), (40.0, 1.0)]
    texture = np.sum([share * scale * cv2.GaussianBlur(white, (0, 0), scale) for scale, share in layers], axis=0)
    return (texture - texture.min()) / np.ptp(texture) * 240 + 8


def _moved(texture: np.ndarray, turn: complex, shift: Sequence[float]) -> np.ndarray:
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2]) + shift - linear @ (399.5, 249.5)
    matrix = np.column_stack([linear, middle])
    return cv2.warpAffine(texture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


if __name__ == "__main__":
    main()
