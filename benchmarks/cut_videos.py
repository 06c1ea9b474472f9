"""Videos with known transitions: generated, shaken, noisy, thinned to a variable rate, encoded in many ways."""

from __future__ import annotations

import bisect
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage
import torch
from PIL import Image, ImageOps

from videoldm.core.random import stream_key
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.long import LongVideo
from videoldm.synthetic.timeline import LongVideoOptions
from videoldm.synthetic.vocabulary import GROUNDS, Split


@dataclass(frozen=True)
class Encoding:
    """How frames become a file."""

    codec: str
    ending: str = ".mp4"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)


ENCODINGS = (
    Encoding("libx264", options={"preset": "veryfast", "crf": "23"}),
    Encoding("libx265", options={"preset": "ultrafast", "crf": "28", "x265-params": "log-level=error"}),
    Encoding("libvpx-vp9", ".webm", options={"deadline": "realtime", "cpu-used": "8", "crf": "35", "b": "0"}),
    Encoding("mpeg4", options={"b": "400k", "g": "12"}),
    Encoding("mjpeg", ".mkv", "yuvj420p", {"b": "3M"}),
    Encoding("libx264", ".mkv", "yuv420p10le", {"preset": "veryfast", "crf": "28"}),
    Encoding("libx264", ".ts", "yuv422p", {"preset": "ultrafast", "crf": "30"}),
    Encoding("libsvtav1", ".mkv", options={"preset": "8", "crf": "40", "svtav1-params": "lp=1"}),
)
RATES = tuple(Fraction(rate) for rate in ("25", "30000/1001", "10", "24", "15", "60", "12", "50"))
# Free pictures that come with scikit-image, as grounds of every other video.
PICTURES: dict[Split, tuple[str, ...]] = {
    "train": ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "brick.png", "grass.png", "retina.jpg"),
    "test": ("motorcycle_left.png", "rocket.jpg", "hubble_deep_field.jpg", "gravel.png"),
}
# Noise in levels, shaking in pixels of a frame 256 wide.
NOISES, SHAKES = (0.0, 3.0, 0.0, 8.0, 0.0), (0.0, 0.0, 2.0)


@dataclass(frozen=True)
class Event:
    """A true transition: the first frame that it changes, and the first after those, as frame numbers of the file."""

    kind: str
    first: int
    end: int


@dataclass(frozen=True)
class TrueVideo:
    """A file, the pts of its frames, and what happens in it; `inner_flashes` are followed by the same shot."""

    path: Path
    description: str
    pts: tuple[int, ...]
    end_pts: int
    events: tuple[Event, ...]
    inner_flashes: tuple[Event, ...]


