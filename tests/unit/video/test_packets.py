from fractions import Fraction

import av
import numpy as np

from videoldm.video.bitstream.roles import PacketRole
from videoldm.video.copy_span import NothingToCopy, access_points, copy_span
from videoldm.video.packets import NO_VALUE, read_packet_index


def test_index_is_what_the_demuxer_says(made_videos):
    for name in ("closed.mp4", "hevc_open.mkv", "mpeg2.ts"):
        path, _ = made_videos[name]
        index = read_packet_index(path)
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            assert index.time_base == container.streams.video[0].time_base
        assert len(index) == len(packets) == 64
        assert index.pts.tolist() == [packet.pts for packet in packets]
        assert index.dts.tolist() == [NO_VALUE if packet.dts is None else packet.dts for packet in packets]
        assert index.size.tolist() == [packet.size for packet in packets]
        assert index.position.tolist() == [packet.pos for packet in packets]
        assert index.is_keyframe.tolist() == [packet.is_keyframe for packet in packets]


def test_positions_lead_to_the_bytes(made_videos):
    path, _ = made_videos["closed.mp4"]
    index, data = read_packet_index(path), path.read_bytes()
    with av.open(str(path)) as container:
        for packet, position, size in zip(container.demux(video=0), index.position, index.size, strict=False):
            assert data[position : position + size] == bytes(packet)


def test_damaged_packet_is_named_and_ends_a_span(made_videos, tmp_path):
    path, _ = made_videos["closed.mp4"]
    whole = read_packet_index(path)
    data = bytearray(path.read_bytes())
    data[whole.position[20] : whole.position[20] + whole.size[20]] = bytes(whole.size[20])
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    index = read_packet_index(broken)
    assert index.problems == ("1 packets damaged",)
    assert np.flatnonzero(index.role == PacketRole.UNUSABLE).tolist() == [20]
    span = copy_span(index, int(index.pts[16]), int(index.pts.max()))
    assert span.end_packet <= 20
    assert access_points(index).tolist() == [0, 16, 32, 48]


def test_packets_without_times_give_a_reason(tmp_path, made_videos):
    path, _ = made_videos["closed.ts"]
    raw = tmp_path / "raw.h264"
    with av.open(str(path)) as container:
        raw.write_bytes(b"".join(bytes(packet) for packet in container.demux(video=0)))
    index = read_packet_index(raw)
    assert len(index) == 64
    assert index.problems == ("64 packets without a time",)
    found = copy_span(index, 0, 10**9)
    assert isinstance(found, NothingToCopy)
    assert "64 packets without a time" in found.reason


def test_packets_that_share_their_time_are_unusable(made_videos, tmp_path):
    path, _ = made_videos["mjpeg.mp4"]
    twice = tmp_path / "twice.mkv"
    with av.open(str(path)) as source, av.open(str(twice), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet, milliseconds in zip(source.demux(video=0), (0, 40, 80, 80, 120), strict=False):
            packet.stream, packet.pts, packet.dts, packet.time_base = (
                stream,
                milliseconds,
                milliseconds,
                Fraction(1, 1000),
            )
            target.mux(packet)
    index = read_packet_index(twice)
    assert index.problems == ("2 packets with the time of another",)
    assert access_points(index).tolist() == [0, 1, 4]
    span = copy_span(index, 0, 200)
    assert (span.num_frames, span.end_pts) == (2, 80)
