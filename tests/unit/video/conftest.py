"""The numbered videos that several files here read."""

from fractions import Fraction

import pytest
from copied_clips import MADE, make
from numbered_video import VARIABLE_PTS, draw_number, encode


@pytest.fixture(scope="session")
def bframes_mp4(tmp_path_factory):
    """60 frames at 24000/1001, B-frames, a key frame every 12, all groups open."""
    rate = Fraction(24000, 1001)
    options = {"g": "12", "bf": "3", "x264-params": "open-gop=1:b-adapt=0:scenecut=0", "crf": "20"}
    pictures = [draw_number(number) for number in range(60)]
    path = tmp_path_factory.mktemp("video") / "bframes.mp4"
    return encode(path, pictures, range(60), time_base=1 / rate, rate=rate, options=options)


@pytest.fixture(scope="session")
def native_mkv(tmp_path_factory):
    """40 frames at 30 fps in Matroska, which rounds times to milliseconds."""
    path = tmp_path_factory.mktemp("video") / "native.mkv"
    return encode(path, [draw_number(number) for number in range(40)], range(40), time_base=Fraction(1, 30))


@pytest.fixture(scope="session")
def variable_mp4(tmp_path_factory):
    """18 frames at uneven times, counted in 1/90 s."""
    path = tmp_path_factory.mktemp("video") / "variable.mp4"
    pictures = [draw_number(number) for number in range(len(VARIABLE_PTS))]
    return encode(path, pictures, VARIABLE_PTS, time_base=Fraction(1, 90), rate=Fraction(20), options={"bf": "2"})


@pytest.fixture(scope="session")
def made_videos(tmp_path_factory):
    """Path and maker's notes of small videos in many formats, by name."""
    folder = tmp_path_factory.mktemp("made")
    return {made.name: (make(folder, made), made) for made in MADE}
