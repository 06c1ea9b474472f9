"""Where networks are while they do not work."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
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
        try:
            self.fill[network]()
            yield
        finally:
            network.to("meta")
            _give_back()


def _give_back() -> None:
    """Return what was freed to the system: glibc keeps blocks of less than 32 MiB, other libraries do not."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


ALL_STAY = Residence()
