"""Shapes are checked at run time in every test; fixtures for data that lies outside."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
from shape_checks import check_shapes_of_package

# Before the first import of videoldm, as the hook wraps functions while they are imported.
check_shapes_of_package()

# The same examples in every run: a suite that fails now and then is soon ignored. No deadline: machines differ.
hypothesis.settings.register_profile("videoldm", max_examples=50, derandomize=True, deadline=None)
hypothesis.settings.load_profile("videoldm")


def pytest_configure() -> None:
    """Give each worker of pytest-xdist one thread; more would only fight over the cores."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    import torch

    torch.set_num_threads(1)


def _folder(variable: str, content: str) -> Path:
    name = os.environ.get(variable)
    if not name:
        pytest.skip(f"{variable} is not set; it should name the folder of {content}")
    path = Path(name)
    assert path.is_dir(), f"{variable} is {name!r}, it should be the folder of {content}"
    return path


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """Outputs of the official code, as safetensors."""
    return _folder("VIDEOLDM_REFERENCE", "reference outputs")


@pytest.fixture(scope="session")
def videos_folder() -> Path:
    """A few real videos."""
    return _folder("VIDEOLDM_VIDEOS", "real videos")


@pytest.fixture(scope="module")
def few_validation_losses() -> Generator[None]:
    """Runs of diffusion stages compute 4 losses of held-out clips, not 64: for tests that ask for no more than one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("videoldm.training.stages.diffusion.clips.NUM_VALIDATION_LOSSES", 4)
        yield


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny image-to-video pipeline with random weights, in float32 and as variant fp16, written by diffusers."""
    import torch
    from diffusers import StableVideoDiffusionPipeline
    from pipeline_parity import write_pipeline

    folder = tmp_path_factory.mktemp("pipeline") / "tiny-svd"
    write_pipeline(folder, "tiny", num_frames=3)
    pipeline = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float16)
    pipeline.save_pretrained(folder, variant="fp16")
    return folder


@pytest.fixture(scope="session")
def text_to_image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion 2.1 that predicts v, written by diffusers."""
    from tiny_stable_diffusion import write_text_to_image

    return write_text_to_image(tmp_path_factory.mktemp("pipeline") / "tiny-sd")


@pytest.fixture(scope="session")
def upscaler_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline of Stable Diffusion's upscaler, written by diffusers."""
    from tiny_stable_diffusion import write_upscaler

    return write_upscaler(tmp_path_factory.mktemp("pipeline") / "tiny-upscaler")
