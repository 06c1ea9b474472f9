import bisect
import random
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numbered_video import VARIABLE_PTS, add_stream, draw_number, encode, read_number

from videoldm.core.errors import InputError
from videoldm.video.read import frames_at, read_clip, read_frames
from videoldm.video.time import Timestamp

NTSC = Fraction(24000, 1001)


def _numbers_of(clip):
    samples = ((clip + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    return [read_number(sample) for sample in samples]


def test_frames_come_in_order_with_exact_time(bframes_mp4):
    with av.open(str(bframes_mp4)) as container:
        kinds = {frame.pict_type for frame in container.decode(video=0)}
    assert av.video.frame.PictureType.B in kinds  # else this test proves nothing
    frames = list(read_frames(bframes_mp4))
    assert [read_number(frame.pixels) for frame in frames] == list(range(60))
    assert [frame.time.time for frame in frames] == [number / NTSC for number in range(60)]
    assert frames[0].pixels.dtype == np.uint8
    assert frames[0].pixels.shape == (48, 96, 3)


def test_pixels_equal_those_of_pyav(bframes_mp4):
    with av.open(str(bframes_mp4)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for frame, picture in zip(read_frames(bframes_mp4), expected, strict=True):
        # PyAV converts with coarser rounding.
        assert np.abs(frame.pixels[:, 88:].astype(int) - picture[:, 88:]).max() <= 3


def test_seeking_gives_the_bits_of_reading_from_the_start(bframes_mp4):
    """Groups are open: the frames around each key frame need care."""
    everything = list(read_frames(bframes_mp4))
    for number in range(18, 44):
        found = next(read_frames(bframes_mp4, start=everything[number].time))
        assert found.time == everything[number].time
        assert np.array_equal(found.pixels, everything[number].pixels)


def test_start_is_included_and_end_is_not(bframes_mp4):
    def numbers(start, end):
        return [read_number(frame.pixels) for frame in read_frames(bframes_mp4, start=start, end=end)]

    assert numbers(20 / NTSC, 30 / NTSC) == list(range(20, 30))
    assert numbers(Timestamp(20 * 1001, Fraction(1, 24000)), 30 / NTSC + Fraction(1, 10**6)) == list(range(20, 31))
    assert numbers(20 / NTSC + Fraction(1, 10**6), None) == list(range(21, 60))
    assert numbers(None, Fraction(0)) == []
    assert numbers(Fraction(-5), 2 / NTSC) == [0, 1]
    assert numbers(Fraction(100), None) == []


def test_variable_rate_clip_shows_the_frame_of_each_time(variable_mp4):
    """The definition, spelled out on the list of times that the frames were written at."""
    random_times = sorted(Fraction(random.Random(0).randrange(0, 9900), 9000) for _ in range(200))
    border_times = [Fraction(pts, 90) for pts in VARIABLE_PTS]
    for times in (random_times, border_times):
        expected = [bisect.bisect_right(VARIABLE_PTS, time * 90) - 1 for time in times]
        assert [read_number(frame.pixels) for frame in frames_at(variable_mp4, times)] == expected


def test_variable_rate_clip_at_a_fixed_rate(variable_mp4):
    for fps, start, num_frames in ((Fraction(30), Fraction(0), 34), (Fraction(70), Fraction(1, 9), 65)):
        expected = [bisect.bisect_right(VARIABLE_PTS, (start + i / fps) * 90) - 1 for i in range(num_frames)]
        assert len(set(expected)) < num_frames  # some frames are shown more than once
        assert _numbers_of(read_clip(variable_mp4, start, num_frames, fps)) == expected


def test_clip_is_pixels_in_minus_one_to_one(bframes_mp4):
    clip = read_clip(bframes_mp4, None, 5, NTSC)
    assert clip.shape == (5, 3, 48, 96)
    assert clip.dtype == torch.float32
    assert clip.min() >= -1
    assert clip.max() <= 1
    assert clip[3, :, 4, 4].mean() > 0.95  # lowest bit of 3
    assert clip[4, :, 4, 4].mean() < -0.95


@pytest.mark.parametrize("fps", [6, Fraction(25, 2), 12, NTSC, 48, 60])
def test_clip_rates(bframes_mp4, fps):
    start = 10 / NTSC
    num_frames = int(40 / NTSC * fps)
    expected = [int((start + i / Fraction(fps)) * NTSC) for i in range(num_frames)]
    assert _numbers_of(read_clip(bframes_mp4, start, num_frames, Fraction(fps))) == expected


def test_container_that_rounds_times_loses_no_frame(native_mkv):
    assert _numbers_of(read_clip(native_mkv, None, 40, Fraction(30))) == list(range(40))
    times = [frame.time for frame in read_frames(native_mkv)]
    assert times[1].pts == 33  # rounded, so that the true times are off
    for first in range(0, 30, 7):
        assert _numbers_of(read_clip(native_mkv, times[first], 10, Fraction(30))) == list(range(first, first + 10))


def test_coarse_time_base_is_taken_as_exact(tmp_path):
    """Ticks of 1/10 s, frames of 1.5 ticks on average: a tick early would be a wrong frame."""
    pts = [tick for tick in range(30) if tick % 3 != 2]
    path = encode(
        tmp_path / "coarse.mp4", [draw_number(n) for n in range(20)], pts, time_base=Fraction(1, 10),
        options={"bf": "0"}, container_options={"video_track_timescale": "10"},
    )  # fmt: skip
    assert next(read_frames(path)).time.time_base == Fraction(1, 10)  # else this test proves nothing
    expected = [bisect.bisect_right(pts, Fraction(i, 3)) - 1 for i in range(80)]
    assert _numbers_of(read_clip(path, Fraction(0), 80, Fraction(30))) == expected


def test_clip_outside_of_the_video(bframes_mp4, native_mkv):
    assert _numbers_of(read_clip(bframes_mp4, 59 / NTSC, 1, NTSC)) == [59]
    assert _numbers_of(read_clip(bframes_mp4, 60 / NTSC - Fraction(1, 10**6), 1, NTSC)) == [59]
    with pytest.raises(InputError, match=r"ends at 2\.502 s, frame 2 of 3 is wanted at 2\.502 s"):
        read_clip(bframes_mp4, 59 / NTSC, 3, NTSC)
    with pytest.raises(InputError, match=r"ends at 1\.333 s, frame 1 of 1 is wanted at 9\.000 s"):
        read_clip(native_mkv, Fraction(9), 1, NTSC)
    with pytest.raises(InputError, match=r"starts at 0\.000 s, no frame at -1\.000 s"):
        read_clip(bframes_mp4, Fraction(-1), 3, NTSC)


def test_bad_requests(bframes_mp4):
    with pytest.raises(InputError, match="num_frames is 0"):
        read_clip(bframes_mp4, None, 0, NTSC)
    with pytest.raises(InputError, match="fps is 0"):
        read_clip(bframes_mp4, None, 1, Fraction(0))
    with pytest.raises(InputError, match=r"start is 0\.5, it should be"):
        read_clip(bframes_mp4, 0.5, 1, NTSC)
    with pytest.raises(InputError, match="has no video stream 1, it has only stream 0"):
        next(read_frames(bframes_mp4, stream=1))
    with pytest.raises(InputError, match="ascending"):
        frames_at(bframes_mp4, [Fraction(1), Fraction(0)])
    assert frames_at(bframes_mp4, []) == []


def test_video_that_starts_late(tmp_path):
    path = encode(tmp_path / "late.mkv", [draw_number(n) for n in range(9)], range(50, 59), time_base=Fraction(1, 25))
    assert _numbers_of(read_clip(path, None, 9, Fraction(25))) == list(range(9))
    assert _numbers_of(read_clip(path, Fraction(2) + Fraction(4, 25), 2, Fraction(25))) == [4, 5]
    with pytest.raises(InputError, match=r"starts at 2\.000 s, no frame at 0\.000 s"):
        read_clip(path, Fraction(0), 1, Fraction(25))


def test_second_stream(tmp_path):
    path = tmp_path / "two.mkv"
    options = {"rate": Fraction(25), "time_base": Fraction(1, 25), "codec": "ffv1", "pixel_format": "bgr0"}
    with av.open(str(path), "w") as container:
        add_stream(container, [draw_number(n) for n in range(5)], range(5), **options)
    with av.open(str(path)) as source, av.open(str(tmp_path / "copy.mkv"), "w") as target:
        # Two streams, the second shifted by a copy of its packets.
        outputs = [target.add_stream_from_template(source.streams.video[0]) for _ in range(2)]
        for packet in list(source.demux(video=0)):
            if packet.dts is not None:
                for shift, output in zip((0, 1000), outputs, strict=True):
                    packet.stream, packet.pts, packet.dts = output, (packet.pts or 0) + shift, packet.dts + shift
                    target.mux(packet)
    assert [frame.time.pts for frame in read_frames(tmp_path / "copy.mkv")] == [0, 40, 80, 120, 160]
    second = list(read_frames(tmp_path / "copy.mkv", stream=1))
    assert [frame.time.pts for frame in second] == [1000, 1040, 1080, 1120, 1160]
    assert [read_number(frame.pixels) for frame in second] == list(range(5))


@pytest.mark.parametrize(
    "encoding",
    [
        ("libx264", "yuv444p", {"qp": "0"}, 2, (37, 81)),
        ("libx264", "yuvj420p", {"crf": "5"}, 8, (48, 96)),
        ("libx264", "gray", {"crf": "5"}, 8, (37, 81)),
        ("ffv1", "bgr0", {}, 0, (37, 81)),
        ("ffv1", "yuv420p10le", {}, 4, (37, 81)),
    ],
)
def test_pixel_formats_and_odd_sizes(tmp_path, encoding):
    codec, pixel_format, options, limit, size = encoding
    picture = draw_number(5, *size)
    path = encode(
        tmp_path / "video.mkv", [picture] * 2, range(2), time_base=Fraction(1, 25), codec=codec,
        pixel_format=pixel_format, options=options,
    )  # fmt: skip
    frames = list(read_frames(path))
    assert len(frames) == 2
    assert frames[1].pixels.shape == (*size, 3)
    assert read_number(frames[1].pixels) == 5
    inside = np.abs(frames[1].pixels[1:7, 1:7].astype(int) - picture[1:7, 1:7])
    assert inside.max() <= limit


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotated_video_is_upright_as_opencv_shows_it(tmp_path, rotation):
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 255, (3, 6, 1), np.uint8).repeat(3, 2), np.ones((16, 16, 1), np.uint8))
    path = encode(tmp_path / "turned.mp4", [picture], [0], time_base=Fraction(1, 25), rotation=rotation)
    capture = cv2.VideoCapture(str(path))
    _, expected = capture.read()
    capture.release()
    found = next(read_frames(path)).pixels
    assert found.shape == expected.shape == ((48, 96, 3) if rotation % 180 == 0 else (96, 48, 3))
    assert np.abs(found.astype(int) - expected[..., ::-1]).mean() < 3
    assert np.abs(found.astype(int) - np.rot90(picture, rotation // 90)).mean() < 3


@pytest.mark.parametrize(("height", "is_709"), [(480, False), (720, True)])
def test_untagged_colours_follow_the_size(tmp_path, height, is_709):
    """Players take untagged HD as BT.709 and smaller as BT.601; the sample values are H.273's own."""
    frame = av.VideoFrame(854 if height == 480 else 1280, height, "yuv420p")
    y, cb, cr = (63, 102, 240) if is_709 else (81, 90, 240)  # red
    for plane, value in zip(frame.planes, (y, cb, cr), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    path = tmp_path / "red.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert next(read_frames(path)).pixels[100, 100].tolist() == pytest.approx([255, 0, 0], abs=2)


def test_damage_is_told_after_the_frames_before_it(tmp_path):
    pictures = [np.random.default_rng(number).integers(0, 255, (48, 96, 3), np.uint8) for number in range(20)]
    options = {"bf": "0", "crf": "20"}
    path = encode(tmp_path / "video.mp4", pictures, range(20), time_base=Fraction(1, 25), options=options)
    with av.open(str(path)) as container:
        damaged = container.streams.video[0].index_entries[10]
    data = bytearray(path.read_bytes())
    data[damaged.pos : damaged.pos + 1000] = b"\xff" * 1000
    path.write_bytes(data)
    times = []
    with pytest.raises(InputError, match=r"is broken after 0\.360 s"):
        for frame in read_frames(path):
            times.append(frame.time.time)  # noqa: PERF401, an extend would lose them with the error
    assert times == [Fraction(number, 25) for number in range(10)]


def test_damage_that_the_decoder_covers_up_is_told_too(tmp_path):
    pictures = [np.random.default_rng(number).integers(0, 255, (48, 96, 3), np.uint8) for number in range(20)]
    path = encode(tmp_path / "video.avi", pictures, range(20), time_base=Fraction(1, 25), codec="mpeg4")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 50] = bytes(byte ^ 0xFF for byte in data[middle : middle + 50])
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert any(frame.is_corrupt for frame in container.decode(video=0))  # else this test proves nothing
    with pytest.raises(InputError, match=r"is broken after \d\.\d+ s$"):
        list(read_frames(path))


@pytest.mark.parametrize(("name", "num_frames"), [("bikes.mp4", 250), ("nasa_13013.mp4", 390)])
def test_real_videos_frame_by_frame(videos_folder, name, num_frames):
    path = videos_folder / name
    frames = [(frame.time, frame.pixels[::8, ::8].copy()) for frame in read_frames(path)]
    assert len(frames) == num_frames
    for number in range(0, num_frames, 83):
        found = next(read_frames(path, start=frames[number][0]))
        assert found.time == frames[number][0]
        assert np.array_equal(found.pixels[::8, ::8], frames[number][1])


def test_seek_into_a_444_file_of_an_old_encoder(videos_folder):
    """Decoders must know the encoder's version, which stands in the first frame only."""
    path = videos_folder / "cockatoo.mp4"
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        expected = next(frame for frame in container.decode(video=0) if frame.pts == 150 * 512)
        picture = expected.to_ndarray(format="rgb24", src_colorspace="itu709")
    found = next(read_frames(path, start=Fraction(150, 20)))
    assert found.time.pts == 150 * 512
    assert np.abs(found.pixels.astype(int) - picture).mean() < 2


def test_native_rate_of_a_real_matroska_file(videos_folder):
    path = videos_folder / "flipping_a_pancake.mkv"
    times = [frame.time.pts for frame in read_frames(path, end=Fraction(2))]
    found = frames_at(path, [Fraction(number, 30) for number in range(len(times))])
    assert [frame.time.pts for frame in found] == times


def test_frames_from_the_end_on_are_never_taken(tmp_path: Path) -> None:
    """Where times are rounded to milliseconds, a frame may count as shown a tick before its own time stamp."""
    pts = [round(Fraction(1000 * number, 30)) for number in range(20)]
    path = encode(
        tmp_path / "a.mkv",
        [draw_number(number) for number in range(20)],
        pts,
        time_base=Fraction(1, 1000),
        rate=Fraction(30),
    )
    before_the_cut = Fraction(3325, 10_000)  # frame 10 has the time stamp 333 ms
    [free] = frames_at(path, [before_the_cut])
    [bounded] = frames_at(path, [before_the_cut], end=Timestamp(pts[10], Fraction(1, 1000)))
    assert (read_number(free.pixels), read_number(bounded.pixels)) == (10, 9)
    with pytest.raises(InputError, match=r"ends at 0\.333 s"):
        frames_at(path, [before_the_cut, Fraction(1, 2)], end=Timestamp(pts[10], Fraction(1, 1000)))
