"""`videoldm bench` at a size that takes a moment."""

import json
import sys

import pytest
from command_line import CommandLine

from videoldm.evaluation.speed import bench, presets
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.clip.config import ImageEncoderConfig
from videoldm.models.presets import ModelConfig
from videoldm.models.unet.config import UNetConfig

SMALL = ("--num-frames", 2, "--height", 64, "--width", 64, "--rounds", 2)


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of SVD's form with few channels."""
    unet = UNetConfig(
        concat_channels=4,
        channels=(32, 64, 64, 64),
        num_res_blocks=1,
        attention_levels=(True, True, True, False),
        head_channels=32,
        context_dim=32,
        vector_dim=96,
    )
    autoencoder = AutoencoderConfig(channels=(32, 32, 32, 64), project_latents=False, decoder=TemporalDecoder())
    encoder = ImageEncoderConfig(image_size=224, patch_size=56, width=32, num_layers=1, num_heads=2, projection_dim=32)
    tiny = ModelConfig(unet=unet, autoencoder=autoencoder, image_encoder=encoder, num_frames=2)
    monkeypatch.setattr(presets, "SIZES", {"svd": tiny})
    # At 4096, the machine's best rate takes longer to find out than everything else here.
    monkeypatch.setattr(bench, "MATRIX_SIDE", 512)


@pytest.mark.parametrize("what", ["step", "decode", "pipeline"])
def test_times_of_both_with_equal_results(cli: CommandLine, what: str) -> None:
    result = json.loads(cli.succeeds("bench", what, *SMALL, "--dtype", "float32", "--json"))
    assert set(result["times"]) == {"videoldm", "diffusers"}
    assert result["largest_difference"] < 1e-4
    assert result["flops"] > 1e6
    assert result["matrix_multiply_flops_per_s"] > 1e8
    ours, theirs = result["times"]["videoldm"], result["times"]["diffusers"]
    assert len(ours["rounds_s"]) == len(theirs["rounds_s"]) == 2
    assert theirs["speed_up"] == 1
    assert 0 < ours["share_of_peak"] < 1.5


def test_whole_clips_in_16_bits(cli: CommandLine) -> None:
    words = (*SMALL, "--num-inference-steps", 1, "--dtype", "bfloat16", "--json")
    result = json.loads(cli.succeeds("bench", "pipeline", *words))
    assert "in 1 step, bfloat16" in result["what"]
    assert 0 < result["largest_difference"] < 1


@pytest.mark.parametrize("what", ["step", "pipeline"])
def test_ours_alone_without_diffusers(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    page = cli.succeeds("bench", what, *SMALL)
    assert "diffusers is not installed" in page
    assert "videoldm" in page


def test_table(cli: CommandLine) -> None:
    page = cli.succeeds("bench", "step", *SMALL)
    for text in (
        "step of svd, 2 frames of 64x64",
        "times diffusers",
        "one call is",
        "largest difference from diffusers",
    ):
        assert text in page


def test_what_cannot_be_timed(cli: CommandLine) -> None:
    assert cli.refuses("bench", "decode", "--compile") == "--compile has no effect on decode, leave it out"
    error = cli.refuses("bench", "step", "--num-inference-steps", 3)
    assert error == "--num-inference-steps has no effect on step, leave it out"
    assert cli.refuses("bench", "step", "--height", 100).startswith(
        "bench: --height is '100', should be a multiple of 64"
    )
    assert cli.refuses("bench", "walk").startswith(
        "bench: --measurement is 'walk', should be 'step', 'decode' or 'pipeline'"
    )
