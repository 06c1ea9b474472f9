import json
from fractions import Fraction

import av
import pytest
import torch
from PIL import Image

from videoldm.core.errors import InputError
from videoldm.video.metadata import pack, read_metadata, sidecar_path, unpack
from videoldm.video.write import write_video

EVERY_NAME = ["out.mp4", "out.mkv", "out.gif", "out.webp", "out.png", "out"]
SETTINGS = {
    "prompt": "Z\u00fcrich \u96ea \U0001f600 'quotes' \"double\" \\ \n \t \x00 = ; # [section]",
    "seed": 2**63 - 1,
    "sampler": {"kind": "euler", "steps": 25, "sigma_max": 700.0},
    "sizes": [64, 64],
    "nothing": None,
    "input_hash": "ab" * 20,
}


def _write(path, metadata):
    write_video(path, torch.zeros(1, 3, 16, 16), Fraction(8), metadata)
    return path


@pytest.mark.parametrize("name", EVERY_NAME)
@pytest.mark.parametrize("source", ["file", "beside", "both"])
def test_settings_come_back(tmp_path, name, source):
    path = _write(tmp_path / name, SETTINGS)
    if source == "file":
        sidecar_path(path).unlink()
    if source == "beside":
        beside = sidecar_path(path).read_bytes()
        _write(path, None)
        assert read_metadata(path) is None
        sidecar_path(path).write_bytes(beside)
    assert read_metadata(path) == SETTINGS


@pytest.mark.parametrize("name", EVERY_NAME)
def test_long_prompts(tmp_path, name):
    settings = {"prompt": "a very long prompt \u96ea " * 5000}
    path = _write(tmp_path / name, settings)
    sidecar_path(path).unlink()
    assert read_metadata(path) == settings


@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_half_characters_survive(tmp_path, name):
    settings = {"prompt": b"caf\xe9".decode("utf-8", "surrogateescape")}
    path = _write(tmp_path / name, settings)
    assert read_metadata(path) == settings
    assert read_metadata(sidecar_path(path)) == settings


@pytest.mark.parametrize(("source", "target"), [("mp4", "mp4"), ("mp4", "mkv"), ("mp4", "mov"), ("mkv", "mkv")])
def test_settings_survive_copying_the_stream(tmp_path, source, target):
    path = _write(tmp_path / f"out.{source}", SETTINGS)
    copy = tmp_path / f"copy.{target}"
    with av.open(str(path)) as old, av.open(str(copy), "w") as new:
        new.metadata.update(old.metadata)
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert read_metadata(copy) == SETTINGS


def test_the_file_goes_before_the_json_beside(tmp_path):
    path = _write(tmp_path / "out.mp4", {"seed": 1})
    sidecar_path(path).write_text(json.dumps({"videoldm": {"seed": 2}}))
    assert read_metadata(path) == {"seed": 1}
    assert read_metadata(sidecar_path(path)) == {"seed": 2}


def test_broken_video_with_json_beside(tmp_path):
    path = _write(tmp_path / "out.mp4", {"seed": 1})
    path.write_bytes(path.read_bytes()[:100])
    assert read_metadata(path) == {"seed": 1}
    sidecar_path(path).unlink()
    with pytest.raises(InputError, match=r"cut off"):
        read_metadata(path)


def test_comments_of_others_are_no_settings(tmp_path, bframes_mp4):
    assert read_metadata(bframes_mp4) is None
    for text in ("a comment", "[1, 2]", '{"videoldm": 3}', '{"other": {}}', "", None, "[" * 100_000, b"\xff\xfe"):
        assert unpack(text) is None
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.gif", comment=b"hello")
    assert read_metadata(tmp_path / "plain.gif") is None


def test_nothing_to_read(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "text.gif").write_text("no picture")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "folder").mkdir()
    for name, reason in {
        "missing.mp4": "does not exist",
        "text.mp4": "is not a video file",
        "text.gif": r"not a \.gif file",
        "bad.json": "is not valid JSON",
        "missing.json": "does not exist",
    }.items():
        with pytest.raises(InputError, match=reason):
            read_metadata(tmp_path / name)
    assert read_metadata(tmp_path / "folder") is None


@pytest.mark.parametrize("bad", [{"a": float("nan")}, {"a": (1, 2)}, {"a": Fraction(1, 2)}, {1: 2}, {"a": {1: 2}}])
def test_only_json_can_be_stored(tmp_path, bad):
    with pytest.raises(InputError, match="plain JSON values"):
        pack(bad)
    with pytest.raises(InputError, match="plain JSON values"):
        _write(tmp_path / "out.mp4", bad)
    assert list(tmp_path.iterdir()) == []
