"""Stable Diffusion 2.1 and its upscaler from one layout to the other and back, read by diffusers on both sides."""

import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_preset import image_preset
from tiny_stable_diffusion import write_text_to_image
from transformers import CLIPTokenizer

from videoldm.checkpoints.convert import convert
from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.checkpoints.layouts.single_file import open_file
from videoldm.core.errors import InputError

KINDS = {
    "tiny-sd": ("text_to_image_folder", diffusers.StableDiffusionPipeline),
    "tiny-upscaler": ("upscaler_folder", diffusers.StableDiffusionUpscalePipeline),
}
NETWORKS = ("unet", "vae", "text_encoder")


@pytest.fixture(params=KINDS)
def original(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder: Path = request.getfixturevalue(KINDS[request.param][0])
    image_preset(request.param, folder, monkeypatch)
    return folder


@pytest.fixture
def file(original: Path, tmp_path: Path) -> Path:
    convert(open_folder(original), tmp_path / "file" / "model.safetensors", "sgm")
    return tmp_path / "file" / "model.safetensors"


def pipeline_of(folder: Path, original: Path, **parts: Any) -> Any:
    return KINDS[original.name][1].from_pretrained(folder, dtype=torch.float32, **parts)


def assert_equal_networks(ours: Any, theirs: Any) -> None:
    for name in NETWORKS:
        expected, actual = getattr(theirs, name).state_dict(), getattr(ours, name).state_dict()
        assert expected.keys() == actual.keys()
        assert all(torch.equal(expected[key], actual[key]) for key in expected), name


def test_there_and_back_every_bit_is_the_same(file: Path, original: Path, tmp_path: Path) -> None:
    keys = load_file(file)
    assert "model.diffusion_model.input_blocks.0.0.weight" in keys
    assert "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight" in keys
    assert ("model.diffusion_model.label_emb.weight" in keys) == (original.name == "tiny-upscaler")
    convert(open_file(file), tmp_path / "back", "diffusers")
    convert(open_folder(tmp_path / "back"), tmp_path / "again.safetensors", "sgm")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_diffusers_reads_the_folder(
    file: Path, original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(open_file(file), tmp_path / "back", "diffusers")
    assert "back: has no tokenizer, as a single file holds none: put one into" in capsys.readouterr().err
    theirs = pipeline_of(original, original)
    assert_equal_networks(pipeline_of(tmp_path / "back", original, tokenizer=theirs.tokenizer), theirs)
    shutil.copytree(original / "tokenizer", tmp_path / "back" / "tokenizer")
    assert_equal_networks(pipeline_of(tmp_path / "back", original), theirs)


def test_a_tokenizer_beside_the_file_comes_along(file: Path, original: Path, tmp_path: Path) -> None:
    shutil.copytree(original / "tokenizer", file.parent / "tokenizer")
    convert(open_file(file), tmp_path / "back", "diffusers")
    assert isinstance(pipeline_of(tmp_path / "back", original).tokenizer, CLIPTokenizer)


def test_from_folder_to_folder_schedulers_and_tokenizer_stay(original: Path, tmp_path: Path) -> None:
    convert(open_folder(original), tmp_path / "copy", "diffusers", dtype=torch.float16)
    ours, theirs = pipeline_of(tmp_path / "copy", original), pipeline_of(original, original)
    for name in ("scheduler", "low_res_scheduler"):
        if hasattr(theirs, name):
            assert type(getattr(ours, name)) is type(getattr(theirs, name))
            assert dict(getattr(ours, name).config) == dict(getattr(theirs, name).config)
    assert ours.tokenizer("a red cube").input_ids == theirs.tokenizer("a red cube").input_ids
    half = load_file(tmp_path / "copy/unet/diffusion_pytorch_model.safetensors")
    assert torch.equal(half["conv_in.weight"], theirs.unet.state_dict()["conv_in.weight"].half())


def test_the_scheduler_of_a_file_is_the_published_one(
    text_to_image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_preset("tiny-sd", text_to_image_folder, monkeypatch)
    for name, prediction in {"v2-1_768": "v_prediction", "v2-1_512-pruned": "epsilon", "512-base": "epsilon"}.items():
        convert(open_folder(text_to_image_folder), tmp_path / f"{name}.safetensors", "sgm")
        convert(open_file(tmp_path / f"{name}.safetensors"), tmp_path / name, "diffusers")
        scheduler = diffusers.DDIMScheduler.from_pretrained(tmp_path / name / "scheduler")
        published = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
        published |= {"prediction_type": prediction, "set_alpha_to_one": False, "clip_sample": False}
        assert published.items() <= dict(scheduler.config).items()


def test_diffusers_reads_the_file(file: Path, original: Path) -> None:
    """Its own converter of single files, told by the original folder what the sizes are."""
    theirs = pipeline_of(original, original)
    for part, kind in (("unet", diffusers.UNet2DConditionModel), ("vae", diffusers.AutoencoderKL)):
        ours = kind.from_single_file(str(file), config=str(original), subfolder=part, local_files_only=True)
        expected, actual = getattr(theirs, part).state_dict(), ours.state_dict()
        assert expected.keys() == actual.keys()
        assert all(torch.equal(expected[key], actual[key]) for key in expected), part


def test_an_encoder_of_other_sizes_has_no_place_in_a_file(
    text_to_image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videoldm.models.presets import PRESETS

    name = image_preset("tiny-sd", text_to_image_folder, monkeypatch)
    config = PRESETS[name]
    assert config.text_encoder is not None
    longer = config.text_encoder.model_copy(update={"num_layers": 3})
    monkeypatch.setitem(PRESETS, name, config.model_copy(update={"text_encoder": longer}))
    with pytest.raises(InputError, match="has other sizes than the text_encoder of tiny-sd in sgm's layout"):
        convert(open_folder(text_to_image_folder), tmp_path / "model.safetensors", "sgm")


def test_a_name_that_tells_the_wrong_prediction_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_text_to_image(tmp_path / "folder", prediction_type="epsilon")
    image_preset("tiny-sd", folder, monkeypatch)
    for name, has_line in {"model": True, "model-base": False}.items():
        capsys.readouterr()
        convert(open_folder(folder), tmp_path / f"{name}.safetensors", "sgm")
        line = "its name should contain 768 if the model predicts v, 512 or base and not 768 if it predicts noise"
        assert (line in capsys.readouterr().err) == has_line


def test_what_is_left_out_is_said(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(load_file(file) | {"cond_stage_model.model.logit_scale": torch.zeros(1)}, file.with_stem("more"))
    convert(open_file(file.with_stem("more")), tmp_path / "back", "diffusers")
    line = "more.safetensors: 1 tensor is not needed and skipped (cond_stage_model.model.logit_scale, ...)"
    assert line in capsys.readouterr().err
