import pydantic
import pytest
import torch

from videoldm.conditioners.config import SV3D_P_CAMERA, SV3D_U_MICRO, SVD_MICRO
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import MINI, PRESETS, SD21, SV3D_P, SV3D_U, SVD, SVD_XT, X4_UPSCALER
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet


def sizes(network_type, config):
    with torch.device("meta"):
        return {name: parameter.numel() for name, parameter in network_type(config).named_parameters()}


def test_svd_unet_has_the_published_number_of_parameters():
    parameters = sizes(VideoUNet, SVD.unet)
    temporal = {name: size for name, size in parameters.items() if is_temporal(name)}
    mix_factors = {name: size for name, size in temporal.items() if name.endswith("mix_factor")}
    assert sum(parameters.values()) == 1_524_623_082
    assert sum(temporal.values()) - sum(mix_factors.values()) == 656_076_800
    assert len(mix_factors) == sum(mix_factors.values()) == 38


def test_other_unets_have_the_published_number_of_parameters():
    assert sum(sizes(VideoUNet, SV3D_U.unet).values()) == 1_523_967_722
    assert sum(sizes(VideoUNet, SV3D_P.unet).values()) == 1_525_278_442
    assert sum(sizes(VideoUNet, SD21.unet).values()) == 865_910_724


def test_image_part_of_svd_is_stable_diffusion_2_1():
    # SVD reads four channels more and has a vector embedding, SD 2.1 has neither.
    base = SVD.unet.model_copy(update={"concat_channels": 0, "vector_dim": None})
    spatial = {name: size for name, size in sizes(VideoUNet, base).items() if not is_temporal(name)}
    assert spatial == sizes(VideoUNet, SD21.unet)


def test_svd_autoencoder_has_the_published_number_of_parameters():
    parameters = sizes(Autoencoder, SVD.autoencoder)
    assert sum(parameters.values()) == 97_742_847
    assert sum(size for name, size in parameters.items() if name.startswith("decoder.")) == 63_579_183
    assert sum(sizes(Autoencoder, AutoencoderConfig()).values()) == 83_653_863


def test_presets():
    assert (SVD.num_frames, SVD_XT.num_frames, SV3D_U.num_frames, SV3D_P.num_frames) == (14, 25, 21, 21)
    assert SVD.unet == SVD_XT.unet
    assert all(preset.unet.in_channels == preset.autoencoder.latent_channels for preset in PRESETS.values())
    assert SVD.autoencoder.factor == MINI.autoencoder.factor == 8
    assert X4_UPSCALER.autoencoder.factor == 4


def test_contexts_and_vectors_have_the_width_of_what_produces_them():
    for preset in PRESETS.values():
        if preset.text_encoder is not None:
            assert preset.text_encoder.width == preset.unet.context_dim
        if preset.image_encoder is not None:
            assert preset.image_encoder.projection_dim == preset.unet.context_dim
    assert SVD.unet.vector_dim == SVD_MICRO.vector_dim
    assert SV3D_U.unet.vector_dim == SV3D_U_MICRO.vector_dim
    assert SV3D_P.unet.vector_dim == SV3D_P_CAMERA.vector_dim


def test_mini_fits_the_package():
    """Two UNets and an autoencoder in 16 bits leave room for the encoders and the judge below 25 MB."""
    unet, autoencoder = sum(sizes(VideoUNet, MINI.unet).values()), sum(sizes(Autoencoder, MINI.autoencoder).values())
    assert 2 * unet < 12_000_000
    assert 2 * (2 * unet + autoencoder) < 22_000_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_levels": (True, False)}, "one entry for each level"),
        ({"channels": (320, 640, 1280, 1290)}, "multiples of norm_groups = 32"),
        ({"head_channels": 60}, "multiples of head_channels = 60 where attention is"),
        ({"head_channels": (64, 64, 60, 64)}, r"multiples of head_channels = \(64, 64, 60, 64\) where attention is"),
        ({"head_channels": (64, 64, 64, 60)}, "where attention is"),  # the middle has the last level's
        ({"head_channels": (64, 64)}, r"head_channels \(64, 64\) must have one entry for each level"),
        ({"self_attention_levels": (True, False)}, "self_attention_levels .* must have one entry for each level"),
        ({"num_noise_indices": 0}, "greater than 0"),
        ({"num_res_blocks": 0}, "greater than 0"),
        ({"depth": 3}, "Extra inputs are not permitted"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        UNetConfig(**changes)


def test_autoencoder_widths_must_divide_into_groups():
    with pytest.raises(pydantic.ValidationError, match="multiples of norm_groups = 32"):
        AutoencoderConfig(channels=(32, 48))


def test_heads_count_only_where_attention_is():
    config = UNetConfig(attention_levels=(False, True, True, True), head_channels=(999, 64, 64, 64))
    assert config.attention_at(0) is None
    assert config.attention_at(1) == (64, True)


@pytest.mark.parametrize("config", [SVD.unet, MINI.unet, SVD.autoencoder, MINI.autoencoder, X4_UPSCALER])
def test_configurations_survive_json(config):
    assert type(config).model_validate_json(config.model_dump_json()) == config
