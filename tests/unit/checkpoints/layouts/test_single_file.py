import pytest
import torch
from tiny_networks import AUTOENCODER, IMAGE_UNET, UNET, UPSCALER_UNET, randomise
from torch import nn

from videoldm.checkpoints.layouts import single_file
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.core.errors import InputError
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder
from videoldm.models.presets import PRESETS, ModelConfig
from videoldm.models.unet.network import VideoUNet

IMAGE_ENCODER = ImageEncoderConfig(image_size=16, patch_size=8, width=12, num_layers=1, num_heads=3, projection_dim=12)
TEXT_ENCODER = TextEncoderConfig(vocab_size=40, max_tokens=9, width=12, num_layers=1, num_heads=3, projection_dim=12)
DEFLICKERING = AUTOENCODER.model_copy(update={"decoder": TemporalDecoder(), "project_latents": False})
WITHOUT_PROJECTION = AUTOENCODER.model_copy(update={"project_latents": False})

CLIP = "conditioner.embedders.0.open_clip.model"
TEXT_LEFT = [f"{CLIP}.{key}" for key in ("token_embedding.weight", "positional_embedding", "ln_final.bias")]
TEXT_LEFT += [f"{CLIP}.{key}" for key in ("text_projection", "logit_scale")]
SVD_LEFT = [f"conditioner.embedders.3.encoder.{key}" for key in ("decoder.conv_in.bias", "post_quant_conv.weight")]
SV3D_LEFT = [key.replace("embedders.3", "embedders.1") for key in SVD_LEFT]
FIRST_STAGE_LEFT = ["first_stage_model.encoder.conv_in.weight", "first_stage_model.quant_conv.weight"]
SCHEDULE_LEFT = ["betas", "alphas_cumprod", "alphas_cumprod_prev", "posterior_mean_coef1"]
SCHEDULE_LEFT += ["sqrt_recipm1_alphas_cumprod", "log_one_minus_alphas_cumprod", "posterior_log_variance_clipped"]
TOWER_LEFT = [f"cond_stage_model.model.{key}" for key in ("text_projection", "logit_scale")]
TOWER_LEFT += ["cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight"]
TRAINING_LEFT = ["model_ema.decay", "model_ema.num_updates", "model_ema.diffusion_modelout2weight"]


def config(unet, autoencoder, **encoder):
    return ModelConfig(unet=unet, autoencoder=autoencoder, num_frames=1, **encoder)


FILES = {
    "svd": (
        single_file.svd,
        config(UNET, DEFLICKERING, image_encoder=IMAGE_ENCODER),
        TEXT_LEFT + SVD_LEFT + FIRST_STAGE_LEFT,
    ),
    "svd-image-decoder": (
        single_file.svd,
        config(UNET, AUTOENCODER, image_encoder=IMAGE_ENCODER),
        TEXT_LEFT + SVD_LEFT + FIRST_STAGE_LEFT,
    ),
    "sv3d": (
        single_file.sv3d,
        config(UNET, WITHOUT_PROJECTION, image_encoder=IMAGE_ENCODER),
        TEXT_LEFT + SV3D_LEFT,
    ),
    "sd-2.1": (
        single_file.stable_diffusion,
        config(IMAGE_UNET, AUTOENCODER, text_encoder=TEXT_ENCODER),
        TOWER_LEFT + SCHEDULE_LEFT + TRAINING_LEFT,
    ),
    "sd-x4-upscaler": (
        single_file.stable_diffusion,
        config(UPSCALER_UNET, AUTOENCODER, text_encoder=TEXT_ENCODER),
        TOWER_LEFT + SCHEDULE_LEFT + ["low_scale_model.betas", "low_scale_model.sqrt_alphas_cumprod"],
    ),
}
EXAMPLES = {  # a tensor of each network, where the official programs have it
    "svd": [
        "model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight",
        "first_stage_model.decoder.conv_out.time_mix_conv.weight",
        "conditioner.embedders.3.encoder.quant_conv.bias",
        "conditioner.embedders.3.encoder.encoder.mid.attn_1.q.weight",
        f"{CLIP}.visual.transformer.resblocks.0.attn.in_proj_bias",
    ],
    "svd-image-decoder": [
        "first_stage_model.post_quant_conv.weight",
        "conditioner.embedders.3.encoder.quant_conv.bias",
    ],
    "sv3d": ["conditioner.embedders.1.encoder.quant_conv.bias", "first_stage_model.decoder.mid.attn_1.q.weight"],
    "sd-2.1": ["first_stage_model.quant_conv.weight", "cond_stage_model.model.positional_embedding"],
    "sd-x4-upscaler": ["model.diffusion_model.label_emb.weight", "first_stage_model.post_quant_conv.bias"],
}


