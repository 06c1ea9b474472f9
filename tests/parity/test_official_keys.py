"""The full-size networks against the names and shapes in the published checkpoint."""

import json

import pytest
import torch
from torch import nn

from videoldm.checkpoints.keymap import KeyMap, under
from videoldm.checkpoints.layouts import sgm, single_file
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import SVD
from videoldm.models.unet.network import VideoUNet


@pytest.fixture(scope="module")
def published_shapes(reference_folder):
    shapes = json.loads((reference_folder / "svd_sgm_keys.json").read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}


@pytest.fixture(scope="module")
def networks():
    with torch.device("meta"):
        return nn.ModuleDict({"unet": VideoUNet(SVD.unet), "autoencoder": Autoencoder(SVD.autoencoder)})


def test_every_published_tensor_has_its_place(published_shapes, networks):
    # The three networks of the file: UNet, first stage (without projections), the image condition's encoder (with).
    with torch.device("meta"):
        plain = {"project_moments": False, "project_latents": False}
        first_stage = Autoencoder(SVD.autoencoder.model_copy(update=plain))
        condition = Autoencoder(SVD.autoencoder.model_copy(update={"project_latents": True}))
    state = condition.state_dict()
    encoder = {key: value for key, value in state.items() if key.startswith(("encoder.", "decoder.projection."))}
    parts = [
        ("model.diffusion_model", sgm.unet(SVD.unet).foreign_shapes(networks["unet"].state_dict())),
        ("first_stage_model", sgm.autoencoder(first_stage.config).foreign_shapes(first_stage.state_dict())),
        ("conditioner.embedders.3.encoder", sgm.autoencoder(condition.config).foreign_shapes(encoder)),
    ]
    ours = {f"{prefix}.{key}": shape for prefix, part in parts for key, shape in part.items()}
    assert ours == published_shapes
    assert sum(len(part) for _, part in parts) == len(published_shapes)


def test_the_map_of_a_whole_file_leaves_out_what_is_declared(published_shapes, networks):
    key_map = single_file.svd(SVD)
    ours = key_map.foreign_shapes(networks.state_dict())
    left = published_shapes.keys() - ours.keys()
    assert all(published_shapes[key] == shape for key, shape in ours.items())
    assert all(key.startswith(key_map.droppable) for key in left)
    assert not any(key.startswith(key_map.droppable) for key in ours)


def test_published_names_survive_the_round_trip(published_shapes, networks):
    key_map = single_file.svd(SVD)
    for key in key_map.foreign_keys(networks.state_dict()):
        assert key in published_shapes
        (native,) = key_map.native_keys(key)
        assert key_map.foreign_key(native) == key


def test_a_prefix_can_be_put_before_a_map(networks):
    key_map = KeyMap(under("", "model.diffusion_model", sgm.unet_names(SVD.unet)))
    assert key_map.foreign_key("conv_in.weight") == "model.diffusion_model.input_blocks.0.0.weight"
