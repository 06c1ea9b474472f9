"""The networks of a checkpoint before they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import nn

from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.loading import Readable, check_shapes, load
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")
M_co = TypeVar("M_co", bound=nn.Module, covariant=True)
C_contra = TypeVar("C_contra", contravariant=True)


class Network(Protocol[M_co, C_contra]):
    """The class of a network."""

    def __call__(self, config: C_contra, /) -> M_co:
        """Build it with random weights."""
        ...


@dataclass(frozen=True, kw_only=True)
class Part(Generic[M, C]):
    """One network: its class and sizes, where its tensors lie and what they are called there.

    source: how errors call it.
    """

    source: str
    network: Network[M, C]
    config: C
    tensors: Mapping[str, Readable]
    key_map: KeyMap

    def check(self) -> list[str]:
        """Raise InputError if any tensor is missing, unexpected or misshapen; return the keys that are not needed."""
        expected = self.key_map.foreign_shapes(self.empty().state_dict())
        return check_shapes(self.tensors, expected, self.key_map.droppable, source=self.source)

    def empty(self) -> M:
        """The network, for evaluation, without memory for its weights."""
        with torch.device("meta"):
            return self.network(self.config).eval()

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> M:
        """The network with its weights, for evaluation; see `load` for errors."""
        module = self.empty()
        self.fill(module, dtype=dtype, device=device)
        return module

    def fill(self, module: M, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> None:
        """Read the weights into a network that `empty` made; see `load` for errors."""
        load(module, self.tensors, self.key_map, source=self.source, dtype=dtype, device=device)


UNetPart = Part[VideoUNet, UNetConfig]
AutoencoderPart = Part[Autoencoder, AutoencoderConfig]
