"""Pipelines of Stable Diffusion in diffusers' layout: their configurations both ways, old names, what is refused."""

import json
import shutil
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_stable_diffusion import WIDTH

from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.layouts.diffusers_config import DiffusersVideoUNet
from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.checkpoints.layouts.diffusers_image_config import DiffusersImageAutoencoder, DiffusersImageUNet
from videoldm.core.errors import InputError
from videoldm.diffusion.config import SDDiscrete
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import PRESETS
from videoldm.models.unet.network import VideoUNet
from videoldm.pipelines.open import open_model

PUBLISHED_UNET = {"cross_attention_dim": 1024, "use_linear_projection": True}
PUBLISHED = {
    "sd-2.1": (
        {**PUBLISHED_UNET, "attention_head_dim": [5, 10, 20, 20], "sample_size": 96, "upcast_attention": True},
        {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2},
    ),
    "sd-x4-upscaler": (
        {
            **PUBLISHED_UNET,
            "in_channels": 7,
            "block_out_channels": [256, 512, 512, 1024],
            "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 3],
            "up_block_types": [*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"],
            "attention_head_dim": 8,
            "only_cross_attention": [True, True, True, False],
            "num_class_embeds": 1000,
        },
        {"block_out_channels": [128, 256, 512], "layers_per_block": 2, "scaling_factor": 0.08333},
    ),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_configurations_are_the_presets_and_come_back(name: str) -> None:
    unet, autoencoder = PUBLISHED[name]
    preset = PRESETS[name]
    assert DiffusersImageUNet.model_validate(unet).to_native() == preset.unet
    assert DiffusersImageAutoencoder.model_validate(autoencoder).to_native() == preset.autoencoder
    assert DiffusersImageUNet.from_native(preset.unet).to_native() == preset.unet
    assert DiffusersImageAutoencoder.from_native(preset.autoencoder, sample_size=768).to_native() == preset.autoencoder


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_diffusers_builds_the_network_of_a_configuration_that_we_write(name: str) -> None:
    preset = PRESETS[name]
    autoencoder = DiffusersImageAutoencoder.from_native(preset.autoencoder, sample_size=768)
    with torch.device("meta"):
        pairs = [
            (
                diffusers.UNet2DConditionModel.from_config(DiffusersImageUNet.from_native(preset.unet).to_json()),
                layout.unet(preset.unet).foreign_shapes(VideoUNet(preset.unet).state_dict()),
            ),
            (
                diffusers.AutoencoderKL.from_config(autoencoder.to_json()),
                layout.autoencoder(preset.autoencoder).foreign_shapes(Autoencoder(preset.autoencoder).state_dict()),
            ),
        ]
    for theirs, expected in pairs:
        assert {key: tuple(tensor.shape) for key, tensor in theirs.state_dict().items()} == expected


def test_networks_that_diffusers_lacks_have_no_configuration() -> None:
    with pytest.raises(InputError, match="UNet2DConditionModel has neither temporal layers nor a vector condition"):
        DiffusersImageUNet.from_native(PRESETS["svd"].unet)
    masked = {"reads_frame_mask": True}
    with pytest.raises(InputError, match=r"UNet2DConditionModel has neither .* nor a frame mask"):
        DiffusersImageUNet.from_native(PRESETS["sd-2.1"].unet.model_copy(update=masked))
    with pytest.raises(InputError, match="UNetSpatioTemporalConditionModel has no channel for a frame mask"):
        DiffusersVideoUNet.from_native(PRESETS["svd"].unet.model_copy(update=masked), embedding_dim=256, num_frames=5)
    with pytest.raises(InputError, match="this autoencoder has patch_size 4 and a plain decoder"):
        DiffusersImageAutoencoder.from_native(PRESETS["mini"].autoencoder, sample_size=64)


def test_old_names_of_the_attention_give_the_same_autoencoder(text_to_image_folder: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(text_to_image_folder, tmp_path / "old"))
    part = open_folder(old).autoencoder
    assert part is not None
    weights = part.load().state_dict()
    names = layout.autoencoder(part.config, attention=layout.OLD_PIXEL_ATTENTION)
    save_file(names.to_foreign(weights), old / "vae/diffusion_pytorch_model.safetensors")
    assert "decoder.mid_block.attentions.0.query.weight" in load_file(old / "vae/diffusion_pytorch_model.safetensors")
    again = open_folder(old).autoencoder
    assert again is not None
    assert all(torch.equal(tensor, weights[key]) for key, tensor in again.load().state_dict().items())


def test_all_files_of_a_folder_count(text_to_image_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(text_to_image_folder, tmp_path / "copy"))
    before = open_model(str(text_to_image_folder)).content_hash("text-to-image")
    assert open_model(str(folder)).content_hash("text-to-image") == before
    (folder / "feature_extractor").mkdir()
    (folder / "feature_extractor/preprocessor_config.json").write_text("{}")
    assert open_model(str(folder)).content_hash("text-to-image") == before
    for name in ("tokenizer/special_tokens_map.json", "text_encoder/config.json", "scheduler/scheduler_config.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text + "\n")
        assert open_model(str(folder)).content_hash("text-to-image") != before, name
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("unet", {"use_linear_projection": False}, "use_linear_projection is False: should be true"),
        ("unet", {"use_linear_projection": None}, "use_linear_projection is False: should be true"),
        ("unet", {"class_embed_type": "projection"}, "class_embed_type is 'projection'"),
        ("unet", {"addition_embed_type": "text_time"}, "addition_embed_type is 'text_time'"),
        ("unet", {"only_cross_attention": True}, "only_cross_attention is True: Input should be False"),
        ("unet", {"up_block_types": ["UpBlock2D", "UpBlock2D"]}, "up_block_types is .* CrossAttnUpBlock2D"),
        ("unet", {"attention_head_dim": [3, 4]}, r"attention_head_dim is \(3, 4\), it should divide the widths"),
        ("unet", {"in_channels": 3}, "in_channels is 3, it should be at least 4"),
        ("unet", {"norm_num_groups": 48}, r"channels \(32, 64\) must be multiples of norm_groups = 48"),
        ("unet", {"cross_attention_dim": WIDTH + 1}, "attn2.to_k.weight"),
        ("unet", {"block_out_channels": [32, 0]}, r"block_out_channels is \[32, 0\]: Input should be greater than 0"),
        ("unet", {"freq_shift": 1}, "freq_shift is 1"),
        ("vae", {"shift_factor": 0.1}, "shift_factor is 0.1"),
        ("vae", {"out_channels": 4}, "out_channels is 4: should be 3, as in_channels"),
        ("vae", {"norm_num_groups": 48}, "must be multiples of norm_groups = 48"),
        ("scheduler", {"_class_name": "LCMScheduler"}, "describes LCMScheduler, it should describe DDIMScheduler or "),
        ("scheduler", {"prediction_type": "sample"}, "prediction_type is 'sample'"),
        ("scheduler", {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr is True"),
    ],
)
def test_what_a_configuration_may_not_say(
    text_to_image_folder: Path, tmp_path: Path, name: str, changes: dict[str, object], line: str
) -> None:
    folder = shutil.copytree(text_to_image_folder, tmp_path / "other")
    change(folder, name, changes)
    with pytest.raises(InputError, match=line) as error:
        open_folder(folder)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(folder / name))


def change(folder: Path, name: str, changes: dict[str, object]) -> None:
    """Change values of one of a pipeline's configurations; those that become None are left out."""
    path = folder / name / ("scheduler_config.json" if name == "scheduler" else "config.json")
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def test_the_scheduler_decides_what_the_network_predicts(text_to_image_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(text_to_image_folder, tmp_path / "base")
    scheduler = {"prediction_type": None, "timestep_spacing": "trailing", "set_alpha_to_one": None}
    change(folder, "scheduler", scheduler | {"_class_name": "PNDMScheduler"})
    change(folder, "unet", {"sample_size": None})
    base = open_model(str(folder)).config("text-to-image")
    assert (base.preconditioning.kind, base.height) == ("discrete_eps", 512)
    assert base.sampling.schedule == SDDiscrete(spacing="trailing", last_level="lowest")
    change(folder, "scheduler", {"_class_name": "DDIMScheduler"})
    assert open_model(str(folder)).config("text-to-image").sampling.schedule == SDDiscrete(spacing="trailing")
    change(folder, "unet", {"sample_size": [8, 12]})
    base = open_model(str(folder)).config("text-to-image")
    assert (base.height, base.width) == (64, 96)
    change(folder, "scheduler", {"beta_end": 0.02})
    with pytest.raises(InputError, match=r"beta 0\.00085 to 0\.02, they should be 1000 scaled_linear ones"):
        open_model(str(folder)).config("text-to-image")
