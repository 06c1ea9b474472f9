"""Named random streams: every draw is a function of (seed, stream name, position) and of nothing else."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SampleKey = tuple[int, ...]
"""A sample's seed, then its position if one seed covers many samples, as in training."""

_ENGINE_WORDS = 624
_ENGINE_HEADER_BYTES = 24
_ENGINE_STATE_BYTES = 5056


def generator(seed: int, stream: str, *position: int) -> torch.Generator:
    """Return a CPU generator for draw number `position` of the stream named `stream`.

    Different seeds, names or positions give unrelated numbers. Torch's own `manual_seed` uses only 32 bits of its
    argument, so that many of a million samples would share their noise; here the hash fills the whole state of the
    Mersenne Twister.
    """
    import torch

    key = stream_key(seed, stream, *position)
    result = torch.Generator(device="cpu").manual_seed(int.from_bytes(key[:8], "little"))
    state = result.get_state()
    assert state.numel() == _ENGINE_STATE_BYTES, f"torch {torch.__version__} has another CPU generator"
    words = torch.frombuffer(bytearray(hashlib.shake_256(key).digest(4 * _ENGINE_WORDS)), dtype=torch.uint8)
    engine = state[_ENGINE_HEADER_BYTES : _ENGINE_HEADER_BYTES + 8 * _ENGINE_WORDS].view(_ENGINE_WORDS, 8)
    engine[:, :4] = words.view(_ENGINE_WORDS, 4)
    return result.set_state(state)


def normal(
    shape: tuple[int, ...], seed: int, stream: str, *position: int, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Draw standard normal numbers of `shape` on the CPU; `dtype` None means float32.

    They are drawn in float32 and then cast, so that runs in different precisions start from the same noise.
    """
    import torch

    drawn = torch.randn(shape, generator=generator(seed, stream, *position), dtype=torch.float32)
    return drawn.to(dtype or torch.float32)


def normal_batch(shape: tuple[int, ...], samples: Sequence[SampleKey], stream: str) -> torch.Tensor:
    """Draw standard normal numbers of `shape` for each sample from its own stream, stacked (float32, on the CPU)."""
    import torch

    return torch.stack([normal(shape, seed, stream, *position) for seed, *position in samples])


@contextmanager
def seeded_initialisation(seed: int, stream: str) -> Generator[None]:
    """Initialise the modules built inside the context from a named stream; restores torch's own state afterwards.

    Modules initialise themselves from torch's global generator, which nothing else here touches.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.random.set_rng_state(generator(seed, stream).get_state())
        yield


def python_random(seed: int, stream: str, *position: int) -> random.Random:
    """Return a torch-free generator of the named stream, for choices, shuffles and single numbers."""
    return random.Random(int.from_bytes(stream_key(seed, stream, *position), "little"))


def stream_key(seed: int, stream: str, *position: int) -> bytes:
    """Return 32 bytes that identify one draw; integers may have any size and sign."""
    text = repr((int(seed), str(stream), *(int(index) for index in position)))
    return hashlib.blake2b(text.encode(), digest_size=32).digest()
