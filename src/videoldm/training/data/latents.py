"""Latents that are encoded once and kept on disk: of rendered clips, and of windows of curated ones.

Those of rendered clips lie in one file a shard of clips. Those of windows are found by a key of everything that they
depend on: a store is a folder of shards, safetensors with the posterior's mean and deviation (16 bits) and the first
frame (bytes) of some windows of one shape, and beside each its index, a JSON file with their keys. A shard is named by
its keys, so shards that several processes write at once do not collide.
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
from videoldm.core.progress import progress
from videoldm.core.random import SampleKey, normal
from videoldm.core.reading import read_tensors, safetensors_errors
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.source import ClipWindow
from videoldm.models.autoencoder.network import Autoencoder

VERSION = 2
"""Version of keys and shards, to be raised when their meaning changes."""


class LatentCache:
    """Raw latents of rendered clips in memory, kept in a file for each shard and encoder."""

    def __init__(self, clips: ClipShards, autoencoder: Autoencoder, cache: Path) -> None:
        folder = cache / f"latents-{weights_hash(autoencoder)}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{shard.parent.name}-{shard.name}" for shard in clips.paths]
        with progress("Encoding clips", total=len(paths)) as advance:
            for shard, path in zip(clips.paths, paths, strict=True):
                if not path.exists():
                    _encode(ClipShards([shard]), autoencoder, path)
                advance(1)
        stored = [read_tensors(path) for path in paths]
        self._mean = torch.cat([part["mean"] for part in stored])
        self._deviation = torch.cat([part["deviation"] for part in stored])

    def draw(self, index: int, seed: int, position: int) -> Float[Tensor, "t c h w"]:
        """Draw the raw latents of one clip from its posterior by the sample's own stream."""
        noise = normal(tuple(self._mean.shape[1:]), seed, "posterior", position)
        return self._mean[index].float() + self._deviation[index].float() * noise


@dataclass(frozen=True)
class EncodedWindow:
    """Posterior of a window, and its first frame as bytes, which is exact: fitted pictures have 8 bits."""

    mean: Float[Tensor, "t c h w"]
    deviation: Float[Tensor, "t c h w"]
    first_frame: UInt8[Tensor, "height width 3"]

    def draw(self, key: SampleKey) -> Float[Tensor, "t c h w"]:
        """Draw raw latents from the posterior by the sample's own stream."""
        seed, *position = key
        return self.mean + self.deviation * normal(tuple(self.mean.shape), seed, "posterior", *position)


class LatentStore:
    """Windows of one folder and one encoder, by their keys.

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
        with safetensors_errors(path):
            for name, rows in self._shards[path].items():
                parts[name] = rows[row]
        return EncodedWindow(parts["mean"].float(), parts["deviation"].float(), parts["first_frame"])

    def write(self, windows: Mapping[str, EncodedWindow]) -> None:
        """Add windows of one shape by their keys; the index is written last, so a shard that has one is whole."""
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


def weights_hash(autoencoder: Autoencoder) -> str:
    """Return a name for the weights of the encoder, made from their content: 16 hexadecimal digits."""
    digest = blake2b(digest_size=8)
    for name, tensor in autoencoder.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def window_key(content: str, window: ClipWindow, encoder: str) -> str:
    """Return a name for a window, made from its frames (source, times, crop, size), the encoder and the format here."""
    bucket = window.bucket
    times = f"{window.start_s} {bucket.num_frames} {bucket.fps}"
    text = f"{VERSION} {encoder} {content} {times} centre {bucket.width}x{bucket.height}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


class _Index(Config):
    version: int
    encoder: str
    keys: tuple[str, ...]


@torch.no_grad()
def _encode(clips: ClipShards, autoencoder: Autoencoder, path: Path) -> None:
    device = next(autoencoder.parameters()).device
    mean, deviation = [], []
    for index in range(len(clips)):
        posterior = autoencoder.encode(clips.pixels(index)[None].to(device))
        mean.append(posterior.mean[0].half().cpu())
        deviation.append(posterior.deviation[0].half().cpu())
    with atomic_file(path) as partial:
        save_file({"mean": torch.stack(mean).contiguous(), "deviation": torch.stack(deviation).contiguous()}, partial)


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
    """Map the tensors of a shard; raise InputError if it is missing or cut off."""
    try:
        with safetensors_errors(path):
            file = safe_open(path, framework="pt").__enter__()
            return {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - the file itself is not a dict
    except InputError as error:
        raise InputError(f"{error}; {_delete(path)}") from None
