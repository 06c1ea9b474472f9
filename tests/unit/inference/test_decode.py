import pytest
import torch
from tiny_decoders import DECODERS, TEMPORAL
from tiny_networks import AUTOENCODER, numbers, randomise, relative_error

from videoldm.core.errors import InputError
from videoldm.inference.decode import decode
from videoldm.models.autoencoder.network import Autoencoder

NUM_FRAMES = 5
ROUNDS = 4


@pytest.fixture(scope="module", params=sorted(DECODERS))
def autoencoder(request):
    return randomise(Autoencoder(DECODERS[request.param]))


@pytest.fixture(scope="module")
def temporal():
    return randomise(Autoencoder(TEMPORAL))


def whole(autoencoder, latents):
    with torch.no_grad():
        return autoencoder.decode(latents)


@pytest.mark.parametrize("chunk_frames", [1, 2, 3, NUM_FRAMES - 1, NUM_FRAMES, NUM_FRAMES + 5, None])
def test_result_does_not_depend_on_the_chunk(autoencoder, chunk_frames):
    latents = numbers(1, NUM_FRAMES, 3, 5, 3)
    expected = whole(autoencoder, latents)
    assert relative_error(decode(autoencoder, latents, chunk_frames=chunk_frames), expected) < 1e-5


@pytest.mark.parametrize("chunk_frames", [1, 2, None])
def test_result_is_algebraically_that_of_the_whole_clip(autoencoder, chunk_frames):
    """In double precision nothing is left of the rounding that could hide a small mistake."""
    latents = numbers(1, 3, 3, 3, 4).double()
    precise = Autoencoder(autoencoder.config).double()
    precise.load_state_dict(autoencoder.state_dict())
    expected = whole(precise, latents)
    assert relative_error(decode(precise, latents, chunk_frames=chunk_frames), expected) < 1e-12


def test_one_frame(autoencoder):
    latents = numbers(1, 1, 3, 3, 2)
    assert relative_error(decode(autoencoder, latents, chunk_frames=3), whole(autoencoder, latents)) < 1e-5


def test_clips_of_a_batch_are_decoded_on_their_own(autoencoder):
    latents = numbers(2, 3, 3, 2, 3)
    together = decode(autoencoder, latents, chunk_frames=2)
    assert relative_error(together, whole(autoencoder, latents)) < 1e-5
    assert torch.equal(together[1:], decode(autoencoder, latents[1:], chunk_frames=2))


def test_frames_matter_to_each_other_only_in_a_temporal_decoder(temporal):
    latents = numbers(1, 3, 3, 2, 2)
    changed = latents.clone()
    changed[:, 2] += 1
    assert relative_error(decode(temporal, changed)[:, 0], decode(temporal, latents)[:, 0]) > 1e-3
    plain = randomise(Autoencoder(AUTOENCODER))
    assert torch.equal(decode(plain, changed)[:, 0], decode(plain, latents)[:, 0])


def test_activations_far_from_zero_lose_no_digits(temporal):
    """Group norms take a large mean out of small differences, which variances by mean squares do not survive."""
    shifted = Autoencoder(TEMPORAL)
    shifted.load_state_dict(temporal.state_dict())
    for name, parameter in shifted.named_parameters():
        if name.endswith(("conv1.bias", "conv_in.bias", "conv.bias")):
            parameter.data += 300
    latents = numbers(1, 2, 3, 4, 4)
    precise = Autoencoder(TEMPORAL).double()
    precise.load_state_dict(shifted.state_dict())
    expected = whole(precise, latents.double())
    loss = relative_error(decode(shifted, latents, chunk_frames=1).double(), expected)
    assert loss < 2 * relative_error(whole(shifted, latents).double(), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_lose_no_more_than_on_the_plain_path(temporal, dtype):
    losses = torch.zeros(2)
    for index in range(ROUNDS):
        rounded = Autoencoder(TEMPORAL).to(dtype)
        rounded.load_state_dict(temporal.state_dict())
        precise = Autoencoder(TEMPORAL)
        precise.load_state_dict(rounded.state_dict())
        latents = numbers(1, 4, 3, 8, 8, stream=f"latents {index}").to(dtype)
        expected = whole(precise, latents.float())
        pixels = decode(rounded, latents, chunk_frames=2)
        assert pixels.dtype is dtype
        for position, result in enumerate((pixels, whole(rounded, latents))):
            losses[position] += (result - expected).square().mean()
    ours, plain = losses.tolist()
    assert 0 < ours <= plain


def test_network_and_latents_stay_as_they_were(temporal):
    latents = numbers(1, 2, 3, 2, 2)
    before = {name: tensor.clone() for name, tensor in temporal.state_dict().items()}
    pixels = decode(temporal, latents)
    assert not pixels.requires_grad
    assert pixels.is_contiguous()
    assert torch.equal(latents, numbers(1, 2, 3, 2, 2))
    assert all(torch.equal(before[name], tensor) for name, tensor in temporal.state_dict().items())
    assert all(parameter.requires_grad for parameter in temporal.parameters())


@pytest.mark.parametrize("chunk_frames", [0, -1])
def test_chunks_without_frames_are_refused(temporal, chunk_frames):
    with pytest.raises(InputError, match=f"chunk_frames is {chunk_frames}, it should be at least 1"):
        decode(temporal, numbers(1, 1, 3, 2, 2), chunk_frames=chunk_frames)
