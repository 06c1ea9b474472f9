"""Fidelity to a reference: peak signal-to-noise ratio and structural similarity."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_same_shape, check_video

_DATA_RANGE = 2.0
"""Peak-to-peak range of pixels in [-1, 1]."""
_WINDOW_SIGMA = 1.5
_WINDOW_SIZE = 11
_K1, _K2 = 0.01, 0.03


def psnr(
    video: Float[Tensor, "*batch t c h w"], reference: Float[Tensor, "*batch t c h w"]
) -> Float[Tensor, "*batch t"]:
    """Compute the PSNR of every frame in dB; higher is closer, identical frames give infinity.

    Pixels in [-1, 1], so the peak is 2. The PSNR of a clip is the mean over its frames.
    """
    check_video("psnr", video)
    check_same_shape("psnr", video, reference)
    squared_error = (video.double() - reference.double()).square().mean(dim=(-3, -2, -1))
    return (10 * torch.log10(_DATA_RANGE**2 / squared_error)).float()


def ssim(
    video: Float[Tensor, "*batch t c h w"], reference: Float[Tensor, "*batch t c h w"]
) -> Float[Tensor, "*batch t"]:
    """Compute the SSIM of every frame, the mean over channels and window positions inside the frame; at most 1.

    Pixels in [-1, 1]; higher is closer. Gaussian 11 x 11 window, sigma 1.5, population covariance, as in Wang et al.
    2004, "Image Quality Assessment: From Error Visibility to Structural Similarity". Raises InputError for frames
    smaller than the window.
    """
    check_video("ssim", video)
    check_same_shape("ssim", video, reference)
    if min(video.shape[-2:]) < _WINDOW_SIZE:
        raise InputError(f"ssim: frames must be at least {_WINDOW_SIZE} pixels, got {tuple(video.shape[-2:])}")
    x, y = _as_planes(video), _as_planes(reference)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = _window_mean(x * x) - mean_x * mean_x
    variance_y = _window_mean(y * y) - mean_y * mean_y
    covariance = _window_mean(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * _DATA_RANGE) ** 2, (_K2 * _DATA_RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    per_plane = (luminance * structure).mean(dim=(-2, -1))
    return per_plane.reshape(video.shape[:-2]).mean(dim=-1).float()


def _as_planes(video: Tensor) -> Tensor:
    # float64: variances are differences of nearly equal numbers where a frame is flat.
    return video.double().reshape(-1, 1, *video.shape[-2:])


def _window_mean(planes: Tensor) -> Tensor:
    offsets = torch.arange(_WINDOW_SIZE, dtype=planes.dtype, device=planes.device) - _WINDOW_SIZE // 2
    weights = torch.exp(-0.5 * (offsets / _WINDOW_SIGMA) ** 2)
    weights = weights / weights.sum()
    rows = F.conv2d(planes, weights.reshape(1, 1, -1, 1))
    return F.conv2d(rows, weights.reshape(1, 1, 1, -1))
