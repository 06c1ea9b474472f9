"""The contract that networks, wrappers and samplers share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning


@runtime_checkable
class Denoiser(Protocol):
    """D(x; sigma): the best guess of the clean latents x0, given x = x0 + sigma n with n ~ N(0, I).

    Preconditioning, guidance and task tricks are wrappers that keep this signature; samplers and losses need no other.
    """

    def __call__(
        self, x: Float[Tensor, "b t c h w"], sigma: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Denoise a batch of clips, each at its own level."""
        ...


@runtime_checkable
class Network(Protocol):
    """F(x; c_noise): the raw network, whose input and output preconditioning scales."""

    def __call__(
        self, x: Float[Tensor, "b t c h w"], c_noise: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Predict whatever the preconditioning makes x0 from."""
        ...


def over_clip(values: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1 1 1"]:
    """View one value a clip so that it multiplies `b t c h w`."""
    return values.view(-1, 1, 1, 1, 1)
