"""Videos that are broken or unusual, one for each way in which files of the world are."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import odd_videos
from PIL import Image
from scheduling import ordinary_scheduling

NUM_FRAMES = 75


def pictures(num_frames: int = NUM_FRAMES, height: int = 96, width: int = 128) -> list[np.ndarray]:
    """A disc that moves over a gradient."""
    rows, columns = np.mgrid[0:height, 0:width]
    frames = []
    for index in range(num_frames):
        frame = np.stack([rows * 255 // max(1, height - 1), columns * 255 // max(1, width - 1), rows * 0 + 90], axis=-1)
        is_disc = (rows - height / 2) ** 2 + (columns - (index * 2) % width) ** 2 < (height / 6) ** 2
        frame[is_disc] = (240, 200, 40)
        frames.append(frame.astype(np.uint8))
    return frames


@ordinary_scheduling()
def write(
    path: Path,
    frames: list[np.ndarray] | None = None,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    fps: Fraction = Fraction(25),
    pts: Callable[[int], int] | None = None,
    time_base: Fraction | None = None,
    codec_options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pixel_aspect: Fraction = Fraction(1),
) -> Path:
    """A video of `frames`; `pts` in ticks of `time_base` by frame number."""
    shown = pictures() if frames is None else frames
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options={"g": "25", **(codec_options or {})})
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        stream.codec_context.time_base = stream.time_base = time_base or 1 / fps
        for index, picture in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (pts(index) if pts else index), time_base or 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_off(source: Path, path: Path, share: float) -> Path:
    """The first part of a file."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def with_bad_bytes(source: Path, path: Path, *, place: float = 0.5) -> Path:
    """A file with a stretch overwritten, by default in the middle."""
    data = bytearray(source.read_bytes())
    start = int(place * len(data))
    data[start : start + 600] = bytes(range(256)) * 2 + bytes(88)
    path.write_bytes(bytes(data))
    return path


def with_long_header(source: Path, path: Path) -> Path:
    """An mp4 file whose movie header says that it lasts a day."""
    data = bytearray(source.read_bytes())
    header = data.index(b"mvhd") + 4
    scale = int.from_bytes(data[header + 12 : header + 16], "big")
    data[header + 16 : header + 20] = (86_400 * scale).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    return path


def with_quarter_turn(source: Path, path: Path) -> Path:
    """An mp4 file to be shown turned by 90 degrees, as phones write them."""
    data = bytearray(source.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    turned = (0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    data[matrix : matrix + 36] = b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in turned)
    path.write_bytes(bytes(data))
    return path


def with_edit_list(source: Path, path: Path) -> Path:
    """An mp4 file whose edit list leaves out the first ten frames of 1/25 s."""
    data = bytearray(source.read_bytes())
    entry = data.index(b"elst") + 4 + 8
    scale = data.index(b"mdhd") + 4 + 12
    ticks = int.from_bytes(data[scale : scale + 4], "big")
    first = int.from_bytes(data[entry + 4 : entry + 8], "big") + 10 * ticks // 25
    data[entry + 4 : entry + 8] = first.to_bytes(4, "big")
    path.write_bytes(bytes(data))
    return path


def make_corpus(folder: Path) -> dict[str, str]:
    """Fill `folder` and say for each name the state that it should end in."""
    good = write(folder / "good.mp4", container_options={"movflags": "+faststart"})
    expected = {"good.mp4": "whole"}

    def add(name: str, state: str) -> Path:
        expected[name] = state
        return folder / name

    add("the same as good.mp4", "duplicate").write_bytes(good.read_bytes())
    add("empty.mp4", "refused").touch()
    add("text.mp4", "refused").write_text("no video\n" * 100)
    add("noise.mkv", "refused").write_bytes(np.random.default_rng(0).bytes(5000))
    add("dangling.mp4", "refused").symlink_to("/nowhere/at/all.mp4")
    os.mkfifo(add("endless pipe.mp4", "refused"))
    add("endless.mp4", "refused").symlink_to("/dev/zero")
    _sound_only(add("sound only.mp4", "refused"))
    _cover_only(add("cover only.mp4", "refused"))
    whole_end = write(folder / "index at end.mp4")
    expected["index at end.mp4"] = "whole"
    cut_off(whole_end, add("no index.mp4", "refused"), 0.7)
    cut_off(good, add("cut off.mp4", "damaged"), 0.6)
    matroska = write(add("good.mkv", "whole"))
    cut_off(matroska, add("cut off.mkv", "damaged"), 0.6)
    with_bad_bytes(good, add("bad packets.mp4", "damaged"))
    write(add("variable rate.mp4", "whole"), pts=lambda i: i * 1000 + (i % 7) * 100, time_base=Fraction(1, 25000))
    write(add("negative start.mkv", "whole"), pts=lambda i: i - 3)
    write(add("late start.mp4", "whole"), pts=lambda i: i + 50)
    write(
        add("ten bit.mp4", "whole"),
        codec="libx265",
        pixel_format="yuv420p10le",
        codec_options={"x265-params": "log-level=0"},
    )
    write(add("hevc.mp4", "whole"), codec="libx265", codec_options={"x265-params": "log-level=0"})
    write(
        add("vp9.webm", "whole"),
        pictures(30),
        codec="libvpx-vp9",
        codec_options={"cpu-used": "8", "deadline": "realtime"},
    )
    write(add("av1.mkv", "whole"), pictures(30), codec="libsvtav1", codec_options={"preset": "12"})
    write(add("mjpeg.avi", "whole"), codec="mjpeg", pixel_format="yuvj420p")
    write(add("1x1.mkv", "whole"), pictures(30, 1, 1), codec="ffv1", pixel_format="bgr0")
    write(add("odd sizes.mp4", "whole"), pictures(75, 97, 131), pixel_format="yuv444p")
    write(add("2 fps.mp4", "whole"), pictures(20), fps=Fraction(2))
    write(add("120 fps.mp4", "whole"), pictures(240), fps=Fraction(120))
    write(add("one frame.mp4", "whole"), pictures(1))
    with_long_header(good, add("lying duration.mp4", "whole"))
    with_quarter_turn(good, add("rotated.mp4", "whole"))
    with_edit_list(good, add("edit list.mp4", "whole"))
    odd_videos.clock_that_restarts(add("clock restarts.ts", "whole"))
    odd_videos.packed_b_pictures(add("packed B pictures.avi", "whole"))
    odd_videos.range_in_container_alone(add("range in container.mkv", "whole"))
    odd_videos.two_rates(add("two rates.mp4", "whole"))
    odd_videos.two_tracks(add("two tracks.mkv", "whole"))
    odd_videos.look_that_changes(add("look changes.ts", "whole"))
    odd_videos.interlaced(add("interlaced.mp4", "whole"))
    odd_videos.hdr10(add("hdr.mp4", "whole"), pictures(1)[0])
    odd_videos.animated_webp(add("animated.webp", "whole"))
    write(add('it\'s "quoted" \u00fcml\u00e4ut \u732b.mp4', "whole"), pictures(60))
    return expected


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _cover_only(path: Path) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(pictures(1)[0]).save(jpeg, "JPEG")
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 128, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        packet = av.Packet(jpeg.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1)
        container.mux(packet)
