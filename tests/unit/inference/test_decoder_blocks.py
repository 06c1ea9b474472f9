import pytest
import torch
from tiny_decoders import DECODERS
from tiny_networks import numbers, randomise, relative_error

from videoldm.inference.decoder_blocks import FoldedUpsample, decoder_blocks, residual
from videoldm.inference.decoder_sizes import map_sizes
from videoldm.models.autoencoder.coders import Decoder
from videoldm.models.autoencoder.config import PlainDecoder
from videoldm.models.layers import ResBlock, SpatialConv, Upsample


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (5, 3)])
@torch.no_grad()
def test_folded_upsampling_is_the_convolution_of_the_enlarged_picture(height, width):
    upsample = randomise(Upsample(6)).double()
    frames = numbers(2, 6, height, width).double()
    expected = upsample(frames, (2 * height, 2 * width))
    assert relative_error(FoldedUpsample(upsample)(frames), expected) < 1e-12


@torch.no_grad()
def test_residual_block_computes_what_its_forward_does():
    block = randomise(ResBlock(4, 8, conv=SpatialConv, norm_groups=2, norm_eps=1e-5)).double()
    frames = numbers(3, 4, 5, 6).double()
    given = frames.clone()
    assert relative_error(residual(block, frames), block(frames)) < 1e-12
    assert torch.equal(frames, given)


@pytest.mark.parametrize("name", sorted(DECODERS))
@torch.no_grad()
def test_decoder_is_divided_at_temporal_blocks_whose_sizes_are_known(name):
    config = DECODERS[name]
    blocks = list(decoder_blocks(Decoder(config)))
    sizes = map_sizes(config, 3, 2)
    assert [block.temporal is None for block in blocks] == [False] * (len(blocks) - 1) + [True]
    if isinstance(config.decoder, PlainDecoder):
        assert len(blocks) == 1
        return
    frames = numbers(1, 3, 3, 2)
    for block, size in zip(blocks[:-1], sizes, strict=True):
        frames = block.per_frame(frames)
        assert frames.shape == (1, size.channels, size.height, size.width)
        assert frames[0].numel() == size.numbers
