"""Single files of SV3D with few channels and random weights, but with its own vectors of conditions."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from safetensors.torch import save_file
from tiny_networks import randomise
from torch import nn

from videoldm.checkpoints.layouts import single_file
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.config import ImageEncoderConfig
from videoldm.models.clip.encoders import build_image_encoder
from videoldm.models.presets import PRESETS, ModelConfig
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks import multi_view

WIDTH = 16
VECTOR_DIMS = {"sv3d-u": 256, "sv3d-p": 1280}
Name = Literal["sv3d-u", "sv3d-p"]


def tiny_config(name: Name) -> ModelConfig:
    """The sizes."""
    return ModelConfig(
        unet=UNetConfig(
            concat_channels=4,
            channels=(8, 16),
            num_res_blocks=1,
            attention_levels=(True, False),
            head_channels=8,
            context_dim=WIDTH,
            vector_dim=VECTOR_DIMS[name],
            norm_groups=1,
        ),
        autoencoder=AutoencoderConfig(
            channels=(4, 4, 4, 8), num_res_blocks=1, norm_groups=1, project_latents=False, scaling_factor=1.0
        ),
        image_encoder=ImageEncoderConfig(
            image_size=16, patch_size=8, width=WIDTH, num_layers=1, num_heads=2, projection_dim=WIDTH
        ),
        num_frames=21,
    )


@contextmanager
def tiny_sv3d(folder: Path, name: Name) -> Generator[Path]:
    """The file; meanwhile its sizes are those of one more published model."""
    config = tiny_config(name)
    assert config.image_encoder is not None
    networks = {
        "unet": randomise(VideoUNet(config.unet)),
        "autoencoder": randomise(Autoencoder(config.autoencoder)),
        "image_encoder": randomise(build_image_encoder(config.image_encoder)),
    }
    path = folder / f"{name.replace('-', '_')}.safetensors"
    tensors = single_file.sv3d(config).to_foreign(nn.ModuleDict(networks).state_dict())
    save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, f"tiny-{name}", config)
        patch.setitem(single_file.LAYOUTS, f"tiny-{name}", single_file.sv3d)
        patch.setattr(multi_view, "PUBLISHED", {**multi_view.PUBLISHED, f"tiny-{name}": multi_view.PUBLISHED[name]})
        yield path
