"""Multi-view: a turn around an object, of which one picture is given; it is the last frame (SV3D, arXiv 2403.12008)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.tasks.image_to_video import ImageToVideo
from videoldm.tasks.task import Inputs, TrainingClips


class MultiView(ImageToVideo):
    """Image to video with the noise level, and for some models each frame's camera, as the only signals."""

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Raise InputError: clips do not say where their cameras stand."""
        raise InputError(
            f"the {len(clips.records)} clips have no cameras, which training a multi-view model would need"
        )

    def finish(self, inputs: Inputs, pixels: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t 3 h w"]:
        """The given picture in the place of the last frame, which shows the same view."""
        assert inputs.pictures is not None
        pixels[:, -1] = inputs.pictures.to(pixels)
        return pixels
