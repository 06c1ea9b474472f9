"""Videos that are whole and still not what readers expect: of time, of looks, of streams; made with PyAV alone."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange
from PIL import Image
from scheduling import ordinary_scheduling

HEIGHT, WIDTH = 96, 128
PACKET = 188
ONE_FRAME_A_PACKET = {"preset": "ultrafast", "bf": "0", "g": "15", "x264-params": "log-level=error"}


def shot(seed: int, num_frames: int, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """A slow pan over large soft blobs."""
    grid = np.random.default_rng(seed).integers(40, 215, (5, 9, 3), np.uint8)
    wide = Image.fromarray(grid).resize((width + num_frames, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(wide)
    return [np.ascontiguousarray(pixels[:, index : index + width]) for index in range(num_frames)]


@ordinary_scheduling()
def encode(
    target: Any,
    pictures: Sequence[np.ndarray],
    *,
    container_format: str | None = None,
    codec: str = "libx264",
    rate: int = 15,
    options: dict[str, str] = ONE_FRAME_A_PACKET,
    ticks: Sequence[int] | None = None,
    pixel_aspect: Fraction = Fraction(1),
    color_range: ColorRange | None = None,
) -> Any:
    """Encode pictures, each at its tick of 1/rate s."""
    with av.open(target, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        if color_range is not None:
            stream.codec_context.color_range = int(color_range)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index if ticks is None else ticks[index], Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


def recording(pictures: Sequence[np.ndarray], **options: Any) -> bytes:
    """A transport stream."""
    return encode(io.BytesIO(), pictures, container_format="mpegts", **options).getvalue()


def appended(path: Path, *recordings: bytes) -> Path:
    """Transport streams one after the other, their packets numbered on, as one recorder would."""
    counters: dict[int, int] = {}
    joined = bytearray()
    for data in recordings:
        for place in range(0, len(data), PACKET):
            packet = bytearray(data[place : place + PACKET])
            identity = (packet[1] & 31) << 8 | packet[2]
            if packet[3] & 16:  # has a payload
                counters[identity] = (counters.get(identity, -1) + 1) % 16
            packet[3] = packet[3] & 240 | counters.get(identity, 0)
            joined += packet
    path.write_bytes(joined)
    return path


def clock_that_restarts(path: Path) -> Path:
    """Two shots of 30 frames at 15 fps, each with times from zero on."""
    return appended(path, recording(shot(1, 30)), recording(shot(2, 30)))


@ordinary_scheduling()
def packed_b_pictures(path: Path, num_frames: int = 40) -> Path:
    """An AVI file as old versions of DivX and Xvid write it: a P and a B picture in one packet, then a placeholder.

    Its times are those of decoding, so that every second frame seems to come before the one that it follows.
    """
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.height, encoder.width, encoder.pix_fmt = HEIGHT, WIDTH, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 20), Fraction(20)
    encoder.options = {"bf": "1", "b_strategy": "0"}
    packets: list[bytes] = []
    for index, picture in enumerate([*shot(3, num_frames), None]):
        frame = None if picture is None else av.VideoFrame.from_ndarray(picture, format="rgb24")
        if frame is not None:
            frame.pts, frame.time_base = index, Fraction(1, 20)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packed: list[bytes] = []
    for packet in packets:
        if _coding_type(packet) == 2:
            packed[-1] += packet
            packed.append(_PICTURE + b"\x7f")
        else:
            packed.append(packet)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.extradata = b"\x00\x00\x01\xb2DivX503b1393p"
        for number, data in enumerate(packed):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 20)
            packet.is_keyframe = _coding_type(data) == 0
            container.mux_one(packet)
    return path


_PICTURE = b"\x00\x00\x01\xb6"


def _coding_type(packet: bytes) -> int:
    """0 for I, 1 for P, 2 for B."""
    return packet[packet.index(_PICTURE) + len(_PICTURE)] >> 6


def without_times(path: Path) -> Path:
    """A stream of H.264 without any container; 30 frames."""
    return Path(encode(str(path), shot(4, 30), container_format="h264"))


def range_in_container_alone(path: Path) -> Path:
    """Matroska that says "limited range" where the bitstream says nothing; 45 frames at 15 fps."""
    return Path(encode(str(path), shot(5, 45), color_range=ColorRange.MPEG))


def two_rates(path: Path) -> Path:
    """20 frames at 10 fps, a cut, and 60 at 30 fps."""
    ticks = [*range(0, 60, 3), *range(60, 120)]
    return Path(encode(str(path), [*shot(6, 20), *shot(7, 60)], rate=30, ticks=ticks))


def two_tracks(path: Path) -> Path:
    """A preview of 64x48 first, and the film of 128x96, which is the default track; 30 frames."""
    with av.open(str(path), "w") as container:
        streams = []
        for scale, disposition in ((2, Disposition(0)), (1, Disposition.default)):
            stream = container.add_stream("libx264", rate=15, options=ONE_FRAME_A_PACKET)
            stream.height, stream.width, stream.pix_fmt = HEIGHT // scale, WIDTH // scale, "yuv420p"
            stream.disposition = disposition
            streams.append((stream, scale))
        for picture in shot(8, 30):
            for stream, scale in streams:
                small = np.ascontiguousarray(picture[::scale, ::scale])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    return path


def look_that_changes(path: Path) -> Path:
    """A broadcast of 30 frames of 128x96 with square pixels, then 30 of 192x144 with wide ones."""
    options = {"codec": "mpeg2video", "rate": 25, "options": {"g": "12", "bf": "0", "b": "1000000"}}
    wide = recording(shot(9, 30, 144, 192), ticks=range(31, 61), pixel_aspect=Fraction(4, 3), **options)
    return appended(path, recording(shot(9, 30), **options), wide)


def interlaced(path: Path) -> Path:
    """Two fields of different moments in each of 30 frames at 25 fps, the top one first."""
    fields = shot(10, 241, 96, 128)
    noise = np.random.default_rng(10).integers(-40, 41, (96, 128 + 241, 1))
    frames = []
    for index in range(30):
        top, bottom = (
            np.clip(fields[at] + noise[:, at : at + 128], 0, 255).astype(np.uint8) for at in (8 * index, 8 * index + 4)
        )
        top[1::2] = bottom[1::2]
        frames.append(top)
    options = {
        "preset": "veryfast",
        "flags": "+ildct+ilme",
        "x264-params": "log-level=error:tff=1:keyint=250:bframes=0",
    }
    return Path(encode(str(path), frames, rate=25, options=options))


@ordinary_scheduling()
def hdr10(path: Path, sdr: np.ndarray, num_frames: int = 25, *, is_plus: bool = False) -> Path:
    """A picture of SDR (0..255, gamma 2.4) as HDR10, white at 203 nits, with data of the display it was mastered on.

    As HDR10+ each frame has metadata of its own (SMPTE ST 2094-40).
    """
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    light = ((sdr / 255) ** 2.4) @ to_2020.T * 203 / 10_000
    root = light**0.1593017578125
    levels = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    master = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    options = {
        "preset": "ultrafast", "crf": "8",
        "x265-params": "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:hdr10=1:"
        f"repeat-headers=1:master-display={master}:max-cll=1000,400",
    }  # fmt: skip
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *sdr.shape[:2], "yuv420p10le"
        for _ in range(num_frames):
            frame = av.VideoFrame.from_ndarray((levels * 65535).astype("<u2"), format="rgb48le")
            deep = frame.reformat(format="yuv420p10le", dst_colorspace=9, src_color_range=2, dst_color_range=1)
            container.mux([_with_plus(one) if is_plus else one for one in stream.encode(deep)])
        container.mux([_with_plus(one) if is_plus else one for one in stream.encode(None)])
    return path


def _with_plus(packet: av.Packet) -> av.Packet:
    """The packet of an HEVC picture with a message of HDR10+ before the picture."""
    fields = [(4, 8), (1, 8), (1, 2), (500, 27), (0, 1), *[(30_000, 17)] * 4, (0, 4), (500, 10), (0, 3)]
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    numbers = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    message = bytes.fromhex("b5003c0001") + numbers
    unit = b"\x4e\x01\x04" + bytes([len(message)]) + message + b"\x80"
    unit = re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", unit)
    data = bytes(packet)
    picture = next(one.start() for one in re.finditer(rb"\x00\x00\x01", data) if data[one.end()] >> 1 < 32)
    changed = av.Packet(data[:picture] + b"\x00\x00\x01" + unit + data[picture:])
    changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
    changed.stream, changed.is_keyframe = packet.stream, packet.is_keyframe
    return changed


def animated_webp(path: Path, num_frames: int = 20) -> Path:
    """An animation of 100 ms a frame."""
    first, *others = (Image.fromarray(picture) for picture in shot(11, num_frames))
    first.save(path, save_all=True, append_images=others, duration=100, lossless=True, method=0)
    return path
