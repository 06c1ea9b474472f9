"""The stateless order of training samples: a function of the seed and the number of samples seen."""

from functools import lru_cache

import torch
from torch import Tensor

from videoldm.core.random import generator


def sample_index(seed: int, position: int, num_items: int, *, stream: str = "data order") -> int:
    """Index of the item that training visits at `position` samples, in `[0, num_items)`.

    Each epoch visits every item once in an order of its own. Nothing is stored between calls, so a resumed run,
    or one with another batch size, continues the same sequence.
    """
    epoch, offset = divmod(position, num_items)
    return int(_epoch_order(seed, stream, epoch, num_items)[offset])


@lru_cache(maxsize=64)
def _epoch_order(seed: int, stream: str, epoch: int, num_items: int) -> Tensor:
    return torch.randperm(num_items, generator=generator(seed, stream, epoch))
