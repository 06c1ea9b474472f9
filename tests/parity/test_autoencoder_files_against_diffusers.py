"""A temporal decoder grown from diffusers' per-frame autoencoder, written in SVD's layouts and read by diffusers."""

import diffusers
import pytest
import torch
from safetensors.torch import load_file
from tiny_networks import numbers, randomise, relative_error

from videoldm.checkpoints.autoencoder_files import open_autoencoder, write_diffusers_autoencoder, write_sgm_autoencoder
from videoldm.checkpoints.layouts import single_file
from videoldm.checkpoints.layouts.native import save_component
from videoldm.core.errors import InputError
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.autoencoder.surgery import fold_projection, insert_temporal_layers
from videoldm.models.presets import SVD

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def per_frame(tmp_path_factory):
    """diffusers' image autoencoder, and the folder in which it lies."""
    theirs = randomise(
        diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(32, 64),
            layers_per_block=2,
        )
    )
    folder = tmp_path_factory.mktemp("vae")
    theirs.save_pretrained(folder)
    return theirs, folder


@pytest.fixture(scope="module")
def finetuned(per_frame):
    """One of SVD's kind, grown from it, with temporal layers that do something."""
    grown = insert_temporal_layers(fold_projection(open_autoencoder(per_frame[1]).load()))
    return randomise(grown)


@torch.no_grad()
def test_diffusers_image_autoencoder_is_a_start(per_frame):
    theirs, folder = per_frame
    grown = insert_temporal_layers(open_autoencoder(folder).load())
    latents = numbers(1, 3, 4, 5, 4)
    assert relative_error(grown.decode(latents)[0], theirs.decode(latents[0]).sample) < TOLERANCE


@torch.no_grad()
def test_diffusers_decodes_what_we_export_as_we_do(finetuned, tmp_path):
    write_diffusers_autoencoder(tmp_path / "vae", finetuned)
    theirs = diffusers.AutoencoderKLTemporalDecoder.from_pretrained(tmp_path / "vae").eval()
    latents, pixels = numbers(2, 3, 4, 4, 6), numbers(1, 2, 3, 16, 16)
    expected = theirs.decode(latents.flatten(0, 1), num_frames=3).sample
    assert relative_error(finetuned.decode(latents).flatten(0, 1), expected) < TOLERANCE
    assert relative_error(finetuned.encode(pixels).mode()[0], theirs.encode(pixels[0]).latent_dist.mode()) < TOLERANCE
    again = open_autoencoder(tmp_path / "vae").load()
    assert again.config == finetuned.config
    assert all(torch.equal(value, finetuned.state_dict()[key]) for key, value in again.state_dict().items())


def test_sgm_file_has_the_published_names(finetuned, tmp_path):
    write_sgm_autoencoder(tmp_path / "decoder.safetensors", finetuned)
    written = load_file(tmp_path / "decoder.safetensors")
    config = SVD.model_copy(update={"autoencoder": finetuned.config})
    native = single_file.svd(config).to_native(written)
    ours = {f"autoencoder.{key}": value for key, value in finetuned.state_dict().items()}
    assert native.keys() == ours.keys()
    assert all(torch.equal(native[key], value) for key, value in ours.items())


def test_a_folder_of_ours_is_opened_too(finetuned, tmp_path):
    save_component(tmp_path, finetuned, finetuned.config)
    assert open_autoencoder(tmp_path).config == finetuned.config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"project_latents": True}, "project_latents is True, it should be False"),
        ({"patch_size": 2}, "patch_size is 2, it should be 1"),
        ({"decoder": TemporalDecoder(kernel=5)}, "decoder is .*'kernel': 5"),
    ],
)
def test_what_svd_cannot_hold_is_refused(changes, message, tmp_path):
    config = AutoencoderConfig(channels=(32,), project_latents=False, decoder=TemporalDecoder())
    other = Autoencoder(config.model_copy(update=changes))
    with pytest.raises(InputError, match=message):
        write_diffusers_autoencoder(tmp_path / "vae", other)
    with pytest.raises(InputError, match=message):
        write_sgm_autoencoder(tmp_path / "file.safetensors", other)
    assert not list(tmp_path.iterdir())
