from __future__ import annotations

import pytest
import torch
from torch import Tensor

from videoldm.conditioners.given_frames import augment, condition_latent, frame_mask, repeat_over_frames
from videoldm.core.errors import InputError
from videoldm.core.random import generator
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    torch.manual_seed(0)
    config = AutoencoderConfig(channels=(8, 16), num_res_blocks=1, norm_groups=4)
    return Autoencoder(config).eval().requires_grad_(False)


def pixels(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


LEVELS = torch.tensor([0.02, 0.5])


def test_noise_comes_from_the_samples_own_augmentation_stream_at_its_own_level() -> None:
    clean = pixels(2, 1, 3, 8, 6)
    noised = augment(clean, noise_level=LEVELS, samples=[(7,), (8, 3)])
    for row, (level, stream) in enumerate(
        [(0.02, generator(7, "augmentation")), (0.5, generator(8, "augmentation", 3))]
    ):
        expected = clean[row] + level * torch.randn(1, 3, 8, 6, generator=stream)
        torch.testing.assert_close(noised[row], expected, rtol=0, atol=1e-6)


def test_noise_has_the_asked_deviation_and_level_zero_changes_nothing() -> None:
    clean = torch.zeros(2, 2, 3, 64, 64)
    noised = augment(clean, noise_level=torch.tensor([0.0, 0.3]), samples=[(1,), (2,)])
    assert torch.equal(noised[0], clean[0])
    assert noised[1].std().item() == pytest.approx(0.3, rel=0.02)
    assert noised[1].mean().item() == pytest.approx(0, abs=0.01)
    # Frames of one clip have noise of their own.
    assert not torch.equal(noised[1, 0], noised[1, 1])


def test_condition_latent_is_the_unscaled_mode_of_the_noised_frame(autoencoder: Autoencoder) -> None:
    clean = pixels(2, 1, 3, 16, 24)
    latent = condition_latent(autoencoder, clean, noise_level=LEVELS, samples=[(7,), (8,)])
    noised = augment(clean, noise_level=LEVELS, samples=[(7,), (8,)])
    posterior = autoencoder.encode(noised)
    assert torch.equal(latent, posterior.mean)
    assert not torch.equal(latent, autoencoder.encode(clean).mean)


def test_the_same_inputs_give_the_same_bits_and_another_sample_others(autoencoder: Autoencoder) -> None:
    clean = pixels(1, 1, 3, 16, 24)

    def latent(sample: tuple[int, ...]) -> Tensor:
        return condition_latent(autoencoder, clean, noise_level=LEVELS[1:], samples=[sample])

    assert torch.equal(latent((7, 5)), latent((7, 5)))
    for other in ((7,), (7, 6), (8, 5)):
        assert not torch.equal(latent((7, 5)), latent(other))


def test_a_batch_equals_single_runs(autoencoder: Autoencoder) -> None:
    clean, samples = pixels(2, 1, 3, 16, 24), [(7,), (8,)]
    batch = condition_latent(autoencoder, clean, noise_level=LEVELS, samples=samples)
    single = [
        condition_latent(autoencoder, clean[i, None], noise_level=LEVELS[i, None], samples=[samples[i]]) for i in (0, 1)
    ]
    torch.testing.assert_close(batch, torch.cat(single), rtol=0, atol=1e-5)


def test_autocast_does_not_lower_the_precision(autoencoder: Autoencoder) -> None:
    clean = pixels(1, 1, 3, 16, 24)
    plain = condition_latent(autoencoder, clean, noise_level=LEVELS[:1], samples=[(7,)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(condition_latent(autoencoder, clean, noise_level=LEVELS[:1], samples=[(7,)]), plain)


def test_low_precision_pixels_get_the_same_noise_in_their_precision() -> None:
    clean = torch.zeros(1, 1, 3, 8, 8)
    level = torch.tensor([0.5])
    full = augment(clean, noise_level=level, samples=[(3,)])
    half = augment(clean.to(torch.bfloat16), noise_level=level, samples=[(3,)])
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), full, rtol=0.02, atol=0)


def test_every_clip_needs_its_key() -> None:
    with pytest.raises(ValueError, match="2 clips but 1 sample keys"):
        augment(torch.zeros(2, 1, 3, 8, 8), noise_level=LEVELS, samples=[(1,)])


def test_repeating_copies_nothing() -> None:
    latent = pixels(2, 1, 4, 3, 5)
    clip = repeat_over_frames(latent, 14)
    assert clip.shape == (2, 14, 4, 3, 5)
    assert clip.stride(1) == 0
    assert torch.equal(clip[:, 13:], latent)


def test_frame_mask_marks_the_given_frames_of_each_clip() -> None:
    mask = frame_mask([[0, -1], [], [2]], 4)
    assert mask.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    for frame in (4, -5):
        with pytest.raises(InputError, match=f"given frame is {frame}, it should be -4 to 3"):
            frame_mask([[frame]], 4)
