"""`videoldm info` on everything that it knows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import CommandLine
from odd_pictures import write_bad, write_one
from safetensors.torch import load_file
from tiny_model_folder import NUM_FRAMES, SIZE

from videoldm.video.write import write_video


def _described(cli: CommandLine, *words: object) -> dict:
    return json.loads(cli.succeeds("info", *words, "--json"))


def _num_parameters(folder: Path) -> int:
    return sum(tensor.numel() for file in folder.rglob("*.safetensors") for tensor in load_file(file).values())


def test_model(cli: CommandLine, tiny_model: Path) -> None:
    described = _described(cli, tiny_model)
    assert (described["kind"], described["size_multiple"]) == ("model", 8)
    assert described["parameters"] == _num_parameters(tiny_model)
    assert described["bytes"] == sum(file.stat().st_size for file in tiny_model.rglob("*.safetensors"))
    assert set(described["tasks"]) == {"text-to-video", "image-to-video"}
    assert described["tasks"]["image-to-video"]["num_frames"] == NUM_FRAMES
    assert described["components"]["text-to-video/unet"]["config"]["context_dim"] == 16
    page = cli.succeeds("info", tiny_model)
    for text in (f"{described['parameters']:,}", "image-to-video/unet", f"{NUM_FRAMES} x {SIZE}x{SIZE}", "karras"):
        assert text in page


def test_part_of_a_model(cli: CommandLine, tiny_model: Path) -> None:
    described = _described(cli, tiny_model / "text_encoder")
    assert described["kind"] == "part of a model"
    assert described["parameters"] == _num_parameters(tiny_model / "text_encoder")
    assert "model_type: clip_text_model" in cli.succeeds("info", tiny_model / "text_encoder")


def test_model_of_one_task(cli: CommandLine, tiny_model: Path) -> None:
    described = _described(cli, tiny_model / "image-to-video")
    assert described["kind"] == "model of one task"
    assert list(described["tasks"]) == ["image-to-video"]
    assert "guidance" in cli.succeeds("info", tiny_model / "image-to-video")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.gif", "clip.webp", "frames"])
def test_clip_with_its_settings(cli: CommandLine, name: str) -> None:
    write_video(name, torch.zeros(3, 3, 16, 24), 7, {"request": {"seed": 23}})
    Path(f"{name}.json").unlink()  # the settings are in the file itself
    num_bytes = sum(path.stat().st_size for path in [Path(name), *Path(name).glob("*")] if path.is_file())
    described = _described(cli, name)
    shown = described["streams"][0] if described["kind"] == "video" else described
    assert (shown["width"], shown["height"]) == (24, 16)
    assert described["bytes"] == num_bytes
    assert described["settings"] == {"request": {"seed": 23}}
    assert "seed: 23" in cli.succeeds("info", name)


def test_video(cli: CommandLine) -> None:
    write_video("clip.mp4", torch.zeros(3, 3, 16, 24), 7, None)
    described = _described(cli, "clip.mp4")
    [stream] = described["streams"]
    assert described["settings"] is None
    assert (stream["num_frames"], stream["frame_rate"], stream["duration"]) == (3, "7", "3/7")
    shown = cli.succeeds("info", "clip.mp4")
    assert "codec         h264" in shown
    assert "duration      0.429 s" in shown
    assert "stream 0\n" in shown


def test_picture_and_settings(cli: CommandLine, tmp_path: Path) -> None:
    write_one(tmp_path / "cat.png")
    described = _described(cli, "cat.png")
    assert (described["kind"], described["format"], described["width"], described["height"]) == (
        "picture",
        "PNG",
        60,
        40,
    )
    write_video("one.png", torch.zeros(1, 3, 8, 8), 1, {"request": {"seed": 5}})
    assert _described(cli, "one.png.json")["settings"] == {"request": {"seed": 5}}


def test_what_it_cannot_describe(cli: CommandLine, tiny_model: Path) -> None:
    for name, reason in write_bad(cli.folder / "in").items():
        assert cli.refuses("info", f"in/{name}").startswith(f"in/{name}: {reason}")
    (cli.folder / "notes.txt").write_text("a text")
    (cli.folder / "numbers.json").write_text("[1]")
    shutil.copytree(tiny_model / "image_encoder", cli.folder / "cut")
    weights = cli.folder / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    shutil.copytree(cli.folder / "cut", cli.folder / "bare")
    (cli.folder / "bare" / "model.safetensors").unlink()
    for name, reason in {
        "nothing": "nothing: does not exist, and no model of the package has that name",
        "in": "in: holds no model, no part of one and no frames (frame_00000.png, ...)",
        "notes.txt": "notes.txt: is not a video file",
        "numbers.json": "numbers.json: holds no settings of a clip",
        "cut": "cut/model.safetensors: is cut off or broken",
        "bare": "bare: has no weights, it should hold a .safetensors file",
    }.items():
        assert cli.refuses("info", name).startswith(reason)


def test_counting_needs_no_weights_in_memory(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "frombuffer", lambda *args, **kwargs: pytest.fail("read a tensor"))
    assert _described(cli, tiny_model)["parameters"] > 0
