"""Copied clips are decoded whole and compared with their sources frame by frame; OpenCV as an independent reader."""

import random
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from copied_clips import MADE, NUM_FRAMES, RATE, X264, decode_all
from numbered_video import VARIABLE_PTS, draw_number, encode, read_number

from videoldm.core.errors import InputError
from videoldm.video.clip_file import clip_suffixes, copy_clip
from videoldm.video.clip_proof import prove_clip
from videoldm.video.copy_span import CopySpan, NothingToCopy, access_points, copy_span
from videoldm.video.packets import read_packet_index
from videoldm.video.probe import probe
from videoldm.video.read import read_frames

MILLISECOND = Fraction(1, 1000)


def copied(path, start, end, folder, suffix=None):
    """The clip of a span given in ticks, its span and its proof."""
    index = read_packet_index(path)
    span = copy_span(index, start, end)
    assert isinstance(span, CopySpan), span
    clip = folder / f"clip{suffix or clip_suffixes(index.codec)[0]}"
    copy_clip(path, index, span, clip)
    return clip, span, prove_clip(path, index, span, clip)


def check_frames(source_frames, clip, span):
    """Every frame of the span is in the clip, no other, at its time, with its samples."""
    start, end = span.start_pts * span.time_base, span.end_pts * span.time_base
    wanted = [(time - start, samples) for time, samples in source_frames if start <= time < end]
    found = decode_all(clip)
    assert len(found) == len(wanted) == span.num_frames
    tolerance = 0 if clip.suffix in (".mp4", ".mov") else MILLISECOND / 2
    for (time, samples), (wanted_time, wanted_samples) in zip(found, wanted, strict=True):
        assert abs(time - wanted_time) <= tolerance
        assert np.array_equal(samples, wanted_samples)


def seen_by_opencv(clip):
    """Number and milliseconds of each frame."""
    capture, seen = cv2.VideoCapture(str(clip)), []
    while True:
        found, picture = capture.read()
        if not found:
            return seen
        seen.append((read_number(picture), capture.get(cv2.CAP_PROP_POS_MSEC)))


@pytest.mark.parametrize("name", [made.name for made in MADE])
def test_random_spans_of_every_format(made_videos, tmp_path, name):
    path, _ = made_videos[name]
    index, everything = read_packet_index(path), decode_all(path)
    ticks = [int(time / index.time_base) for time, _ in everything]
    assert sorted(index.pts) == ticks
    chooser, spans = random.Random(name), []
    for _ in range(8):
        start, end = sorted(chooser.sample(range(ticks[0] - 9, ticks[-1] + 9), 2))
        spans.append(copy_span(index, start, end))
    spans.append(copy_span(index, ticks[0], ticks[-1] + 1))
    spans = [span for span in spans if not isinstance(span, NothingToCopy)]
    for span in spans:
        clip = tmp_path / f"clip{clip_suffixes(index.codec)[0]}"
        copy_clip(path, index, span, clip)
        assert prove_clip(path, index, span, clip).differences == ()
        check_frames(everything, clip, span)
    assert spans[-1].num_frames in (NUM_FRAMES, NUM_FRAMES - 2)  # a B picture at the end needs what is beyond it


@pytest.mark.parametrize(
    "name", ["closed.mp4", "closed.ts", "hevc_open.mkv", "vp8.webm", "vp9.mp4", "mpeg4.mp4", "mpeg2.ts"]
)
def test_other_readers_see_the_same_frames(made_videos, tmp_path, name):
    path, _ = made_videos[name]
    index = read_packet_index(path)
    second = int(index.pts[access_points(index)[1]])
    clip, span, _ = copied(path, second, second + round(20 / RATE / index.time_base), tmp_path)
    numbers = [round(pts * index.time_base * RATE) for pts in sorted(index.pts)]
    first = sorted(index.pts).index(span.start_pts)
    wanted = [(first + place, float(place / RATE * 1000)) for place in range(span.num_frames)]
    for (number, milliseconds), (wanted_number, wanted_milliseconds) in zip(seen_by_opencv(clip), wanted, strict=True):
        assert number == wanted_number
        assert abs(milliseconds - wanted_milliseconds) < 1
    frames = list(read_frames(clip))
    assert [read_number(frame.pixels) for frame in frames] == [number for number, _ in wanted]
    assert frames[0].time.pts == 0
    assert len(numbers) == NUM_FRAMES


