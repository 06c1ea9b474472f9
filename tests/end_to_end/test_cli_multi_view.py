"""Turns around an object from the command line."""

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from made_clips import frames
from PIL import Image, ImageDraw
from tiny_sv3d import tiny_sv3d

SMALL = ("--height", 64, "--width", 64, "--num-frames", 5, "--num-inference-steps", 2, "--dtype", "float32")


@pytest.fixture(scope="module")
def unposed(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    with tiny_sv3d(tmp_path_factory.mktemp("sv3d"), "sv3d-u") as path:
        yield path


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    with tiny_sv3d(tmp_path_factory.mktemp("sv3d"), "sv3d-p") as path:
        yield path


@pytest.fixture
def thing(cli: CommandLine) -> Path:
    image = Image.new("RGBA", (90, 90))
    ImageDraw.Draw(image).ellipse((10, 30, 40, 50), fill=(255, 0, 0, 255))
    image.save("thing.png")
    return Path("thing.png")


def test_an_object_turns_and_the_clip_can_be_made_again(
    cli: CommandLine, thing: Path, unposed: Path, posed: Path
) -> None:
    for name, words in {
        "u.mkv": ("--model", unposed),
        "p.mkv": ("--model", posed),
        "high.mkv": ("--model", posed, "--elevation-deg", 60),
        "path.mkv": ("--model", posed, "--elevations-deg", "-5,0,5,10,15", "--azimuths-deg", "10,20,30,40,350"),
    }.items():
        cli.succeeds("generate", thing, *words, *SMALL, "-o", name)
        cli.succeeds("generate", "--from", name, "-o", f"again-{name}")
        assert np.array_equal(frames(Path(name)), frames(Path(f"again-{name}")))
    clips = [frames(Path(name)) for name in ("p.mkv", "high.mkv", "path.mkv")]
    assert all(clip.shape == (5, 64, 64, 3) for clip in clips)
    assert not np.array_equal(clips[0], clips[1])
    assert not np.array_equal(clips[0], clips[2])
    assert all(np.array_equal(clip[-1], clips[0][-1]) for clip in clips)


def test_the_usual_camera_is_stored_with_the_clip(cli: CommandLine, thing: Path, posed: Path) -> None:
    printed = cli.succeeds("generate", thing, "--model", posed, *SMALL, "-o", "a.mkv", "--json")
    [settings] = json.loads(printed)["settings"]
    assert (settings["request"]["elevations_deg"], settings["request"]["azimuths_deg"]) == ([10.0], None)
    scales = ("--min-guidance-scale", 1.5, "--max-guidance-scale", 3)
    printed = cli.succeeds("generate", thing, "--model", posed, *SMALL, *scales, "-o", "b.mkv", "--json")
    guidance = json.loads(printed)["settings"][0]["request"]["sampling"]["guidance"]
    assert guidance["scale"] == {"kind": "triangle", "min_scale": 1.5, "max_scale": 3.0}


def test_a_list_has_a_camera_for_each(cli: CommandLine, thing: Path, posed: Path) -> None:
    Path("list.csv").write_text('image,elevations_deg\nthing.png,60\nthing.png,"1,2,3,4,5"\n')
    cli.succeeds("generate", "--items", "list.csv", "--model", posed, *SMALL, "-o", "clips/")
    cli.succeeds("generate", thing, "--model", posed, *SMALL, "--elevations-deg", "60", "-o", "high.mp4")
    first, second = sorted(Path("clips").glob("*.mp4"))
    assert np.array_equal(frames(first), frames(Path("high.mp4")))
    assert not np.array_equal(frames(first), frames(second))


def test_info_tells_the_task(cli: CommandLine, unposed: Path, posed: Path) -> None:
    for path, camera in ((unposed, None), (posed, {"noise_dim": 256, "angle_dim": 512})):
        [(task, values)] = json.loads(cli.succeeds("info", path, "--json"))["tasks"].items()
        assert (task, values["num_frames"], values["height"], values["camera"]) == ("multi-view", 21, 576, camera)
        assert "triangle, min_scale 1, max_scale 2.5" in cli.succeeds("info", path)


def test_what_cannot_be(cli: CommandLine, thing: Path, unposed: Path, posed: Path, cat: Path) -> None:
    turned = "--elevations-deg is given, but this model takes no camera angles: it turns once at the picture's own"
    for model, words, line in (
        (unposed, ("--elevations-deg", "10"), turned),
        (
            unposed,
            ("--azimuths-deg", "1,2,3,4,0"),
            "--azimuths-deg is given, but this model takes no camera angles: it turns once",
        ),
        (posed, ("--elevations-deg", "1,2"), "--elevations-deg has 2 values, it should have 1 or 5, one a frame"),
        (posed, ("--azimuths-deg", "90"), "--azimuths-deg has 1 value, it should have 5, one a frame"),
        (posed, ("--elevations-deg", "95"), "generate: --elevations-deg is '95', should be less than or equal to 90"),
        (posed, ("--azimuths-deg", "a"), "generate: --azimuths-deg is 'a', should be a number"),
        (
            "mini",
            ("--elevations-deg", "10"),
            "--elevations-deg is given, but this model takes no camera angles: it has no camera",
        ),
    ):
        assert cli.refuses("generate", thing, "--model", model, *SMALL, *words).startswith(line)
    line = cli.refuses("generate", "--prompt", "a cube", "--model", posed)
    assert line == f"model {posed} makes nothing from a text, it can do multi-view (from a picture)"
    outcome = cli("generate", cat, "--model", posed, *SMALL, "--motion-bucket-id", "low", "-o", "cat.mkv")
    assert outcome.code == 0
    assert "warning: --motion-bucket-id has no effect on a turn around an object" in outcome.err
    assert "has no transparent background, the model knows objects on white" in outcome.err
