"""The contract of denoisers and networks, and preconditioning, which turns a network into a denoiser.

D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) (SVD, D.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import EDM, DiscreteEps, DiscreteV, Preconditioning, VPrediction
from videoldm.diffusion.schedules import nearest_index


@runtime_checkable
class Denoiser(Protocol):
    """D(x; sigma): an estimate of the clean latents x0, given x = x0 + sigma n with n ~ N(0, I).

    Preconditioning, guidance and task-specific tricks are wrappers that keep this signature; samplers and losses need
    no other.
    """

    def __call__(
        self, x: Float[Tensor, "b t c h w"], sigma: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Denoise a batch of clips, each at its own noise level."""
        ...


@runtime_checkable
class Network(Protocol):
    """F(x; c_noise): the raw network, with inputs and outputs scaled by preconditioning."""

    def __call__(
        self, x: Float[Tensor, "b t c h w"], c_noise: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Predict the quantity from which preconditioning computes x0."""
        ...


def over_clip(values: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1 1 1"]:
    """View one value for each clip so that it broadcasts against `b t c h w`."""
    return values.view(-1, 1, 1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Scalings:
    """The four coefficients of a preconditioning, one value for each clip."""

    c_skip: Float[Tensor, " b"]
    c_out: Float[Tensor, " b"]
    c_in: Float[Tensor, " b"]
    c_noise: Float[Tensor, " b"]


def scalings(preconditioning: Preconditioning, sigma: Float[Tensor, " b"]) -> Scalings:
    """Compute the coefficients at `sigma` (SVD, D.1; EDM, table 1)."""
    match preconditioning:
        case VPrediction():
            return _v_scalings(sigma, c_noise=sigma.log() / 4)
        case DiscreteV():
            return _v_scalings(sigma, c_noise=nearest_index(sigma).to(sigma.dtype))
        case DiscreteEps():
            return Scalings(
                c_skip=sigma.new_ones(sigma.shape),
                c_out=-sigma,
                c_in=(sigma**2 + 1).rsqrt(),
                c_noise=nearest_index(sigma).to(sigma.dtype),
            )
        case EDM(sigma_data=sigma_data):
            variance = sigma**2 + sigma_data**2
            return Scalings(
                c_skip=sigma_data**2 / variance,
                c_out=sigma * sigma_data * variance.rsqrt(),
                c_in=variance.rsqrt(),
                c_noise=sigma.log() / 4,
            )
        case _:
            assert_never(preconditioning)


def _v_scalings(sigma: Float[Tensor, " b"], *, c_noise: Float[Tensor, " b"]) -> Scalings:
    c_in = (sigma**2 + 1).rsqrt()
    return Scalings(c_skip=c_in**2, c_out=-sigma * c_in, c_in=c_in, c_noise=c_noise)


@dataclass(frozen=True)
class Preconditioned:
    """A denoiser: a network with its preconditioning.

    The result has at least the precision of `x`: a network that computes in 16 bits should cast its input itself.
    """

    network: Network
    preconditioning: Preconditioning

    def __call__(
        self, x: Float[Tensor, "b t c h w"], sigma: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Denoise `x`."""
        c = scalings(self.preconditioning, sigma)
        output = self.network(over_clip(c.c_in) * x, c.c_noise, conditioning)
        return over_clip(c.c_skip) * x + over_clip(c.c_out) * output


def network_target(
    preconditioning: Preconditioning,
    x: Float[Tensor, "b t c h w"],
    x0: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, " b"],
) -> Float[Tensor, "b t c h w"]:
    """Return the output of the network at `x` for which the denoiser returns `x0`.

    With x = x0 + sigma n this is n for eps and (n - sigma x0) / sqrt(1 + sigma^2) for v.
    """
    c = scalings(preconditioning, sigma)
    return (x0 - over_clip(c.c_skip) * x) / over_clip(c.c_out)
