"""`videoldm generate --items`: clips with a picture or prompt and choices of their own."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from made_clips import frames
from odd_pictures import write_one

from videoldm.video.metadata import read_metadata


def test_each_clip_is_what_it_would_be_alone(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    write_one(Path("dog.png"))
    Path("clips.csv").write_text(
        "image,seed,fps,motion_bucket_id,noise_aug_strength,output\n"
        "cat.png,1,5,low,0.1,\n"
        "dog.png,2,9,200,,dog.mkv\n"
        "cat.png,,,,,\n"
    )
    summary = json.loads(cli.succeeds("generate", "--items", "clips.csv", "--model", tiny_model, "-o", "out", "--json"))
    assert summary["files"] == ["out/000-cat-1.mp4", "out/dog.mkv", "out/002-cat-23.mp4"]
    told = [settings["request"] for settings in summary["settings"]]
    assert [request["seed"] for request in told] == [1, 2, 23]
    assert [request["fps"] for request in told] == [5, 9, 7]
    assert [request["motion_bucket_id"] for request in told] == [40, 200, 127]
    assert [request["noise_aug_strength"] for request in told] == [0.1, 0.02, 0.02]
    words = ["--model", tiny_model, "--seed", 2, "--fps", 9, "--motion-bucket-id", 200, "-o", "alone.mkv"]
    cli.succeeds("generate", "dog.png", *words)
    assert np.array_equal(frames(Path("alone.mkv")), frames(Path("out/dog.mkv")))


def test_json_lines_and_common_options(cli: CommandLine, tiny_model: Path) -> None:
    lines = [{"prompt": "a red cube", "num_frames": 2}, {"prompt": "a green ball", "seed": 4}]
    Path("clips.jsonl").write_text("\n".join(map(json.dumps, lines)))
    cli.succeeds("generate", "--items", "clips.jsonl", "--model", tiny_model, "--seed", 9, "--guidance-scale", 2)
    first, second = Path("outputs/000-a-red-cube-9.mp4"), Path("outputs/001-a-green-ball-4.mp4")
    assert (len(frames(first)), len(frames(second))) == (2, 3)
    stored = read_metadata(second)
    assert stored is not None
    assert stored["request"]["sampling"]["guidance"]["scale"] == {"kind": "constant", "scale": 2.0}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("image,seed\ncat.png,one\n", "clips.csv, clip 1: seed is 'one', should be a whole number"),
        ("image,sed\ncat.png,1\n", "clips.csv, clip 1: sed is not a known key, did you mean seed or speed?"),
        (
            "image,prompt\ncat.png,a cube\n",
            "clips.csv, clip 1: no model takes a picture ('cat.png') and a text ('a cube') together",
        ),
        (
            "image,prompt\ncat.png,\n,a cube\n",
            "clips.csv: has clips from a picture and clips from a text, make two lists of them",
        ),
        ("image\nnone.png\n", "clips.csv, clip 1: none.png: does not exist, it should be a picture"),
        ("image\n.\n", "clips.csv, clip 1: .: is a folder, it should be a picture"),
        ("image,output\ncat.png,a.mp4\ncat.png,a.mp4\n", "clips.csv: two clips would be written to out/a.mp4"),
        ("image,width\ncat.png,17\n", "--width is 17, it should be a multiple of 8"),
        ("image\n", "clips.csv: lists no clip"),
    ],
)
def test_what_a_list_cannot_say(cli: CommandLine, tiny_model: Path, cat: Path, text: str, line: str) -> None:
    Path("clips.csv").write_text(text)
    words = ["--items", "clips.csv", "--model", tiny_model, "-o", "out/"]
    assert cli.refuses("generate", *words).startswith(line)


def test_options_that_mean_nothing_beside_a_list(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    Path("clips.csv").write_text("image\ncat.png\n")
    assert cli.refuses("generate", cat, "--items", "clips.csv") == "--items lists all clips, leave out --image"
    Path("clips.jsonl").write_text("[1]")
    assert cli.refuses("generate", "--items", "clips.jsonl") == "clips.jsonl, line 1: is not a JSON object"
    Path("clips.jsonl").write_text("{")
    assert cli.refuses("generate", "--items", "clips.jsonl").startswith("clips.jsonl: cannot be read as .jsonl: ")
