import pytest
import torch
from tiny_networks import AUTOENCODER, numbers, randomise, relative_error

from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.autoencoder.surgery import fold_projection, insert_temporal_layers, is_temporal

KINDS = [TemporalDecoder(), TemporalDecoder(kernel=5, merge_init=-2.0), TemporalDecoder(merge_init=3.0)]


@pytest.fixture
def per_frame():
    return randomise(Autoencoder(AUTOENCODER.model_copy(update={"project_latents": True})))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_frames", [1, 4])
@torch.no_grad()
def test_a_temporal_decoder_starts_as_the_per_frame_one(per_frame, kind, num_frames):
    latents = numbers(2, num_frames, 3, 3, 4)
    grown = insert_temporal_layers(per_frame, kind)
    assert grown.config.decoder == kind
    assert relative_error(grown.decode(latents), per_frame.decode(latents)) < 1e-6


def test_insertion_keeps_the_weights(per_frame):
    before = {key: value.clone() for key, value in per_frame.state_dict().items()}
    state = insert_temporal_layers(per_frame).state_dict()
    assert all(torch.equal(state[key], value) for key, value in before.items())
    assert {key for key in state if key not in before} == {key for key in state if is_temporal(key)}
    assert all(torch.equal(value, before[key]) for key, value in per_frame.state_dict().items())


def test_inserted_layers_can_learn(per_frame):
    grown = insert_temporal_layers(per_frame)
    grown.decode(numbers(1, 3, 3, 3, 3)).square().mean().backward()
    silent = [name for name, parameter in grown.named_parameters() if is_temporal(name) and not parameter.any()]
    assert any(name.endswith("temporal.conv2.weight") for name in silent)
    weights = [name for name in silent if name.endswith("weight")]
    assert [name for name in weights if not grown.get_parameter(name).grad.any()] == []


def test_temporal_layers_are_inserted_once(per_frame):
    with pytest.raises(ValueError, match="has temporal layers already"):
        insert_temporal_layers(insert_temporal_layers(per_frame))


@torch.no_grad()
def test_folded_projection_counts_inside_and_only_its_bias_shows_at_the_border(per_frame):
    folded = fold_projection(per_frame)
    assert not folded.config.project_latents
    frames = numbers(2, 3, 5, 6)
    expected = per_frame.decoder.conv_in(per_frame.decoder.projection(frames))
    inside = (..., slice(1, -1), slice(1, -1))
    actual = folded.decoder.conv_in(frames)
    assert relative_error(actual[inside], expected[inside]) < 1e-6
    assert relative_error(actual, expected) > 1e-3
    per_frame.decoder.projection.bias.zero_()
    latents = numbers(1, 2, 3, 5, 6)
    assert relative_error(fold_projection(per_frame).decode(latents), per_frame.decode(latents)) < 1e-5


def test_what_has_no_projection_is_left_alone():
    plain = Autoencoder(AUTOENCODER.model_copy(update={"project_latents": False}))
    assert fold_projection(plain) is plain
