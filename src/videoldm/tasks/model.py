"""A video model in memory: the networks of one task with their conditioners."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import nn

from videoldm.conditioners.image import ImageConditioner
from videoldm.conditioners.text import TextConditioner
from videoldm.diffusion.denoiser import Denoiser, Network, Preconditioned
from videoldm.inference.config import ALL_IN_MEMORY, MemoryPlan, Reuse
from videoldm.inference.memory.residence import ALL_STAY, Residence
from videoldm.inference.precision import in_precision_of
from videoldm.inference.reuse import ReusingUNet
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.registry import task_named


@dataclass(frozen=True, kw_only=True)
class VideoModel:
    """All that one task needs; a conditioner that the task does not use is None."""

    config: TaskModelConfig
    # Printed networks would fill several screens.
    unet: VideoUNet = field(repr=False)
    autoencoder: Autoencoder = field(repr=False)
    text: TextConditioner | None = field(default=None, repr=False)
    temporal_text: TextConditioner | None = field(default=None, repr=False)
    """Text conditioner of the temporal layers; None for `text`."""
    image: ImageConditioner | None = field(default=None, repr=False)
    place: torch.device | None = None
    """Where the networks compute; None for where the UNet is."""
    memory: MemoryPlan = ALL_IN_MEMORY
    residence: Residence = field(default=ALL_STAY, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self.place or next(self.unet.parameters()).device

    def at_work(self, network: nn.Module) -> AbstractContextManager[None]:
        """One of the networks has its weights inside the context."""
        return self.residence.at_work(network)

    @property
    def has_one_token(self) -> bool:
        """Whether the context is a single token, so that attention over it has nothing to choose from."""
        return task_named(self.config.task).has_one_token

    @property
    def denoiser(self) -> Denoiser:
        """The UNet as a denoiser of model latents."""
        return self._denoiser(self.unet)

    def denoiser_for_run(self, reuse: Reuse | None) -> Denoiser:
        """The denoiser of one sampling run; with `reuse` it is not exact."""
        return self._denoiser(self.unet if reuse is None else ReusingUNet(self.unet, reuse))

    @property
    def text_conditioner(self) -> TextConditioner:
        """The text conditioner; the task must be one that reads text."""
        assert self.text is not None, f"{self.config.task} has no text encoder"
        return self.text

    @property
    def image_conditioner(self) -> ImageConditioner:
        """The image conditioner; the task must be one that sees a picture."""
        assert self.image is not None, f"{self.config.task} has no image encoder"
        return self.image

    def to_model_latents(self, raw: torch.Tensor) -> torch.Tensor:
        """Raw latents to those that are denoised."""
        return raw * self.autoencoder.config.scaling_factor

    def to_raw_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Denoised latents to those that the decoder reads, in its precision."""
        raw = latents / self.autoencoder.config.scaling_factor
        return raw.to(next(self.autoencoder.parameters()).dtype)

    def _denoiser(self, network: Network) -> Denoiser:
        return Preconditioned(in_precision_of(self.unet, network), self.config.preconditioning)
