"""Pickles on request: read as the same weights in safetensors, refused without the option and where they hold code."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import CommandLine
from made_clips import frames
from safetensors.torch import load_file
from tiny_preset import tiny_preset

__all__ = ["tiny_preset"]

SMALL = ("--height", 64, "--width", 64, "--num-inference-steps", 2, "--dtype", "float32")


class Code:
    """What a pickle runs when Python reads it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.fixture
def checkpoint(cli: CommandLine, pipeline_folder: Path, tiny_preset: str) -> Path:
    """A whole model as a training program saves it."""
    cli.succeeds("convert", pipeline_folder, "tiny.safetensors", "--to", "sgm")
    torch.save({"state_dict": load_file("tiny.safetensors"), "global_step": 7}, "tiny.ckpt")
    return Path("tiny.ckpt")


def test_a_checkpoint_of_pickles_makes_the_same_clip(cli: CommandLine, cat: Path, checkpoint: Path) -> None:
    line = cli.refuses("generate", cat, "--model", checkpoint, *SMALL)
    assert line == (
        "tiny.ckpt: is a pickle, which can run any code when it is read; --allow-pickle reads its tensors and runs "
        "nothing (videoldm convert tiny.ckpt tiny.safetensors --to sgm --allow-pickle makes a safe file of a whole "
        "model)"
    )
    assert cli.refuses("info", checkpoint) == line
    described = json.loads(cli.succeeds("info", checkpoint, "--allow-pickle", "--json"))
    expected = json.loads(cli.succeeds("info", "tiny.safetensors", "--json"))
    assert described | {"name": ""} == expected | {"name": ""}
    cli.succeeds("generate", cat, "--model", "tiny.safetensors", *SMALL, "-o", "safe.mkv")
    cli.succeeds("generate", cat, "--model", checkpoint, "--allow-pickle", *SMALL, "-o", "pickled.mkv")
    assert np.array_equal(frames(Path("safe.mkv")), frames(Path("pickled.mkv")))


def test_a_clip_does_not_allow_pickles_by_itself(cli: CommandLine, cat: Path, checkpoint: Path) -> None:
    cli.succeeds("generate", cat, "--model", checkpoint, "--allow-pickle", *SMALL, "-o", "a.mkv")
    assert "is a pickle" in cli.refuses("generate", "--from", "a.mkv", "-o", "again.mkv")
    cli.succeeds("generate", "--from", "a.mkv", "--allow-pickle", "-o", "again.mkv")
    assert np.array_equal(frames(Path("a.mkv")), frames(Path("again.mkv")))


def test_conversion_to_a_safe_file(cli: CommandLine, checkpoint: Path) -> None:
    cli.succeeds("convert", checkpoint, "again.safetensors", "--to", "sgm", "--allow-pickle")
    assert Path("again.safetensors").read_bytes() == Path("tiny.safetensors").read_bytes()


def test_pickles_in_a_pipeline_and_as_another_unet(cli: CommandLine, cat: Path, pipeline_folder: Path) -> None:
    shutil.copytree(pipeline_folder, "mine")
    for old, new in {
        "unet/diffusion_pytorch_model": "unet/diffusion_pytorch_model.bin",
        "image_encoder/model": "image_encoder/pytorch_model.bin",
        "vae/diffusion_pytorch_model": "vae/diffusion_pytorch_model.bin",
    }.items():
        torch.save(load_file(f"mine/{old}.safetensors"), f"mine/{new}")
        for path in Path("mine", old).parent.glob("*.safetensors"):
            path.unlink()
    line = cli.refuses("generate", cat, "--model", "mine", *SMALL)
    assert line.endswith(".bin: is a pickle, which can run any code when it is read; --allow-pickle runs nothing")
    cli.succeeds("generate", cat, "--model", pipeline_folder, *SMALL, "-o", "safe.mkv")
    cli.succeeds("generate", cat, "--model", "mine", "--allow-pickle", *SMALL, "-o", "pickled.mkv")
    assert np.array_equal(frames(Path("safe.mkv")), frames(Path("pickled.mkv")))
    unet = "mine/unet/diffusion_pytorch_model.bin"
    words = ("generate", cat, "--model", pipeline_folder, "--unet", unet, *SMALL)
    assert "is a pickle" in cli.refuses(*words)
    cli.succeeds(*words, "--allow-pickle", "-o", "other.mkv")
    assert np.array_equal(frames(Path("safe.mkv")), frames(Path("other.mkv")))
    cli.succeeds("convert", "mine", "safe", "--to", "diffusers", "--allow-pickle")
    name = "unet/diffusion_pytorch_model.safetensors"
    before, after = load_file(pipeline_folder / name), load_file(f"safe/{name}")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_code_is_refused_even_then(cli: CommandLine, cat: Path) -> None:
    torch.save({"weight": torch.zeros(2), "more": Code()}, "code.ckpt")
    torch.save({"weight": torch.zeros(2)}, "whole.ckpt")
    Path("cut.ckpt").write_bytes(Path("whole.ckpt").read_bytes()[:-20])
    Path("text.ckpt").write_text("no weights")
    torch.save([torch.zeros(2)], "list.ckpt")
    for name, line in {
        "code": "asks for posix.mkdir beside its tensors, which could be any code: it is refused even with --allow-pi",
        "cut": "cannot be read as weights of PyTorch, it is cut off or something else",
        "text": "cannot be read as weights of PyTorch, it is cut off or something else",
        "list": "holds no tensors by name, it should hold the weights of a network",
        "whole": "is none of svd, svd-xt",
    }.items():
        refused = cli.refuses("generate", cat, "--model", f"{name}.ckpt", "--allow-pickle", *SMALL)
        assert refused.startswith(f"{name}.ckpt: {line}"), refused
    assert not Path("ran").exists()
