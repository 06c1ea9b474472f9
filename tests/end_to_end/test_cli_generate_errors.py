"""`videoldm generate` with a tiny model: what is refused before or after it is loaded, and what goes wrong later."""

import errno
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from command_line import CommandLine
from made_clips import FEW, frames
from odd_pictures import noise, write_bad, write_one
from PIL import Image
from safetensors.torch import load_file, save_file

from videoldm.core.errors import InputError
from videoldm.generation import clips as generate_module
from videoldm.generation import load as load_module
from videoldm.generation.clips import generate, make_clip
from videoldm.generation.load import load_model


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test: what is wrong should have been found before."""

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(load_module, "load_model", fail)


def test_size_that_no_latent_has_is_refused_from_python(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="width is 12, it should be a multiple of 8, for example 16"):
        make_clip(load_model(str(tiny_model), "text-to-video"), prompt="a red cube", width=12)


def test_bad_pictures(cli: CommandLine, tiny_model: Path, no_model: None) -> None:
    bad = write_bad(cli.folder / "in")
    bad["missing.jpg"] = "does not exist, it should be a picture or a folder of pictures"
    for name, reason in bad.items():
        line = cli.refuses("generate", f"in/{name}", "--model", tiny_model)
        assert line.startswith(f"in/{name}: {reason}"), line


def test_folder_of_bad_pictures_only(cli: CommandLine, tiny_model: Path, no_model: None) -> None:
    bad = write_bad(cli.folder / "in")
    outcome = cli("generate", "in", "--model", tiny_model, "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == len(bad)
    assert sorted(cli.content()) == sorted(["in", *(f"in/{name}" for name in bad)])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "nothing to make a clip from: give a picture (image) or a text (prompt)"),
        (("cat.png", "--prompt", "a cube"), "no model takes a picture ('cat.png') and a text ('a cube') together"),
        (("--prompt", " "), "generate: --prompt is ' ', should say what the clip shows"),
        (("cat.png", "--height", 17), "--height is 17, it should be a multiple of 8, for example 16"),
        (("cat.png", "--width", 1), "--width is 1, it should be a multiple of 8, for example 8"),
        (("cat.png", "-o", "cat.png", "--num-frames", 1), "cat.png: is the input, give the output another name"),
        (("cat.png", "-o", "x.avi"), "x.avi: unknown extension '.avi'"),
        (("cat.png", "-o", "cat.png/x.mp4"), "/cat.png/x.mp4: cannot be written: a parent of it is a file"),
        (("cat.png", "-o", "x.mp4", "--num-videos-per-prompt", 2), "x.mp4: is the name of one file, several clips"),
        (("cat.png", "-o", "x.gif", "--output-fps", 60), "a .gif can have at most 50 frames a second, not 60"),
        (("cat.png", "--contact-sheet", "x.jpg"), "--contact-sheet is 'x.jpg', its name should end in .png"),
        (("cat.png", "--contact-sheet", "cat.png"), "--contact-sheet is 'cat.png', which is an input or an output"),
        (("cat.png", "--device", "tpu"), "--device is 'tpu', on this machine it should be cpu"),
        (("cat.png", "--device", "cuda:99"), "--device is 'cuda:99', on this machine it should be cpu"),
        (
            ("cat.png", "--num-frames", 9999, "--height", 16000, "--width", 16000),
            "9,999 frames of 16000x16000 need at least",
        ),
        (
            ("cat.png", "--seed", 2**63 - 1, "--num-videos-per-prompt", 2),
            f"--seed is {2**63 - 1}, the seed of the last clip should be at most {2**63 - 1}",
        ),
        (("cat.png", "--num-videos-per-prompt", 0), "generate: --num-videos-per-prompt is '0', should be greater"),
        (
            ("cat.png", "--model", "maxi"),
            "model 'maxi' is neither in the package (mini) nor a folder or file",
        ),
        (
            ("cat.png", "--model", "."),
            "model .: is not a model, a folder should hold model_index.json or ",
        ),
        (("cat.png", "--fps", "fast"), "generate: --fps is 'fast', should be a number"),
        (("cat.png", "--guidance", 3), "generate: unknown option --guidance, did you mean --guidance-scale or "),
        ((".git",), ".git: does not exist"),
        (("empty",), "empty: is a folder without pictures"),
        (("--from", "cat.png"), "cat.png: holds no settings, it should be a clip that videoldm made"),
        (("--from", "nothing.mp4"), "nothing.mp4: does not exist"),
        (("--from", "cat.png", "--seed", 3), "--seed cannot be given beside --from, which repeats a clip exactly"),
    ],
)
@pytest.mark.usefixtures("no_model", "cat")
def test_words_that_cannot_work(cli: CommandLine, tiny_model: Path, words: tuple[object, ...], line: str) -> None:
    Path("empty").mkdir()
    model = () if "--model" in words or "--from" in words else ("--model", tiny_model)
    message = cli.refuses("generate", *words, *model)
    assert line in message
    assert message.startswith(line) or line.startswith("/")  # an output is named by its full path


def test_model_that_cannot_do_the_task(cli: CommandLine, tiny_model: Path, cat: Path, no_model: None) -> None:
    half = cli.folder / "half"
    half.mkdir()
    for part in ("autoencoder", "text_encoder", "text-to-video"):
        (half / part).symlink_to(tiny_model / part)
    line = cli.refuses("generate", cat, "--model", "half")
    assert line == "model half makes nothing from a picture, it can do text-to-video (from a text)"
    (half / "image-to-video").mkdir()
    (half / "image-to-video" / "model.json").write_text('{"task": "image-to-video", "num_frame": 3}')
    assert "half/image-to-video/model.json: num_frame is not a known key, did you mean num_frames?" in cli(
        "generate", cat, "--model", "half"
    ).err  # fmt: skip


def test_settings_that_do_not_fit(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    cli.succeeds("generate", cat, "--model", tiny_model, "-o", "a.webp", *FEW)
    Image.fromarray(noise(9, 9)).save("other.png")
    line = cli.refuses("generate", "other.png", "--from", "a.webp", "-o", "b.webp")
    assert line == "other.png: is not the file that the settings were made with, its content differs"
    settings = json.loads(Path("a.webp.json").read_text())
    settings["videoldm"]["versions"] |= {"torch": "1.0", "not_here": "1.0"}
    Path("old.json").write_text(json.dumps(settings))
    outcome = cli("generate", "--from", "old.json", "-o", "b.gif")
    assert outcome.code == 0
    assert outcome.err.startswith("warning: made with torch 1.0, this is ")
    assert outcome.err.count("\n") == 1
    Path("cat.png").rename("gone.png")
    line = cli.refuses("generate", "--from", "a.webp", "-o", "b.webp")
    assert line == "a.webp was made from cat.png, which is not here: give the file as well"
    settings["videoldm"]["request"]["num_frames"] = 0
    Path("bad.json").write_text(json.dumps(settings))
    line = cli.refuses("generate", "--from", "bad.json", "-o", "b.webp")
    assert line == "bad.json: request.num_frames is 0, should be greater than or equal to 1"


def test_other_weights_cannot_repeat_a_clip(cli: CommandLine, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, "mine")
    cli.succeeds("generate", "--prompt", "a cube", "--model", "mine", "-o", "a.mkv", *FEW)
    weights = Path("mine/text-to-video/unet/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    line = cli.refuses("generate", "--from", "a.mkv", "-o", "b.mkv")
    assert line.startswith("a.mkv was made by other weights than model mine has now: give the folder of the model")
    cli.succeeds("generate", "--from", "a.mkv", "--model", tiny_model, "-o", "b.mkv")
    assert np.array_equal(frames(Path("a.mkv")), frames(Path("b.mkv")))


@pytest.mark.parametrize("part", ["text-to-video/unet", "text_encoder", "autoencoder"])
def test_broken_weights_are_told(cli: CommandLine, tiny_model: Path, part: str) -> None:
    shutil.copytree(tiny_model, "mine")
    weights = Path("mine", part, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    line = cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)
    assert line.startswith(f"mine/{part}/model.safetensors: cannot be read as safetensors")
    weights.unlink()
    assert f"mine/{part}" in cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)


def test_gap_in_an_encoder_is_told(cli: CommandLine, tiny_model: Path) -> None:
    """transformers would fill it with random numbers."""
    shutil.copytree(tiny_model, "mine")
    path = Path("mine/text_encoder/model.safetensors")
    tensors = load_file(path)
    del tensors[next(name for name in tensors if name.endswith("fc1.weight"))]
    save_file(tensors, path, metadata={"format": "pt"})
    line = cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)
    assert line == "mine/text_encoder/model.safetensors: 1 missing (encoder.layers.0.mlp.fc1.weight)"


def test_what_is_left_over_in_an_encoder_is_told(cli: CommandLine, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, "mine")
    path = Path("mine/text_encoder/model.safetensors")
    save_file(load_file(path) | {"adapter.weight": torch.zeros(2)}, path, metadata={"format": "pt"})
    line = cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)
    assert line == "mine/text_encoder/model.safetensors: 1 unexpected (adapter.weight)"


def test_unknown_schedule_is_told(cli: CommandLine, tiny_model: Path) -> None:
    line = cli.refuses("generate", "--prompt", "a cube", "--model", tiny_model, "--schedule", "linear")
    assert line.startswith("generate: --schedule is 'linear', should be 'karras', 'karras_to_zero', ")


# What goes wrong later.


def test_full_disk_leaves_nothing_half_written(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(av.container.OutputContainer, "mux", fail)
    line = cli.refuses("generate", "--prompt", "a cube", "--model", tiny_model, "-o", "new/a.mp4", *FEW)
    assert line.endswith("new/a.mp4: cannot be written: the disk is full")


def test_failure_that_is_not_the_pictures_ends_a_folder(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (cli.folder / "in").mkdir(exist_ok=True)
        write_one(cli.folder / "in" / f"{name}.png")
    calls: list[str] = []

    def fail_second(model: object, requests: list, **kwargs: object) -> torch.Tensor:
        calls.append(requests[0].image)
        if len(calls) == 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return torch.zeros(1, 1, 3, 16, 16)

    monkeypatch.setattr(generate_module, "generate", fail_second)
    outcome = cli("generate", "in", "--model", tiny_model, "-o", "out", *FEW)
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        "2 of 3 items failed:",
        "  in/b.png: memory is too small for 1 frame of 16x16: allow less (vram) or ask for less",
        "  in/c.png: not tried after that",
    ]
    assert outcome.out.startswith("out/a-23.mp4")
    assert calls == ["in/a.png", "in/b.png"]


def test_failure_after_bad_pictures_lists_both(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in").mkdir()
    Path("in/a.png").write_text("no picture")
    write_one(cli.folder / "in" / "b.png")

    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(generate_module, "generate", fail)
    outcome = cli("generate", "in", "--model", tiny_model, "-o", "out", *FEW)
    assert (outcome.code, outcome.out) == (2, "")
    first, second = outcome.err.splitlines()
    assert first.startswith("error: in/a.png: ")
    assert second == "in/b.png: memory is too small for 1 frame of 16x16: allow less (vram) or ask for less"


def test_interrupt_keeps_what_is_done(cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.folder / "in").mkdir()
    for name in "ab":
        write_one(cli.folder / "in" / f"{name}.png")

    def stop_at_b(model: object, requests: list, **kwargs: object) -> torch.Tensor:
        if requests[0].image == "in/b.png":
            raise KeyboardInterrupt
        return generate(model, requests, **kwargs)

    monkeypatch.setattr(generate_module, "generate", stop_at_b)
    outcome = cli("generate", "in", "--model", tiny_model, "-o", "out", *FEW)
    assert (outcome.code, outcome.err) == (130, "interrupted\n")
    assert outcome.out.startswith("out/a-23.mp4")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a-23.mp4", "a-23.mp4.json"]
