"""Image to video: the picture's CLIP token as context, its noised latent beside the noise of every frame (SVD, D.4)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.frames import condition_latent, repeat_over_frames
from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core.random import generator
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import CONDITION_AUGMENTATION
from videoldm.diffusion.noise import draw_sigmas
from videoldm.tasks.model import VideoModel
from videoldm.tasks.task import Inputs, TrainingClips, signal_vector

AUGMENTATION_LEVEL = "augmentation level"


class ImageToVideo:
    """See `Task`."""

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """First frame, frame rate and measured motion of each clip; noise levels as in SVD, D.4."""
        levels = draw_sigmas(
            CONDITION_AUGMENTATION,
            [generator(seed, AUGMENTATION_LEVEL, *position) for seed, *position in clips.samples],
        )
        return Inputs(
            samples=clips.samples,
            pictures=clips.first_frames,
            fps=[float(record.fps) for record in clips.records],
            motion_bucket=[bucket_of_motion(record.motion) for record in clips.records],
            noise_level=levels.tolist(),
        )

    def conditioning(self, model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
        """Context from the clean picture, raw latent from the noised one, and the signals."""
        assert inputs.pictures is not None, "image-to-video needs pictures"
        pictures = inputs.pictures.to(model.device)
        with model.at_work(model.autoencoder):
            latent = condition_latent(
                model.autoencoder,
                pictures[:, None].to(next(model.autoencoder.parameters()).dtype),
                noise_level=torch.tensor(inputs.noise_level),
                samples=inputs.samples,
            )
        with model.at_work(model.image_conditioner.model):
            context = model.image_conditioner(pictures)
        return Conditioning(
            context=context,
            vector=signal_vector(model, inputs, num_frames=num_frames),
            concat=repeat_over_frames(latent, num_frames),
        )

    def null_context(self, model: VideoModel) -> Float[Tensor, "1 n d"] | None:
        """None: SVD's unconditional branch has zeros for the token and the latent."""
        del model
        return None

    def finish(self, inputs: Inputs, pixels: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t 3 h w"]:
        """All frames as they are."""
        del inputs
        return pixels
