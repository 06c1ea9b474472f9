"""Peak signal-to-noise ratio."""

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.measures.arguments import check_same_shape, check_video

DATA_RANGE = 2.0
"""Peak-to-peak range of pixels in [-1, 1]."""


def psnr(
    video: Float[Tensor, "*batch t c h w"], reference: Float[Tensor, "*batch t c h w"]
) -> Float[Tensor, "*batch t"]:
    """PSNR of every frame in dB; higher is closer, identical frames give infinity.

    Pixels in [-1, 1], so the peak is 2. The PSNR of a clip is the mean over its frames.
    """
    check_video("psnr", video)
    check_same_shape("psnr", video, reference)
    squared_error = (video.double() - reference.double()).square().mean(dim=(-3, -2, -1))
    return (10 * torch.log10(DATA_RANGE**2 / squared_error)).float()
