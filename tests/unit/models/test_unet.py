import pytest
import torch
from pydantic import ValidationError
from tiny_networks import IMAGE_UNET, MASKED_UNET, UNET, UPSCALER_UNET, numbers, randomise, relative_error, unet_inputs

from videoldm.diffusion.conditioning import FIELDS, Conditioning
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet


@pytest.fixture(scope="module")
def unet():
    return randomise(VideoUNet(UNET))


@pytest.fixture(scope="module")
def image_unet(unet):
    image = VideoUNet(IMAGE_UNET).eval()
    image.load_state_dict({key: value for key, value in unet.state_dict().items() if not is_temporal(key)})
    return image


def per_frame(network, x, c_noise, conditions):
    """Outputs of a network that is given every frame as a clip of its own."""
    outputs = []
    for i in range(x.shape[1]):
        frame = conditions.replace(vector=conditions.vector[:, i : i + 1], concat=conditions.concat[:, i : i + 1])
        outputs.append(network(x[:, i : i + 1], c_noise, frame))
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize(
    ("num_frames", "height", "width"), [(1, 8, 8), (3, 7, 5), (2, 1, 1), (5, 9, 4), (2, 6, 13), (1, 3, 2)]
)
@torch.no_grad()
def test_any_number_of_frames_and_any_size_work(unet, num_frames, height, width):
    x, c_noise, conditions = unet_inputs(UNET, num_frames=num_frames, height=height, width=width)
    output = unet(x, c_noise, conditions)
    assert output.shape == (2, num_frames, UNET.out_channels, height, width)
    assert output.isfinite().all()
    assert output.std() > 0.1


@pytest.mark.parametrize("num_tokens", [1, 4])
@torch.no_grad()
def test_clips_of_a_batch_do_not_see_each_other(unet, num_tokens):
    x, c_noise, conditions = unet_inputs(UNET, batch=3, num_tokens=num_tokens)
    together = unet(x, c_noise, conditions)
    alone = [unet(x[i : i + 1], c_noise[i : i + 1], conditions[i : i + 1]) for i in range(3)]
    assert relative_error(together, torch.cat(alone)) < 1e-5


@torch.no_grad()
def test_frames_of_a_clip_see_each_other_in_the_video_model_only(unet, image_unet):
    x, c_noise, conditions = unet_inputs(UNET)
    changed = x.clone()
    changed[:, 0] = numbers(*x[:, 0].shape, stream="other")
    video = (unet(x, c_noise, conditions) - unet(changed, c_noise, conditions)).abs().amax(dim=(2, 3, 4))
    image = (image_unet(x, c_noise, conditions) - image_unet(changed, c_noise, conditions)).abs().amax(dim=(2, 3, 4))
    assert (video > 1e-2).all()
    assert (image[:, 0] > 1e-2).all()
    assert (image[:, 1:] == 0).all()


def test_image_model_has_exactly_the_spatial_parameters(unet, image_unet):
    spatial = {key: value.shape for key, value in unet.state_dict().items() if not is_temporal(key)}
    assert {key: value.shape for key, value in image_unet.state_dict().items()} == spatial
    assert len(spatial) < len(unet.state_dict())


@torch.no_grad()
def test_image_only_clips_are_what_the_image_model_makes_of_their_frames(unet, image_unet):
    x, c_noise, conditions = unet_inputs(UNET)
    only_second = conditions.replace(image_only=torch.tensor([[False] * 3, [True] * 3]))
    mixed = unet(x, c_noise, only_second)
    images = per_frame(image_unet, x, c_noise, conditions)
    video = unet(x, c_noise, conditions)
    assert relative_error(mixed[1], images[1]) < 1e-5
    assert relative_error(mixed[0], video[0]) < 1e-5
    assert relative_error(video[1], images[1]) > 1e-2


@pytest.mark.parametrize("field", ["context", "temporal_context", "vector", "concat"])
@torch.no_grad()
def test_every_condition_has_an_effect(unet, field):
    x, c_noise, conditions = unet_inputs(UNET)
    old = conditions.temporal_tokens if field == "temporal_context" else getattr(conditions, field)
    changed = conditions.replace(**{field: numbers(*old.shape, stream="other")})
    assert relative_error(unet(x, c_noise, changed), unet(x, c_noise, conditions)) > 1e-3


