"""What every block of the UNet is told in one forward pass."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BlockConditions:
    """Conditions of the frames of a batch of clips; rows of one clip lie together, in the order of time."""

    num_frames: int
    embedding: Float[Tensor, "bt e"]
    """Noise level and vector condition, after the last SiLU."""
    context: Float[Tensor, "b n d"]
    temporal_context: Float[Tensor, "b m d"]
    image_only: Bool[Tensor, "bt"] | None
