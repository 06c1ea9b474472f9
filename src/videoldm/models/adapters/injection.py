"""Adapters that run beside the layers of a network, for training and for weights that change between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from videoldm.core.errors import InputError
from videoldm.models.adapters.low_rank import Adapter, Layer, LoRA, LowRank, adapted_layers, check_weight
from videoldm.models.layers import TemporalConv

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer


def inject(module: nn.Module, adapters: Sequence[Adapter]) -> Injection:
    """Run adapters beside the layers of `module`, whose own parameters stay unchanged and get no gradients.

    Raises InputError if an adapter does not fit, or peft is not installed.
    """
    try:
        import peft
    except ImportError:
        raise InputError("running a LoRA beside the weights needs peft: pip install 'videoldm[train]'") from None
    assert not any(isinstance(child, peft.tuners.lora.LoraLayer) for child in module.modules()), "eject first"
    originals: dict[str, Layer] = {}
    for adapter in adapters:
        originals |= adapted_layers(module, adapter.lora)
    injection = Injection(module, originals, num_adapters=len(adapters))
    for index, adapter in enumerate(adapters):
        _add(module, _name(index), adapter.lora)
    injection.set_weights([adapter.weight for adapter in adapters])
    return injection


class Injection:
    """The adapters inside a module, numbered in the order in which they were given."""

    def __init__(self, module: nn.Module, originals: Mapping[str, Layer], *, num_adapters: int) -> None:
        self._module, self._originals, self._num_adapters = module, originals, num_adapters
        self._requires_grad = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
        self._trained: set[int] = set()

    def set_weights(self, weights: Sequence[float]) -> None:
        """Set the weight of every adapter; with 0 it is not computed, so that outputs are the module's own bits."""
        assert len(weights) == self._num_adapters, f"{len(weights)} weights for {self._num_adapters} adapters"
        for weight in weights:
            check_weight(weight)
        acting = [_name(index) for index, weight in enumerate(weights) if weight != 0]
        for layer in self._wrapped().values():
            layer.set_adapter(acting, inference_mode=True)
            for index, weight in enumerate(weights):
                layer.set_scale(_name(index), weight)
        for index in self._trained:
            self.train(index)

    def train(self, index: int) -> list[Tensor]:
        """Make an adapter trainable, in float32 whatever the module's dtype is, and return its parameters."""
        self._trained.add(index)
        parameters = [matrix for update in self.lora(index).values() for matrix in (update.down, update.up)]
        for parameter in parameters:
            parameter.data = parameter.data.float()
            parameter.requires_grad_()
        return parameters

    def lora(self, index: int) -> LoRA:
        """Return an adapter's updates by the paths of the module; the matrices are the running ones, not copies."""
        from videoldm.models.adapters.peft_layers import holders

        name = _name(index)
        lora: dict[str, LowRank] = {}
        for path, layer in self._wrapped().items():
            if name in layer.lora_A:
                down, up = holders(layer, name)
                lora[path] = LowRank(down=down.weight, up=up.weight, alpha=float(layer.lora_alpha[name]))
        return lora

    def state_dict(self) -> dict[str, Tensor]:
        """Return the module's own tensors under its own names, as if nothing were injected."""
        state = self._module.state_dict()
        return {key.replace(".base_layer.", "."): value for key, value in state.items() if ".lora_" not in key}

    def eject(self) -> None:
        """Restore the module's own layers and the `requires_grad` of its parameters."""
        for path, layer in self._originals.items():
            parent, _, child = path.rpartition(".")
            setattr(self._module.get_submodule(parent), child, layer)
        for name, parameter in self._module.named_parameters():
            parameter.requires_grad_(self._requires_grad[name])

    def _wrapped(self) -> dict[str, LoraLayer]:
        return {path: cast("LoraLayer", self._module.get_submodule(path)) for path in self._originals}


def _name(index: int) -> str:
    return f"adapter_{index}"


def _add(module: nn.Module, name: str, lora: LoRA) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    from videoldm.models.adapters.peft_layers import LowRankConv, holders

    for rank in {update.rank for update in lora.values()}:
        paths = [path for path, update in lora.items() if update.rank == rank]
        config = LoraConfig(r=rank, target_modules=[f"module.{path}" for path in paths])
        # Peft documents this method for public use as experimental.
        config._register_custom_module(  # pyright: ignore[reportPrivateUsage]
            {nn.Conv2d: LowRankConv, TemporalConv: LowRankConv}
        )
        # Peft stores attributes on the module that it is given; adapters on the meta device draw no random numbers.
        inject_adapter_in_model(config, nn.ModuleDict({"module": module}), name, low_cpu_mem_usage=True)
    for path, update in lora.items():
        layer = cast("LoraLayer", module.get_submodule(path))
        layer.lora_alpha[name] = update.alpha
        down, up = holders(layer, name)
        down.weight, up.weight = _copy(update.down, like=layer.weight), _copy(update.up, like=layer.weight)


def _copy(matrix: Tensor, *, like: Tensor) -> nn.Parameter:
    """Copy `matrix` for a layer with the weight `like`, so that training leaves the given LoRA alone."""
    return nn.Parameter(matrix.detach().to(like.device, like.dtype, copy=True), requires_grad=False)