def boxes(data, path):
    """The contents of all mp4 boxes at a path such as "moov/trak"."""
    name, _, rest = path.partition("/")
    position, found = 0, []
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == name.encode():
            content = data[position + 8 : position + size]
            found += boxes(content, rest) if rest else [content]
        position += size
    return found


@pytest.fixture(scope="module")
def uneven_mp4(tmp_path_factory):
    """Groups of six frames at uneven times, counted in 1/90 s."""
    pictures = [draw_number(number) for number in range(len(VARIABLE_PTS))]
    return encode(
        tmp_path_factory.mktemp("uneven") / "uneven.mp4", pictures, VARIABLE_PTS, time_base=Fraction(1, 90),
        rate=Fraction(20), options={"x264-params": "keyint=6:min-keyint=6:scenecut=0:b-adapt=0:bframes=3"},
    )  # fmt: skip


@pytest.mark.parametrize("last", range(6, 18))
def test_uneven_times_need_no_edit_list(uneven_mp4, tmp_path, last):
    """Read from the boxes alone: sample durations and composition offsets, as a reader without edit lists sees them."""
    index = read_packet_index(uneven_mp4)
    scale = int(Fraction(1, 90) / index.time_base)
    clip, span, proof = copied(uneven_mp4, VARIABLE_PTS[3] * scale, (VARIABLE_PTS[last] + 1) * scale, tmp_path)
    assert proof.is_proven
    check_frames(decode_all(uneven_mp4), clip, span)
    shown = [(pts * scale - span.start_pts) for pts in VARIABLE_PTS if span.start_pts <= pts * scale < span.end_pts]
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert boxes(data, "moov/trak/edts") == []
    (durations,), offsets = (boxes(data, f"moov/trak/mdia/minf/stbl/{name}") for name in ("stts", "ctts"))
    decoded = np.cumsum([0, *runs(durations)])
    assert all(box[0] == 1 for box in offsets)  # signed
    composed = decoded[:-1] + (runs(offsets[0]) if offsets else 0)
    assert sorted(composed) == shown
    assert decoded[-1] == span.end_pts - span.start_pts  # the last frame lasts as long as in the span


@pytest.mark.parametrize("last", range(6, 18))
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_clip_lasts_as_long_as_its_span(uneven_mp4, tmp_path, last, suffix):
    ticks = int(Fraction(1, 90) / read_packet_index(uneven_mp4).time_base)
    clip, span, _ = copied(uneven_mp4, 0, (VARIABLE_PTS[last] + 1) * ticks, tmp_path, suffix)
    with av.open(str(clip)) as container:
        duration = Fraction(container.duration, av.time_base)
    assert abs(duration - (span.end_pts - span.start_pts) * span.time_base) <= MILLISECOND


def runs(box):
    """The values of an mp4 box that holds pairs of count and value."""
    pairs = np.frombuffer(box[8:], ">i4").reshape(-1, 2)
    return np.repeat(pairs[:, 1], pairs[:, 0])


def test_rotation_colours_and_pixel_shape_are_kept(tmp_path):
    path = tmp_path / "tagged.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": f"{X264}:bframes=2"})
        stream.width, stream.height = 96, 48
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(4, 3)
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, 16, 2
        stream.set_display_rotation(90, hflip=True)
        for number in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw_number(number), format="rgb24")))
        container.mux(stream.encode(None))
    for suffix in (".mp4", ".mov", ".mkv"):
        clip, _, proof = copied(path, 1, 10**6, tmp_path, suffix)
        source, found = probe(path).video, probe(clip).video
        assert proof.differences == ()
        assert (found.rotation, found.is_mirrored) == (source.rotation, source.is_mirrored) == (270, True)
        assert found.pixel_aspect == source.pixel_aspect == Fraction(4, 3)
        assert found.colour == source.colour
        assert (source.colour.matrix, source.colour.transfer, source.colour.range) == ("bt2020nc", "pq", "full")


