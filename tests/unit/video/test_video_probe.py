import os
from fractions import Fraction

import av
import numpy as np
import pytest
from numbered_video import add_stream, draw_number, encode
from PIL import Image

from videoldm.core.errors import InputError
from videoldm.video.probe import probe
from videoldm.video.read import read_clip, read_frames

SECOND = Fraction(1)


def test_probe_of_mp4_tells_what_pyav_was_asked_to_write(bframes_mp4):
    info = probe(bframes_mp4)
    video = info.video
    assert info.container.startswith("mov,mp4")
    assert info.size_bytes == bframes_mp4.stat().st_size
    assert info.num_audio_streams == 0
    assert (video.codec, video.pixel_format) == ("h264", "yuv420p")
    assert (video.width, video.height, video.rotation) == (96, 48, 0)
    assert video.frame_rate == Fraction(24000, 1001)
    assert (video.num_frames, video.start_pts) == (60, 0)
    assert video.duration == 60 * Fraction(1001, 24000)
    assert video.pixel_aspect == 1


def test_probe_counts_where_the_header_is_silent(native_mkv):
    with av.open(str(native_mkv)) as container:
        assert container.streams.video[0].frames == 0  # else this test proves nothing
    video = probe(native_mkv).video
    assert video.num_frames == 40
    assert video.time_base == Fraction(1, 1000)
    assert video.duration_pts == pytest.approx(40 / 30 * 1000, abs=1)


def test_start_may_be_later_than_zero(tmp_path):
    path = encode(tmp_path / "late.mkv", [draw_number(0)] * 5, range(50, 55), time_base=Fraction(1, 25))
    video = probe(path).video
    assert video.start_pts == 2000
    assert video.duration_pts == pytest.approx(200, abs=1)


@pytest.mark.parametrize(
    ("turn", "clockwise", "shown"), [(90, 270, (48, 96)), (180, 180, (96, 48)), (270, 90, (48, 96))]
)
def test_rotation_swaps_the_shown_size(tmp_path, turn, clockwise, shown):
    path = encode(tmp_path / "turned.mp4", [draw_number(1)], [0], time_base=Fraction(1, 25), rotation=turn)
    video = probe(path).video
    assert video.rotation == clockwise
    assert (video.width, video.height) == shown
    assert (video.coded_width, video.coded_height) == (96, 48)
    assert not video.is_mirrored
    assert len(video.display_matrix) == 9


def test_audio_and_several_video_streams(tmp_path):
    path = tmp_path / "both.mkv"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=48000, layout="mono")
        options = {"time_base": Fraction(1, 25), "rate": Fraction(25), "codec": "libx264", "pixel_format": "yuv420p"}
        add_stream(container, [draw_number(0)] * 3, range(3), **options)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 48000
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))
    info = probe(path)
    assert info.num_audio_streams > 0
    assert info.num_audio_streams == 1
    assert len(info.streams) == 1


@pytest.mark.parametrize(
    ("name", "size", "rate", "num_frames"),
    [
        ("bigbuckbunny.mp4", (1280, 720), 25, 132),
        ("bikes.mp4", (640, 272), 25, 250),
        ("cockatoo.mp4", (1280, 720), 20, 280),
        ("flipping_a_pancake.mkv", (426, 240), 30, 310),
        ("nasa_13013.mp4", (480, 270), Fraction(30000, 1001), 390),
    ],
)
def test_probe_of_real_videos(videos_folder, name, size, rate, num_frames):
    video = probe(videos_folder / name).video
    assert (video.width, video.height) == size
    assert video.frame_rate == rate
    assert video.num_frames == num_frames
    assert float(video.duration) == pytest.approx(num_frames / rate, abs=0.01)


def test_real_video_with_several_streams(videos_folder):
    info = probe(videos_folder / "nasa_13013.mp4")
    assert [stream.num_frames for stream in info.streams] == [325, 390]
    assert info.num_audio_streams == 2
    assert info.video.colour.matrix == "bt709"
    assert probe(videos_folder / "cockatoo.mp4").video.pixel_format == "yuv444p"


def _write_text(path):
    path.write_text("this is no video\n" * 100)


def _write_picture(path):
    Image.new("RGB", (64, 64)).save(path, format="PNG")


def _write_sound(path):
    with av.open(str(path), "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=48000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 48000
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))


BAD_FILES = {
    "empty": (lambda path: path.touch(), r"is empty \(0 bytes\)"),
    "text": (_write_text, "is not a video file"),
    "picture": (_write_picture, "is not a video file"),
    "sound": (_write_sound, "has no video in it"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "missing": (lambda path: None, "does not exist"),
    "pipe": (os.mkfifo, "is a device or pipe"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".txt", ".png"])
def test_what_is_no_video_gives_one_line(tmp_path, kind, suffix):
    make, reason = BAD_FILES[kind]
    path = tmp_path / f"input{suffix}"
    make(path)
    for use in (probe, lambda path: next(read_frames(path)), lambda path: read_clip(path, None, 1, SECOND)):
        with pytest.raises(InputError, match=reason) as caught:
            use(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_playlists_cannot_open_other_files(tmp_path, bframes_mp4):
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{bframes_mp4}\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.ffconcat").write_text(f"ffconcat version 1.0\nfile {bframes_mp4}\n")
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match="is not a video file"):
            probe(path)


def test_names_are_never_taken_for_protocols(tmp_path, bframes_mp4, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "concat:a|b").write_bytes(bframes_mp4.read_bytes())
    assert probe("concat:a|b").video.num_frames == 60
    with pytest.raises(InputError, match="does not exist"):
        probe("http://localhost/video.mp4")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["plain.mp4", "faststart.mp4", "video.mkv"])
def test_cut_off_files_are_told(tmp_path, kind, part):
    options = {"movflags": "faststart"} if kind.startswith("fast") else {}
    pictures = [draw_number(number) for number in range(30)]
    path = encode(tmp_path / kind, pictures, range(30), time_base=Fraction(1, 25), container_options=options)
    assert probe(path).video.num_frames == 30
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"cut off|cut-off|broken"):
        probe(path)
    with pytest.raises(InputError, match=r"cut off|cut-off|broken"):
        list(read_frames(path))


def test_trailing_bytes_are_no_damage(tmp_path, bframes_mp4):
    path = tmp_path / "longer.mp4"
    path.write_bytes(bframes_mp4.read_bytes() + b"\0" * 100)
    assert probe(path).video.num_frames == 60
