"""Processor time of curation beside that of decoding alone: ingest, cuts, small frames and motion.

    python benchmarks/curate_cost.py [VIDEO ...] [--seconds 128] [--copies 4] [--rounds 3]

Without videos, rendered ones of six sizes are used. Each is repeated up to the mean length of the paper's source videos
(SVD, table 1: 11.09 clips of 11.58 s, 128 s), packet by packet, and written to several files that differ in a comment
only, so that the start of processes counts for little, as in a real run. Decoding alone is PyAV with one thread, in its
own process; the run is `videoldm curate run` with one worker, all its processes counted, with and without motion.
Rounds are interleaved. The medians of each and their ratio are printed, in sum for files at least 640 wide and for
smaller ones.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

WIDE = 640
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=128)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = Table("files", "decode, CPU s", "curate without motion", "with motion", "bar")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = arguments.videos or [rendered(folder, *size) for size in SIZES]
        groups: dict[str, list[Path]] = {"at least 640 wide": [], "smaller": []}
        for video in videos:
            group = "at least 640 wide" if width_of(video) >= WIDE else "smaller"
            groups[group] += [repeated(video, folder, number, arguments.seconds) for number in range(arguments.copies)]
        for (group, files), bar in zip(groups.items(), (1.3, 1.7), strict=True):
            if not files:
                continue
            decode, *curate = measure(files, folder, arguments.rounds)
            ratios = [f"{seconds:.2f} ({seconds / decode:.2f})" for seconds in curate]
            table.add_row(f"{len(files)} {group}", f"{decode:.2f}", *ratios, str(bar))
    Console().print(table)
    print(f"{os.cpu_count()} cores, PyAV {av.__version__}, medians of {arguments.rounds} rounds")


def measure(files: list[Path], folder: Path, rounds: int) -> list[float]:
    """Median processor seconds of decoding alone, of curation without annotations, and of curation with motion."""
    names = [str(file) for file in files]
    seconds: list[list[float]] = []
    for number in range(rounds):
        taken = [cpu_seconds([sys.executable, "-c", DECODE, *names])]
        for chosen in ("none", "motion"):
            output = str(folder / f"{chosen} {number} {files[0].stem}")
            command = [sys.executable, "-m", "videoldm.cli.main", "curate", "run", *names, "-o", output]
            taken.append(cpu_seconds([*command, "--workers", "1", "--annotations", chosen]))
        seconds.append(taken)
    return [statistics.median(column) for column in zip(*seconds, strict=True)]


def cpu_seconds(command: list[str]) -> float:
    """Of a command with all processes that it waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
