"""Reading LoRA files: what is understood, what is reported."""

import json
import re
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_lora import is_same, random_lora, write_kohya
from tiny_networks import IMAGE_UNET, UNET

from videoldm.checkpoints.layouts import diffusers, sgm
from videoldm.checkpoints.lora.read import read_lora
from videoldm.checkpoints.lora.save import save_diffusers, save_peft
from videoldm.models.adapters.low_rank import LowRank, adaptable_layers
from videoldm.models.unet.network import VideoUNet

QUERY = "down.0.blocks.0.transformer.spatial.0.self_attention.to_q"
THEIR_QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def unet():
    return VideoUNet(UNET)


@pytest.fixture(scope="module")
def lora(unet):
    return random_lora(unet, stream="a")


def read_quietly(path, unet):
    """Read for a model with many tokens; nothing may be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_lora(path, unet, has_one_token=False)


def names_of(layout):
    return layout.unet(UNET).names.__getitem__


@pytest.mark.parametrize("prefix", ["lora_unet_", "lycoris_", "unet.", "model.diffusion_model.", ""])
@pytest.mark.parametrize("layout", ["diffusers", "sgm", "native"])
def test_names_of_every_layout(tmp_path, unet, lora, layout, prefix):
    rename = {"diffusers": names_of(diffusers), "sgm": names_of(sgm), "native": str}[layout]
    found = read_quietly(write_kohya(tmp_path / "a.safetensors", lora, prefix=prefix, rename=rename), unet)
    assert is_same(found.lora, lora)
    assert len(found.matched) == 3 * len(lora)
    assert found.unmatched == found.text_encoder == ()


def test_old_attention_processors(tmp_path, unet, lora):
    attention = {path: lora[path] for path in lora if "self_attention" in path}
    tensors = {}
    for path, update in attention.items():
        name = diffusers.unet(UNET).names[path].removesuffix(".0")
        block, _, which = name.rpartition(".")
        tensors[f"unet.{block}.processor.{which}_lora.down.weight"] = update.down
        tensors[f"unet.{block}.processor.{which}_lora.up.weight"] = update.up
    save_file(tensors, tmp_path / "a.safetensors")
    found = read_quietly(tmp_path / "a.safetensors", unet).lora
    assert is_same(found, with_alpha(attention, lambda _, update: update.rank))


def with_alpha(lora, alpha):
    return {
        path: LowRank(down=update.down, up=update.up, alpha=float(alpha(path, update))) for path, update in lora.items()
    }


def test_files_of_an_image_model(tmp_path):
    unet = VideoUNet(IMAGE_UNET)
    lora = random_lora(unet, stream="a", only=lambda path: "attention" in path)
    path = write_kohya(tmp_path / "a.safetensors", lora, rename=diffusers.unet(IMAGE_UNET).names.__getitem__)
    assert is_same(read_quietly(path, unet).lora, lora)


def test_a_unet_without_memory_is_enough(tmp_path, lora):
    with torch.device("meta"):
        unet = VideoUNet(UNET)
    assert is_same(read_quietly(write_kohya(tmp_path / "a.safetensors", lora), unet).lora, lora)


def test_linear_layers_may_be_pointwise_convolutions_and_kernels_may_lack_axes(tmp_path, unet, lora):
    shapes = {path: layer.weight.ndim for path, layer in adaptable_layers(unet).items()}
    other = {}
    for path, update in lora.items():
        down = update.down[..., None, None] if shapes[path] == 2 else update.down
        up = update.up[..., None, None] if shapes[path] == 2 else update.up.flatten(1)
        down = down.squeeze(-1) if shapes[path] == 5 else down
        other[path] = LowRank(down=down, up=up, alpha=update.alpha)
    assert is_same(read_quietly(write_kohya(tmp_path / "a.safetensors", other), unet).lora, lora)


@pytest.mark.parametrize("save", ["peft", "diffusers"])
def test_saved_files_come_back_equal(tmp_path, unet, lora, save):
    expected = with_alpha(lora, lambda path, update: update.alpha + 0.125 * ("middle" in path))
    if save == "peft":
        save_peft(tmp_path, expected, UNET)
    else:
        save_diffusers(tmp_path / "pytorch_lora_weights.safetensors", expected, UNET)
    assert is_same(read_quietly(tmp_path, unet).lora, expected)


def test_saved_files_keep_their_dtype_and_may_come_from_training(tmp_path, unet):
    lora = random_lora(unet, stream="a", only=lambda path: "to_v" in path)
    trained = {
        path: LowRank(down=update.down.bfloat16().requires_grad_(), up=update.up.bfloat16(), alpha=1.0)
        for path, update in lora.items()
    }
    save_peft(tmp_path, trained, UNET)
    assert is_same(read_quietly(tmp_path, unet).lora, trained)


def peft_folder(tmp_path, lora, **config):
    save_peft(tmp_path, lora, UNET)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize(
    ("config", "alpha"),
    [
        ({"r": 3, "lora_alpha": 12}, lambda path, update: 12),
        ({"r": 3, "lora_alpha": 12, "use_rslora": True}, lambda path, update: 12 * update.rank**0.5),
        (
            {"lora_alpha": 12, "alpha_pattern": {"attn1.to_q": 5}},
            lambda path, _: 5 if "self_attention.to_q" in path else 12,
        ),
        ({"lora_alpha": 12, "alpha_pattern": {r"^conv_in": 5}}, lambda path, _: 5 if path == "conv_in" else 12),
        (
            {"lora_alpha": 12, "alpha_pattern": {"to_q": 5, ".*attn1.to_q": 7}},
            lambda path, _: 5 if "to_q" in path else 12,
        ),
        ({"lora_alpha": 12, "alpha_pattern": {"attn1": 5}}, lambda path, update: 12),
        ({"peft_type": "LORA", "target_modules": ["to_q"], "bias": "none"}, lambda path, update: 8),
    ],
)
def test_configuration_beside_the_file_gives_alpha(tmp_path, unet, lora, config, alpha):
    folder = peft_folder(tmp_path, lora, **config)
    assert is_same(read_quietly(folder, unet).lora, with_alpha(lora, alpha))
    assert is_same(read_quietly(folder / "adapter_model.safetensors", unet).lora, with_alpha(lora, alpha))


def test_configuration_of_another_file_in_the_folder_is_left_alone(tmp_path, unet, lora):
    tensors = load_file(write_kohya(tmp_path / "a.safetensors", lora))
    save_file({key: value for key, value in tensors.items() if not key.endswith(".alpha")}, tmp_path / "a.safetensors")
    peft_folder(tmp_path, lora, lora_alpha=12)
    found = read_quietly(tmp_path / "a.safetensors", unet)
    assert is_same(found.lora, with_alpha(lora, lambda _, update: update.rank))


def test_alpha_of_the_file_wins_over_the_configuration(tmp_path, unet, lora):
    folder = peft_folder(tmp_path, lora, lora_alpha=12)
    file = folder / "adapter_model.safetensors"
    save_file({**load_file(file), f"base_model.model.{THEIR_QUERY}.alpha": torch.tensor(3.0)}, file)
    expected = with_alpha(lora, lambda path, _: 3 if path == QUERY else 12)
    assert is_same(read_quietly(folder, unet).lora, expected)


@pytest.mark.parametrize("prefix", ["", "unet."])
def test_header_of_diffusers_gives_alpha(tmp_path, unet, lora, prefix):
    save_diffusers(tmp_path / "saved.safetensors", lora, UNET)
    header = {f"{prefix}lora_alpha": 5, f"{prefix}r": 3, "text_encoder.lora_alpha": 9}
    path = tmp_path / "a.safetensors"
    save_file(load_file(tmp_path / "saved.safetensors"), path, {"lora_adapter_metadata": json.dumps(header)})
    assert is_same(read_quietly(path, unet).lora, with_alpha(lora, lambda *_: 5))


def test_without_alpha_it_is_the_rank(tmp_path, unet, lora):
    save_diffusers(tmp_path / "saved.safetensors", lora, UNET)
    path = tmp_path / "a.safetensors"
    save_file(load_file(tmp_path / "saved.safetensors"), path)
    assert is_same(read_quietly(path, unet).lora, with_alpha(lora, lambda _, update: update.rank))


def test_peft_without_its_configuration_is_told(tmp_path, unet, lora):
    save_peft(tmp_path, lora, UNET)
    (tmp_path / "adapter_config.json").unlink()
    with pytest.warns(UserWarning, match=r"has no adapter_config.json beside it, alpha is assumed to be the rank$"):
        found = read_lora(tmp_path, unet, has_one_token=False)
    assert is_same(found.lora, with_alpha(lora, lambda _, update: update.rank))


def test_what_fits_nowhere_is_reported(tmp_path, unet, lora):
    attention = {path: lora[path] for path in lora if "self_attention" in path}
    extra = {
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 3),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(3, 2),
        "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": torch.ones(2, 3),
        "base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": torch.ones(2, 3),
        **{f"lora_unet_other_{i}.lora_down.weight": torch.ones(2, 3) for i in range(6)},
        "lora_unet_conv_in.alpha": torch.tensor(1.0),
    }
    path = write_kohya(tmp_path / "a.safetensors", attention, extra=extra)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read_lora(path, unet, has_one_token=False)
    assert [str(warning.message) for warning in caught] == [
        f"{path}: 7 keys match no layer of this UNet and are skipped: lora_unet_conv_in.alpha, "
        + ", ".join(f"lora_unet_other_{i}.lora_down.weight" for i in range(4))
        + " and 2 more",
        f"{path}: 4 keys belong to a text encoder's LoRA and are skipped",
    ]
    assert is_same(found.lora, attention)
    assert len(found.unmatched) == 7
    assert len(found.text_encoder) == 4
    num_keys = 3 * len(attention)
    assert (
        found.summary() == f"{path}: {num_keys} of {num_keys + 11} keys matched, {len(attention)} layers, ranks 3 to 4"
    )


def test_layers_that_cannot_act_are_told_for_one_token_only(tmp_path, unet, lora):
    cross = {path: lora[path] for path in lora if "cross_attention" in path}
    path = write_kohya(tmp_path / "a.safetensors", cross)
    assert len(read_quietly(path, unet).lora) == len(cross)
    with pytest.warns(
        UserWarning, match=rf"{len(cross) // 2} of {len(cross)} layers have no effect: queries and keys of"
    ) as told:
        found = read_lora(path, unet, has_one_token=True)
    assert len(told) == 1
    assert is_same(found.lora, cross)
    without = {path: update for path, update in cross.items() if not re.search("to_[qk]$", path)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_lora(write_kohya(tmp_path / "b.safetensors", without), unet, has_one_token=True)
