"""The autoencoder between pixels and raw latents, and the distribution of latents that its encoder returns."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.core.errors import InputError
from videoldm.models.autoencoder.coders import Decoder, Encoder
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.layers import fold_frames, unfold_frames


class Autoencoder(nn.Module):
    """Map pixels in [-1, 1] to raw latents and back.

    Latents here are raw; a diffusion model sees them times `config.scaling_factor`.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, pixels: Float[Tensor, "b t c h w"]) -> Posterior:
        """Encode every frame on its own.

        Raises InputError if height or width is not a multiple of the autoencoder's factor.
        """
        height, width = pixels.shape[-2:]
        factor = self.config.factor
        if height % factor or width % factor or not height or not width:
            raise InputError(f"cannot encode a picture of {width}x{height} pixels: sides must be multiples of {factor}")
        patches = F.pixel_unshuffle(fold_frames(pixels), self.config.patch_size)
        return Posterior.from_moments(unfold_frames(self.encoder(patches), pixels.shape[1]))

    def decode(self, latents: Float[Tensor, "b t z h w"]) -> Float[Tensor, "b t c hf wf"]:
        """Decode raw latents; a temporal decoder treats each row of the batch as one clip."""
        num_frames = latents.shape[1]
        patches = self.decoder(fold_frames(latents), num_frames)
        return unfold_frames(F.pixel_shuffle(patches, self.config.patch_size), num_frames).contiguous()

    def forward(self, pixels: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Encode and decode without drawing from the posterior."""
        return self.decode(self.encode(pixels).mode())


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

    @property
    def deviation(self) -> Float[Tensor, "b t c h w"]:
        """Standard deviation of each latent."""
        return (0.5 * self.log_variance).exp()

    def mode(self) -> Float[Tensor, "b t c h w"]:
        """Return the most likely latents."""
        return self.mean

    def draw(self, noise: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Return the latents drawn with the given standard normal noise."""
        return self.mean + self.deviation * noise

    def kl(self) -> Float[Tensor, "b t c h w"]:
        """Return the divergence from the standard normal distribution, in nats per element."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)
