"""Networks of a checkpoint before their weights are read, and strict loading of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedModel

from videoldm.checkpoints.keymap import KeyMap, Shape
from videoldm.checkpoints.storage.safetensors import LazyTensor
from videoldm.core.errors import InputError
from videoldm.core.progress import notice
from videoldm.core.wording import are, counted
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.models.clip.encoders import number_positions
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet

M = TypeVar("M", bound=nn.Module)
E = TypeVar("E", bound=PreTrainedModel)
C = TypeVar("C")
M_co = TypeVar("M_co", bound=nn.Module, covariant=True)
C_contra = TypeVar("C_contra", contravariant=True)

SHOWN_KEYS = 5
"""Limit of the keys that an error names."""


class NetworkBuilder(Protocol[M_co, C_contra]):
    """A function or class that builds a network."""

    def __call__(self, config: C_contra, /) -> M_co:
        """Build the network with random weights."""
        ...


@dataclass(frozen=True, kw_only=True)
class Part(Generic[M, C]):
    """One network: how it is built, its stored tensors, and their names.

    source: its name in errors.
    """

    source: str
    network: NetworkBuilder[M, C]
    config: C
    tensors: Mapping[str, LazyTensor]
    key_map: KeyMap

    def check(self) -> list[str]:
        """Raise InputError if any tensor is missing, unexpected or misshapen; return the keys that are not needed."""
        expected = self.key_map.foreign_shapes(self.empty().state_dict())
        return check_shapes(self.tensors, expected, self.key_map.droppable, source=self.source)

    def empty(self) -> M:
        """Build the network on the meta device, in evaluation mode."""
        with torch.device("meta"):
            return self.network(self.config).eval()

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> M:
        """Build the network and read its weights, in evaluation mode; raises InputError as `load_weights` does."""
        module = self.empty()
        self.fill(module, dtype=dtype, device=device)
        return module

    def fill(self, module: M, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> None:
        """Read the weights into a network that `empty` built; raises InputError as `load_weights` does."""
        load_weights(module, self.tensors, self.key_map, source=self.source, dtype=dtype, device=device)


UNetPart = Part[VideoUNet, UNetConfig]
AutoencoderPart = Part[Autoencoder, AutoencoderConfig]


@dataclass(frozen=True)
class ClipEncoder(Generic[E, C]):
    """A CLIP encoder of transformers before its weights are read."""

    part: Part[E, C]

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> E:
        """Build the encoder and read its weights, frozen and by default in float32."""
        model = self.empty()
        self.fill(model, dtype=dtype, device=device)
        return model

    def empty(self) -> E:
        """Build the encoder on the meta device, frozen."""
        return self.part.empty().requires_grad_(False)

    def fill(self, model: E, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> None:
        """Read the weights into an encoder that `empty` built, by default in float32."""
        self.part.fill(model, dtype=dtype or torch.float32, device=device)
        number_positions(model, device=device)


ImageEncoder = ClipEncoder[CLIPVisionModelWithProjection, ImageEncoderConfig]
TextEncoder = ClipEncoder[CLIPTextModel, TextEncoderConfig]


def load_weights(
    module: nn.Module,
    tensors: Mapping[str, LazyTensor],
    key_map: KeyMap,
    *,
    source: str,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> list[str]:
    """Replace all weights of `module`, which may be on the meta device, and return the keys that were dropped.

    Each tensor is read, cast and moved before the next, so that only one is in memory beside the weights; `dtype` None
    keeps the stored precision. Raises InputError, which begins with `source`, if tensors are missing, unexpected or of
    another shape, in which case the module is unchanged, and for values that are not finite.
    """
    expected = key_map.foreign_shapes(module.state_dict())
    dropped = check_shapes(tensors, expected, key_map.droppable, source=source)
    for foreign_key, tensor in tensors.items():
        if foreign_key not in expected:
            continue
        value = tensor.read()
        _check_finite(foreign_key, value, source)
        for key, part in key_map.native_parts(foreign_key, value.to(device=device, dtype=dtype)).items():
            _put(module, key, part)
    return dropped


def check_shapes(
    tensors: Mapping[str, LazyTensor], expected: Mapping[str, Shape], droppable: tuple[str, ...], *, source: str
) -> list[str]:
    """Compare what is stored with what is needed; return the keys that are known and not needed.

    Raises InputError, which begins with `source`, if tensors are missing, unexpected, misshapen or quantised.
    """
    extra = [key for key in tensors if key not in expected]
    problems = {
        "missing": [key for key in expected if key not in tensors],
        "unexpected": [key for key in extra if not key.startswith(droppable)],
        "misshapen": [
            f"{key} is {tensors[key].shape} instead of {shape}"
            for key, shape in expected.items()
            if key in tensors and tensors[key].shape != shape
        ],
    }
    for key in expected:
        if key in tensors and not tensors[key].dtype.is_floating_point:
            dtype = str(tensors[key].dtype).removeprefix("torch.")
            raise InputError(f"{source}: {key} is stored as {dtype}; quantised weights are not supported")
    if any(problems.values()):
        raise InputError(f"{source}: {'; '.join(_listing(*problem) for problem in problems.items() if problem[1])}")
    return extra


def report_dropped(source: str, dropped: Sequence[str]) -> None:
    """Report in one line the tensors of a checkpoint that are skipped, if any."""
    if dropped:
        tensors = f"{counted(len(dropped), 'tensor')} {are(len(dropped))}"
        notice(f"{source}: {tensors} not needed and skipped ({dropped[0]}, ...)")


def _check_finite(key: str, value: Tensor, source: str) -> None:
    if not value.is_floating_point() or not value.numel():
        return
    low, high = (value.float() if value.dtype.itemsize == 1 else value).aminmax()
    if not (low.isfinite() and high.isfinite()):
        raise InputError(f"{source}: {key} holds NaN or infinite values, the file is damaged")


def _put(module: nn.Module, key: str, value: Tensor) -> None:
    path, _, name = key.rpartition(".")
    owner = module.get_submodule(path)
    old = getattr(owner, name)
    setattr(owner, name, nn.Parameter(value, old.requires_grad) if isinstance(old, nn.Parameter) else value)


def _listing(kind: str, items: list[str]) -> str:
    more = f" and {len(items) - SHOWN_KEYS} more" if len(items) > SHOWN_KEYS else ""
    return f"{len(items)} {kind} ({', '.join(items[:SHOWN_KEYS])}{more})"
