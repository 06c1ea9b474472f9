"""Clips that fail alone, the LoRA that made NaN, and warnings far outside of training."""

import warnings
from pathlib import Path

import pytest
import torch
from command_line import CommandLine
from tiny_lora import random_lora, write_kohya

from videoldm.core.errors import InputError
from videoldm.generation import batch
from videoldm.generation.choices import Choices
from videoldm.generation.clips import make_clip
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.load import load_model
from videoldm.generation.request import Request
from videoldm.generation.untrained import warn_if_far
from videoldm.pipelines.open import open_model
from videoldm.pipelines.reference import ModelRef
from videoldm.tasks.config import TaskModelConfig

PROMPT = "a red cube"


def test_the_lora_that_made_nan_is_named(tiny_model: Path, tmp_path: Path) -> None:
    plain = load_model(str(tiny_model), "text-to-video")
    file = write_kohya(tmp_path / "burnt.safetensors", random_lora(plain.unet, stream="huge", scale=1e20))
    model = load_model(str(tiny_model), "text-to-video", lora=f"{file}:1e15")
    with pytest.raises(
        InputError, match=r"the likely cause is the LoRA .*burnt.safetensors:1e\+15, give it less weight"
    ):
        make_clip(model, prompt=PROMPT, num_inference_steps=1)


def test_an_unexpected_error_of_one_clip_leaves_the_others(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = batch.sample_one

    def fragile(model: object, request: Request, **watched: object) -> object:
        if request.seed == 1:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (0x7f)")
        return make(model, request, **watched)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(batch, "sample_one", fragile)
    words = ("generate", "--model", tiny_model, "--prompt", PROMPT, "--num-inference-steps", 1, "--num-frames", 1)
    command_line = CommandLine(tmp_path, capsys)
    done = command_line(*words, "--seed", 0, "--num-videos-per-prompt", 3, "-o", tmp_path / "clips")
    assert done.code == 1
    assert "1 of 3 items failed" in done.err
    assert "seed 1: unexpected RuntimeError in test_clips_that_fail.py, line" in done.err
    assert "mat1" not in done.err
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 2


def request(config: TaskModelConfig, **changes: object) -> Request:
    made = Choices().request(ClipInputs(prompt=PROMPT), ModelRef(name="m"), config)
    return made.model_copy(update=changes)


def test_what_is_far_from_training_is_warned_about_and_the_rest_is_not(tiny_model: Path) -> None:
    config = open_model(str(tiny_model)).config("text-to-video")
    config = config.model_copy(update={"num_frames": 14, "height": 576, "width": 1024})
    assert config.micro.signals
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for near in ({}, {"num_frames": 25}, {"num_frames": 1}, {"height": 1024, "width": 576}, {"height": 320}):
            warn_if_far(request(config, **near), config)
    far = {
        "num_frames is 60, the model was trained on 14": {"num_frames": 60},
        "num_frames is 2, the model was trained on 14": {"num_frames": 2},
        "the size is 2048x2048, the model was trained on 1024x576": {"height": 2048, "width": 2048},
        "the size is 256x256, the model was trained on 1024x576": {"height": 256, "width": 256},
    }
    if "noise_level" in config.signal_names:
        far["noise_aug_strength is 1, models are trained on up to about 0.3"] = {"noise_aug_strength": 1.0}
    for line, changes in far.items():
        with pytest.warns(UserWarning, match=line):
            warn_if_far(request(config, **changes), config)


def test_a_long_text_is_shortened_in_its_warning(tiny_model: Path) -> None:
    model = load_model(str(tiny_model), "text-to-video")
    assert model.text is not None
    with pytest.warns(UserWarning, match="prompt longer than") as caught, torch.inference_mode():
        model.text.tokenize(["a red cube moves to the left " * 30])
    [warning] = caught
    assert len(str(warning.message)) < 180
    assert "more words)" in str(warning.message)
