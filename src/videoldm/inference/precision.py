"""Networks that compute in 16 bits between samplers that do not."""

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
    """A network that gets its latents and conditions in `dtype`; its answer has the precision of `x` again.

    The noise level stays as it is: networks embed it in float32.
    """

    network: Network
    dtype: torch.dtype

    def __call__(
        self, x: Float[Tensor, "b t c h w"], c_noise: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """See `Network`."""
        return self.network(x.to(self.dtype), c_noise, conditioning.to(dtype=self.dtype)).to(x.dtype)


def in_precision_of(weights: nn.Module, network: Network) -> Network:
    """A network as it is if the module whose weights it uses is in float32, else with its input cast to it."""
    dtype = next(weights.parameters()).dtype
    return network if dtype is torch.float32 else InPrecision(network, dtype)


def precision_of(network: nn.Module) -> Precision:
    """The precision of a network's weights."""
    dtype = next(network.parameters()).dtype
    return next(name for name, value in DTYPES.items() if value is dtype)


def default_precision(device: str) -> Precision:
    """float16 on a GPU, as SVD's official scripts have it; on a CPU bfloat16 where it computes in it, else float32."""
    if device != "cpu":
        return "float16"
    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
