"""A whole clip against diffusers' pipeline, and what loading leaves in memory."""

from pathlib import Path

import pytest
import torch
from pipeline_parity import by_diffusers, by_us, random_picture, relative_error


@pytest.fixture(scope="module")
def clips(pipeline_folder: Path):
    picture = random_picture(64, 96)
    return by_us(str(pipeline_folder), picture, 3, 4), by_diffusers(pipeline_folder, picture, 3, 4)


def test_latents_and_frames_agree(clips) -> None:
    ours, theirs = clips
    assert relative_error(ours.latents, theirs.latents) < 1e-4
    assert relative_error(ours.frames, theirs.frames) < 1e-4
    assert float(torch.diff(ours.frames, dim=1).abs().max()) > 1e-3
