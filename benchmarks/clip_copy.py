"""CPU time of cutting clips: copied, copied and verified, and encoded again by x264 veryfast, on the same spans.

The generated files are 720p H.264 (12 s of panned pictures with grain), with a key frame each 2 s and each 10 s; the
folder in VIDEOLDM_VIDEOS adds real files. A span is from 1 s to the end, or the whole file where that has no access
point. The packet index is read once when a video is added; its time is listed separately.

  python benchmarks/clip_copy.py --repeats 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from videoldm.synthetic.long import LongVideo
from videoldm.synthetic.timeline import LongVideoOptions
from videoldm.video.clip_file import copy_clip
from videoldm.video.clip_proof import prove_clip
from videoldm.video.copy_span import CopySpan, NothingToCopy, copy_span
from videoldm.video.packets import PacketIndex, read_packet_index
from videoldm.video.read import stored_frames
from videoldm.video.time import Timestamp

HEIGHT, WIDTH, FPS, SECONDS = 720, 1280, 25, 12


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="the median of so many runs, one after the other")
    repeats = parser.parse_args().repeats
    table = Table("file", "frames", "lost s", "index ms", "copy ms", "proof ms", "encode ms", "copy", "copy + proof")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = draw_pictures()
        generated = [encode(folder / f"key_frame_each_{each}_s.mp4", pictures, each * FPS) for each in (2, 10)]
        for path in [*generated, *real_videos()]:
            table.add_row(*measured(path, folder, repeats))
    Console().print(table)
    print(f"PyAV {av.__version__}, load {os.getloadavg()[0]:.1f}; factors are encoding over copying, in CPU time")


def measured(path: Path, folder: Path, repeats: int) -> list[str]:
    """The table's row of one file."""
    index = read_packet_index(path)
    span = wanted_span(index)
    times: dict[str, list[float]] = {"index": [], "copy": [], "proof": [], "encode": []}
    clip, encoded = folder / "copy.mp4", folder / "encoded.mp4"
    for _ in range(repeats):
        times["index"].append(cpu_s(lambda: read_packet_index(path)))
        times["copy"].append(cpu_s(lambda: copy_clip(path, index, span, clip)))
        times["proof"].append(cpu_s(lambda: prove(path, index, span, clip)))
        times["encode"].append(cpu_s(lambda: encode_again(path, span, encoded)))
    index_s, copy_s, proof_s, encode_s = (statistics.median(values) for values in times.values())
    lost = float(span.lost_at_start + span.lost_at_end)
    factors = [f"{encode_s / seconds:.1f}x" for seconds in (copy_s, copy_s + proof_s)]
    milliseconds = [f"{1000 * seconds:.0f}" for seconds in (index_s, copy_s, proof_s, encode_s)]
    return [path.name, str(span.num_frames), f"{lost:.2f}", *milliseconds, *factors]


def wanted_span(index: PacketIndex) -> CopySpan:
    """From 1 s on, or else all."""
    start, end = int(index.pts.min()), int((index.pts + index.duration).max())
    for first in (start + int(1 / index.time_base), start):
        span = copy_span(index, first, end)
        if not isinstance(span, NothingToCopy):
            return span
    raise SystemExit(f"no access point: {index.problems}")


def prove(path: Path, index: PacketIndex, span: CopySpan, clip: Path) -> None:
    """A proof that fails would make its time worthless."""
    proof = prove_clip(path, index, span, clip)
    assert proof.is_proven, proof


def encode_again(path: Path, span: CopySpan, destination: Path) -> None:
    """The same frames through x264's preset veryfast, without converting a pixel; one thread."""
    start, end = (Timestamp(pts, span.time_base) for pts in (span.start_pts, span.end_pts))
    stream = None
    with av.open(str(destination), "w") as container:
        for frame in stored_frames(path, start=start, end=end):
            if stream is None:
                stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
                stream.codec_context.time_base, stream.codec_context.thread_count = span.time_base, 1
            frame.pts -= span.start_pts
            frame.pict_type = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def draw_pictures() -> list[np.ndarray]:
    """Three shots: each a rendered scene, larger than the frame, over which a camera pans; with grain."""
    noise = np.random.default_rng(0)
    num_shots, length = 3, SECONDS * FPS // 3
    pictures = []
    for shot in range(num_shots):
        options = LongVideoOptions(num_shots=1, height=HEIGHT * 5 // 4, width=WIDTH * 5 // 4, text_on_shot=0)
        scene = next(LongVideo(0, shot, options).frames())
        for number in range(length):
            left, top = 2.5 * number, 1.2 * number
            moved = cv2.warpAffine(scene, np.array([[1, 0, -left], [0, 1, -top]]), (WIDTH, HEIGHT))
            grain = noise.normal(0, 2.5, (HEIGHT, WIDTH, 1))
            pictures.append((moved + grain).clip(0, 255).astype(np.uint8))
    return pictures


def encode(path: Path, pictures: list[np.ndarray], num_between: int) -> Path:
    """x264's preset medium, at a quality that videos on the web have."""
    options = {"crf": "21", "x264-params": f"keyint={num_between}"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def real_videos() -> list[Path]:
    """The files of the folder that VIDEOLDM_VIDEOS names."""
    folder = os.environ.get("VIDEOLDM_VIDEOS")
    return sorted(path for path in Path(folder).iterdir() if path.suffix in (".mp4", ".mkv")) if folder else []


if __name__ == "__main__":
    main()
