import pytest
import torch
from tiny_networks import IMAGE_UNET, MASKED_UNET, UNET, numbers, randomise, relative_error, unet_inputs

from videoldm.models.unet.config import TemporalLayers
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.surgery import add_frame_mask, extend_concat_channels, grow_unet, insert_temporal_layers


@pytest.fixture
def image_unet():
    return randomise(VideoUNet(IMAGE_UNET))


@pytest.mark.parametrize("merge_init", [-3.0, 0.5])
@torch.no_grad()
def test_a_video_model_starts_as_its_image_model(image_unet, merge_init):
    video_unet = insert_temporal_layers(image_unet, TemporalLayers(merge_init=merge_init))
    inputs = unet_inputs(UNET, num_frames=4)
    assert video_unet.config.temporal == TemporalLayers(merge_init=merge_init)
    assert relative_error(video_unet(*inputs), image_unet(*inputs)) < 1e-5


def test_inserted_layers_can_learn(image_unet):
    video_unet = insert_temporal_layers(image_unet)
    video_unet(*unet_inputs(UNET)).square().mean().backward()
    weights = [(name, p) for name, p in video_unet.named_parameters() if is_temporal(name) and name.endswith("weight")]
    silent = [name for name, weight in weights if not weight.any()]
    assert len(silent) == 8 + 4 * 5  # residual blocks and transformers
    assert [name for name in silent if not video_unet.get_parameter(name).grad.any()] == []


def test_insertion_keeps_the_image_weights_and_leaves_the_image_model_alone(image_unet):
    before = {key: value.clone() for key, value in image_unet.state_dict().items()}
    state = insert_temporal_layers(image_unet).state_dict()
    assert all(torch.equal(state[key], value) for key, value in before.items())
    assert all(torch.equal(value, before[key]) for key, value in image_unet.state_dict().items())


def test_temporal_layers_are_inserted_once(image_unet):
    with pytest.raises(ValueError, match="has temporal layers already"):
        insert_temporal_layers(insert_temporal_layers(image_unet))


@torch.no_grad()
def test_new_concat_channels_are_ignored_at_first(image_unet):
    extended = extend_concat_channels(image_unet, 2)
    assert extended.config.concat_channels == UNET.concat_channels + 2
    x, c_noise, conditions = unet_inputs(UNET)
    new = numbers(2, 3, 2, 8, 6, stream="new")
    longer = conditions.replace(concat=torch.cat([conditions.concat, new], dim=2))
    assert relative_error(extended(x, c_noise, longer), image_unet(x, c_noise, conditions)) < 1e-5


@pytest.mark.parametrize("mask", [torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([[1.0, 0, 1], [0, 0.5, 0]])])
@torch.no_grad()
def test_a_new_frame_mask_is_ignored_at_first(mask):
    unet = randomise(VideoUNet(UNET))
    masked = add_frame_mask(unet)
    assert masked.config == MASKED_UNET
    x, c_noise, conditions = unet_inputs(UNET)
    expected = unet(x, c_noise, conditions)
    assert relative_error(masked(x, c_noise, conditions.replace(frame_mask=mask)), expected) < 1e-5


@torch.no_grad()
def test_concat_channels_come_before_a_frame_mask_that_is_there():
    masked = randomise(VideoUNet(MASKED_UNET))
    extended = extend_concat_channels(masked, 2)
    x, c_noise, conditions = unet_inputs(MASKED_UNET)
    new = numbers(2, 3, 2, 8, 6, stream="new")
    longer = conditions.replace(concat=torch.cat([conditions.concat, new], dim=2))
    assert relative_error(extended(x, c_noise, longer), masked(x, c_noise, conditions)) < 1e-5


def test_an_image_model_grows_into_an_interpolation_model_that_can_learn_from_its_inputs():
    image = randomise(VideoUNet(IMAGE_UNET.model_copy(update={"concat_channels": 0})))
    grown = grow_unet(image, MASKED_UNET)
    assert grown.config == MASKED_UNET
    x, c_noise, conditions = unet_inputs(MASKED_UNET)
    output = grown(x, c_noise, conditions)
    plain = image(x, c_noise, conditions.replace(concat=None, frame_mask=None))
    assert relative_error(output.detach(), plain.detach()) < 1e-5
    output.square().mean().backward()
    gradient = grown.conv_in.weight.grad
    assert gradient is not None
    assert gradient[:, UNET.in_channels :].abs().sum((0, 2, 3)).all()


def test_a_frame_mask_is_added_once():
    with pytest.raises(ValueError, match="takes a frame mask already"):
        add_frame_mask(VideoUNet(MASKED_UNET))


def test_grown_models_keep_dtype_and_mode(image_unet):
    for grown in (insert_temporal_layers(image_unet.bfloat16()), extend_concat_channels(image_unet, 1)):
        assert {parameter.dtype for parameter in grown.parameters()} == {torch.bfloat16}
        assert not grown.training
