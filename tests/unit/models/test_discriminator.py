import pytest
import torch
from pydantic import ValidationError
from tiny_networks import numbers, randomise, relative_error

from videoldm.core.errors import InputError
from videoldm.models.discriminator.config import DiscriminatorConfig
from videoldm.models.discriminator.network import Discriminator, decoder_hinge_loss, discriminator_hinge_loss

CONFIG = DiscriminatorConfig(channels=(4, 8, 8), norm_groups=4)


@pytest.fixture(scope="module")
def discriminator():
    return randomise(Discriminator(CONFIG))


@pytest.mark.parametrize(("num_frames", "side", "patches"), [(1, 12, 1), (5, 16, 2), (2, 32, 6)])
@torch.no_grad()
def test_one_logit_for_each_patch_at_each_time(discriminator, num_frames, side, patches):
    assert discriminator(numbers(2, num_frames, 3, side, side)).shape == (2, num_frames, patches, patches)


def test_frames_below_a_patch_are_refused(discriminator):
    with pytest.raises(InputError, match="frames have 16x11 pixels, this discriminator needs at least 12 a side"):
        discriminator(numbers(1, 2, 3, 11, 16))


@torch.no_grad()
def test_clips_are_judged_on_their_own(discriminator):
    clips = numbers(3, 4, 3, 16, 16)
    alone = torch.cat([discriminator(clip[None]) for clip in clips])
    assert relative_error(discriminator(clips), alone) < 1e-5


@torch.no_grad()
def test_order_in_time_counts_and_a_still_clip_looks_the_same_throughout(discriminator):
    clip = numbers(1, 4, 3, 16, 16)
    assert relative_error(discriminator(clip.flip(1)).flip(1), discriminator(clip)) > 1e-3
    still = clip[:, :1].expand(-1, 5, -1, -1, -1)
    logits = discriminator(still)
    assert relative_error(logits, logits[:, :1].expand_as(logits)) < 1e-5


def test_hinge_losses():
    real, decoded = torch.tensor([[2.0, 0.5], [-1.0, 1.0]]), torch.tensor([[-3.0, 1.0], [0.0, 0.0]])
    assert discriminator_hinge_loss(real, decoded).tolist() == [0.5 * (0.25 + 1.0), 0.5 * (1.0 + 1.0)]
    assert decoder_hinge_loss(decoded).tolist() == [1.0, 0.0]


def test_widths_must_fit_their_groups():
    with pytest.raises(ValidationError, match="must be multiples of norm_groups = 32"):
        DiscriminatorConfig(channels=(64, 100))
