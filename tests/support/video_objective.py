"""A tiny video UNet that learns to denoise made-up latents, all of which follow from (seed, position)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tiny_networks import UNET, randomise

from videoldm.core.random import generator, normal
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import KarrasToZero, LogNormal, VPrediction, VWeighting
from videoldm.diffusion.denoiser import Preconditioned, over_clip
from videoldm.diffusion.distillation import consistency_target, segments_of
from videoldm.diffusion.loss import denoising_loss, weighted_distance
from videoldm.diffusion.noise import draw_sigmas
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet
from videoldm.training.objective import Losses, Objective, Player

CONFIG = UNET.model_copy(
    update={"concat_channels": 0, "channels": (8,), "attention_levels": (False,), "head_channels": 4, "norm_groups": 2}
)
"""With one transformer, in the middle; layers of several processes take their time one by one."""
FRAMES, SIZE = 2, 4
SHAPE = (FRAMES, CONFIG.in_channels, SIZE, SIZE)
SEGMENTS = segments_of(KarrasToZero(sigma_min=0.1, sigma_max=10), num_steps=2, size=2)


class VideoObjective(Objective):
    """Every draw is recorded in `drawn`, as (position, a number of its noise)."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.unet = randomise(VideoUNet(CONFIG)).to(dtype)
        self._dtype = dtype
        self.drawn: list[tuple[int, float]] = []

    @property
    def players(self) -> list[Player]:
        """The UNet."""
        return [Player("unet", self.unet, self.losses, blocks=self.unet.blocks)]

    def losses(self, positions: Sequence[int]) -> Losses:
        """See `denoising_loss`."""
        x0, noise = self._numbers(SHAPE, "data", positions), self._numbers(SHAPE, "noise", positions)
        self.drawn += [(position, float(one.flatten()[0])) for position, one in zip(positions, noise, strict=True)]
        levels = LogNormal(p_mean=0.0, p_std=1.0)
        sigma = draw_sigmas(levels, [generator(0, "level", position) for position in positions]).to(self._dtype)
        conditioning = self._conditioning(positions)
        denoiser = Preconditioned(self.unet, VPrediction())
        loss = denoising_loss(denoiser, x0, sigma, noise, conditioning, weighting=VWeighting())
        return Losses(per_sample=loss, sigma=sigma)

    def validate(self, folder: Path) -> dict[str, float]:
        """The loss of fixed samples."""
        return {"loss": float(self.losses(range(10_000, 10_004)).per_sample.mean())}

    def export(self, folder: Path) -> None:
        """Write the weights."""
        torch.save(self.unet.state_dict(), folder / "weights.pt")

    def group_of(self, parameter: str) -> str:
        """Temporal or spatial."""
        return "temporal" if is_temporal(parameter) else "spatial"

    def _conditioning(self, positions: Sequence[int]) -> Conditioning:
        return Conditioning(
            context=self._numbers((2, CONFIG.context_dim), "context", positions),
            vector=self._numbers((FRAMES, CONFIG.vector_dim), "vector", positions),
        )

    def _numbers(self, shape: tuple[int, ...], stream: str, positions: Sequence[int]) -> torch.Tensor:
        return torch.stack([normal(shape, 0, stream, position) for position in positions]).to(self._dtype)


class StudentObjective(VideoObjective):
    """The same UNet as a student, whose target takes a call of itself without gradients; its teacher shrinks clips."""

    def losses(self, positions: Sequence[int]) -> Losses:
        """See `consistency_target`."""
        start = torch.tensor([position % SEGMENTS.num_starts for position in positions])
        sigma = SEGMENTS.sigmas[start].to(self._dtype)
        x = self._numbers(SHAPE, "data", positions) + over_clip(sigma) * self._numbers(SHAPE, "noise", positions)
        conditioning, student = self._conditioning(positions), Preconditioned(self.unet, VPrediction())
        target = consistency_target(_shrunk, x, start, SEGMENTS, conditioning, finish=student)
        loss = weighted_distance(student(x, sigma, conditioning), target, sigma, weighting=VWeighting())
        return Losses(per_sample=loss, sigma=sigma)


def _shrunk(x: torch.Tensor, sigma: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
    return x / over_clip(1 + sigma**2)
