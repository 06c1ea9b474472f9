"""Wrong arguments get one clear line; shapes that annotations already rule out in tests are checked here."""

from fractions import Fraction

import pytest
import torch

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_fps, check_same_shape, check_video


def test_videos() -> None:
    check_video("x", torch.zeros(2, 3, 4, 4), min_frames=2)
    check_video("x", torch.zeros(5, 1, 3, 4, 4))
    with pytest.raises(InputError, match=r"x: expected a floating point video .*uint8"):
        check_video("x", torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"x: expected .*\(3, 4, 4\)"):
        check_video("x", torch.zeros(3, 4, 4))
    with pytest.raises(InputError, match="x: needs at least 2 frames, got 1"):
        check_video("x", torch.zeros(1, 3, 4, 4), min_frames=2)
    with pytest.raises(InputError, match="x: has an empty axis"):
        check_video("x", torch.zeros(2, 3, 0, 4))


def test_pairs_and_rates() -> None:
    with pytest.raises(InputError, match=r"x: the two inputs differ in shape: \(2, 3\) and \(2, 4\)"):
        check_same_shape("x", torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(InputError, match="fps: must be a positive number of frames per second, got -1/2"):
        check_fps(Fraction(-1, 2))