@pytest.mark.parametrize(("suffix", "first"), [(".mp4", -13), (".mp4", 70), (".mkv", 70), (".ts", 70)])
def test_source_that_starts_elsewhere_than_at_zero(tmp_path, suffix, first):
    path = encode(
        tmp_path / f"shifted{suffix}", [draw_number(number) for number in range(40)], range(first, first + 40),
        time_base=Fraction(1, 20), options={"x264-params": f"{X264}:bframes=2"},
        container_options={"avoid_negative_ts": "disabled"},
    )  # fmt: skip
    index, everything = read_packet_index(path), decode_all(path)
    assert min(index.pts) * first > 0
    start, end = (int(sorted(index.pts)[number]) for number in (2, 35))
    clip, span, proof = copied(path, start, end, tmp_path)
    assert proof.differences == ()
    assert [number for number, _ in seen_by_opencv(clip)] == list(range(16, 16 + span.num_frames))
    check_frames(everything, clip, span)


def test_edit_list_hides_what_it_hides(tmp_path, made_videos):
    """A file cut by an edit list: frames before its start are decoded, never shown, and never in a clip."""
    path, _ = made_videos["closed.mp4"]
    cut = tmp_path / "cut.mp4"
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                packet.pts = (packet.pts or 0) - 5 * 1001
                packet.dts = (packet.dts or 0) - 5 * 1001
                target.mux(packet)
    index, everything = read_packet_index(cut), decode_all(cut)
    assert len(everything) == NUM_FRAMES - 5  # else this test proves nothing
    clip, span, proof = copied(cut, 0, 30 * 1001, tmp_path)
    assert any("edit list" in problem for problem in index.problems)
    assert proof.differences == ()
    check_frames(everything, clip, span)
    assert seen_by_opencv(clip)[0][0] == 16


