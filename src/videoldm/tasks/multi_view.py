"""Multi-view: an orbit around an object from one picture, which is the last frame (SV3D, arXiv 2403.12008)."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from videoldm.conditioners.config import SV3D_P_CAMERA, SV3D_U_MICRO
from videoldm.core.errors import InputError
from videoldm.diffusion.config import Guidance, Karras, Triangle
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig
from videoldm.tasks.image_to_video import ImageToVideo
from videoldm.tasks.task import Inputs, TrainingClips

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from videoldm.checkpoints.checkpoint import Checkpoint
    from videoldm.video.picture_files import FitMode


class MultiView(ImageToVideo):
    """Image to video with the noise level, and for some models each frame's camera, as the only signals."""

    name = "multi-view"
    idle_options = MappingProxyType({"motion_bucket_id": "on a turn around an object"})
    untrainable = "clips do not say where their cameras stand"
    has_foreign_layouts = False
    without_camera = "it turns once at the picture's own elevation"

    def load_picture(self, path: Path, height: int, width: int, mode: FitMode) -> Float[Tensor, "3 h w"]:
        """Return the object of a picture in the middle of a white one."""
        from videoldm.video.picture import load_object

        return load_object(path, height, width, mode)

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Raise InputError: clips do not say where their cameras stand."""
        raise InputError(
            f"the {len(clips.records)} clips have no cameras, which training a multi-view model would need"
        )

    def finish(self, inputs: Inputs, pixels: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t 3 h w"]:
        """Return the clips with the given picture as last frame, which shows the same view."""
        assert inputs.pictures is not None
        pixels[:, -1] = inputs.pictures.to(pixels)
        return pixels

    def is_of_kind(self, checkpoint: Checkpoint) -> bool:
        """Whether all parts are there and the UNet has the sizes of one of the two SV3D models."""
        is_whole = checkpoint.autoencoder is not None and checkpoint.image_encoder is not None
        return is_whole and checkpoint.preset in PUBLISHED

    def published_config(self, checkpoint: Checkpoint) -> TaskModelConfig:
        """Return the defaults of SV3D, as the official script samples it."""
        assert checkpoint.preset is not None
        return PUBLISHED[checkpoint.preset]()


def sv3d_u() -> TaskModelConfig:
    """Return the defaults of SV3D_u, which turns at the elevation of the picture."""
    return TaskModelConfig(
        task=MultiView.name,
        num_frames=21,
        height=576,
        width=576,
        micro=SV3D_U_MICRO,
        signals=SignalDefaults(noise_level=1e-5),
        sampling=SamplingConfig(
            num_inference_steps=50,
            schedule=Karras(),
            guidance=Guidance(scale=Triangle(min_scale=1.0, max_scale=2.5)),
        ),
    )


def sv3d_p() -> TaskModelConfig:
    """Return the defaults of SV3D_p, which is conditioned on the camera of each frame."""
    return sv3d_u().model_copy(update={"camera": SV3D_P_CAMERA})


PUBLISHED = MappingProxyType({"sv3d-u": sv3d_u, "sv3d-p": sv3d_p})
"""Defaults of the published models by preset."""
