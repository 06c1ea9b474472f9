"""Classifier-free guidance: D = D_u + w (D_c - D_u) (SVD, D.2 and D.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import Constant, FrameScale, Guidance, LinearOverFrames, Trapezoid, Triangle
from videoldm.diffusion.denoiser import Denoiser

Drop = Callable[[Conditioning], Conditioning]
"""Removes a condition from a conditioning, which gives the unconditional branch."""


def drop_image(conditioning: Conditioning) -> Conditioning:
    """Zero context, concatenated latents and their mask, and keep the vector: SVD's unconditional branch."""
    return drop_frames(conditioning.zeros("context", "temporal_context"))


def drop_frames(conditioning: Conditioning) -> Conditioning:
    """Zero the given frames and their mask and keep the text: Video-LDM's branch without context frames (sec. 3.2)."""
    return conditioning.zeros("concat", "frame_mask")


def use_context(context: Float[Tensor, "1 n d"], temporal: Float[Tensor, "1 m d"] | None = None) -> Drop:
    """Return a `Drop` that replaces the context by other tokens, usually those of the empty prompt.

    temporal: tokens of the temporal layers; None for the same.
    """

    def drop_text(conditioning: Conditioning) -> Conditioning:
        if conditioning.context is None:
            raise ValueError("guidance: the conditioning has no context to replace")
        given = conditioning.context
        tokens, temporal_tokens = (
            None if one is None else one.to(given).expand(len(given), -1, -1) for one in (context, temporal)
        )
        return conditioning.replace(context=tokens, temporal_context=temporal_tokens)

    return drop_text


@dataclass(frozen=True)
class Guided:
    """A denoiser under classifier-free guidance.

    drop: returns the unconditional conditioning. With `drop_frames` this is Video-LDM's context guidance. Wrappers
    nest, one for each condition that is guided separately.
    The two branches are evaluated one after the other, in half the memory of one batch of both; where all scales are 1
    the unconditional one is skipped.
    """

    denoise: Denoiser
    guidance: Guidance
    _: KW_ONLY
    drop: Drop = drop_image

    def __call__(
        self, x: Float[Tensor, "b t c h w"], sigma: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Denoise `x`."""
        scales = scales_at(self.guidance, sigma, x.shape[1])
        if bool((scales == 1).all()):
            return self.denoise(x, sigma, conditioning)
        without = self.denoise(x, sigma, self.drop(conditioning))
        given = self.denoise(x, sigma, conditioning)
        return without + scales[:, :, None, None, None] * (given - without)


def scales_at(guidance: Guidance, sigma: Float[Tensor, " b"], num_frames: int) -> Float[Tensor, "b t"]:
    """Return the scale w of each frame; 1 for clips whose noise level lies outside the interval."""
    scales = frame_scales(guidance.scale, num_frames).to(sigma).expand(len(sigma), -1)
    if guidance.interval is None:
        return scales
    inside = (guidance.interval.lo < sigma) & (sigma <= guidance.interval.hi)
    return torch.where(inside[:, None], scales, 1.0)


def frame_scales(scale: FrameScale, num_frames: int) -> Float[Tensor, " t"]:
    """Return the scale of each frame of a clip (float32, on the CPU).

    A single frame gets the first frame's scale, under a trapezoid the plateau's: clips shorter than 1 / edge are all
    plateau.
    """
    match scale:
        case Constant():
            return torch.full((num_frames,), scale.scale)
        case LinearOverFrames():
            return torch.linspace(scale.min_scale, scale.max_scale, num_frames)
        case Triangle():
            position = torch.linspace(0, 1, num_frames)
            height = 1 - (2 * position - 1).abs()
            return scale.min_scale + (scale.max_scale - scale.min_scale) * height
        case Trapezoid():
            rise = torch.linspace(scale.min_scale, scale.max_scale, int(num_frames * scale.edge))
            plateau = torch.full((num_frames - 2 * len(rise),), scale.max_scale)
            return torch.cat([rise, plateau, rise.flip(0)])
        case _:
            assert_never(scale)