def test_splice_ends_a_span_and_begins_another(tmp_path, made_videos):
    """CRA pictures renamed to BLA, whose leading pictures no decoder shows."""
    path, _ = made_videos["hevc_open.ts"]
    spliced = tmp_path / "spliced.mkv"
    with av.open(str(path)) as source, av.open(str(spliced), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in (packet for packet in source.demux(video=0) if packet.size):
            renamed = av.Packet(bytes(packet).replace(b"\0\0\1\x2a\1", b"\0\0\1\x20\1"))
            renamed.stream, renamed.is_keyframe, renamed.time_base = stream, packet.is_keyframe, packet.time_base
            renamed.pts, renamed.dts = packet.pts, packet.dts
            target.mux(renamed)
    index, everything = read_packet_index(spliced), decode_all(spliced)
    assert len(everything) < NUM_FRAMES
    points = index.pts[access_points(index)]
    assert len(points) == 5
    clip, span, proof = copied(spliced, int(points[1]) - 1, int(points[3]) + 1, tmp_path)
    assert proof.differences == ()
    assert int(points[1]) == span.start_pts
    assert span.end_pts <= points[2]
    check_frames(everything, clip, span)


def test_decoders_hear_which_encoder_made_the_clip(made_videos, tmp_path):
    """x264 names itself once, in the first packet; decoders work around the bugs of its versions."""
    path, _ = made_videos["closed.mp4"]
    index = read_packet_index(path)
    assert path.read_bytes().count(b"x264 - core") == 1
    clip, _, _ = copied(path, int(index.pts[20]), int(index.pts.max()), tmp_path)
    assert clip.read_bytes().count(b"x264 - core") == 1


def test_real_videos(videos_folder, tmp_path):
    for path in sorted([*videos_folder.glob("*.mp4"), *videos_folder.glob("*.mkv")]):
        index = read_packet_index(path)
        points = index.pts[access_points(index)]
        start, end = int(points[-1 if len(points) < 3 else -2]), int(index.pts.max())
        clip, span, proof = copied(path, start, min(end, start + int(1 / (2 * index.time_base))), tmp_path, ".mp4")
        assert proof.differences == (), path
        start, end = (pts * span.time_base for pts in (span.start_pts, span.end_pts))
        for found, wanted in zip(read_frames(clip), read_frames(path, start=start, end=end), strict=True):
            assert np.array_equal(found.pixels, wanted.pixels)


def test_destination_must_suit_the_format(made_videos, tmp_path):
    path, _ = made_videos["vp8.webm"]
    with pytest.raises(InputError, match=r"a copy of vp8 should end in \.webm or \.mkv"):
        copied(path, 0, 1000, tmp_path, ".mp4")
    assert list(tmp_path.iterdir()) == []


def test_packets_that_a_container_refuses_are_an_input_error(made_videos, tmp_path):
    path, _ = made_videos["closed.mp4"]
    index = read_packet_index(path)
    span = copy_span(index, 0, 1001 * 9)
    index.pts[2] = index.pts[1]  # no time stamps that rise
    with pytest.raises(InputError, match=r"clip\.mp4: cannot hold these packets of .*closed\.mp4"):
        copy_clip(path, index, span, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_changed_source_is_noticed_and_leaves_the_old_clip(made_videos, tmp_path):
    path, _ = made_videos["closed.mp4"]
    other, _ = made_videos["chroma.mp4"]
    index = read_packet_index(path)
    clip = tmp_path / "clip.mp4"
    clip.write_text("old")
    with pytest.raises(InputError, match="has changed since it was indexed"):
        copy_clip(other, index, copy_span(index, 5, int(index.pts.max())), clip)
    assert clip.read_text() == "old"
    assert list(tmp_path.iterdir()) == [clip]


def test_clips_are_the_same_bytes_each_time(made_videos, tmp_path):
    for name in ("closed.mp4", "vp8.webm"):
        path, _ = made_videos[name]
        first, second = (copied(path, 5, 10**6, tmp_path)[0].read_bytes() for _ in range(2))
        assert first == second


def rewritten(clip, folder, change):
    """The clip with `change` made to each of its packets; None drops it."""
    path = folder / "rewritten.mp4"
    options = {"movflags": "+negative_cts_offsets", "use_editlist": "0", "avoid_negative_ts": "disabled"}
    with av.open(str(clip)) as source, av.open(str(path), "w", container_options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            changed = change(number, packet)
            if changed is not None:
                changed.stream = stream
                target.mux(changed)
    return path


def test_proof_sees_what_differs(made_videos, tmp_path):
    path, _ = made_videos["closed.mp4"]
    other, _ = made_videos["hevc_closed.mp4"]
    clip, span, proof = copied(path, 1001 * 16, 1001 * 49, tmp_path)
    index = read_packet_index(path)
    assert proof.is_proven
    assert span.num_frames == 33

    def dropped(number, packet):
        return None if number == 20 else packet

    def moved(number, packet):
        packet.pts += 1 if number == 20 else 0
        return packet

    def flipped(at):
        def change(number, packet):
            if number != at:
                return packet
            data = bytearray(bytes(packet))
            data[-9] ^= 0x40
            broken = av.Packet(bytes(data))
            broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
            broken.duration, broken.is_keyframe = packet.duration, packet.is_keyframe
            return broken

        return change

    def differences(change):
        return " | ".join(prove_clip(path, index, span, rewritten(clip, tmp_path, change)).differences)

    assert differences(lambda _, packet: packet) == ""
    assert "clip has 32 packets, not 33" in differences(dropped)
    assert "1 packets have other times, packet 20 is the first of them" in differences(moved)
    assert "first frame has other samples" in differences(flipped(0))
    assert "last frame has other samples" in differences(flipped(32))
    assert differences(flipped(20)) == "packet 20 has other bytes"  # in a group that is not decoded
    assert prove_clip(other, read_packet_index(other), span, clip).differences
    clip.unlink()
    assert "does not exist" in prove_clip(path, index, span, clip).differences[0]


def test_proof_sees_other_tags(made_videos, tmp_path):
    path, _ = made_videos["closed.mp4"]
    clip, span, _ = copied(path, 0, 1001 * 20, tmp_path)
    data = clip.read_bytes()
    place = data.index(b"tkhd") + 4 + 40  # the display matrix
    turned = np.array([0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    clip.write_bytes(data[:place] + turned + data[place + 36 :])
    differences = prove_clip(path, read_packet_index(path), span, clip).differences
    assert len(differences) == 2
    assert all("other tags of rotation" in difference for difference in differences)
