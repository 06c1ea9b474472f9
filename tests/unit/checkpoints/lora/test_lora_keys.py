"""Key styles of LoRA files."""

import json

import pytest
import torch
from tiny_networks import IMAGE_UNET, UNET

from videoldm.checkpoints.layouts import diffusers, sgm
from videoldm.checkpoints.lora.keys import LoraKey, comparable, is_lora, layer_names, parse_key
from videoldm.models.adapters.low_rank import adaptable_layers
from videoldm.models.presets import MINI, SVD
from videoldm.models.unet.network import VideoUNet

QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.mark.parametrize(
    ("key", "layer", "part"),
    [
        (f"base_model.model.{QUERY}.lora_A.weight", QUERY, "down"),
        (f"base_model.model.{QUERY}.lora_B.weight", QUERY, "up"),
        (f"base_model.model.unet.{QUERY}.lora_B.default.weight", QUERY, "up"),
        (f"unet.{QUERY}.lora_A.weight", QUERY, "down"),
        (f"unet.{QUERY}.lora.down.weight", QUERY, "down"),
        (f"unet.{QUERY}.lora.up.weight", QUERY, "up"),
        (f"{QUERY}.lora_linear_layer.up.weight", QUERY, "up"),
        (f"unet.{QUERY.replace('to_q', 'processor.to_q_lora')}.down.weight", QUERY, "down"),
        (f"{QUERY}_lora.up.weight", QUERY, "up"),
        ("unet.mid_block.attentions.0.proj_in.alpha", "mid_block.attentions.0.proj_in", "alpha"),
        (f"unet.{QUERY.replace('to_q', 'processor.to_q_lora')}.down.weight.alpha", QUERY, "alpha"),
        ("lora_unet_mid_block_resnets_0_conv1.lora_down.weight", "mid_block_resnets_0_conv1", "down"),
        ("lora_unet_mid_block_resnets_0_conv1.lora_up.weight", "mid_block_resnets_0_conv1", "up"),
        ("lora_unet_mid_block_resnets_0_conv1.alpha", "mid_block_resnets_0_conv1", "alpha"),
        ("model.diffusion_model.input_blocks.0.0.lora_up.weight", "input_blocks.0.0", "up"),
        ("diffusion_model.input_blocks.0.0.lora_A.weight", "input_blocks.0.0", "down"),
        ("down.0.downsample.conv.lora_A.weight", "down.0.downsample.conv", "down"),
        ("other.unet.conv_in.lora_A.weight", "other.unet.conv_in", "down"),
    ],
)
def test_every_style_is_understood(key, layer, part):
    assert parse_key(key) == LoraKey(layer, part)


@pytest.mark.parametrize("key", ["conv_in.weight", "model.diffusion_model.out.2.bias", "alphas_cumprod", "emb_params"])
def test_other_keys_are_no_part_of_a_lora(key):
    assert parse_key(key) is None
    assert not is_lora([key])


@pytest.mark.parametrize(
    "key",
    [
        f"base_model.model.{QUERY}.lora_A.weight",
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
        "lora_unet_mid_block_attentions_0_proj_in.hada_w1_a",
        "lora_unet_mid_block_attentions_0_proj_in.lokr_w1",
    ],
)
def test_one_key_of_an_adapter_is_enough_to_tell(key):
    assert is_lora(["conv_in.weight", key])


def test_weights_of_models_are_no_lora():
    with torch.device("meta"):
        assert not is_lora(VideoUNet(UNET).state_dict())


@pytest.mark.parametrize("config", [SVD.unet, MINI.unet, UNET, IMAGE_UNET])
def test_every_layer_has_a_name_in_each_layout_and_no_name_means_two_layers(config):
    with torch.device("meta"):
        unet = VideoUNet(config)
    known = adaptable_layers(unet)
    names = layer_names(unet)
    assert set(names.values()) == known.keys()
    for layout in (diffusers.unet(config).names, sgm.unet(config).names):
        of_layers = {path: comparable(name) for path, name in layout.items() if path in known}
        assert of_layers.keys() == known.keys()
        assert len(set(of_layers.values())) == len(known)
        assert all(names[name] == path for path, name in of_layers.items())
    assert all(names[comparable(path)] == path for path in known)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (
            "input_blocks_1_1_transformer_blocks_0_attn1_to_q",
            "down.0.blocks.0.transformer.spatial.0.self_attention.to_q",
        ),
        ("input_blocks_1_1_time_stack_0_attn2_to_v", "down.0.blocks.0.transformer.temporal.0.cross_attention.to_v"),
        ("input_blocks_3_0_op", "down.0.downsample.conv"),
        ("middle_block_0_time_stack_in_layers_2", "middle.block1.resnet.temporal.conv1"),
        (
            "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
            "down.0.blocks.0.transformer.spatial.0.self_attention.to_q",
        ),
        (
            "up_blocks_3_attentions_2_temporal_transformer_blocks_0_ff_in_net_0_proj",
            "up.3.blocks.2.transformer.temporal.0.feed_forward_in.project_in",
        ),
        (
            "mid_block_attentions_0_transformer_blocks_0_attn2_to_out",
            "middle.block1.transformer.spatial.0.cross_attention.to_out",
        ),
        ("mid_block_resnets_1_temporal_res_block_conv2", "middle.block2.resnet.temporal.conv2"),
        ("add_embedding_linear_1", "vector_embedding.linear1"),
        ("label_emb_0_0", "vector_embedding.linear1"),
    ],
)
def test_names_of_svd(name, path):
    with torch.device("meta"):
        assert layer_names(VideoUNet(SVD.unet))[name] == path


def test_all_layers_of_the_official_file_are_found(reference_folder):
    shapes = json.loads((reference_folder / "svd_sgm_keys.json").read_text())
    prefix = "model.diffusion_model."
    official = [key.removeprefix(prefix) for key, shape in shapes.items() if key.startswith(prefix) and len(shape) > 1]
    with torch.device("meta"):
        names = layer_names(VideoUNet(SVD.unet))
    found = [
        names[comparable(parse_key(f"lora_unet_{comparable(key[:-7])}.lora_down.weight").layer)] for key in official
    ]
    assert len(set(found)) == len(found) == len(set(names.values()))
