"""LoRAs against peft and diffusers on diffusers' UNet: each reads the other's files, and the outputs are the same."""

import diffusers
import peft
import pytest
import torch
from diffusers.loaders import PeftAdapterMixin, StableDiffusionLoraLoaderMixin
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tiny_lora import random_lora
from tiny_networks import numbers, randomise, relative_error

from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.lora.read import read_lora
from videoldm.checkpoints.lora.save import save_diffusers, save_peft
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter, merge
from videoldm.models.unet.config import PlacedNormEps, UNetConfig
from videoldm.models.unet.network import VideoUNet

TOLERANCE = 1e-5
FRAMES, HEIGHT, WIDTH = 3, 8, 6
CONFIG = UNetConfig(
    concat_channels=4,
    channels=(32, 64),
    num_res_blocks=1,
    attention_levels=(True, False),
    head_channels=16,
    context_dim=24,
    vector_dim=48,
    norm_eps=PlacedNormEps(),
)
# Linear layers and convolutions, over space and over time, with and without a bias.
TARGETS = ["to_q", "to_v", "to_out.0", "proj_in", "net.2", "conv1", "conv_shortcut", "time_emb_proj", "conv_in"]


class TheirUNet(diffusers.UNetSpatioTemporalConditionModel, PeftAdapterMixin):
    """Diffusers gives its loader of LoRAs to other UNets, but not to this one."""


@pytest.fixture
def theirs():
    network = TheirUNet(
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        block_out_channels=CONFIG.channels,
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=48,
        layers_per_block=1,
        cross_attention_dim=24,
        num_attention_heads=(2, 4),
        num_frames=FRAMES,
    )
    return randomise(network)


@pytest.fixture
def ours(theirs):
    unet = VideoUNet(CONFIG).eval()
    load_weights(unet, loaded_tensors(theirs.state_dict()), layout.unet(CONFIG), source="diffusers")
    return unet


@torch.no_grad()
def outputs(ours, theirs):
    x, context = numbers(1, FRAMES, 8, HEIGHT, WIDTH), numbers(1, 5, 24, stream="context")
    time_ids, c_noise = numbers(1, 3, stream="ids").abs() * 50, torch.tensor([0.7])
    vector = theirs.get_submodule("add_time_proj")(time_ids.flatten()).view(1, 1, 48).expand(-1, FRAMES, -1)
    conditions = Conditioning(context=context, vector=vector, concat=x[:, :, 4:].clone())
    return ours(x[:, :, :4], c_noise, conditions), theirs(x, c_noise, context, time_ids).sample


def check_same(ours, theirs, lora, *, plain, weight=1.0):
    """Merged and beside the weights we compute what they do, which is not what the plain UNet does."""
    adapters = [Adapter(lora, weight)]
    merged = merge(ours, adapters)
    with_merged, expected = outputs(ours, theirs)
    merged.unmerge()
    injection = inject(ours, adapters)
    beside, _ = outputs(ours, theirs)
    injection.eject()
    assert relative_error(with_merged, expected) < TOLERANCE
    assert relative_error(beside, expected) < TOLERANCE
    assert relative_error(plain, expected) > 1000 * TOLERANCE


@pytest.fixture
def lora(ours):
    return random_lora(ours, stream="a")


def test_peft_runs_our_folder(tmp_path, ours, theirs, lora):
    plain, _ = outputs(ours, theirs)
    save_peft(tmp_path, lora, CONFIG)
    peft.PeftModel.from_pretrained(theirs, tmp_path)
    check_same(ours, theirs, lora, plain=plain)


def test_peft_takes_every_tensor_of_our_folder(tmp_path, theirs, lora):
    save_peft(tmp_path, lora, CONFIG)
    config = peft.LoraConfig.from_pretrained(tmp_path)
    peft.inject_adapter_in_model(config, theirs)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert len(tensors) == 2 * len(lora)
    result = set_peft_model_state_dict(theirs, {key.removeprefix("base_model.model."): v for key, v in tensors.items()})
    assert result.unexpected_keys == []
    assert not [key for key in result.missing_keys if "lora_" in key]


