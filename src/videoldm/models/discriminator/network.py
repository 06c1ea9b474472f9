"""A patch-wise discriminator of videos, which tells real from decoded pictures and motion."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.core.errors import InputError
from videoldm.models.discriminator.config import DiscriminatorConfig

SLOPE = 0.2
INITIAL_STD = 0.02
KERNEL_PX = 4


class VideoConv(nn.Module):
    """A convolution over time and space; the end frames repeat, so that a still clip looks the same at its ends."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_frames: int, stride_px: int) -> None:
        super().__init__()
        self._halo = kernel_frames // 2
        kernel, stride = (kernel_frames, KERNEL_PX, KERNEL_PX), (1, stride_px, stride_px)
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, stride, padding=(0, 1, 1))
        nn.init.normal_(self.conv.weight, std=INITIAL_STD)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c2 t h2 w2"]:
        """Convolve clips along time, height and width."""
        ends = (0, 0, 0, 0, self._halo, self._halo)
        return self.conv(F.pad(clips, ends, mode="replicate"))


class Discriminator(nn.Module):
    """Map videos to one logit for each patch of space at each time, positive for what looks real.

    The 3-D counterpart of the PatchGAN discriminator (Isola et al. 2017, "Image-to-Image Translation with Conditional
    Adversarial Networks"), with group norm in the place of batch norm, so that a clip's logits do not depend on the
    others in its batch. There is no second discriminator of single frames, which did not help.
    (Video LDM, section 3.1.1 and its ablation)
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.pixel_channels, *config.channels)
        last = len(config.channels) - 1
        self.convs = nn.ModuleList(
            VideoConv(narrow, wide, kernel_frames=config.kernel_frames, stride_px=1 if level == last else 2)
            for level, (narrow, wide) in enumerate(pairwise(widths))
        )
        # The first level has no norm: the statistics of the pixels themselves tell real from decoded.
        self.norms = nn.ModuleList(nn.GroupNorm(config.norm_groups, width) for width in config.channels[1:])
        self.judge = VideoConv(config.channels[-1], 1, kernel_frames=config.kernel_frames, stride_px=1)

    def forward(self, pixels: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t h2 w2"]:
        """Judge clips of any length, one frame included, with pixels in [-1, 1].

        Raises InputError if a frame is smaller than one patch.
        """
        smallest = self.config.smallest_side_px
        if min(pixels.shape[-2:]) < smallest:
            height, width = pixels.shape[-2:]
            raise InputError(
                f"frames have {width}x{height} pixels, this discriminator needs at least {smallest} a side"
            )
        maps = F.leaky_relu(self.convs[0](pixels.transpose(1, 2)), SLOPE)
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            maps = F.leaky_relu(norm(conv(maps)), SLOPE)
        return self.judge(maps).squeeze(1)


def discriminator_hinge_loss(real: Float[Tensor, "b ..."], decoded: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    """Return the discriminator's loss for each clip, from its logits for both versions; 0 beyond a margin of 1.

    (Lim and Ye 2017, "Geometric GAN", with the halves of latent diffusion)
    """
    return 0.5 * (_mean(F.relu(1 - real)) + _mean(F.relu(1 + decoded)))


def decoder_hinge_loss(decoded: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
    """Return the decoder's loss for each clip, from the discriminator's logits."""
    return -_mean(decoded)


def _mean(values: Tensor) -> Tensor:
    return torch.flatten(values, 1).mean(1)
