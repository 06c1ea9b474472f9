"""What a single file of Stable Diffusion predicts: by its name, by the user's word, or by its answer to pure noise."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import CommandLine
from safetensors.torch import load_file, save_file
from tiny_preset import image_preset

from videoldm.checkpoints.convert import convert
from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.checkpoints.layouts.single_file import assumption, open_file
from videoldm.core.errors import InputError
from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.unet.network import VideoUNet
from videoldm.pipelines import prediction
from videoldm.pipelines.open import open_model, open_to_sample
from videoldm.pipelines.prediction import share_of_noise, with_known_prediction
from videoldm.pipelines.published import PublishedModel
from videoldm.pipelines.reference import ModelRef

pytestmark = pytest.mark.slow

NAMES = {
    "my_face_from_sd21base": ("epsilon", 512, False),
    "anime-base-v2_768": ("v_prediction", 768, False),
    "portraits": ("v_prediction", 768, False),
    "v2-1_512-ema-pruned": ("epsilon", 512, True),
    "v2-1_768-ema-pruned": ("v_prediction", 768, True),
}


@pytest.fixture
def file(text_to_image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A single file under a name that says nothing."""
    image_preset("tiny-sd", text_to_image_folder, monkeypatch)
    path = tmp_path / "portraits.safetensors"
    convert(open_folder(text_to_image_folder), path, "sgm")
    return path


def predicted(files: object) -> str:
    assert isinstance(files, PublishedModel)
    return files.checkpoint.scheduler.prediction_type  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_a_name_is_an_assumption_unless_it_is_the_published_one(
    file: Path, name: str, expected: tuple[str, int, bool]
) -> None:
    kind, side, is_sure = expected
    files = open_model(str(file.rename(file.with_stem(name))))
    assert (predicted(files), files.config("text-to-image").height) == (kind, side)
    assert assumption(name).is_sure == is_sure


def test_info_says_what_is_assumed_and_warns_in_doubt(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line = CommandLine(tmp_path, capsys)
    doubtful = command_line("info", file, "--json")
    text = (
        "v (v_prediction), as its name contains none of 768, 512 and base, which proves nothing; generate measures it"
    )
    assert json.loads(doubtful.out)["prediction"] == text
    assert "is taken to predict v (v_prediction)" in doubtful.err
    assert "--prediction-type" in doubtful.err
    stated = command_line("info", file, "--json", "--prediction-type", "epsilon")
    assert json.loads(stated.out)["prediction"] == "noise (epsilon), as it was given"
    assert stated.err == ""


@pytest.mark.parametrize(("share", "kind"), [(0.97, "epsilon"), (0.07, "v_prediction"), (-0.1, "v_prediction")])
def test_what_is_measured_goes_before_the_name(
    file: Path, share: float, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prediction, "share_of_noise", lambda _checkpoint: share)
    assert predicted(open_to_sample(str(file))) == kind
    assert f"--prediction-type {kind} saves this test" in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.5, -0.9, None])
def test_a_measurement_that_tells_nothing_warns(
    file: Path, share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "share_of_noise", lambda _checkpoint: share)
    with pytest.warns(UserWarning, match="a measurement is not conclusive: state it with --prediction-type"):
        assert predicted(open_to_sample(str(file))) == "v_prediction"


def test_nothing_is_measured_where_it_is_stated(
    file: Path, text_to_image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "share_of_noise", lambda _checkpoint: pytest.fail("measured"))
    assert predicted(open_to_sample(ModelRef(name=str(file), prediction_type="epsilon"))) == "epsilon"
    assert predicted(open_to_sample(str(text_to_image_folder))) == "v_prediction"
    assert predicted(open_to_sample(str(file.rename(file.with_stem("v2-1_512-ema-pruned"))))) == "epsilon"
    with pytest.raises(InputError, match=r"model mini is one of ours, a prediction type \(epsilon\) goes with"):
        open_model(ModelRef(name="mini", prediction_type="epsilon"))


def test_a_network_that_learned_to_predict_noise_is_told_from_its_answer(file: Path) -> None:
    checkpoint = open_file(file)
    network = checkpoint.unet.load(dtype=torch.float32).requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(25):
        noise = torch.randn((4, 1, 4, 16, 16), generator=draw)
        answer = network(noise, torch.full((4,), 999.0), Conditioning(context=torch.zeros(4, 12, 32)))
        loss = (answer - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = replace(checkpoint, unet=_Trained(network))  # pyright: ignore[reportArgumentType]
    share = share_of_noise(learned)
    assert share is not None
    assert share > 0.8
    files = with_known_prediction(PublishedModel(ref=ModelRef(name="m"), checkpoint=learned))
    assert predicted(files) == "epsilon"


def test_empty_weights_tell_nothing(file: Path) -> None:
    save_file({name: torch.zeros_like(value) for name, value in load_file(file).items()}, file)
    assert share_of_noise(open_file(file)) is None


class _Trained:
    """A part whose weights are in memory."""

    def __init__(self, network: VideoUNet) -> None:
        self._network = network
        self.config = network.config

    def load(self, *, dtype: torch.dtype) -> VideoUNet:
        return self._network.to(dtype)
