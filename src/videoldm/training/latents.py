"""Latents of training clips, encoded once: mean and deviation are stored, so the draw stays fresh in every epoch."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from videoldm.core.files import atomic_file
from videoldm.core.progress import progress
from videoldm.core.random import normal
from videoldm.dataset.clips import ClipShards
from videoldm.models.autoencoder.network import Autoencoder

CLIPS_PER_PART = 64


class LatentCache:
    """Raw latents of clips in memory, kept in a folder whose name is a hash of the clips and the encoder's weights."""

    def __init__(self, clips: ClipShards, autoencoder: Autoencoder, cache: Path) -> None:
        folder = cache / f"latents-{_key(clips, autoencoder)}"
        folder.mkdir(parents=True, exist_ok=True)
        parts = range(0, len(clips), CLIPS_PER_PART)
        with progress("Encoding clips", total=len(parts)) as advance:
            for start in parts:
                path = folder / f"{start:08d}.safetensors"
                if not path.exists():
                    _encode_part(clips, autoencoder, start, path)
                advance(1)
        stored = [load_file(folder / f"{start:08d}.safetensors") for start in parts]
        self._mean = torch.cat([part["mean"] for part in stored])
        self._deviation = torch.cat([part["deviation"] for part in stored])

    def draw(self, index: int, seed: int, position: int) -> Float[Tensor, "t c h w"]:
        """Raw latents of one clip, drawn from its posterior by the sample's own stream."""
        noise = normal(tuple(self._mean.shape[1:]), seed, "posterior", position)
        return self._mean[index].float() + self._deviation[index].float() * noise


def _key(clips: ClipShards, autoencoder: Autoencoder) -> str:
    digest = blake2b(clips.folder.name.encode(), digest_size=8)
    for name, tensor in autoencoder.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _encode_part(clips: ClipShards, autoencoder: Autoencoder, start: int, path: Path) -> None:
    device = next(autoencoder.parameters()).device
    mean, deviation = [], []
    for index in range(start, min(start + CLIPS_PER_PART, len(clips))):
        posterior = autoencoder.encode(clips.pixels(index)[None].to(device))
        mean.append(posterior.mean[0].half().cpu())
        deviation.append((0.5 * posterior.log_variance[0]).exp().half().cpu())
    with atomic_file(path) as partial:
        save_file({"mean": torch.stack(mean).contiguous(), "deviation": torch.stack(deviation).contiguous()}, partial)