@torch.no_grad()
def test_vectors_belong_to_frames(unet):
    x, c_noise, conditions = unet_inputs(UNET)
    image_only = conditions.replace(image_only=torch.ones(2, 3, dtype=torch.bool))
    vector = conditions.vector.clone()
    vector[:, 2] += 1
    difference = (unet(x, c_noise, image_only.replace(vector=vector)) - unet(x, c_noise, image_only)).abs()
    assert difference[:, :2].max() < 1e-5
    assert difference[:, 2].max() > 1e-2


@pytest.mark.parametrize("config", [UNET, UPSCALER_UNET])
def test_one_token_shortcut_changes_nothing(config):
    network = randomise(VideoUNet(config))
    x, c_noise, conditions = unet_inputs(config, num_tokens=1)
    with torch.no_grad():
        short = network(x, c_noise, conditions)
    assert relative_error(short, network(x, c_noise, conditions).detach()) < 1e-5


@torch.no_grad()
def test_noise_indices_belong_to_clips():
    network = randomise(VideoUNet(UPSCALER_UNET))
    x, c_noise, conditions = unet_inputs(UPSCALER_UNET)
    changed = network(x, c_noise, conditions.replace(noise_index=torch.tensor([0, 4])))
    difference = (changed - network(x, c_noise, conditions)).abs().amax(dim=(2, 3, 4))
    assert (difference[0] == 0).all()
    assert (difference[1] > 1e-2).all()


def test_levels_have_their_own_attention():
    config = UNET.model_copy(
        update={"attention_levels": (True, True), "head_channels": (4, 16), "self_attention_levels": (False, True)}
    )
    network = VideoUNet(config)
    fine, coarse = network.down[0].blocks[0].transformer, network.up[0].blocks[0].transformer
    middle = network.middle.block1.transformer
    assert [t.spatial[0].self_attention.head_channels for t in (fine, coarse, middle)] == [4, 16, 16]
    assert [t.temporal[0].self_attention.head_channels for t in (fine, coarse, middle)] == [4, 16, 16]
    assert fine.spatial[0].self_attention.to_k.in_features == config.context_dim
    assert fine.temporal[0].self_attention.to_k.in_features == 16
    assert [t.spatial[0].self_attention.to_k.in_features for t in (coarse, middle)] == [32, 32]


def test_files_of_before_say_nothing_of_recomputing_that_would_be_lost():
    values = UNET.model_dump()
    assert UNetConfig.model_validate(values | {"gradient_checkpointing": False}) == UNET
    with pytest.raises(ValidationError, match=r"is now training.execution.recompute=blocks"):
        UNetConfig.model_validate(values | {"gradient_checkpointing": True})


@torch.no_grad()
def test_16_bit_is_close_to_32_bit(unet):
    inputs = unet_inputs(UNET)
    exact = unet(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert relative_error(unet(*inputs).float(), exact) < 0.1
    half = VideoUNet(UNET).bfloat16()
    half.load_state_dict(unet.state_dict())
    x, c_noise, conditions = inputs
    output = half(x.bfloat16(), c_noise, conditions.to(dtype=torch.bfloat16))
    assert output.dtype is torch.bfloat16
    assert relative_error(output.float(), exact) < 0.1


def test_a_fresh_network_outputs_zero():
    assert not VideoUNet(UNET)(*unet_inputs(UNET)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": None}, r"context is missing, this model needs one of shape \(2, any, 12\)"),
        ({"context": torch.zeros(2, 3, 13)}, r"context has shape \(2, 3, 13\), expected \(2, any, 12\)"),
        ({"temporal_context": torch.zeros(2, 1, 13)}, "temporal_context has shape"),
        ({"vector": None}, r"vector is missing, this model needs one of shape \(2, 3, 10\)"),
        ({"vector": torch.zeros(2, 4, 10)}, r"vector has shape \(2, 4, 10\), expected \(2, 3, 10\)"),
        ({"concat": None}, r"concat is missing, this model needs one of shape \(2, 3, 3, 8, 6\)"),
        ({"concat": torch.zeros(2, 3, 3, 8, 7)}, r"concat has shape \(2, 3, 3, 8, 7\), expected \(2, 3, 3, 8, 6\)"),
        ({"image_only": torch.zeros(2, 4, dtype=torch.bool)}, "image_only has shape"),
        ({"noise_index": torch.zeros(2, dtype=torch.int)}, "noise_index of shape .* is given, but this model takes no"),
    ],
)
def test_conditions_that_do_not_fit_are_named(unet, change, message):
    x, c_noise, conditions = unet_inputs(UNET)
    # As one field would contradict another, each wrong value comes without the others.
    fields = {name: getattr(conditions, name) for name in ("context", "vector", "concat")} | change
    unchecked = object.__new__(Conditioning)
    for name in FIELDS:
        object.__setattr__(unchecked, name, fields.get(name))
    with pytest.raises(ValueError, match=message):
        unet(x, c_noise, unchecked)


