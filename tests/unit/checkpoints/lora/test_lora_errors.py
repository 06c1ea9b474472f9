"""Files that are no LoRA, or broken: one clear line."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_lora import random_lora, write_kohya
from tiny_networks import UNET

from videoldm.checkpoints.lora.read import read_lora
from videoldm.checkpoints.lora.save import save_peft
from videoldm.core.errors import InputError
from videoldm.models.unet.network import VideoUNet

QUERY = "lora_unet_down_0_blocks_0_transformer_spatial_0_self_attention_to_q"


@pytest.fixture(scope="module")
def unet():
    return VideoUNet(UNET)


@pytest.fixture
def file(tmp_path, unet):
    lora = random_lora(unet, stream="a", only=lambda path: "attention" in path)
    return write_kohya(tmp_path / "a.safetensors", lora)


def error_of(path, unet):
    with pytest.raises(InputError) as caught:
        read_lora(path, unet, has_one_token=False)
    message = str(caught.value)
    assert message.startswith(f"{path}")
    assert "\n" not in message
    return message.removeprefix(f"{path}")


def changed(file, **changes):
    """The file with other tensors; None takes one away."""
    tensors = {**load_file(file), **{name.replace("__", "."): value for name, value in changes.items()}}
    save_file({name: value for name, value in tensors.items() if value is not None}, file)
    return file


def test_whole_checkpoint(tmp_path, unet):
    path = tmp_path / "svd.safetensors"
    save_file(dict(sorted(unet.state_dict().items())[:3]), path)
    keys = sorted(unet.state_dict())[:3]
    assert error_of(path, unet) == f": is not a LoRA, it holds {', '.join(keys)}; is it a model's weights?"


def test_no_tensors(tmp_path, unet):
    save_file({}, tmp_path / "a.safetensors")
    assert error_of(tmp_path / "a.safetensors", unet).startswith(": is not a LoRA, it holds no tensors;")


@pytest.mark.parametrize("content", [b"just some text, nothing more", b"", b"\x00" * 100])
def test_other_content(tmp_path, unet, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    assert "safetensors" in error_of(path, unet)


def test_truncated_file(file, unet):
    file.write_bytes(file.read_bytes()[:-100])
    assert error_of(file, unet).startswith(": cannot be read as safetensors: ")


def test_missing_file(tmp_path, unet):
    assert error_of(tmp_path / "a.safetensors", unet) == ": does not exist, it should be a LoRA as safetensors"


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.ckpt"])
def test_pickle(tmp_path, unet, name):
    torch.save({}, tmp_path / name)
    assert error_of(tmp_path / name, unet).startswith(": is a pickle, which can run code")


def test_folder_without_a_lora(tmp_path, unet):
    assert error_of(tmp_path, unet).startswith(": holds neither adapter_model.safetensors nor pytorch_lora_weights.")


def test_folder_with_two(tmp_path, file, unet):
    for name in ("adapter_model", "pytorch_lora_weights"):
        (tmp_path / f"{name}.safetensors").write_bytes(file.read_bytes())
    assert error_of(tmp_path, unet) == (
        ": holds adapter_model.safetensors and pytorch_lora_weights.safetensors, give the name of a LoRA's file"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["lora_down__weight", "lora_up__weight", "alpha"])
def test_broken_numbers(file, unet, part, value):
    key = f"{QUERY}.{part.replace('__', '.')}"
    tensor = load_file(file)[key]
    tensor.view(-1)[-1] = value
    assert error_of(changed(file, **{f"{QUERY}__{part}": tensor}), unet) == (
        f": {key} holds NaN or infinity, the file is broken"
    )


def test_numbers_of_another_kind(file, unet):
    changed(file, **{f"{QUERY}__lora_up__weight": torch.ones(16, 3, dtype=torch.int32)})
    assert error_of(file, unet) == (
        f": {QUERY}.lora_up.weight holds 48 numbers of torch.int32, it should hold real numbers"
    )


def test_missing_half(file, unet):
    changed(file, **{f"{QUERY}__lora_up__weight": None})
    assert error_of(file, unet).endswith("lacks its other matrix, the file is incomplete")


@pytest.mark.parametrize("shape", [(16, 2), (16,), (16, 3, 3, 3)])
def test_matrices_that_are_no_pair(file, unet, shape):
    rank = load_file(file)[f"{QUERY}.lora_down.weight"].shape[0]
    assert rank == 3
    changed(file, **{f"{QUERY}__lora_up__weight": torch.ones(shape)})
    assert error_of(file, unet) == (
        f": {QUERY}.lora_down.weight (3, 16) and {QUERY}.lora_up.weight {shape} do not form a pair, "
        "they should be (rank, in, ...) and (out, rank)"
    )


def test_other_sizes(file, unet):
    changed(file, **{f"{QUERY}__lora_up__weight": torch.ones(20, 3)})
    assert error_of(file, unet) == (
        ": made for another model, down.0.blocks.0.transformer.spatial.0.self_attention.to_q is (16, 16) here "
        "and would be (20, 16)"
    )


def test_same_layer_twice(file, unet):
    twin = f"unet.{QUERY.removeprefix('lora_unet_')}.lora_A.weight"
    save_file({**load_file(file), twin: torch.ones(3, 16)}, file)
    assert error_of(file, unet) == f": {QUERY}.lora_down.weight and {twin} are the same part of one layer"


def test_nothing_fits(tmp_path, unet):
    path = tmp_path / "a.safetensors"
    keys = [f"lora_unet_single_blocks_0_linear1.lora_{side}.weight" for side in ("down", "up")]
    save_file({key: torch.ones(2, 2) for key in keys}, path)
    assert error_of(path, unet) == (
        f": is a LoRA of another model ({', '.join(keys)}), none of its keys fits a layer of this UNet"
    )


def test_text_encoder_only(tmp_path, unet):
    path = tmp_path / "a.safetensors"
    save_file({"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 2)}, path)
    assert error_of(path, unet).startswith(": is a LoRA of a text encoder (lora_te_text_model_encoder")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (f"{QUERY}.dora_scale", "DoRA"),
        ("base_model.model.conv_in.lora_magnitude_vector.weight", "DoRA"),
        (f"{QUERY}.hada_w1_a", "LoHa"),
        (f"{QUERY}.lokr_w1", "LoKr"),
        ("lora_unet_conv_in.lora_mid.weight", "LoCon with a Tucker core"),
        ("base_model.model.conv_in.lora_B.bias", "LoRA with biases"),
    ],
)
def test_other_kinds_of_adapters(file, unet, key, kind):
    save_file({**load_file(file), key: torch.ones(2)}, file)
    assert error_of(file, unet) == f": is a {kind} ({key}), which is not supported; it should be a plain LoRA"


def test_other_kinds_in_a_text_encoder_do_not_matter(file, unet):
    save_file({**load_file(file), "lora_te_text_model_layers_0.dora_scale": torch.ones(2)}, file)
    with pytest.warns(UserWarning, match="text encoder"):
        assert read_lora(file, unet, has_one_token=False).lora


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", ": is not valid JSON: "),
        (json.dumps({"peft_type": "LOHA"}), ": peft_type is 'LOHA', should be 'LORA'"),
        (json.dumps({"lora_alpha": "much"}), ": lora_alpha is 'much', should be a number"),
        (json.dumps({"lora_alpha": float("nan")}), ": lora_alpha is nan, should be a finite number"),
        (json.dumps({"alpha_pattern": {"to_q": float("inf")}}), ": alpha_pattern.to_q is inf, should be a finite"),
        (json.dumps({"alpha_pattern": {"(": 3}}), ": alpha_pattern '(' is not a regular expression: "),
    ],
)
def test_broken_configuration(tmp_path, unet, content, message):
    save_peft(tmp_path, random_lora(unet, stream="a", only=lambda path: path == "conv_in"), UNET)
    config = tmp_path / "adapter_config.json"
    config.write_text(content)
    with pytest.raises(InputError) as caught:
        read_lora(tmp_path, unet, has_one_token=False)
    assert str(caught.value).startswith(f"{config}{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("header", ["{", "[1]", "3"])
def test_broken_header(file, unet, header):
    save_file(load_file(file), file, {"lora_adapter_metadata": header})
    assert error_of(file, unet).startswith(", lora_adapter_metadata in its header: holds no JSON object: ")
