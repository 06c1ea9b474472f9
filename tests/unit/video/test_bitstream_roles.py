"""Roles of packets are those that the encoders were asked for; hand-made headers for what they do not make here."""

import numpy as np
import pytest
from copied_clips import MADE, RATE
from numbered_video import draw_number, encode

from videoldm.video.bitstream.codecs import role_reader
from videoldm.video.bitstream.nal_units import nal_units, with_encoder_note
from videoldm.video.bitstream.roles import PacketRole
from videoldm.video.copy_span import NothingToCopy, access_points, copy_span
from videoldm.video.packets import read_packet_index

NAMES = [made.name for made in MADE]


@pytest.mark.parametrize("name", NAMES)
def test_access_points_are_those_that_the_encoder_made(made_videos, name):
    path, made = made_videos[name]
    index = read_packet_index(path)
    assert len(access_points(index)) == made.num_access_points
    assert index.problems == ()
    # Every picture that the encoder counts as a key frame is one, unless its group is open.
    if "open" not in name and "refresh" not in name:
        assert np.array_equal(access_points(index), np.flatnonzero(index.is_keyframe))


def test_flags_of_containers_are_not_believed(made_videos):
    for name in ("open.mp4", "refresh.ts"):
        index = read_packet_index(made_videos[name][0])
        assert index.is_keyframe.sum() > 1
        assert access_points(index).tolist() == [0]


def test_leading_pictures_are_those_shown_before_their_access_point(made_videos):
    index = read_packet_index(made_videos["hevc_open.mp4"][0])
    points = access_points(index)
    before = [index.pts[number] < index.pts[points[points <= number][-1]] for number in range(len(index))]
    assert sum(before) > 0  # else this test proves nothing
    assert np.array_equal(before, index.role == PacketRole.LEADING)


def test_packet_that_lies_about_its_times_is_no_access_point(made_videos):
    index = read_packet_index(made_videos["closed.mp4"][0])
    second = access_points(index)[1]
    index.pts[second + 1], index.pts[second] = index.pts[second], index.pts[second + 1]
    assert second not in access_points(index)


def test_format_without_a_reader_gives_its_reason(tmp_path):
    pictures = [draw_number(number) for number in range(8)]
    path = encode(tmp_path / "old.avi", pictures, range(8), time_base=1 / RATE, codec="wmv2")
    index = read_packet_index(path)
    assert role_reader("wmv2", b"") is None
    found = copy_span(index, 0, 8)
    assert isinstance(found, NothingToCopy)
    assert "cannot be verified in the format wmv2" in found.reason


def bits(text):
    """The bytes of a row of bits, filled up with zeros."""
    text = text.replace(" ", "")
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def superframe(*frames):
    """VP9 frames of fewer than 256 bytes each, and their index."""
    marker = bytes([0b110_00_000 | len(frames) - 1])
    return b"".join(frames) + marker + bytes(map(len, frames)) + marker


VP9_KEY, VP9_HIDDEN_KEY = bits("10 00 0 0 1 0"), bits("10 00 0 0 0 0")
VP9_FRAME, VP9_HIDDEN, VP9_OLD = bits("10 00 0 1 1 0"), bits("10 00 0 1 0 0"), bits("10 00 1 000")