def test_conditions_that_the_model_does_not_take_are_refused():
    plain = UNET.model_copy(update={"concat_channels": 0, "vector_dim": None})
    x, c_noise, conditions = unet_inputs(UNET)
    network = VideoUNet(plain)
    assert network(x, c_noise, Conditioning(context=conditions.context)).shape == x.shape
    with pytest.raises(ValueError, match=r"vector of shape \(2, 3, 10\) is given, but this model takes none"):
        network(x, c_noise, Conditioning(context=conditions.context, vector=conditions.vector))
    with pytest.raises(ValueError, match="concat of shape"):
        network(x, c_noise, Conditioning(context=conditions.context, concat=conditions.concat))
    with pytest.raises(ValueError, match="frame_mask of shape"):
        network(x, c_noise, Conditioning(context=conditions.context, frame_mask=torch.ones(2, 3)))


def test_a_frame_mask_is_needed_by_models_that_read_one():
    x, c_noise, conditions = unet_inputs(MASKED_UNET)
    network = VideoUNet(MASKED_UNET)
    assert network(x, c_noise, conditions).shape == x.shape
    with pytest.raises(ValueError, match=r"frame_mask is missing, this model needs one of shape \(2, 3\)"):
        network(x, c_noise, conditions.replace(frame_mask=None))
    object.__setattr__(conditions, "frame_mask", torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"frame_mask has shape \(2, 4\), expected \(2, 3\)"):
        network(x, c_noise, conditions)


@torch.no_grad()
def test_the_frame_mask_is_the_last_input_channel_everywhere_in_a_frame():
    network = randomise(VideoUNet(MASKED_UNET))
    x, c_noise, conditions = unet_inputs(MASKED_UNET)
    wider = UNET.model_copy(update={"concat_channels": UNET.concat_channels + 1})
    twin = VideoUNet(wider).eval()
    twin.load_state_dict(network.state_dict())
    concat, mask = conditions.concat, conditions.frame_mask
    assert concat is not None
    assert mask is not None
    channel = mask[:, :, None, None, None].expand(2, 3, 1, 8, 6)
    joined = conditions.replace(concat=torch.cat([concat, channel], dim=2), frame_mask=None)
    assert torch.equal(network(x, c_noise, conditions), twin(x, c_noise, joined))
    other = conditions.replace(frame_mask=1 - mask)
    assert not torch.equal(network(x, c_noise, other), network(x, c_noise, conditions))


def test_configurations_of_before_the_frame_mask_read_none():
    stored = UNET.model_dump(mode="json")
    del stored["reads_frame_mask"]
    assert UNetConfig.model_validate(stored) == UNET


def test_a_noise_index_is_needed_by_models_that_have_them():
    x, c_noise, conditions = unet_inputs(UPSCALER_UNET)
    network = VideoUNet(UPSCALER_UNET)
    with pytest.raises(ValueError, match=r"noise_index is missing, this model needs one of shape \(2,\)"):
        network(x, c_noise, conditions.replace(noise_index=None))
    object.__setattr__(conditions, "noise_index", torch.zeros(3, dtype=torch.int))
    with pytest.raises(ValueError, match=r"noise_index has shape \(3,\), expected \(2,\)"):
        network(x, c_noise, conditions)


def test_wrong_latents_are_named(unet):
    x, c_noise, conditions = unet_inputs(UNET)
    with pytest.raises(ValueError, match=r"x has shape \(2, 3, 3, 8, 6\), expected \(b, t, 4, h, w\)"):
        unet(x[:, :, :3], c_noise, conditions)
