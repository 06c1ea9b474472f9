import pytest
import torch
from tiny_decoders import DECODERS
from tiny_networks import numbers, randomise, relative_error

from videoldm.inference.decoder_blocks import FoldedUpsample, residual, stages
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
def test_there_is_a_stage_for_each_temporal_block_and_its_size_is_foretold(name):
    config = DECODERS[name]
    found = list(stages(Decoder(config)))
    sizes = map_sizes(config, 3, 2)
    assert [stage.temporal is None for stage in found] == [False] * (len(found) - 1) + [True]
    if isinstance(config.decoder, PlainDecoder):
        assert len(found) == 1
        return
    frames = numbers(1, 3, 3, 2)
    for stage, size in zip(found[:-1], sizes, strict=True):
        frames = stage.per_frame(frames)
        assert frames.shape == (1, size.channels, size.height, size.width)
        assert frames[0].numel() == size.numbers
