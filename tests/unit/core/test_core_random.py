"""Random streams: stable, independent of each other, and what the hash says."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoldm.core.random import generator, normal, python_random, stream_key


def test_values_never_change() -> None:
    """Stored videos are repeated from their seed, so the streams must stay what they are.

    Golden values. Made by this module on 2026-11-20 (torch 2.13.0, x86-64 with AVX2); self-made, not independent.
    Tolerance 1e-5: the Box-Muller transform's logarithm and cosine differ by rounding between processors.
    """
    golden = torch.tensor([-1.3974645137786865, 0.5555513501167297, 0.18753871321678162, 0.40884891152381897])
    torch.testing.assert_close(normal((4,), 0, "start noise"), golden, atol=1e-5, rtol=0)
    large = normal((2, 3, 32, 32), 7, "augmentation", 5)
    assert float(large[1, 2, 31, 31]) == pytest.approx(-1.8061856031417847, abs=1e-5)
    assert torch.randint(0, 1000, (3,), generator=generator(0, "u")).tolist() == [87, 789, 453]
    assert python_random(0, "order").random() == 0.9544611490466616
    assert python_random(0, "order", 1).randrange(10**6) == 500640
    assert stream_key(0, "order").hex() == "943e7781a21fd7ff6a98cc7ba38d018f40537962dd8dd6afe8e7338dbec2706f"


def test_generator_is_a_mersenne_twister_with_the_hash_as_state() -> None:
    """NumPy's engine, given the same 624 words, is the independent judge."""
    key = hashlib.blake2b(repr((3, "sampler", 1, 2)).encode(), digest_size=32).digest()
    words = np.frombuffer(hashlib.shake_256(key).digest(4 * 624), dtype="<u4")
    engine = np.random.MT19937()
    engine.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    expected = (engine.random_raw(1000) & 0xFFFFFF) / 2**24
    drawn = torch.rand(1000, generator=generator(3, "sampler", 1, 2), dtype=torch.float32)
    np.testing.assert_array_equal(drawn.numpy(), expected.astype(np.float32))


def test_seeds_that_share_their_low_bits_differ() -> None:
    """Torch's own `manual_seed` on the CPU gives equal numbers here."""
    assert not torch.equal(normal((8,), 5, "a"), normal((8,), 5 + 2**32, "a"))


def test_neighbouring_streams_differ_and_are_uncorrelated() -> None:
    ids = list(itertools.product((0, 1, -1), ("a", "b", "a1"), ((), (0,), (1,), (0, 0), (0, 1), (10,))))
    drawn = torch.stack([normal((4000,), seed, stream, *position) for seed, stream, position in ids])
    correlation = torch.corrcoef(drawn) - torch.eye(len(ids))
    assert correlation.abs().max() < 5.5 / 4000**0.5
    assert drawn.mean(dim=1).abs().max() < 5 / 4000**0.5
    assert (drawn.std(dim=1) - 1).abs().max() < 5 / 8000**0.5


def test_first_values_of_consecutive_positions_are_normal() -> None:
    first = torch.stack([normal((1,), 0, "start noise", index) for index in range(2000)]).flatten()
    assert abs(float(first.mean())) < 5 / 2000**0.5
    assert abs(float(first.std()) - 1) < 5 / 4000**0.5


@settings(max_examples=50)
@given(st.integers(), st.text(), st.lists(st.integers(), max_size=3))
def test_same_identity_gives_same_numbers(seed: int, stream: str, position: list[int]) -> None:
    assert torch.equal(normal((20,), seed, stream, *position), normal((20,), seed, stream, *position))
    assert python_random(seed, stream, *position).random() == python_random(seed, stream, *position).random()


def test_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = normal((5,), 0, "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(normal((5,), 0, "a"), first)


def test_lower_precision_is_the_same_noise_rounded() -> None:
    assert torch.equal(normal((50,), 0, "a", dtype=torch.bfloat16), normal((50,), 0, "a").bfloat16())
    assert normal((50,), 0, "a").dtype == torch.float32


def test_number_types_do_not_matter() -> None:
    assert stream_key(True, "a", np.int64(2)) == stream_key(1, "a", 2)
    with pytest.raises((TypeError, ValueError)):
        stream_key("zero", "a")


def test_python_streams_need_no_torch() -> None:
    code = (
        "import sys; from videoldm.core.random import python_random as r; r(0, ''); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
