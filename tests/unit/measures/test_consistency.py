"""Temporal consistency."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.temporal import consecutive_feature_distance, estimated_warping_error, temporal_consistency


def test_feature_distance_is_the_mean_of_cosine_distances() -> None:
    features = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [0.0, 3.0], [0.0, -1.0]], [[1.0, 1.0]] * 4])
    torch.testing.assert_close(consecutive_feature_distance(features), torch.tensor([(1 + 0 + 2) / 3, 0.0]))
    with pytest.raises(InputError, match="at least 2 frames"):
        consecutive_feature_distance(features[:, :1])


def test_temporal_consistency_joins_warping_and_features(moving_texture: Callable[..., Tensor]) -> None:
    clip = moving_texture(lambda i, x, y: (x - i, y), num_frames=3)
    without = temporal_consistency(clip)
    torch.testing.assert_close(without.warping_error, estimated_warping_error(clip))
    assert without.feature_distance is None
    both = temporal_consistency(clip, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    assert both.feature_distance is not None
    assert both.feature_distance.item() == pytest.approx(0.5)
