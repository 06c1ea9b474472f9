"""Decoding by layers against diffusers' temporal decoder with the same random weights, which it decodes all at once."""

import diffusers
import pytest
import torch
from tiny_networks import numbers, randomise, relative_error

from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.inference.decode import decode
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder

TOLERANCE = 1e-4
FRAMES = 5
CONFIG = AutoencoderConfig(channels=(32, 64), num_res_blocks=2, project_latents=False, decoder=TemporalDecoder())


@pytest.fixture(scope="module")
def theirs():
    return randomise(
        diffusers.AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=CONFIG.channels, layers_per_block=2
        )
    )


@pytest.fixture(scope="module")
def ours(theirs):
    autoencoder = Autoencoder(CONFIG).eval()
    assert (
        load_weights(autoencoder, loaded_tensors(theirs.state_dict()), layout.autoencoder(CONFIG), source="diffusers")
        == []
    )
    return autoencoder


@pytest.mark.parametrize("chunk_frames", [1, 2, FRAMES, None])
@torch.no_grad()
def test_every_chunk_gives_what_diffusers_gives_for_the_whole_clip(ours, theirs, chunk_frames):
    latents = numbers(1, FRAMES, 4, 6, 4)
    expected = theirs.decode(latents[0], num_frames=FRAMES).sample
    assert relative_error(decode(ours, latents, chunk_frames=chunk_frames)[0], expected) < TOLERANCE


@torch.no_grad()
def test_diffusers_gives_another_video_for_each_chunk(ours, theirs):
    """The reason for all this: decoded in chunks of two frames, theirs is as far from the whole clip as from noise."""
    latents = numbers(1, FRAMES, 4, 6, 4)
    whole = theirs.decode(latents[0], num_frames=FRAMES).sample
    chunks = [theirs.decode(part, num_frames=len(part)).sample for part in latents[0].split(2)]
    assert relative_error(torch.cat(chunks), whole) > 100 * TOLERANCE
    assert relative_error(decode(ours, latents, chunk_frames=2)[0], whole) < TOLERANCE
