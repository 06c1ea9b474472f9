"""Generated clips and frames with known motion and text, compressed twice like the frames of a sidecar."""

from __future__ import annotations

import io
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from videoldm.core.random import python_random
from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame
from videoldm.synthetic.elements import Scene
from videoldm.synthetic.render import render_pixels
from videoldm.synthetic.scene import sample_scene
from videoldm.synthetic.timeline import PHRASES
from videoldm.synthetic.vocabulary import Rgb

FPS = 10
STEP = 5  # frames between two that are kept, half a second
HEIGHT, WIDTH = 240, 426
TEXT_HEIGHT, TEXT_WIDTH = 360, 640

Frame = np.ndarray
USUAL_WORDS = (
    "the of and to in is you that it was for on are with as they be at this have from or had by word but not",
    "what all were when your can said there use an each which she do how their if will up other about out",
)
WORDS = tuple(word for phrase in (*PHRASES, *USUAL_WORDS) for word in phrase.split())
INKS: tuple[Rgb, ...] = ((1.0, 1.0, 1.0), (1.0, 0.94, 0.3), (0.04, 0.04, 0.04), (0.9, 0.24, 0.16))


@dataclass(frozen=True)
class MotionSample:
    """A clip, and whether anything moves in it; `bars` is the share of the frame that black bars take."""

    clip: ClipFrames
    is_moving: bool
    bars: float


@dataclass(frozen=True)
class TextSample:
    """A frame, and the share of it that lines of text take, from ascent to descent."""

    pixels: Frame
    area: float


def motion_sample(seed: int, index: int, *, seconds: float = 2.5) -> MotionSample:
    """Every fourth clip stands still; noise, light, speed, compression and bars are drawn."""
    draw = python_random(seed, "benchmark/motion", index)
    scene = next(filter(lambda scene: scene.is_moving, _scenes(seed, index)))
    scene = scene.with_speed(0.0 if index % 4 == 0 else draw.choice((0.25, 0.5, 1.0)))
    count = round(seconds * FPS) + 1
    frames = _rendered(scene, count if scene.is_moving else 1, HEIGHT, WIDTH)
    frames = frames if scene.is_moving else np.repeat(frames, count, axis=0)
    sigma, light = draw.choice((0, 2, 5, 9)), draw.choice((1, 1, 1, 0.25))
    noise = np.random.default_rng((seed, index)).normal(0, sigma, frames.shape)
    frames = np.clip(frames * light + noise, 0, 255).astype(np.uint8)
    bar_px = draw.choice((0, 0, 0, 16, 32))
    frames = np.pad(frames, ((0, 0), (bar_px, bar_px), (0, 0), (0, 0)))
    decoded = _encoded_and_decoded(frames, crf=draw.choice((18, 23, 28, 33)))[::STEP]
    bars = 2 * bar_px / (HEIGHT + 2 * bar_px)
    clip = _clip(f"{seed}-{index}", [_jpeg(frame) for frame in decoded])
    return MotionSample(clip, scene.is_moving, bars)


def text_sample(seed: int, index: int, fonts: list[Path]) -> TextSample:
    """Every third frame has no text; all else has one to four lines of a drawn font, size, colour and angle."""
    draw = python_random(seed, "benchmark/text", index)
    (frame,) = _rendered(sample_scene(seed, "test", index), 1, TEXT_HEIGHT, TEXT_WIDTH).astype(np.uint8)
    area = 0.0
    if index % 3:
        frame, area = _written(frame, draw, fonts)
    (decoded,) = _encoded_and_decoded(frame[None], crf=draw.choice((18, 23, 28)))
    return TextSample(_jpeg(decoded), area)


def text_clip(sample: TextSample) -> ClipFrames:
    """A clip of this frame alone."""
    return _clip("text", [sample.pixels])


def _scenes(seed: int, index: int) -> Iterator[Scene]:
    """Scenes for one clip to choose from."""
    return (sample_scene(seed, "test", index + 10_000 * i) for i in itertools.count())


