"""Latents of training clips, encoded once: mean and deviation are stored, so the draw stays fresh in every epoch."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from videoldm.core.files import atomic_file
from videoldm.core.progress import progress
from videoldm.core.random import normal
from videoldm.core.tensors import read_tensors
from videoldm.dataset.clips import ClipShards
from videoldm.models.autoencoder.network import Autoencoder


class LatentCache:
    """Raw latents of clips in memory; each shard's are kept in a file named by the shard and the encoder's weights."""

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
        """Raw latents of one clip, drawn from its posterior by the sample's own stream."""
        noise = normal(tuple(self._mean.shape[1:]), seed, "posterior", position)
        return self._mean[index].float() + self._deviation[index].float() * noise


def weights_hash(autoencoder: Autoencoder) -> str:
    """Names the weights of the encoder by their content: 16 hexadecimal digits."""
    digest = blake2b(digest_size=8)
    for name, tensor in autoencoder.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _encode(clips: ClipShards, autoencoder: Autoencoder, path: Path) -> None:
    device = next(autoencoder.parameters()).device
    mean, deviation = [], []
    for index in range(len(clips)):
        posterior = autoencoder.encode(clips.pixels(index)[None].to(device))
        mean.append(posterior.mean[0].half().cpu())
        deviation.append((0.5 * posterior.log_variance[0]).exp().half().cpu())
    with atomic_file(path) as partial:
        save_file({"mean": torch.stack(mean).contiguous(), "deviation": torch.stack(deviation).contiguous()}, partial)
