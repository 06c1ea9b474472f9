"""Curation killed at random moments and resumed, against an uninterrupted run.

    python benchmarks/kill_curation.py [--times 20] [--executor local|ray] [--seed 0]

Each time a new dataset and its export are started, killed with SIGKILL after a random time, resumed until they finish,
and compared byte by byte. With Ray, one worker of the cluster is killed each time as well.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CONFIG = """
batch_size: 3
clips: {min_s: 0.4, max_s: 60.0}
annotations:
- name: motion
"""
MOST_KILLS = 4
NOT_EQUAL = ("lock", "rates.json")
"""The second holds how long stages took."""


def main() -> None:
    """Kill, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--videos", type=int, default=10)
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(arguments.videos):
            write_video(folder / "raw" / f"{number}.mp4", number)
        (folder / "config.yaml").write_text(CONFIG)
        start = time.monotonic()
        undisturbed(folder, "whole", arguments.executor)
        seconds, whole = time.monotonic() - start, contents(folder, "whole")
        num_kills = num_equal = 0
        for number in range(arguments.times):
            num_kills += disturbed(folder, f"killed {number}", arguments.executor, seconds, draw)
            num_equal += contents(folder, f"killed {number}") == whole
            print(f"{number + 1} of {arguments.times}: {num_kills} kills, {num_equal} equal", flush=True)
    print(f"{len(whole)} files; an undisturbed run takes {seconds:.1f} s; seed {arguments.seed}, {arguments.executor}")
    sys.exit(num_equal != arguments.times)


def commands(folder: Path, name: str, executor: str) -> list[list[str]]:
    """Of the run and of the export."""
    curate = [sys.executable, "-m", "videoldm.cli.main", "curate"]
    run = ["run", str(folder / "raw"), "-o", str(folder / name), "--config", str(folder / "config.yaml")]
    export = ["export", str(folder / name), "-o", str(folder / f"{name} export"), "--shortest-s", "0.2"]
    return [[*curate, *run, "--workers", "2", "--executor", executor], [*curate, *export, "--workers", "2"]]


def undisturbed(folder: Path, name: str, executor: str) -> None:
    """Both commands to their end."""
    for command in commands(folder, name, executor):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def disturbed(folder: Path, name: str, executor: str, seconds: float, draw: random.Random) -> int:
    """The same, killed some times before; returns how often."""
    num_kills = 0
    for _ in range(draw.randint(1, MOST_KILLS)):
        for command in commands(folder, name, executor):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(draw.uniform(0.1, 1) * seconds)
            except subprocess.TimeoutExpired:
                if executor == "ray" and kill_a_worker(draw):
                    num_kills += 1
                    time.sleep(draw.uniform(0, 0.3) * seconds)
                process.send_signal(signal.SIGKILL)
                process.wait()
                num_kills += 1
                break
    undisturbed(folder, name, executor)
    return num_kills


def kill_a_worker(draw: random.Random) -> bool:
    """Kill one of Ray's actors, if there is any."""
    found = subprocess.run(["pgrep", "-f", "ray::_Actor"], capture_output=True, text=True, check=False).stdout.split()
    if not found:
        return False
    os.kill(int(draw.choice(found)), signal.SIGKILL)
    return True


def contents(folder: Path, name: str) -> dict[str, bytes]:
    """All files of a dataset and its export that are to be equal; source paths in them are the same for all."""
    found: dict[str, bytes] = {}
    for place in (name, f"{name} export"):
        for path in (folder / place).rglob("*"):
            if path.is_file() and path.name not in NOT_EQUAL:
                found[f"{place.removeprefix(name)}/{path.relative_to(folder / place)}"] = path.read_bytes()
    return found


def write_video(path: Path, seed: int) -> None:
    """Two shots of moving noise."""
    path.parent.mkdir(exist_ok=True)
    draw = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for index in range(100):
            if index % 50 == 0:
                scene = np.kron(draw.integers(0, 255, (18, 64, 3), dtype=np.uint8), np.ones((10, 10, 1), np.uint8))
            picture = np.ascontiguousarray(scene[:, index : index + 320])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
