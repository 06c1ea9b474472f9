"""Where networks are while they do not work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import nn


@dataclass(frozen=True)
class Residence:
    """Networks that are in memory only while they work, each with the function that reads its weights; others stay."""

    fill: Mapping[nn.Module, Callable[[], object]] = field(default_factory=dict[nn.Module, Callable[[], object]])

    @contextmanager
    def at_work(self, network: nn.Module) -> Generator[None]:
        """The network has its weights inside the context."""
        if network not in self.fill:
            yield
            return
        self.fill[network]()
        try:
            yield
        finally:
            network.to("meta")


ALL_STAY = Residence()
