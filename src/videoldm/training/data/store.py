"""Encoded windows of clips on disk, found by a key of everything that they depend on.

A store is a folder of shards: safetensors with the posterior's mean and deviation (16 bits) and the first frame (bytes)
of some windows of one shape, and beside each its index, a JSON file with their keys. A shard is named by its keys, so
shards that processes write at once do not collide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from videoldm.core.config import Config, read_config
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file, remove_partials, write_json
from videoldm.core.random import SampleKey, normal
from videoldm.core.tensors import reading_tensors
from videoldm.dataset.source import Window

VERSION = 2
"""To be raised when keys or shards change their meaning."""


@dataclass(frozen=True)
class EncodedWindow:
    """A window's posterior, and the first frame as bytes, which is exact: fitted pictures have 8 bits."""

    mean: Float[Tensor, "t c h w"]
    deviation: Float[Tensor, "t c h w"]
    first_frame: UInt8[Tensor, "height width 3"]

    def draw(self, key: SampleKey) -> Float[Tensor, "t c h w"]:
        """Raw latents from the posterior, by the sample's own stream."""
        seed, *position = key
        return self.mean + self.deviation * normal(tuple(self.mean.shape), seed, "posterior", *position)


class _Index(Config):
    version: int
    encoder: str
    keys: tuple[str, ...]


def window_key(content: str, window: Window, encoder: str) -> str:
    """Names a window by its frames (source, times, crop and size), the encoder's weights and the format here."""
    bucket = window.bucket
    times = f"{window.start_s} {bucket.num_frames} {bucket.fps}"
    text = f"{VERSION} {encoder} {content} {times} centre {bucket.width}x{bucket.height}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


class LatentStore:
    """Reads the windows of one folder, of one encoder.

    Raises InputError for a shard that is broken, or of another encoder or version, with what to do.
    """

    def __init__(self, folder: Path, encoder: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        remove_partials(folder)
        self._folder, self._encoder = folder, encoder
        self._places: dict[str, tuple[Path, int]] = {}
        self._shards: dict[Path, dict[str, Any]] = {}
        for path in sorted(folder.glob("*.json")):
            self._add(path.with_suffix(".safetensors"))

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> EncodedWindow:
        path, row = self._places[key]
        parts: dict[str, Tensor] = {}
        with reading_tensors(path):
            for name, rows in self._shards[path].items():
                parts[name] = rows[row]
        return EncodedWindow(parts["mean"].float(), parts["deviation"].float(), parts["first_frame"])

    def write(self, windows: Mapping[str, EncodedWindow]) -> None:
        """Add windows of one shape by their keys; the index comes last, so that a shard with one is whole."""
        index = _Index(version=VERSION, encoder=self._encoder, keys=tuple(windows))
        path = self._folder / f"{_name(index)}.safetensors"
        with atomic_file(path) as partial:
            save_file(_stacked(list(windows.values())), partial)
        write_json(path.with_suffix(".json"), index.model_dump(mode="json"))
        self._add(path)

    def _add(self, path: Path) -> None:
        index_path = path.with_suffix(".json")
        try:
            index = read_config(index_path, _Index)
        except InputError:
            raise InputError(f"{index_path}: is broken: {_delete(path)}") from None
        if (index.version, index.encoder) != (VERSION, self._encoder):
            raise InputError(f"{index_path}: is of another encoder or version of this program: {_delete(path)}")
        self._shards[path] = _slices(path)
        is_whole = all(part.get_shape()[0] == len(index.keys) for part in self._shards[path].values())
        if _name(index) != path.stem or not is_whole:
            raise InputError(f"{path}: does not fit its index: {_delete(path)}")
        self._places |= {key: (path, row) for row, key in enumerate(index.keys)}


def _stacked(windows: Sequence[EncodedWindow]) -> dict[str, Tensor]:
    return {
        "mean": torch.stack([one.mean for one in windows]).half().contiguous(),
        "deviation": torch.stack([one.deviation for one in windows]).half().contiguous(),
        "first_frame": torch.stack([one.first_frame for one in windows]).contiguous(),
    }


def _name(index: _Index) -> str:
    return blake2b(" ".join(index.keys).encode(), digest_size=12).hexdigest()


def _delete(path: Path) -> str:
    return f"delete {path.with_suffix('')}.*, and its clips are encoded again"


def _slices(path: Path) -> dict[str, Any]:
    """A shard's tensors, mapped; raises InputError if it is missing or cut off."""
    try:
        with reading_tensors(path):
            file = safe_open(path, framework="pt").__enter__()
            return {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - the file itself is no dict
    except InputError as error:
        raise InputError(f"{error}; {_delete(path)}") from None
