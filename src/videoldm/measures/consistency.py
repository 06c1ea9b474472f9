"""Temporal consistency of a video."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.config import FarnebackConfig
from videoldm.measures.warping import estimated_warping_error


@dataclass(frozen=True, kw_only=True)
class TemporalConsistency:
    """Consistency of clips; lower is more consistent for both numbers.

    A still picture scores 0 on both, so they mean something only beside the clip's motion.
    """

    warping_error: Float[Tensor, "*batch"]
    """Mean absolute pixel difference along estimated flow, in [0, 2]."""
    feature_distance: Float[Tensor, "*batch"] | None
    """Mean cosine distance between the features of consecutive frames, in [0, 2]; None if no features were given."""


def consecutive_feature_distance(frame_features: Float[Tensor, "*batch t d"]) -> Float[Tensor, "*batch"]:
    """Mean of 1 - cosine similarity between the features of consecutive frames."""
    num_frames = frame_features.shape[-2]
    if num_frames < 2:
        raise InputError(f"consecutive_feature_distance: needs at least 2 frames, got {num_frames}")
    unit = frame_features.float()
    unit = unit / unit.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    similarity = (unit[..., 1:, :] * unit[..., :-1, :]).sum(dim=-1)
    return (1 - similarity).mean(dim=-1)


def temporal_consistency(
    video: Float[Tensor, "*batch t c h w"],
    frame_features: Float[Tensor, "*batch t d"] | None = None,
    config: FarnebackConfig | None = None,
) -> TemporalConsistency:
    """Warping error along estimated flow, and the mean change of the features from frame to frame if they are given."""
    return TemporalConsistency(
        warping_error=estimated_warping_error(video, config),
        feature_distance=None if frame_features is None else consecutive_feature_distance(frame_features),
    )
