"""Encoded clips: every frame of the span at its time, looking as in the source."""

from fractions import Fraction

import av
import numpy as np
import pytest
from copied_clips import X264
from numbered_video import VARIABLE_PTS, draw_number, encode, read_number

from videoldm.core.errors import InputError
from videoldm.video.clip_file import encode_clip
from videoldm.video.packets import read_packet_index
from videoldm.video.probe import probe
from videoldm.video.read import read_frames
from videoldm.video.time import Timestamp


def check(path, start, end, clip, *, tolerance=Fraction(0), mean_difference=2.5):
    """The clip has the frames of the source between two exact times, nearly as they are."""
    num_frames = encode_clip(path, start, end, clip).num_frames
    wanted = list(read_frames(path, start=start, end=end))
    found = list(read_frames(clip))
    assert len(found) == len(wanted) == num_frames > 0
    for frame, original in zip(found, wanted, strict=True):
        assert abs(frame.time.time - (original.time.time - wanted[0].time.time)) <= tolerance
        assert read_number(frame.pixels) == read_number(original.pixels)
        assert np.abs(frame.pixels.astype(int) - original.pixels).mean() < mean_difference


@pytest.mark.parametrize("name", ["closed.ts", "hevc_open.mp4", "vp8.webm", "ffv1.mkv", "chroma.mp4", "prores.mov"])
def test_any_frame_can_be_first_and_last(made_videos, tmp_path, name):
    path, _ = made_videos[name]
    index = read_packet_index(path)
    times = [Timestamp(int(pts), index.time_base) for pts in sorted(index.pts)]
    check(path, times[19], times[31], tmp_path / "clip.mp4")
    assert encode_clip(path, times[5], times[6], tmp_path / "clip.mp4").num_frames == 1


def test_uneven_times_are_exact(tmp_path, variable_mp4):
    start, end = Fraction(VARIABLE_PTS[2], 90), Fraction(VARIABLE_PTS[13], 90)
    clip = tmp_path / "clip.mp4"
    check(variable_mp4, start, end, clip)
    assert probe(clip).video.duration == end - start
    check(variable_mp4, start, end, tmp_path / "clip.mkv", tolerance=Fraction(1, 2000))


def test_end_within_and_beyond_the_last_frame(tmp_path, variable_mp4):
    clip = tmp_path / "clip.mp4"
    check(variable_mp4, Fraction(VARIABLE_PTS[3], 90), Fraction(VARIABLE_PTS[4], 90) + Fraction(1, 180), clip)
    assert probe(clip).video.duration == Fraction(VARIABLE_PTS[4] - VARIABLE_PTS[3], 90) + Fraction(1, 180)
    check(variable_mp4, Fraction(VARIABLE_PTS[15], 90), Fraction(99), clip)


def test_rotation_colours_and_pixel_shape_are_kept(tmp_path):
    path = tmp_path / "tagged.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": X264})
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p10le"
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(4, 3)
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, 16, 1
        stream.set_display_rotation(90, hflip=True)
        for number in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw_number(number), format="rgb24")))
        container.mux(stream.encode(None))
    encode_clip(path, Fraction(2, 25), Fraction(6, 25), tmp_path / "clip.mp4")
    source, found = probe(path).video, probe(tmp_path / "clip.mp4").video
    assert found.num_frames == 4
    for name in ("rotation", "is_mirrored", "pixel_aspect", "colour", "pixel_format", "width", "height"):
        assert getattr(found, name) == getattr(source, name), name


@pytest.mark.parametrize(
    ("codec", "pixel_format", "size", "stored"),
    [
        ("ffv1", "yuv420p", (47, 93), "yuv444p"),  # 4:2:0 needs even sizes in H.264
        ("ffv1", "bgr0", (48, 96), "yuv444p"),
        ("ffv1", "yuv420p16le", (48, 96), "yuv444p10le"),
    ],
)
def test_formats_that_h264_does_not_store(tmp_path, codec, pixel_format, size, stored):
    pictures = [draw_number(number)[: size[0], : size[1]] for number in range(6)]
    pictures = [np.ascontiguousarray(picture) for picture in pictures]
    path = encode(
        tmp_path / "odd.mkv", pictures, range(6), time_base=Fraction(1, 25), codec=codec, pixel_format=pixel_format
    )
    check(path, Fraction(1, 25), Fraction(5, 25), tmp_path / "clip.mp4")
    found = probe(tmp_path / "clip.mp4").video
    assert (found.height, found.width, found.pixel_format) == (*size, stored)


def test_wrong_input(tmp_path, variable_mp4):
    with pytest.raises(InputError, match=r"should end in \.mp4, \.mov or \.mkv"):
        encode_clip(variable_mp4, Fraction(0), Fraction(1), tmp_path / "clip.avi")
    with pytest.raises(InputError, match="has no frame from 50 to 51 s"):
        encode_clip(variable_mp4, Fraction(50), Fraction(51), tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []
