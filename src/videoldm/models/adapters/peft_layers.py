"""Layers for peft, which does not know our convolutions."""

from typing import Any, cast

from jaxtyping import Float
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F


class LowRankConv(nn.Module, LoraLayer):
    """A convolution over space or time with low-rank updates beside it.

    The convolution itself runs the `down` matrices in place of its weight, so that padding and stride are its own.
    """

    def __init__(self, base_layer: nn.Module, adapter_name: str, *, config: Any, r: int, **options: Any) -> None:
        super().__init__()
        LoraLayer.__init__(self, base_layer)
        # Peft makes linear layers here, which only hold the matrices; `injection` replaces these by a convolution's.
        self.update_layer(adapter_name, r, config=config, **options)

    def _get_in_out_features(self, module: nn.Module) -> tuple[int, int]:
        out_channels, in_channels, *_ = cast("Tensor", module.weight).shape
        return in_channels, out_channels

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c_out y2 x2"]:
        """Convolve frames `n c h w`, or clips `b c t s` along `t`."""
        result = self.base_layer(x)
        dtype = result.dtype
        for name in self.active_adapters:
            if name in self.lora_A:
                down, up = (holder.weight for holder in holders(self, name))
                weights = {"weight": down, "bias": down.new_zeros(down.shape[0])}
                narrow: Tensor = functional_call(self.base_layer, weights, (x.to(down.dtype),))
                result = result + F.conv2d(narrow, up.flatten(1)[..., None, None]) * self.scaling[name]
        return result.to(dtype)


def holders(layer: LoraLayer, name: str) -> tuple[nn.Linear, nn.Linear]:
    """Return the modules whose weights are an adapter's `down` and `up`."""
    return cast("nn.Linear", layer.lora_A[name]), cast("nn.Linear", layer.lora_B[name])
