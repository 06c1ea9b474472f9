"""Precision of networks: 16-bit networks between samplers that compute in float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Network
from videoldm.inference.config import Precision

DTYPES: Mapping[Precision, torch.dtype] = MappingProxyType(
    {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
)


@dataclass(frozen=True)
class InPrecision:
    """A network that receives latents and conditions in `dtype` and returns its output in the precision of `x`.

    The noise level is not cast, as networks embed it in float32.
    """

    network: Network
    dtype: torch.dtype

    def __call__(
        self, x: Float[Tensor, "b t c h w"], c_noise: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Return the network's output for inputs cast to `dtype`."""
        return self.network(x.to(self.dtype), c_noise, conditioning.to(dtype=self.dtype)).to(x.dtype)


def in_precision_of(weights: nn.Module, network: Network) -> Network:
    """Return the network, with inputs cast to the precision of `weights` unless they are float32."""
    dtype = next(weights.parameters()).dtype
    return network if dtype is torch.float32 else InPrecision(network, dtype)


def precision_of(network: nn.Module) -> Precision:
    """Return the precision of a network's weights."""
    dtype = next(network.parameters()).dtype
    return next(name for name, value in DTYPES.items() if value is dtype)


def default_precision(device: str) -> Precision:
    """Return float16 on a GPU, as in SVD's official scripts; on a CPU bfloat16 if it supports that, else float32."""
    if device != "cpu":
        return "float16"
    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
