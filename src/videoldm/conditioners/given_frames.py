"""Given frames as a condition; fills `Conditioning.concat` and `Conditioning.frame_mask`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.core.random import SampleKey, normal_batch

AUGMENTATION = "augmentation"


class LatentDistribution(Protocol):
    """The distribution of latents that an encoder returns."""

    def mode(self) -> Tensor:
        """Return the most likely latents."""
        ...


class LatentEncoder(Protocol):
    """The encoder of an autoencoder: from pixels `b t c h w` in [-1, 1] to raw latents."""

    def encode(self, pixels: Tensor) -> LatentDistribution:
        """Encode every frame on its own."""
        ...


def condition_latent(
    autoencoder: LatentEncoder,
    pixels: Float[Tensor, "b t 3 h w"],
    *,
    noise_level: Float[Tensor, " b"],
    samples: Sequence[SampleKey],
) -> Float[Tensor, "b t c h_latent w_latent"]:
    """Encode frames with noise added to raw latents (posterior mode, not scaled); SVD, D.4.

    Training and sampling both call this: the same pixels, level and sample key give the same bits. It never runs in
    lower precision than the autoencoder's weights, even under autocast.
    """
    noised = augment(pixels, noise_level=noise_level, samples=samples)
    with torch.autocast(pixels.device.type, enabled=False):
        return autoencoder.encode(noised).mode()


def augment(
    pixels: Float[Tensor, "b t c h w"], *, noise_level: Float[Tensor, " b"], samples: Sequence[SampleKey]
) -> Float[Tensor, "b t c h w"]:
    """Add Gaussian noise of each clip's own level to pixels, drawn from the clip's own stream on the CPU."""
    if len(samples) != len(pixels):
        raise ValueError(f"{len(pixels)} clips but {len(samples)} sample keys")
    noise = normal_batch(tuple(pixels.shape[1:]), samples, AUGMENTATION)
    level = noise_level.to(pixels)[:, None, None, None, None]
    return pixels + level * noise.to(pixels)


def repeat_over_frames(latents: Float[Tensor, "b 1 c h w"], num_frames: int) -> Float[Tensor, "b t c h w"]:
    """Repeat the latent for each frame of the clip, as an expanded view."""
    return latents.expand(-1, num_frames, -1, -1, -1)


def frame_mask(given: Sequence[Sequence[int]], num_frames: int) -> Float[Tensor, "b t"]:
    """Return 1 where a frame is given, 0 elsewhere; `given` lists the frames of each clip, -1 for the last one.

    Raises InputError for a frame outside the clip.
    """
    mask = torch.zeros(len(given), num_frames)
    for row, frames in enumerate(given):
        for frame in frames:
            if not -num_frames <= frame < num_frames:
                raise InputError(f"given frame is {frame}, it should be {-num_frames} to {num_frames - 1}")
            mask[row, frame] = 1
    return mask