@pytest.mark.parametrize(
    ("codec", "data", "role"),
    [
        ("vp8", bytes([0b0001_0000]) + b"\0\0\x9d\x01\x2a", PacketRole.ACCESS),
        ("vp8", bytes([0b0001_0000]) + b"\0\0\x9d\x01\x2b", PacketRole.UNUSABLE),
        ("vp8", bytes([0b0000_0001]) + b"\0\0", PacketRole.HIDDEN),
        ("vp8", bytes([0b0001_0001]) + b"\0\0", PacketRole.FRAME),
        ("vp9", VP9_KEY, PacketRole.ACCESS),
        ("vp9", VP9_HIDDEN, PacketRole.HIDDEN),
        ("vp9", VP9_HIDDEN_KEY, PacketRole.HIDDEN),
        ("vp9", VP9_OLD, PacketRole.FRAME),
        ("vp9", superframe(VP9_HIDDEN, VP9_FRAME), PacketRole.FRAME),
        ("vp9", superframe(VP9_HIDDEN_KEY, VP9_FRAME), PacketRole.ACCESS),
        ("vp9", superframe(VP9_HIDDEN, VP9_KEY), PacketRole.FRAME),
        ("vp9", bits("10 11 0 0 0 1 0"), PacketRole.ACCESS),  # profile 3 has one bit more
        ("vp9", b"\0", PacketRole.UNUSABLE),
        ("av1", bytes([0b0_0010_0_1_0, 0, 0b0_0110_0_1_0, 1]) + bits("0 00 1"), PacketRole.ACCESS),
        ("av1", bytes([0b0_0110_0_1_0, 1]) + bits("0 00 0"), PacketRole.FRAME),  # key frame to be shown later
        ("av1", bytes([0b0_0110_0_0_0]) + bits("0 10 1"), PacketRole.FRAME),  # intra-only frame, no length
        ("av1", bytes([0b0_0011_0_1_0, 1]) + bits("1 000"), PacketRole.FRAME),  # shows an earlier frame
        ("av1", bytes([0b0_0110_0_1_0, 9]) + bits("0 00 1"), PacketRole.UNUSABLE),  # ends before its length
        ("mpeg4", b"\0\0\1\xb6" + bits("00"), PacketRole.ACCESS),
        ("mpeg4", b"\0\0\1\xb6" + bits("10"), PacketRole.LEADING),
        ("mpeg4", b"\0\0\1\xb6" + bits("01") + b"\0\0\1\xb6" + bits("10"), PacketRole.UNUSABLE),  # packed
        ("mpeg2video", b"\0\0\1\0" + bits("0000000000 001 000"), PacketRole.FRAME),  # I picture, no sequence header
        ("mpeg2video", b"\0\0\1\xb3\0\0\0\1\0" + bits("0000000000 001 000"), PacketRole.ACCESS),
        ("mjpeg", b"\xff\xd8", PacketRole.ACCESS),
        ("h264", b"\0\0\1\x09\xf0\0\0\1\x65\x88", PacketRole.ACCESS),
        ("h264", b"\0\0\1\x06\x06\x01\0\0\1\x41\x9a", PacketRole.FRAME),  # a recovery point
        ("h264", b"\0\0\1\x06\x06\x01", PacketRole.UNUSABLE),
        ("hevc", b"\0\0\1\x26\x01\xaf", PacketRole.ACCESS),
        ("hevc", b"\0\0\1\x20\x01\xaf", PacketRole.SPLICE),
        ("hevc", b"\0\0\1\x26\x09\xaf\0\0\1\x02\x01\xd0", PacketRole.FRAME),  # the IDR is of another layer
    ],
)
def test_headers(codec, data, role):
    reader = role_reader(codec, b"")
    assert reader is not None
    assert reader(data) == role


def test_bytes_at_random_raise_nothing():
    numbers = np.random.default_rng(0)
    for codec in ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "ffv1", "mjpeg"):
        for header in (b"", b"\1\0\0\0\xff" + bytes(30)):
            read = role_reader(codec, header)
            assert read is not None
            for size in numbers.integers(0, 40, 100):
                assert read(numbers.bytes(size)) in PacketRole


def test_name_of_the_encoder_is_put_in_once():
    note = b"\x06\x05" + bytes(17) + b"x264 - core 142"
    for header, frame in (
        (b"", lambda unit: b"\0\0\1" + unit),
        (b"\1\0\0\0\xff", lambda unit: len(unit).to_bytes(4, "big") + unit),
    ):
        delimiter, picture = b"\x09\xf0", b"\x65\x88\x99"
        first = frame(delimiter) + frame(note) + frame(picture)
        later = frame(delimiter) + frame(picture)
        assert with_encoder_note(later, first, header) == first
        assert with_encoder_note(first, first, header) == first
        assert with_encoder_note(later, later, header) == later
        assert list(nal_units(first, 4 if header else None)) == [delimiter, note, picture]
