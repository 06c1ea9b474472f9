"""Processor time of curation beside that of decoding alone: ingest, cuts, small frames and motion.

    python benchmarks/curate_cost.py [VIDEO ...] [--copies 4] [--rounds 3]

Without videos, rendered ones of three sizes. Each video is copied into several files that differ in a comment only, so
that start-up counts for little, as in a real run. Decoding alone is PyAV with one thread, in a process of
its own; the run is `videoldm curate run` with one worker, all its processes counted. Rounds are interleaved; medians
of each and their ratio are printed, in sum for files at least 640 wide and for smaller ones.
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

import av
import numpy as np
from rich.console import Console
from rich.table import Table

WIDE = 640
SIZES = ((1280, 720), (640, 360), (320, 240))
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
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = Table("files", "decode, CPU s", "curate, CPU s", "ratio", "bar")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = arguments.videos or [rendered(folder, *size) for size in SIZES]
        groups: dict[str, list[Path]] = {"at least 640 wide": [], "smaller": []}
        for video in videos:
            group = "at least 640 wide" if width_of(video) >= WIDE else "smaller"
            groups[group] += [copied(video, folder, number) for number in range(arguments.copies)]
        for (group, files), bar in zip(groups.items(), (1.3, 1.7), strict=True):
            if not files:
                continue
            decode, curate = measure(files, folder, arguments.rounds)
            table.add_row(f"{len(files)} {group}", f"{decode:.2f}", f"{curate:.2f}", f"{curate / decode:.2f}", str(bar))
    Console().print(table)
    print(f"{os.cpu_count()} cores, PyAV {av.__version__}, medians of {arguments.rounds} rounds")


def measure(files: list[Path], folder: Path, rounds: int) -> tuple[float, float]:
    """Median processor seconds of decoding alone, and of curation."""
    decode: list[float] = []
    curate: list[float] = []
    names = [str(file) for file in files]
    for number in range(rounds):
        decode.append(cpu_seconds([sys.executable, "-c", DECODE, *names]))
        output = str(folder / f"dataset {number} {len(files)} {files[0].stem}")
        command = [sys.executable, "-m", "videoldm.cli.main", "curate", "run", *names, "-o", output]
        command += ["--workers", "1", "--annotations", "motion"]
        curate.append(cpu_seconds(command))
    return statistics.median(decode), statistics.median(curate)


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


def copied(video: Path, folder: Path, number: int) -> Path:
    """The same packets with another comment."""
    path = folder / f"{video.stem} {number}{video.suffix}"
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        target.metadata["comment"] = str(number)
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return path


def rendered(folder: Path, width: int, height: int, num_frames: int = 500) -> Path:
    """A texture that moves and changes every 100 frames, with noise, as H.264 at the usual quality."""
    path = folder / f"{width}x{height}.mp4"
    draw = np.random.default_rng(width)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "23", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(num_frames):
            if index % 100 == 0:
                coarse = draw.integers(0, 255, (18, 32, 3), dtype=np.uint8)
                scene = np.kron(coarse, np.ones((height // 9, width // 16, 1), np.uint8))
            shift = 3 * (index % 100) * width // 1280
            picture = scene[shift // 2 : shift // 2 + height, shift : shift + width].astype(np.int16)
            noisy = picture + draw.normal(0, 3, picture.shape).astype(np.int16)
            frame = av.VideoFrame.from_ndarray(np.clip(noisy, 0, 255).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