@pytest.mark.filterwarnings("error")
def test_diffusers_runs_our_file(tmp_path, ours, theirs, lora):
    plain, _ = outputs(ours, theirs)
    save_diffusers(tmp_path / "pytorch_lora_weights.safetensors", lora, CONFIG)
    theirs.load_lora_adapter(tmp_path, prefix="unet", weight_name="pytorch_lora_weights.safetensors")
    check_same(ours, theirs, lora, plain=plain)


def adapt(theirs, **config):
    """Put a random adapter into their UNet."""
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS, init_lora_weights=False, **config)
    peft.inject_adapter_in_model(config, theirs, "default")
    randomise_adapter(theirs)
    return config, {key: value.detach() for key, value in get_peft_model_state_dict(theirs).items()}


def randomise_adapter(network):
    for position, (name, parameter) in enumerate(sorted(network.named_parameters())):
        if ".lora_" in name:
            drawn = numbers(*parameter.shape, stream=f"adapter {position}")
            parameter.data = 0.5 * drawn / parameter[0].numel() ** 0.5


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"to_q": 2, "^conv_in": 3}, "alpha_pattern": {"attn1.to_q": 5, r".*\.conv1": 2}},
    ],
)
def test_folders_of_peft(tmp_path, ours, theirs, options):
    plain, _ = outputs(ours, theirs)
    model = peft.get_peft_model(
        theirs, peft.LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS, init_lora_weights=False, **options)
    )
    randomise_adapter(model)
    model.save_pretrained(tmp_path)
    check_same(ours, theirs, read_lora(tmp_path, ours, has_one_token=False).lora, plain=plain)


def test_files_of_a_diffusers_network(tmp_path, ours, theirs):
    plain, _ = outputs(ours, theirs)
    adapt(theirs)
    theirs.save_lora_adapter(tmp_path)
    found = read_lora(tmp_path, ours, has_one_token=False)
    assert {update.alpha for update in found.lora.values()} == {6}
    check_same(ours, theirs, found.lora, plain=plain)


def test_files_of_a_diffusers_pipeline(tmp_path, ours, theirs):
    plain, _ = outputs(ours, theirs)
    config, state = adapt(theirs)
    StableDiffusionLoraLoaderMixin.save_lora_weights(
        tmp_path,
        unet_lora_layers=convert_state_dict_to_diffusers(state),
        unet_lora_adapter_metadata=config.to_dict() | {"target_modules": TARGETS},
    )
    keys = load_file(tmp_path / "pytorch_lora_weights.safetensors").keys()
    assert any(".lora.down." in key for key in keys)
    assert any(".lora_A." in key for key in keys)
    found = read_lora(tmp_path, ours, has_one_token=False)
    assert len(found.matched) == len(state)
    check_same(ours, theirs, found.lora, plain=plain)


def test_files_in_kohyas_style(tmp_path, ours, theirs):
    plain, _ = outputs(ours, theirs)
    _, state = adapt(theirs)
    tensors = convert_state_dict_to_kohya({f"unet.{key}": value for key, value in state.items()})
    assert "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.alpha" in tensors
    # Diffusers writes the rank for alpha, whatever it was.
    tensors |= {key: torch.tensor(6.0) for key in tensors if key.endswith(".alpha")}
    save_file(tensors, tmp_path / "a.safetensors")
    found = read_lora(tmp_path / "a.safetensors", ours, has_one_token=False)
    assert len(found.matched) == len(tensors)
    check_same(ours, theirs, found.lora, plain=plain)


def test_weight_is_peft_s_scale(tmp_path, ours, theirs, lora):
    plain, _ = outputs(ours, theirs)
    save_diffusers(tmp_path / "pytorch_lora_weights.safetensors", lora, CONFIG)
    theirs.load_lora_adapter(
        tmp_path, prefix="unet", weight_name="pytorch_lora_weights.safetensors", adapter_name="first"
    )
    theirs.set_adapters("first", 0.4)
    check_same(ours, theirs, lora, plain=plain, weight=0.4)
