"""An image model's layers under a video model's temporal layers."""

import pytest
import torch
from tiny_networks import IMAGE_UNET, UNET, numbers, randomise, relative_error, unet_inputs

from videoldm.core.errors import InputError
from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.surgery import with_image_layers


@pytest.fixture
def video():
    return randomise(VideoUNet(UNET))


@pytest.fixture
def image():
    unet = randomise(VideoUNet(IMAGE_UNET))
    for position, (name, parameter) in enumerate(unet.named_parameters()):
        parameter.data += 0.1 * numbers(*parameter.shape, stream=f"tuned {name} {position}")
    return unet


def test_spatial_weights_are_the_image_models_and_temporal_ones_the_video_models(video, image):
    before = {key: weight.clone() for key, weight in video.state_dict().items()}
    result = with_image_layers(video, image).state_dict()
    assert result.keys() == before.keys()
    temporal = [key for key in result if is_temporal(key)]
    spatial = [key for key in result if not is_temporal(key)]
    assert temporal
    assert all(torch.equal(result[key], before[key]) for key in temporal)
    assert set(spatial) == set(image.state_dict())
    assert all(torch.equal(result[key], image.state_dict()[key]) for key in spatial)
    assert not any(torch.equal(result[key], before[key]) for key in spatial)
    assert all(torch.equal(video.state_dict()[key], weight) for key, weight in before.items())


@torch.no_grad()
def test_pictures_look_as_the_image_model_draws_them(video, image):
    result = with_image_layers(video, image)
    x, c_noise, conditions = unet_inputs(UNET)
    only = torch.ones(x.shape[:2], dtype=torch.bool)
    assert torch.equal(result(x, c_noise, conditions.replace(image_only=only)), image(x, c_noise, conditions))
    assert relative_error(result(x, c_noise, conditions), image(x, c_noise, conditions)) > 0.01


@torch.no_grad()
def test_temporal_layers_may_read_with_another_text_encoder(video, image):
    """The image-level result does not depend on their tokens, that of clips does."""
    result = with_image_layers(video, image)
    x, c_noise, conditions = unet_inputs(UNET)
    assert conditions.context is not None
    other = conditions.replace(temporal_context=conditions.context + 1)
    assert isinstance(other, Conditioning)
    assert relative_error(result(x, c_noise, other), result(x, c_noise, conditions)) > 1e-3
    only = torch.ones(x.shape[:2], dtype=torch.bool)
    pictures = [result(x, c_noise, one.replace(image_only=only)) for one in (conditions, other)]
    assert torch.equal(*pictures)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (UNET, UNET, "the image model has temporal layers"),
        (IMAGE_UNET, IMAGE_UNET, "the video model has no temporal layers"),
        (
            UNET,
            IMAGE_UNET.model_copy(update={"context_dim": 20}),
            r"weight is \(16, 12\) in the video model",
        ),
        (UNET, IMAGE_UNET.model_copy(update={"vector_dim": None}), "missing in the image model"),
    ],
)
def test_models_that_do_not_belong_together_are_refused(ours, theirs, words):
    with pytest.raises(InputError, match=words):
        with_image_layers(VideoUNet(ours), VideoUNet(theirs))
