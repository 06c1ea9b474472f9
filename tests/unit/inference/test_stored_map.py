"""A map that lies elsewhere gives the same bits; here the two places are in one memory."""

import pytest
import torch
from tiny_decoders import DECODERS
from tiny_networks import numbers, randomise

from videoldm.inference.decode import decode
from videoldm.inference.stored_map import StoredMap
from videoldm.models.autoencoder.network import Autoencoder


@pytest.mark.parametrize("chunk_frames", [1, 2, None])
def test_parts_that_are_copied_to_where_they_are_worked_on(chunk_frames, monkeypatch):
    autoencoder = randomise(Autoencoder(DECODERS["temporal"]))
    latents = numbers(1, 5, DECODERS["temporal"].latent_channels, 4, 6)
    expected = decode(autoencoder, latents, chunk_frames=chunk_frames)
    copied = []
    arrived = StoredMap._arrived

    def recorded(self, pixels):
        there = arrived(self, pixels)
        copied.append(there.data_ptr() != pixels.data_ptr())
        return there

    monkeypatch.setattr(StoredMap, "_arrived", recorded)
    monkeypatch.setattr(StoredMap, "is_away", True)
    assert torch.equal(decode(autoencoder, latents, chunk_frames=chunk_frames), expected)
    assert copied
    assert all(copied)
