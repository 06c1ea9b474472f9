"""Stable Diffusion from the command line: a picture from a sentence, what models are, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from PIL import Image

FEW = ("--num-inference-steps", 2, "--dtype", "float32")


def test_a_sentence_becomes_one_picture_that_can_be_made_again(cli: CommandLine, text_to_image_folder: Path) -> None:
    printed = cli.succeeds("generate", "--prompt", "a red cube", "--model", text_to_image_folder, "-o", "a.png", *FEW)
    assert printed.startswith("a.png  (1 frame of 64x64")
    picture = np.asarray(Image.open("a.png"))
    assert picture.shape == (64, 64, 3)
    assert picture.std() > 5
    cli.succeeds("generate", "--from", "a.png", "-o", "again.png")
    assert np.array_equal(np.asarray(Image.open("again.png")), picture)
    other = cli.succeeds("generate", "--prompt", "a blue ball", "--model", text_to_image_folder, "--json", *FEW)
    [name] = json.loads(other)["files"]
    assert name == "outputs/a-blue-ball-23.png"
    assert not np.array_equal(np.asarray(Image.open(name)), picture)


def test_what_has_no_effect_on_a_picture_gives_a_warning(cli: CommandLine, text_to_image_folder: Path) -> None:
    words = ("generate", "--prompt", "a cube", "--model", text_to_image_folder, "--fps", 9, "-o", "a.png", *FEW)
    outcome = cli(*words)
    assert "--fps has no effect on a picture" in outcome.err
    assert outcome.code == 0


def test_info_tells_what_they_are(cli: CommandLine, text_to_image_folder: Path, upscaler_folder: Path) -> None:
    drawing = json.loads(cli.succeeds("info", text_to_image_folder, "--json"))
    assert sorted(drawing["components"]) == ["autoencoder", "text_encoder", "unet"]
    task = drawing["tasks"]["text-to-image"]
    assert (task["height"], task["width"], task["num_frames"]) == (64, 64, 1)
    assert task["preconditioning"] == {"kind": "discrete_v"}
    upscaler = json.loads(cli.succeeds("info", upscaler_folder, "--json"))
    assert upscaler["tasks"] == {}
    assert upscaler["components"]["unet"]["config"]["num_noise_indices"] == 50
    assert upscaler["size_multiple"] == 4
    page = cli.succeeds("info", upscaler_folder)
    assert "text_encoder" in page
    assert "is an upscaler, which enlarges pictures and cannot make any" in page
    assert "trained clip" not in page
    assert (drawing["note"], drawing["tokenizer"]) == (None, str(text_to_image_folder / "tokenizer"))


@pytest.mark.parametrize("what", [("--prompt", "a cube"), ("cat.png",)])
def test_the_upscaler_says_why_it_makes_nothing(
    cli: CommandLine, upscaler_folder: Path, cat: Path, what: tuple[str, ...]
) -> None:
    line = cli.refuses("generate", *what, "--model", upscaler_folder)
    assert line.startswith(f"model {upscaler_folder}: is an upscaler, which enlarges pictures and cannot make any")


def test_a_picture_is_refused_by_what_draws(cli: CommandLine, text_to_image_folder: Path, cat: Path) -> None:
    line = cli.refuses("generate", cat, "--model", text_to_image_folder)
    assert line == f"model {text_to_image_folder} makes nothing from a picture, it can do text-to-image (from a text)"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("tokenizer/merges.txt", None, "tokenizer: has neither tokenizer.json nor vocab.json and merges.txt"),
        ("tokenizer/vocab.json", "{", "tokenizer: cannot be read as a tokenizer: "),
        ("text_encoder/config.json", None, "text_encoder: has no config.json"),
        (
            "vae/config.json",
            '{"_class_name": "VQModel"}',
            "vae/config.json: describes VQModel, it should describe Auto",
        ),
        ("unet/config.json", "{}", "unet/config.json: describes no class, it should describe UNetSpatioTemporalCond"),
    ],
)
def test_broken_folders(cli: CommandLine, text_to_image_folder: Path, name: str, text: str | None, line: str) -> None:
    shutil.copytree(text_to_image_folder, "broken")
    if text is None:
        Path("broken", name).unlink()
    else:
        Path("broken", name).write_text(text)
    assert cli.refuses("generate", "--prompt", "a cube", "--model", "broken").startswith(f"broken/{line}")
