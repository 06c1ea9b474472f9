"""Processor time of curation beside that of decoding alone, and the time that many short files take.

    python benchmarks/curate_cost.py [VIDEO ...] [--seconds 128] [--copies 4] [--rounds 5] [--short 300]
        [--before FOLDER]

Without videos, rendered ones of six sizes are used. Each is repeated up to the mean length of the paper's source videos
(SVD, table 1: 11.09 clips of 11.58 s, 128 s), packet by packet, and written to several files that differ in a comment
only, so that the start of processes counts for little, as in a real run. Decoding alone is PyAV with one thread, in its
own process; so is PySceneDetect's content detector with its defaults, also with one thread, which is cheapest; it
finds cuts alone. The run is `videoldm curate run` with one worker, all its processes counted, with and without motion.
Rounds are interleaved. The medians of each and their ratio to decoding are printed, in sum for files at least 640 wide
and for smaller ones.

The second table is about files of 2 s, less than 640 wide, with motion, side by side with `--before`, a checkout of
another commit.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

WIDE = 640
BARS = {"at least 640 wide": 1.15, "smaller": 1.5}
"""Largest ratio of curation with motion to decoding."""
SHORT_S = 2
HERE = Path(__file__).parents[1]
SIZES = ((1920, 1080), (1280, 720), (640, 360), (480, 360), (426, 240), (320, 240))
DECODE = """
import sys, av
for path in sys.argv[1:]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            pass
"""
DETECT = """
import sys, cv2
from scenedetect import ContentDetector, SceneManager, open_video
cv2.setNumThreads(1)
for path in sys.argv[1:]:
    manager = SceneManager()
    manager.add_detector(ContentDetector())
    manager.detect_scenes(open_video(path, backend="pyav", threading_mode="NONE"))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=128)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", type=int, default=300)
    parser.add_argument("--before", type=Path, help="a checkout whose time for the short files is measured too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = arguments.videos or [rendered(folder, *size) for size in SIZES]
        if arguments.copies:
            compare_with_decoding(videos, folder, arguments)
        if arguments.short:
            compare_short_files(folder, arguments)
    print(f"{os.cpu_count()} cores, PyAV {av.__version__}, medians of {arguments.rounds} rounds")


def compare_with_decoding(videos: list[Path], folder: Path, arguments: argparse.Namespace) -> None:
    """Print the first table."""
    table = Table("files", "decode, CPU s", "PySceneDetect content", "curate without motion", "with motion", "bar")
    for group, bar in BARS.items():
        chosen = [video for video in videos if (width_of(video) >= WIDE) == (group != "smaller")]
        copies = range(arguments.copies)
        files = [repeated(video, folder, number, arguments.seconds) for video in chosen for number in copies]
        if not files:
            continue
        decode, *others = measure(files, folder, arguments.rounds)
        ratios = [f"{seconds:.2f} ({seconds / decode:.2f})" for seconds in others]
        table.add_row(f"{len(files)} {group}", f"{decode:.2f}", *ratios, str(bar))
    Console(width=120).print(table)


def measure(files: list[Path], folder: Path, rounds: int) -> list[float]:
    """Median processor seconds of decoding, detecting, curation without annotations, and curation with motion."""
    names = [str(file) for file in files]
    seconds: list[list[float]] = []
    for _ in range(rounds):
        taken = [used([sys.executable, "-c", code, *names]).cpu_s for code in (DECODE, DETECT)]
        taken += [curated(HERE, names, folder, chosen, "--workers", "1").cpu_s for chosen in ("none", "motion")]
        seconds.append(taken)
    return [statistics.median(column) for column in zip(*seconds, strict=True)]


def compare_short_files(folder: Path, arguments: argparse.Namespace) -> None:
    """Print the second table."""
    sizes = [size for size in SIZES if size[0] < WIDE]
    (folder / "short").mkdir()
    videos = [rendered(folder / "short", *size, num_frames=25 * SHORT_S) for size in sizes]
    numbers = range(arguments.short)
    files = [str(repeated(videos[number % len(videos)], folder, number, SHORT_S - 0.1)) for number in numbers]
    checkouts = [one.resolve() for one in (arguments.before, HERE) if one is not None]
    taken = {checkout: list[Used]() for checkout in checkouts}
    for _ in range(arguments.rounds):
        for checkout in checkouts:
            taken[checkout].append(curated(checkout, files, folder, "motion"))
    table = Table("commit", f"{len(files)} files of {SHORT_S} s: CPU s", "wall s", "CPU s to that above")
    middle = [
        (statistics.median(one.cpu_s for one in all_), statistics.median(one.wall_s for one in all_))
        for all_ in taken.values()
    ]
    for checkout, (cpu_s, wall_s) in zip(checkouts, middle, strict=True):
        table.add_row(commit_of(checkout), f"{cpu_s:.2f}", f"{wall_s:.2f}", f"{cpu_s / middle[0][0]:.2f}")
    Console(width=120).print(table)


def curated(checkout: Path, names: list[str], folder: Path, annotations: str, *words: str) -> Used:
    """What a run into a new dataset takes, by the code of a checkout."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        command = [sys.executable, "-m", "videoldm.cli.main", "curate", "run", *names, "-o", f"{output}/dataset"]
        return used([*command, "--annotations", annotations, *words], checkout)


def commit_of(checkout: Path) -> str:
    """Its short name; changes that are not committed do not show."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Used(NamedTuple):
    """Processor and wall time in seconds."""

    cpu_s: float
    wall_s: float


def used(command: list[str], checkout: Path = HERE) -> Used:
    """What a command takes, with all processes that it waits for."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, env=environment, **quiet)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Used(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - start)


def width_of(path: Path) -> int:
    """Of the first video stream."""
    with av.open(str(path)) as container:
        return container.streams.video[0].width


def repeated(video: Path, folder: Path, number: int, seconds: float) -> Path:
    """The same packets again and again for at least so long, and `number` in a comment."""
    path = folder / f"{video.stem} {number}{video.suffix}"
    with av.open(str(path), "w") as target:
        target.metadata["comment"] = str(number)
        shift, copy = 0, None
        while copy is None or shift * copy.time_base < seconds:
            with av.open(str(video)) as source:
                stream = source.streams.video[0]
                copy = copy or target.add_stream_from_template(stream)
                shift += copied(source, stream, target, copy, shift)
    return path


def copied(source: Any, stream: Any, target: Any, copy: Any, shift: int) -> int:
    """Copy a stream's packets `shift` ticks later; returns how many ticks they last."""
    end = 0
    for packet in source.demux(stream):
        if packet.dts is None:
            continue
        end = max(end, packet.pts + packet.duration - (stream.start_time or 0))
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        packet.stream = copy
        target.mux(packet)
    return end


def rendered(folder: Path, width: int, height: int, num_frames: int = 500) -> Path:
    """Soft blotches over which a camera pans, others every 100 frames, with grain, as H.264 at the usual quality."""
    path = folder / f"{width}x{height}.mp4"
    draw = np.random.default_rng(width)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "23", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(num_frames):
            if index % 100 == 0:
                coarse = draw.integers(0, 255, (36, 64, 3), dtype=np.uint8)
                scene = cv2.resize(coarse, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
            left = (index % 100) * width / 800
            moved = cv2.warpAffine(scene, np.array([[1, 0, -left], [0, 1, -left / 2]]), (width, height))
            grained = (moved + draw.normal(0, 3, (height, width, 1))).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(grained, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
