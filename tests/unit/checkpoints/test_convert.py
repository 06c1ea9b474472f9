"""From one layout to the other and back, and what single files are recognised by."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_networks import numbers
from tiny_preset import tiny_preset

from videoldm.checkpoints.autoencoder_files import with_autoencoder
from videoldm.checkpoints.convert import convert
from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.checkpoints.layouts.native import save_component
from videoldm.checkpoints.layouts.single_file import open_file
from videoldm.core.errors import InputError
from videoldm.generation.load import load_model
from videoldm.models.autoencoder.config import PlainDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import MINI
from videoldm.pipelines.as_checkpoint import as_checkpoint
from videoldm.pipelines.folder import NativeFolder
from videoldm.pipelines.open import open_model
from videoldm.pipelines.write import write_model

pytestmark = pytest.mark.slow

__all__ = ["tiny_preset"]

FILES = (
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "image_encoder/model.safetensors",
)
LEFTOVERS = (
    "first_stage_model.encoder.conv_in.weight",
    "conditioner.embedders.3.encoder.decoder.conv_in.weight",
    "conditioner.embedders.3.encoder.post_quant_conv.weight",
    "conditioner.embedders.0.open_clip.model.token_embedding.weight",
    "conditioner.embedders.0.open_clip.model.logit_scale",
)


@pytest.fixture
def file(tmp_path: Path, pipeline_folder: Path, tiny_preset: str) -> Path:
    convert(open_folder(pipeline_folder), tmp_path / "tiny.safetensors", "sgm")
    return tmp_path / "tiny.safetensors"


def changed(path: Path, **changes: torch.Tensor | None) -> Path:
    """Another file with some tensors replaced, or left out where None."""
    tensors = load_file(path) | {key: value for key, value in changes.items() if value is not None}
    kept = {key: value for key, value in tensors.items() if key not in changes or changes[key] is not None}
    save_file(kept, path.with_name("changed.safetensors"))
    return path.with_name("changed.safetensors")


def test_there_and_back_every_bit_is_the_same(file: Path, pipeline_folder: Path, tmp_path: Path) -> None:
    assert "model.diffusion_model.input_blocks.0.0.weight" in load_file(file)
    assert "conditioner.embedders.0.open_clip.model.visual.transformer.resblocks.1.attn.in_proj_weight" in load_file(
        file
    )
    convert(open_file(file), tmp_path / "back", "diffusers")
    for name in FILES:
        before, after = load_file(pipeline_folder / name), load_file(tmp_path / "back" / name)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    convert(open_folder(tmp_path / "back"), tmp_path / "again.safetensors", "sgm")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_diffusers_reads_the_folder(file: Path, tmp_path: Path, pipeline_folder: Path) -> None:
    from diffusers import StableVideoDiffusionPipeline

    convert(open_file(file), tmp_path / "back", "diffusers")
    pipeline = StableVideoDiffusionPipeline.from_pretrained(tmp_path / "back", dtype=torch.float32)
    original = StableVideoDiffusionPipeline.from_pretrained(pipeline_folder, dtype=torch.float32)
    ours, theirs = ({k: v for k, v in p.scheduler.config.items() if k[0] != "_"} for p in (pipeline, original))
    assert ours == theirs
    for name in ("unet", "vae", "image_encoder"):
        theirs, ours = getattr(original, name).state_dict(), getattr(pipeline, name).state_dict()
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


@pytest.mark.parametrize("to", ["diffusers", "sgm"])
def test_trained_model_is_written_as_a_published_one(
    file: Path, tmp_path: Path, to: Literal["diffusers", "sgm"]
) -> None:
    model = load_model(str(file), "image-to-video")
    for parameter in model.unet.parameters():
        parameter.data += 0.5
    write_model(tmp_path / "export", model)
    exported = open_model(str(tmp_path / "export"))
    assert isinstance(exported, NativeFolder)
    for parameter in model.autoencoder.decoder.parameters():
        parameter.data += 0.5
    save_component(tmp_path / "autoencoder", model.autoencoder, model.autoencoder.config)
    target = tmp_path / ("folder" if to == "diffusers" else "file.safetensors")
    convert(with_autoencoder(as_checkpoint(exported), tmp_path / "autoencoder"), target, to)
    back = load_model(str(target), "image-to-video")
    assert back.config == model.config
    for name in ("unet", "autoencoder"):
        found = getattr(back, name).state_dict()
        assert all(torch.equal(value, found[key]) for key, value in getattr(model, name).state_dict().items())
    found = back.image_conditioner.model.state_dict()
    encoder = model.image_conditioner.model.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in encoder.items())


def test_decoder_may_be_another_but_not_the_latents(file: Path, tmp_path: Path) -> None:
    published = open_file(file)
    assert published.autoencoder is not None
    per_frame = published.autoencoder.config.model_copy(update={"decoder": PlainDecoder()})
    save_component(tmp_path / "per-frame", Autoencoder(per_frame), per_frame)
    changed = with_autoencoder(published, tmp_path / "per-frame")
    assert changed.autoencoder is not None
    assert changed.autoencoder.config == per_frame
    save_component(tmp_path / "mini", Autoencoder(MINI.autoencoder), MINI.autoencoder)
    with pytest.raises(InputError, match=r"mini/model.* has .*latent_channels=32.*, the autoencoder of .*=4"):
        with_autoencoder(published, tmp_path / "mini")


def test_rounding_on_request(file: Path, tmp_path: Path) -> None:
    convert(open_file(file), tmp_path / "half", "diffusers", dtype=torch.float16)
    half = load_file(tmp_path / "half" / FILES[0])
    whole = open_file(file).unet.load()
    assert {tensor.dtype for tensor in half.values()} == {torch.float16}
    assert torch.equal(half["conv_in.weight"], whole.conv_in.weight.half())


def test_what_official_files_hold_beside_is_dropped(file: Path) -> None:
    extra = {key: numbers(2, stream=key) for key in LEFTOVERS}
    assert open_file(file).dropped == ()
    checkpoint = open_file(changed(file, **extra))
    assert sorted(checkpoint.dropped) == sorted(LEFTOVERS)
    assert checkpoint.unet.load().config == checkpoint.unet.config


def test_one_key_removed_renamed_or_reshaped_is_named(file: Path) -> None:
    for key in (
        "model.diffusion_model.out.2.bias",
        "model.diffusion_model.middle_block.1.time_mixer.mix_factor",
        "first_stage_model.decoder.conv_out.time_mix_conv.weight",
        "conditioner.embedders.3.encoder.quant_conv.weight",
        "conditioner.embedders.0.open_clip.model.visual.transformer.resblocks.0.attn.in_proj_bias",
        "conditioner.embedders.0.open_clip.model.visual.proj",
    ):
        tensor = load_file(file)[key]
        with pytest.raises(InputError, match=rf"changed\.safetensors: 1 missing \({key}\)$"):
            open_file(changed(file, **{key: None}))
        with pytest.raises(InputError, match=rf"1 missing \({key}\); 1 unexpected \({key}x\)$"):
            open_file(changed(file, **{key: None, f"{key}x": tensor}))
        with pytest.raises(InputError, match=rf"1 misshapen \({key} is "):
            open_file(changed(file, **{key: tensor.flatten()[:-1].clone() if tensor.numel() > 1 else numbers(2)}))


def test_names_tell_models_of_equal_tensors_apart() -> None:
    from videoldm.checkpoints.layouts.single_file import layout_of, recognise
    from videoldm.checkpoints.storage.safetensors import StoredTensor

    for preset in ("svd", "svd-image-decoder", "sv3d-u", "sv3d-p", "sd-2.1", "sd-x4-upscaler"):
        tensors = {
            key: StoredTensor(file=Path("x"), offset=0, shape=shape, dtype=torch.float16)
            for key, shape in layout_of(preset).shapes.items()
        }
        assert recognise(tensors, name="model").preset == preset
    tensors = {
        key: StoredTensor(file=Path("x"), offset=0, shape=shape, dtype=torch.float16)
        for key, shape in layout_of("svd").shapes.items()
    }
    assert [recognise(tensors, name=name).preset for name in ("svd_xt", "svd_xt_1_1", "svd-xt", "svd", "next")] == [
        *["svd-xt"] * 3,
        *["svd"] * 2,
    ]


def test_what_is_no_model(tmp_path: Path, file: Path, pipeline_folder: Path) -> None:
    save_file({"a.weight": numbers(2), "b": numbers(3)}, tmp_path / "other.safetensors")
    with pytest.raises(
        InputError, match=r"other\.safetensors: is none of svd, .*: its 2 tensors begin with a.weight, b$"
    ):
        open_file(tmp_path / "other.safetensors")
    lora = {"unet.conv.lora_A.weight": numbers(2, 3), "unet.conv.lora_B.weight": numbers(3, 2)}
    save_file(lora, tmp_path / "lora.safetensors")
    with pytest.raises(InputError, match=r"lora\.safetensors: is a LoRA, which goes with a model: give it with --lora"):
        open_file(tmp_path / "lora.safetensors")
    broken = changed(file, **{"model.diffusion_model.out.2.bias": torch.full((4,), float("nan"))})
    with pytest.raises(InputError, match=r"out\.2\.bias holds NaN or infinite values"):
        open_file(broken).unet.load()


def test_targets_that_cannot_be(tmp_path: Path, file: Path, pipeline_folder: Path) -> None:
    before = file.read_bytes()
    for target, to, line in (
        (file, "sgm", "exists, give the name of a new file"),
        (tmp_path / "folder", "sgm", r"its name should end in \.safetensors"),
        (file, "diffusers", "is a file"),
    ):
        with pytest.raises(InputError, match=line):
            convert(open_folder(pipeline_folder), target, to)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
