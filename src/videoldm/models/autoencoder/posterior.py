"""The distribution of latents that the encoder gives."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """A diagonal normal distribution of raw latents."""

    mean: Float[Tensor, "b t c h w"]
    log_variance: Float[Tensor, "b t c h w"]

    @classmethod
    def from_moments(cls, moments: Float[Tensor, "b t m h w"]) -> Posterior:
        """Split the encoder's output; the log variance is clamped to [-30, 20]."""
        mean, log_variance = moments.chunk(2, dim=2)
        return cls(mean, log_variance.clamp(-30, 20))

    def mode(self) -> Float[Tensor, "b t c h w"]:
        """Return the most likely latents."""
        return self.mean

    def draw(self, noise: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """The latents that standard normal noise stands for."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Float[Tensor, "b t c h w"]:
        """Return the divergence from the standard normal distribution, in nats per element."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)
