"""Decoding by layers gives the whole clip's result for every size and every way to cut the work."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_decoders import DECODERS
from tiny_networks import numbers, randomise, relative_error

from videoldm.inference.decode import decode
from videoldm.models.autoencoder.network import Autoencoder

# In double precision, as the smallest pictures leave so few numbers to a norm that it enlarges rounding.
AUTOENCODERS = {name: randomise(Autoencoder(config)).double() for name, config in DECODERS.items()}


@settings(max_examples=25)
@given(
    name=st.sampled_from(sorted(DECODERS)),
    num_frames=st.integers(1, 8),
    chunk_frames=st.none() | st.integers(1, 10),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
)
def test_every_cut_gives_the_result_of_the_whole_clip(name, num_frames, chunk_frames, height, width):
    latents = numbers(1, num_frames, 3, height, width).double()
    with torch.no_grad():
        expected = AUTOENCODERS[name].decode(latents)
    assert relative_error(decode(AUTOENCODERS[name], latents, chunk_frames=chunk_frames), expected) < 1e-9
