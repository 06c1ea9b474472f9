"""PSNR and SSIM against scikit-image."""

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.fidelity import psnr, ssim


def _pair(noise: float, *, height: int = 40, width: int = 53) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    ramp = torch.linspace(-0.8, 0.8, width).expand(2, 3, 3, height, width)
    video = (ramp + 0.3 * torch.randn(ramp.shape, generator=generator)).clamp(-1, 1)
    return video, (video + noise * torch.randn(ramp.shape, generator=generator)).clamp(-1, 1)


@pytest.mark.parametrize("noise", [0.003, 0.1, 1.0])
def test_psnr_equals_scikit_image_frame_by_frame(noise: float) -> None:
    reference, video = _pair(noise)
    ours = psnr(video, reference)
    assert ours.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            theirs = peak_signal_noise_ratio(reference[i, j].numpy(), video[i, j].numpy(), data_range=2.0)
            assert ours[i, j].item() == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("noise", [0.003, 0.1, 1.0])
def test_ssim_equals_scikit_image_frame_by_frame(noise: float) -> None:
    reference, video = _pair(noise)
    ours = ssim(video, reference)
    for i in range(2):
        for j in range(3):
            theirs = structural_similarity(
                reference[i, j].numpy().astype("float64"),
                video[i, j].numpy().astype("float64"),
                data_range=2.0,
                channel_axis=0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            assert ours[i, j].item() == pytest.approx(theirs, abs=1e-6)


def test_a_video_without_batch_axis_is_measured_per_frame() -> None:
    reference, video = _pair(0.1)
    torch.testing.assert_close(psnr(video[1], reference[1]), psnr(video, reference)[1])
    torch.testing.assert_close(ssim(video[1], reference[1]), ssim(video, reference)[1])


def test_identical_videos_are_perfect_also_where_flat() -> None:
    flat = torch.full((2, 3, 16, 16), 0.7)
    assert torch.isinf(psnr(flat, flat)).all()
    torch.testing.assert_close(ssim(flat, flat), torch.ones(2))


def test_a_constant_offset_has_the_psnr_of_the_definition() -> None:
    black = torch.full((1, 3, 8, 8), -1.0)
    assert psnr(black + 0.2, black).item() == pytest.approx(20.0, abs=1e-4)


def test_frames_smaller_than_the_window_are_refused() -> None:
    video = torch.zeros(2, 3, 16, 16)
    with pytest.raises(InputError, match="at least 11 pixels"):
        ssim(video[..., :10, :], video[..., :10, :])