def build(preset):
    networks = {"unet": VideoUNet(preset.unet), "autoencoder": Autoencoder(preset.autoencoder)}
    if preset.image_encoder is not None:
        networks["image_encoder"] = build_image_encoder(preset.image_encoder)
    if preset.text_encoder is not None:
        networks["text_encoder"] = build_text_encoder(preset.text_encoder)
    return nn.ModuleDict(networks)


@pytest.fixture(scope="module", params=sorted(FILES))
def case(request):
    make, preset, left = FILES[request.param]
    networks = randomise(build(preset))
    key_map = make(preset)
    return request.param, preset, key_map, networks.state_dict(), key_map.to_foreign(networks.state_dict()), left


def test_files_have_the_official_names(case):
    name, _, key_map, _, tensors, left = case
    assert set(EXAMPLES[name]) <= tensors.keys()
    assert not any(key.startswith(key_map.droppable) for key in tensors)
    assert tensors.keys().isdisjoint(left)


def test_all_weights_arrive_whether_or_not_the_file_has_more(case):
    name, preset, key_map, state, tensors, left = case
    for extra in ([], left):
        other = build(preset)
        assert (
            load_weights(other, loaded_tensors(tensors | dict.fromkeys(extra, torch.zeros(()))), key_map, source=name)
            == extra
        )
        assert all(torch.equal(tensor, state[key]) for key, tensor in other.state_dict().items())


def test_what_is_not_declared_is_refused(case):
    name, preset, key_map, _, tensors, _ = case
    for key in ("unknown.weight", "model.diffusion_model.time_stack.weight", "conditioner.embedders.2.weight"):
        with pytest.raises(InputError, match=f"1 unexpected \\({key}\\)"):
            load_weights(build(preset), loaded_tensors(tensors | {key: torch.zeros(1)}), key_map, source=name)


def test_a_key_too_few_or_of_another_shape_is_named(case):
    name, preset, key_map, _, tensors, _ = case
    for key in EXAMPLES[name]:
        with pytest.raises(InputError, match=f"{name}: 1 missing \\({key}\\)$"):
            load_weights(
                build(preset), loaded_tensors({k: v for k, v in tensors.items() if k != key}), key_map, source=name
            )
        with pytest.raises(InputError, match=f"{name}: 1 misshapen \\({key} is"):
            load_weights(build(preset), loaded_tensors(tensors | {key: tensors[key][:-1]}), key_map, source=name)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (single_file.svd, ["svd", "svd-xt", "svd-image-decoder", "svd-xt-image-decoder"]),
        (single_file.sv3d, ["sv3d-u", "sv3d-p"]),
        (single_file.stable_diffusion, ["sd-2.1", "sd-x4-upscaler"]),
    ],
)
def test_every_published_preset_has_its_file(make, names):
    for name in names:
        with torch.device("meta"):
            networks = build(PRESETS[name])
        key_map = make(PRESETS[name])
        expected = key_map.foreign_shapes(networks.state_dict())
        assert not any(key.startswith(key_map.droppable) for key in expected)
        assert sum(torch.Size(shape).numel() for shape in expected.values()) == sum(
            parameter.numel() for parameter in networks.parameters()
        )