def make_videos(folder: Path, *, seed: int, num_videos: int, num_shots: int, split: Split) -> Iterator[TrueVideo]:
    """The videos of `seed`; those that are in `folder` already are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(num_videos):
        yield _make(folder, seed, index, num_shots, split)


def _make(folder: Path, seed: int, index: int, num_shots: int, split: Split) -> TrueVideo:
    # Lists of different lengths, so that every setting meets every other.
    encoding = ENCODINGS[index % len(ENCODINGS)]
    rate = RATES[(index + index // len(RATES)) % len(RATES)]
    noise, shake = NOISES[index % len(NOISES)], SHAKES[index % len(SHAKES)]
    is_variable = index % 4 == 3 and encoding.ending != ".ts"
    is_slow = index % 3 == 1
    options = LongVideoOptions(
        num_shots=num_shots,
        fps=rate,
        split=split,
        flash_inside_shot=0.25,
        shortest_shot_s=3.4 if is_slow else 1.6,
        longest_shot_s=5.0 if is_slow else 3.5,
        transition_s=(0.5, 2.0) if is_slow else (0.3, 0.9),
        world=WorldOptions(grounds=dict.fromkeys(GROUNDS, 1.0) | {"photo": 6.0}) if index % 2 else WorldOptions(),
    )
    stem = f"{split}_{seed}_{index}_{num_shots}"
    path, note = folder / f"{stem}{encoding.ending}", folder / f"{stem}.json"
    video = LongVideo(seed, index, options, pictures=_pictures(split))
    random = np.random.default_rng(list(stream_key(seed, f"benchmark/cuts/{split}", index)))
    kept = _kept_frames(random, video.record.num_frames, is_variable)
    if not note.exists():
        frames = (frame for number, frame in enumerate(_disturbed(video, random, noise, shake)) if number in set(kept))
        pts, end_pts = _encode(path, frames, kept, rate, encoding)
        note.write_text(json.dumps({"pts": pts, "end_pts": end_pts}))
    stored = json.loads(note.read_text())
    record = video.record
    kinds = [(one.kind, one.span.first_frame, one.span.last_frame) for one in record.transitions]
    flashes = [("flash", span.first_frame, span.last_frame) for span in record.inner_flashes]
    words = [encoding.codec, encoding.pixel_format, f"{float(rate):.4g} fps", f"noise {noise:g}", f"shake {shake:g}"]
    words += ["variable rate"] * is_variable + ["slow"] * is_slow
    return TrueVideo(
        path, ", ".join(words), tuple(stored["pts"]), stored["end_pts"],
        tuple(_event(*one, kept) for one in kinds), tuple(_event(*one, kept) for one in flashes),
    )  # fmt: skip


@functools.cache
def _pictures(split: Split) -> torch.Tensor:
    """Squares `n 3 256 256` of the split's pictures in [-1, 1]."""
    squares: list[np.ndarray] = []
    for name in PICTURES[split]:
        with Image.open(Path(skimage.__file__).parent / "data" / name) as picture:
            square = ImageOps.fit(picture.convert("RGB"), (512, 512))
        pixels = np.asarray(square, np.float32) / 127.5 - 1
        squares.append(pixels[::2, ::2])
        squares += [pixels[top:, left:][:256, :256] for top in (0, 256) for left in (0, 256)]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def _event(kind: str, first: int, last: int, kept: list[int]) -> Event:
    start = bisect.bisect_left(kept, first)
    return Event(kind, start, start if kind == "cut" else bisect.bisect_left(kept, last + 1))


def _kept_frames(random: np.random.Generator, num_frames: int, is_variable: bool) -> list[int]:
    if not is_variable:
        return list(range(num_frames))
    # Never two in a row are left out, so that every transition stays.
    kept = [0]
    for number in range(1, num_frames):
        if kept[-1] < number - 1 or random.random() > 0.35:
            kept.append(number)
    return kept


def _disturbed(video: LongVideo, random: np.random.Generator, noise: float, shake: float) -> Iterator[np.ndarray]:
    """The frames, moved like a camera held by hand and with a sensor's noise."""
    place, speed = np.zeros(2), np.zeros(2)
    for drawn in video.frames():
        frame = drawn
        if shake:
            # Now and then a jolt, as of a step or a bump.
            jolt = random.normal(0, shake * 4, 2) if random.random() < 0.02 else 0
            speed = 0.8 * speed + random.normal(0, shake * 0.5, 2)
            place = 0.9 * place + speed + jolt
            down, right = place.clip(-16, 16).round().astype(int)
            padded = np.pad(frame, ((16, 16), (16, 16), (0, 0)), mode="edge")
            frame = padded[16 + down :, 16 + right :][: frame.shape[0], : frame.shape[1]]
        if noise:
            frame = (frame + random.normal(0, noise, frame.shape)).round().clip(0, 255).astype(np.uint8)
        yield np.ascontiguousarray(frame)


def _encode(
    path: Path, frames: Iterator[np.ndarray], numbers: list[int], rate: Fraction, encoding: Encoding
) -> tuple[list[int], int]:
    """The pts of the frames as a reader of the file sees them, and where the last ends."""
    with av.open(str(path), "w") as container:
        stream = None
        for number, pixels in zip(numbers, frames, strict=True):
            if stream is None:
                stream = container.add_stream(encoding.codec, rate=rate, options=encoding.options)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt, stream.codec_context.time_base = encoding.pixel_format, 1 / rate
                stream.codec_context.thread_count = 1
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        shown = [(frame.pts, frame.time_base) for frame in container.decode(video=0)]
    assert len(shown) == len(numbers), f"{path}: {len(shown)} frames of {len(numbers)}"
    time_base = shown[0][1]
    return [pts for pts, _ in shown], shown[-1][0] + round(1 / (rate * time_base))
