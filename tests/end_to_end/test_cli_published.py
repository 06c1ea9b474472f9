"""Published checkpoints from the command line: pipelines, single files, other UNets, LoRAs, conversion."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import CommandLine
from made_clips import frames
from safetensors.torch import load_file, save_file
from tiny_networks import numbers
from tiny_preset import tiny_preset

__all__ = ["tiny_preset"]

SMALL = ("--height", 64, "--width", 64, "--num-inference-steps", 2, "--dtype", "float32")
LAYERS = "down_blocks.0.attentions.0.temporal_transformer_blocks.0.attn1"


@pytest.fixture
def lora() -> Path:
    tensors = {f"unet.{LAYERS}.to_v.lora_A.weight": numbers(2, 32), f"unet.{LAYERS}.to_v.lora_B.weight": numbers(32, 2)}
    save_file(tensors, "lora.safetensors")
    return Path("lora.safetensors")


def test_pipeline_single_file_and_variant(cli: CommandLine, cat: Path, pipeline_folder: Path, tiny_preset: str) -> None:
    cli.succeeds("convert", pipeline_folder, "tiny.safetensors", "--to", "sgm")
    for name, words in {
        "folder.mkv": ("--model", pipeline_folder),
        "file.mkv": ("--model", "tiny.safetensors"),
        "half.mkv": ("--model", pipeline_folder, "--variant", "fp16"),
    }.items():
        cli.succeeds("generate", cat, *words, *SMALL, "-o", name)
    folder, file, half = (frames(Path(name)).astype(int) for name in ("folder.mkv", "file.mkv", "half.mkv"))
    assert folder.shape == (3, 64, 64, 3)
    assert abs(folder - file).max() <= 8  # other epsilons in the norms of the two layouts
    assert abs(folder - half).max() <= 24
    for name in ("folder.mkv", "half.mkv"):
        cli.succeeds("generate", "--from", name, "-o", f"again-{name}")
        assert np.array_equal(frames(Path(name)), frames(Path(f"again-{name}")))
    described = json.loads(cli.succeeds("info", "tiny.safetensors", "--json"))
    assert (described["layout"], described["preset"]) == ("sgm", tiny_preset)
    assert set(described["components"]) == {"unet", "autoencoder", "image_encoder"}
    assert "image-to-video" in cli.succeeds("info", pipeline_folder)


def test_lora_acts_as_strongly_as_its_weight_says(
    cli: CommandLine, cat: Path, pipeline_folder: Path, lora: Path
) -> None:
    words = ["generate", cat, "--model", pipeline_folder, *SMALL]
    cli.succeeds(*words, "-o", "without.mkv")
    outcome = cli(*words, "--lora", lora, "-o", "whole.mkv")
    assert "lora.safetensors: 2 of 2 keys matched, 1 layers, rank 2" in outcome.err.splitlines()
    cli.succeeds(*words, "--lora", f"{lora}:0", "-o", "none.mkv")
    cli.succeeds(*words, "--lora", f"{lora}:0.5,{lora}:0.5", "-o", "twice.mkv")
    without, whole, none, twice = (frames(Path(f"{name}.mkv")) for name in ("without", "whole", "none", "twice"))
    assert np.array_equal(without, none)
    assert not np.array_equal(without, whole)
    assert abs(whole.astype(int) - twice).max() <= 2
    cli.succeeds("generate", "--from", "twice.mkv", "-o", "again.mkv")
    assert np.array_equal(twice, frames(Path("again.mkv")))
    save_file({key: 2 * value for key, value in load_file(lora).items()}, lora)
    line = cli.refuses("generate", "--from", "twice.mkv", "-o", "third.mkv")
    assert line == "lora.safetensors: is not the LoRA that the clip was made with, its content differs"


def test_another_unet(cli: CommandLine, cat: Path, pipeline_folder: Path, tiny_preset: str) -> None:
    tensors = load_file(pipeline_folder / "unet/diffusion_pytorch_model.safetensors")
    save_file({key: value * 0.9 for key, value in tensors.items()}, "distilled.safetensors")
    words = ["generate", cat, "--model", pipeline_folder, *SMALL]
    cli.succeeds(*words, "-o", "own.mp4")
    cli.succeeds(*words, "--unet", "distilled.safetensors", "-o", "other.mp4")
    assert not np.array_equal(frames(Path("own.mp4")), frames(Path("other.mp4")))
    cli.succeeds("generate", "--from", "other.mp4", "-o", "again.mp4")
    assert Path("other.mp4").read_bytes() == Path("again.mp4").read_bytes()
    cli.succeeds("convert", pipeline_folder, "tiny.safetensors", "--to", "sgm")
    prefix = "model.diffusion_model."
    bare = {key.removeprefix(prefix): t for key, t in load_file("tiny.safetensors").items() if key.startswith(prefix)}
    save_file(bare, "bare.safetensors")
    cli.succeeds(*words, "--unet", "bare.safetensors", "-o", "bare.mp4")
    assert np.array_equal(frames(Path("own.mp4")), frames(Path("bare.mp4")))
    save_file({**tensors, "more.weight": numbers(2)}, "more.safetensors")
    assert cli.refuses(*words, "--unet", "more.safetensors") == "more.safetensors: 1 unexpected (more.weight)"


def test_bad_checkpoints_take_one_clear_line(cli: CommandLine, cat: Path, pipeline_folder: Path, lora: Path) -> None:
    shutil.copytree(pipeline_folder, "mine")
    weights = Path("mine/unet/diffusion_pytorch_model.safetensors")
    whole = weights.read_bytes()
    Path("text.safetensors").write_text("no weights")
    Path("cut.safetensors").write_bytes(whole[:-9])
    Path("model.ckpt").write_bytes(b"\x80\x04.")
    for name, line in {
        "text.safetensors": "text.safetensors: cannot be read as safetensors",
        "cut.safetensors": "cut.safetensors: cannot be read as safetensors",
        str(lora): f"{lora}: is a LoRA, which goes with a model: give it with --lora",
        str(weights): f"{weights}: is a UNet alone: give it with --unet",
        "model.ckpt": "model.ckpt: is a pickle, which can run any code when it is read; --allow-pickle reads",
        "mine/unet": "model mine/unet: is not a model",
    }.items():
        assert cli.refuses("generate", cat, "--model", name, *SMALL).startswith(line)
    for damage, line in {
        whole[:-9]: "mine/unet/diffusion_pytorch_model.safetensors: cannot be read as safetensors",
        b"": "mine/unet/diffusion_pytorch_model.safetensors: is empty (0 bytes)",
    }.items():
        weights.write_bytes(damage)
        assert cli.refuses("generate", cat, "--model", "mine", *SMALL).startswith(line)
    weights.unlink()
    weights.with_name("diffusion_pytorch_model.fp16.safetensors").unlink()
    Path("mine/unet/diffusion_pytorch_model.bin").write_bytes(b"x")
    assert "is a pickle" in cli.refuses("generate", cat, "--model", "mine", *SMALL)
    config = Path("mine/unet/config.json")
    config.write_text(config.read_text().replace("UNetSpatioTemporalConditionModel", "UNet3D"))
    assert cli.refuses("generate", cat, "--model", "mine", *SMALL) == (
        "mine/unet/config.json: describes UNet3D, it should describe UNetSpatioTemporalConditionModel or "
        "UNet2DConditionModel"
    )


@pytest.mark.parametrize(
    ("start", "line"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a git-lfs pointer, not weights"),
        (b"<!DOCTYPE html>\n<html><body>Not found</body></html>", "is a web page, not weights"),
    ],
)
def test_what_often_lies_where_weights_should_be_is_called_by_its_name(
    cli: CommandLine, cat: Path, start: bytes, line: str
) -> None:
    Path("svd.safetensors").write_bytes(start)
    assert line in cli.refuses("generate", cat, "--model", "svd.safetensors")


def test_a_variant_that_is_not_there(cli: CommandLine, cat: Path, pipeline_folder: Path, tiny_model: Path) -> None:
    error = cli.refuses("generate", cat, "--model", pipeline_folder, "--variant", "bf16", *SMALL)
    assert error == f"{pipeline_folder}: has no weights of the variant 'bf16', it has fp16"
    assert "a variant (fp16) goes with published" in cli.refuses(
        "generate", cat, "--model", tiny_model, "--variant", "fp16"
    )


def test_a_unet_alone_and_what_is_none(
    cli: CommandLine, cat: Path, pipeline_folder: Path, lora: Path, tiny_preset: str
) -> None:
    words = ["generate", cat, "--model", pipeline_folder, *SMALL]
    unet = pipeline_folder / "unet/diffusion_pytorch_model.safetensors"
    assert "is a UNet alone: give it with --unet" in cli.refuses("generate", cat, "--model", unet)
    assert "is a LoRA, not a UNet" in cli.refuses(*words, "--unet", lora)
    vae = pipeline_folder / "vae/diffusion_pytorch_model.safetensors"
    assert "is not a UNet of this model" in cli.refuses(*words, "--unet", vae)
    tensors = load_file(unet)
    save_file({key: tensor.to(torch.int8) for key, tensor in tensors.items()}, "quantised.safetensors")
    assert "is stored as int8; quantised weights" in cli.refuses(*words, "--unet", "quantised.safetensors")


@pytest.mark.parametrize("weight", ["nan", "inf", "much"])
def test_weights_of_a_lora_that_mean_nothing(
    cli: CommandLine, cat: Path, pipeline_folder: Path, lora: Path, weight: str
) -> None:
    error = cli.refuses("generate", cat, "--model", pipeline_folder, *SMALL, "--lora", f"{lora}:{weight}")
    assert "should be a weight such as 0.8" in error
    assert "--lora is '', it should be FILE" in cli.refuses(
        "generate", cat, "--model", pipeline_folder, "--lora", f"{lora},"
    )
