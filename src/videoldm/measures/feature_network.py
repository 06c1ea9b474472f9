"""A small video network whose features and classes stand in for large pretrained ones; read and written as a folder.

It is residual over space and time, with one classification head for each property.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file, write_json
from videoldm.core.reading import read_tensors
from videoldm.measures.arguments import check_video
from videoldm.measures.config import FeatureNetworkCard, FeatureNetworkConfig, HeadAccuracy

CARD_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class VideoFeatures:
    """Output of the network for a batch of videos."""

    embedding: Float[Tensor, "b d"]
    """One vector for each video, for the Frechet distance."""
    frame_embeddings: Float[Tensor, "b t e"]
    """One vector for each frame, for the temporal consistency."""
    maps: tuple[Tensor, ...]
    """Activations after each level, `b t c h w`, for the perceptual distance."""
    logits: Mapping[str, Tensor]
    """`b classes` for each head."""


class FeatureNetwork(nn.Module):
    """Maps videos to features, activation maps and class logits.

    accuracy: accuracy of each head on clips it was not trained on; it is stored with the weights and belongs beside
    every number that this network gives.
    """

    def __init__(
        self,
        config: FeatureNetworkConfig,
        *,
        accuracy: Mapping[str, HeadAccuracy] | None = None,
        measured_on: str = "",
    ) -> None:
        super().__init__()
        self.config = config
        self.accuracy = dict(accuracy or {})
        self.measured_on = measured_on
        widths = config.widths
        self.stem = _Stem(widths[0])
        self.levels = nn.ModuleList(
            _Level(widths[max(i - 1, 0)], width, config, has_stride=i > 0) for i, width in enumerate(widths)
        )
        self.embed = nn.Linear(5 * widths[-1], config.embedding_width)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.embedding_width, len(classes)) for name, classes in config.heads.items()}
        )

    def forward(self, pixels: Float[Tensor, "b t 3 h w"]) -> VideoFeatures:
        """Compute features of videos with pixels in [-1, 1] and at least two frames, which are resized to squares."""
        x = self.stem(self._frames(pixels))
        maps: list[Tensor] = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        embedding = self.embed(_pooled(x))
        hidden = F.silu(embedding)
        return VideoFeatures(
            embedding=embedding,
            frame_embeddings=x.mean(dim=(3, 4)),
            maps=tuple(maps),
            logits={name: head(hidden) for name, head in self.heads.items()},
        )

    @torch.no_grad()
    def judge(self, pixels: Float[Tensor, "b t 3 h w"]) -> list[dict[str, str]]:
        """Return the most likely class name of each head, for each video."""
        logits = self(pixels).logits
        columns = {name: values.argmax(dim=1).tolist() for name, values in logits.items()}
        return [
            {name: self.config.heads[name][indices[i]] for name, indices in columns.items()} for i in range(len(pixels))
        ]

    def _frames(self, pixels: Tensor) -> Tensor:
        check_video("FeatureNetwork", pixels, min_frames=2)
        if pixels.ndim != 5 or pixels.shape[2] != 3:
            raise InputError(f"FeatureNetwork: expected pixels 'b t 3 h w', got {tuple(pixels.shape)}")
        side = self.config.frame_px
        if pixels.shape[-2:] == (side, side):
            return pixels
        frames = F.interpolate(pixels.flatten(0, 1), size=(side, side), mode="bilinear", antialias=True)
        return frames.unflatten(0, pixels.shape[:2])


def save_feature_network(folder: Path, network: FeatureNetwork, *, weights_dtype: torch.dtype = torch.float32) -> None:
    """Write `config.json` (the card) and `model.safetensors` to `folder`; a 16-bit `weights_dtype` halves the file."""
    weights = {
        name: value.detach().to("cpu", weights_dtype).contiguous() for name, value in network.state_dict().items()
    }
    card = FeatureNetworkCard(network=network.config, accuracy=network.accuracy, measured_on=network.measured_on)
    with atomic_file(folder / WEIGHTS_NAME) as partial:
        save_file(weights, partial)
    write_json(folder / CARD_NAME, card.model_dump(mode="json"))


def load_feature_network(folder: Path) -> FeatureNetwork:
    """Read the network in `folder`: float32, on the CPU, in evaluation mode and without gradients.

    Raises InputError if a file is missing, unreadable or does not fit the other.
    """
    card = read_config(folder / CARD_NAME, FeatureNetworkCard)
    network = FeatureNetwork(card.network, accuracy=card.accuracy, measured_on=card.measured_on)
    path = folder / WEIGHTS_NAME
    stored = read_tensors(path)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if {name: tuple(value.shape) for name, value in stored.items()} != expected:
        raise InputError(f"{path}: its tensors do not fit {CARD_NAME} beside it")
    network.load_state_dict(stored)
    return network.eval().requires_grad_(False)


def _pooled(x: Tensor) -> Tensor:
    """Pool to the mean of each quarter of the frame, as a zoom moves them apart, and the maximum, for small objects."""
    overall = x.mean(dim=1)
    return torch.cat([F.adaptive_avg_pool2d(overall, 2).flatten(1), x.amax(dim=(3, 4)).mean(dim=1)], dim=1)


class _Stem(nn.Module):
    """Reduces to a quarter of the size, from each frame, its differences to both neighbours and pixel coordinates.

    Motion of a fraction of a pixel is visible only at full resolution, hence the neighbours; a zoom differs from a pan
    only in how motion depends on the position, hence the coordinates.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(3 * 12 + 2, width, 5, stride=2, padding=2)

    def forward(self, video: Tensor) -> Tensor:
        batch, num_frames, _, height, width = video.shape
        patches = F.pixel_unshuffle(video.flatten(0, 1), 2).unflatten(0, (batch, num_frames))
        before = torch.cat([patches[:, :1], patches[:, :-1]], dim=1)
        after = torch.cat([patches[:, 1:], patches[:, -1:]], dim=1)
        rows = torch.linspace(-1, 1, height // 2, dtype=video.dtype, device=video.device)
        columns = torch.linspace(-1, 1, width // 2, dtype=video.dtype, device=video.device)
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(batch, num_frames, -1, -1, -1)
        stacked = torch.cat([patches, patches - before, after - patches, place], dim=2)
        return self.look(stacked.flatten(0, 1)).unflatten(0, (batch, num_frames))


class _Level(nn.Module):
    """Residual blocks at one resolution, after a strided convolution to it."""

    def __init__(self, in_width: int, width: int, config: FeatureNetworkConfig, *, has_stride: bool) -> None:
        super().__init__()
        self.enter = nn.Conv2d(in_width, width, 3, stride=2, padding=1) if has_stride else nn.Identity()
        self.blocks = nn.ModuleList(_Block(width, width // config.norm_group_width) for _ in range(config.num_blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        for block in self.blocks:
            x = block(x)
        return x


class _Block(nn.Module):
    """A spatial and then a temporal convolution, each added to its input."""

    def __init__(self, width: int, num_groups: int) -> None:
        super().__init__()
        self.space_norm = nn.GroupNorm(num_groups, width)
        self.space = nn.Conv2d(width, width, 3, padding=1)
        self.time_norm = nn.GroupNorm(num_groups, width)
        self.time = nn.Conv2d(width, width, (3, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, num_frames, _, height, width = x.shape
        frames = x.flatten(0, 1)
        frames = frames + self.space(F.silu(self.space_norm(frames)))
        normed = F.silu(self.time_norm(frames)).unflatten(0, (batch, num_frames))
        lines = normed.transpose(1, 2).flatten(3)
        # Padding by repetition, not by zeros, gives a still clip the same features in all frames.
        lines = torch.cat([lines[:, :, :1], lines, lines[:, :, -1:]], dim=2)
        mixed = self.time(lines).unflatten(3, (height, width)).transpose(1, 2)
        return frames.unflatten(0, (batch, num_frames)) + mixed
