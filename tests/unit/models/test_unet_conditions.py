import math

import pytest
import torch
from tiny_networks import numbers

from videoldm.models.unet.conditions import sinusoids


@pytest.mark.parametrize(
    ("value", "dim", "cosines", "sines"),
    [
        (6, 256, [0.96017, 0.765001, 0.46479], [-0.279415, -0.644029, -0.885421]),
        (127, 256, [0.232359, 0.364341, -0.999764], []),
        (0.02, 256, [0.9998], [0.019999]),
        (0.25 * math.log(700), 320, [-0.066924, 0.024639, 0.110904], [0.997758, 0.999696, 0.993831]),
    ],
)
def test_values_of_the_published_model(value, dim, cosines, sines):
    embedded = sinusoids(torch.tensor([float(value)]), dim)[0]
    assert torch.allclose(embedded[: len(cosines)], torch.tensor(cosines), atol=2e-6)
    assert torch.allclose(embedded[dim // 2 : dim // 2 + len(sines)], torch.tensor(sines), atol=2e-6)


def test_shape_and_odd_sizes():
    values = numbers(2, 3)
    assert sinusoids(values, 7).shape == (2, 3, 7)
    assert torch.equal(sinusoids(values, 7)[..., :6], sinusoids(values, 6))
    assert not sinusoids(values, 7)[..., 6].any()


def test_the_period_is_that_of_the_slowest_sinusoid():
    slow = sinusoids(torch.tensor([1.0]), 200, period=100.0)[0, -1]
    assert slow.item() == pytest.approx(math.sin(100 ** -(99 / 100)), rel=1e-4)