def _rendered(scene: Scene, count: int, height: int, width: int) -> np.ndarray:
    pixels = render_pixels([scene], num_frames=count, fps=FPS, height=height, width=width, supersampling=1)[0]
    return ((pixels + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()


def _clip(clip_id: str, frames: list[Frame]) -> ClipFrames:
    kept = [KeptFrame(i * STEP, True, frame) for i, frame in enumerate(frames)]
    height, width, _ = frames[0].shape
    return ClipFrames(
        clip_id=clip_id,
        time_base=Fraction(1, FPS),
        start_pts=0,
        end_pts=len(frames) * STEP,
        width=width,
        height=height,
        frames=kept,
        metadata={},
        annotations={},
    )


def _encoded_and_decoded(frames: np.ndarray, *, crf: int) -> list[Frame]:
    """What H.264 leaves of the frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": "veryfast", "x264-params": "log-level=error"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _jpeg(frame: Frame) -> Frame:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=90)
    file.seek(0)
    return np.asarray(Image.open(file))


def _written(frame: Frame, draw: random.Random, fonts: list[Path]) -> tuple[Frame, float]:
    """The frame with some lines of text, and the share of it that they take."""
    height, width, _ = frame.shape
    size = round(height * math.exp(draw.uniform(math.log(0.045), math.log(0.17))))
    path = draw.choice([None, *fonts])
    font = ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)
    line_height = sum(font.getmetrics())
    lines = _lines(draw, font, 0.9 * width)[: max(1, int(0.8 * height / (1.3 * line_height)))]
    lengths = [font.getlength(line) for line in lines]
    spacing = line_height * draw.choice((1.0, 1.15, 1.3))
    left = draw.uniform(0.02, 0.97) * (width - max(lengths))
    top = draw.uniform(0.02, 0.9) * (height - spacing * len(lines))
    ink = tuple(round(255 * value) for value in draw.choice(INKS))
    contrast = (250, 250, 250) if sum(ink) < 100 else (15, 15, 15)
    layer = Image.new("RGBA", (width, height), (*ink, 0))
    pen = ImageDraw.Draw(layer)
    has_plate = draw.random() < 0.3
    stroke = 0 if has_plate else draw.choice((0, 0, max(1, size // 14)))
    if has_plate:
        right, bottom = left + max(lengths), top + spacing * len(lines)
        pen.rectangle((left - 4, top - 2, right + 4, bottom + 2), fill=(*contrast, 200))
    truth = Image.new("L", (width, height))
    for i, (line, length) in enumerate(zip(lines, lengths, strict=True)):
        place = (left, top + i * spacing)
        pen.text(place, line, font=font, fill=(*ink, 255), stroke_width=stroke, stroke_fill=(*contrast, 255))
        ImageDraw.Draw(truth).rectangle((*place, left + length, place[1] + line_height), fill=255)
    angle = draw.choice((0, 0, 0, draw.uniform(-15, 15)))
    centre = (left + max(lengths) / 2, top + spacing * len(lines) / 2)
    layer = layer.rotate(angle, Image.Resampling.BICUBIC, center=centre)
    picture = Image.fromarray(frame).convert("RGBA")
    picture.alpha_composite(layer)
    area = np.asarray(truth.rotate(angle, center=centre)).mean() / 255
    return np.asarray(picture.convert("RGB")), float(area)


def _lines(draw: random.Random, font: Any, longest_px: float) -> list[str]:
    """One to four lines of words that are not too long."""
    lines: list[str] = []
    for _ in range(draw.choice((1, 1, 1, 2, 3, 4))):
        line = draw.choice(WORDS)
        for _ in range(draw.randint(0, 5)):
            longer = f"{line} {draw.choice(WORDS)}"
            line = longer if font.getlength(longer) < longest_px else line
        lines.append(line.upper() if draw.random() < 0.2 else line)
    return [line for line in lines if font.getlength(line) < longest_px] or ["a"]


def find_fonts(folder: Path) -> list[Path]:
    """Fonts of a folder that can write, in order."""
    return sorted(path for path in folder.rglob("*.ttf") if "Math" not in path.name)
