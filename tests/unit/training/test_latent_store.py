"""Encoded windows on disk: found by all that they depend on, and refused where they are broken."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from videoldm.core.errors import InputError
from videoldm.dataset.config import Bucket
from videoldm.dataset.source import ClipWindow
from videoldm.training.data.latents import EncodedWindow, LatentStore, window_key

BUCKET = Bucket(height=16, width=24, num_frames=3, fps=Fraction(6), batch_size=2)
WINDOW = ClipWindow(BUCKET, Fraction(1, 3))


def encoded(seed: int) -> EncodedWindow:
    draw = torch.Generator().manual_seed(seed)
    mean, deviation = torch.randn(2, 3, 4, 2, 3, generator=draw).abs().half().float()
    return EncodedWindow(mean, deviation, torch.randint(0, 256, (16, 24, 3), generator=draw, dtype=torch.uint8))


def assert_same(left: EncodedWindow, right: EncodedWindow) -> None:
    for name in ("mean", "deviation", "first_frame"):
        torch.testing.assert_close(getattr(left, name), getattr(right, name), rtol=0, atol=0)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """The only shard of a store, without its ending."""
    LatentStore(tmp_path, "e").write({"a": encoded(1), "b": encoded(2)})
    [path] = tmp_path.glob("*.safetensors")
    return path.with_suffix("")


def test_what_was_written_is_read_by_key(shard: Path) -> None:
    store = LatentStore(shard.parent, "e")
    store.write({"d": encoded(4)})
    for found in (store, LatentStore(shard.parent, "e")):
        assert_same(found["b"], encoded(2))
        assert_same(found["d"], encoded(4))
        assert [key in found for key in "abdx"] == [True, True, True, False]


@pytest.mark.parametrize(
    "other",
    [
        window_key("other source", WINDOW, "e"),
        window_key("source", WINDOW, "other encoder"),
        window_key("source", replace(WINDOW, start_s=Fraction(1, 2)), "e"),
        *(
            window_key("source", replace(WINDOW, bucket=BUCKET.model_copy(update={name: value})), "e")
            for name, value in {"height": 24, "width": 16, "num_frames": 4, "fps": Fraction(5)}.items()
        ),
    ],
)
def test_keys_depend_on_what_is_encoded(other: str) -> None:
    assert window_key("source", WINDOW, "e") != other


def test_keys_do_not_depend_on_how_batches_are_made() -> None:
    bucket = BUCKET.model_copy(update={"batch_size": 9, "probability": 0.1})
    assert window_key("source", WINDOW, "e") == window_key("source", replace(WINDOW, bucket=bucket), "e")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda shard: os.truncate(shard.with_suffix(".safetensors"), 300), "cannot be read as safetensors"),
        (lambda shard: shard.with_suffix(".safetensors").unlink(), "cannot be read as safetensors"),
        (lambda shard: shard.with_suffix(".json").write_text("{"), "is broken"),
        (lambda shard: change(shard, version=0), "of another encoder or version"),
        (lambda shard: change(shard, encoder="f"), "of another encoder or version"),
        (lambda shard: change(shard, keys=["b", "a"]), "does not fit its index"),
        (lambda shard: change(shard, keys=["a"]), "does not fit its index"),
    ],
)
def test_stale_and_broken_shards_name_what_to_do(shard: Path, spoil, message: str) -> None:
    spoil(shard)
    with pytest.raises(InputError, match=message) as caught:
        LatentStore(shard.parent, "e")
    assert f"delete {shard}.*" in str(caught.value)
    assert "\n" not in str(caught.value)


def change(shard: Path, **values: object) -> None:
    path = shard.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
