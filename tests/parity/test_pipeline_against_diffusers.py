"""A whole clip against diffusers' pipeline, and what loading leaves in memory."""

from pathlib import Path

import pytest
import torch
from pipeline_parity import by_diffusers, by_us, relative_error

from videoldm.evaluation.speed.contenders import ClipRequest, random_picture


@pytest.fixture(scope="module")
def clips(pipeline_folder: Path):
    request = ClipRequest(picture=random_picture(64, 96), num_frames=3, num_steps=4)
    return by_us(pipeline_folder, request), by_diffusers(pipeline_folder, request)


def test_latents_and_frames_agree(clips) -> None:
    ours, theirs = clips
    assert relative_error(ours.latents, theirs.latents) < 1e-4
    assert relative_error(ours.frames, theirs.frames) < 1e-4
    assert float(torch.diff(ours.frames, dim=1).abs().max()) > 1e-3
