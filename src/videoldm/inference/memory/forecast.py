"""A forecast of the memory that each phase of a run takes, before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from torch import Tensor, nn

from videoldm.diffusion.conditioning import Conditioning
from videoldm.inference.config import Measure, MemoryPlan, Precision, Reuse, RunPhase
from videoldm.inference.decoder_sizes import decode_peak_bytes
from videoldm.inference.memory.live import peak_bytes
from videoldm.inference.precision import precision_of
from videoldm.inference.reuse import NUM_KEPT
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.chunks import numbers_at_once
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.transformer import FeedForward

Forecast = Mapping[RunPhase, int]
"""Peak bytes of the device in each phase, weights included."""

CPU_MEASURES: tuple[Measure, ...] = ("idle-networks-leave",)
"""Measures for a CPU, which has no second memory for anything else."""
NUM_BLOCKS_AT_ONCE = 2
"""Blocks in memory of a UNet that is copied block by block: the working one and the next; between calls only one."""
MAX_CHUNKS = 32
"""Limit of the chunks into which the forecast divides a hidden layer."""


@dataclass(frozen=True, kw_only=True)
class ClipSize:
    """Size of one batch of clips; `num_branches` is 2 with guidance."""

    num_clips: int = 1
    num_frames: int
    height: int
    """In pixels, as is `width`."""
    width: int
    num_branches: int = 1
    has_picture: bool
    reuse: Reuse | None = None


@dataclass(frozen=True, kw_only=True)
class Forecaster:
    """Forecasts for one model, whose networks are on the meta device in the precision in which they will compute.

    `encoders` are the text or image encoders that the task uses, which need little memory beside their weights.
    """

    unet: VideoUNet
    autoencoder: Autoencoder
    encoders: Sequence[nn.Module]
    num_tokens: int
    """Number of tokens of the context."""
    device: str
    """Kind of the device, "cpu" or "cuda"."""
    _known: dict[tuple[Any, ...], tuple[int, int]] = field(default_factory=dict[tuple[Any, ...], tuple[int, int]])

    def __call__(self, clip: ClipSize, plan: MemoryPlan) -> Forecast:
        """Forecast the peak of each phase for one batch of clips."""
        unet, autoencoder = (_bytes(network.state_dict().values()) for network in (self.unet, self.autoencoder))
        encoders = [_bytes(network.state_dict().values()) for network in self.encoders]
        idle_unet = unet
        if plan.has("unet-by-block"):
            unet, idle_unet = _bytes_by_block(self.unet, NUM_BLOCKS_AT_ONCE), _bytes_by_block(self.unet, 1)
        encoding = self._encoding(clip) if clip.has_picture else 0
        denoising, decoding = self._denoising(clip), self._decoding(clip, plan)
        if not plan.has("idle-networks-leave"):
            others = autoencoder + sum(encoders)
            return {
                "encode": others + idle_unet + encoding,
                "denoise": others + unet + denoising,
                "decode": others + idle_unet + decoding,
            }
        left = idle_unet if plan.has("unet-by-block") else 0
        return {
            "encode": left + max([*encoders, autoencoder + encoding if clip.has_picture else 0]),
            "denoise": unet + denoising,
            "decode": left + autoencoder + decoding,
        }

    def at_least(self, clip: ClipSize) -> int:
        """Return a lower bound for any plan, three maps of the finest level, at once even for clips far too large."""
        factor, width = self.autoencoder.config.factor, self.unet.config.channels[0]
        numbers = clip.num_clips * clip.num_frames * (clip.height // factor) * (clip.width // factor) * width
        return 3 * numbers * next(self.unet.parameters()).dtype.itemsize

    def _encoding(self, clip: ClipSize) -> int:
        """Return the memory for encoding one picture for each clip with the autoencoder."""
        dtype = next(self.autoencoder.parameters()).dtype
        size = (clip.num_clips, 1, self.autoencoder.config.pixel_channels, clip.height, clip.width)
        picture = torch.empty(size, dtype=dtype, device="meta")
        return peak_bytes(lambda: self.autoencoder.encode(picture))

    def _denoising(self, clip: ClipSize) -> int:
        """Return the memory of the UNet in one call, with the features that are kept between calls."""
        in_work, feature = self._call(clip)
        kept = 0 if clip.reuse is None else NUM_KEPT * clip.num_branches * feature
        return in_work + kept

    def _call(self, clip: ClipSize) -> tuple[int, int]:
        """Return the peak of one call of the UNet, and the size of the deep feature that `reuse` keeps of it."""
        factor, config = self.autoencoder.config.factor, self.unet.config
        latents = (clip.num_clips, clip.num_frames, config.in_channels, clip.height // factor, clip.width // factor)
        depth = 1 if clip.reuse is None else clip.reuse.depth
        key = (latents, self.num_tokens, depth)
        if key not in self._known:
            inputs = _inputs(self.unet, latents, self.num_tokens)
            self._set_chunks(num_positions=math.prod(latents) // latents[2])
            deep: list[Tensor] = []

            def call() -> None:
                deep.append(self.unet.forward_reusing(*inputs, depth=depth)[1])

            self._known[key] = peak_bytes(call), deep[0].nbytes
        return self._known[key]

    def _set_chunks(self, *, num_positions: int) -> None:
        """Divide hidden layers as on the device, but into few enough chunks for the forecast to be quick."""
        for module in self.unet.modules():
            if isinstance(module, FeedForward):
                hidden = num_positions * module.project_in.out_features
                module.numbers_at_once = max(numbers_at_once(self.device), hidden // MAX_CHUNKS)

    def _decoding(self, clip: ClipSize, plan: MemoryPlan) -> int:
        """Return the memory for decoding, clip by clip."""
        precision: Precision = precision_of(self.autoencoder)
        return decode_peak_bytes(
            self.autoencoder.config,
            num_frames=clip.num_frames,
            height=clip.height,
            width=clip.width,
            precision=precision,
            chunk_frames=plan.decoding.chunk_size,
            tiles=plan.decoding.tiles,
            device=self.device,
            map_device="cpu" if plan.has("decode-from-host") else None,
        )


def measures_on(device: str, *, is_compiled: bool = False) -> tuple[Measure, ...]:
    """Return the measures for a kind of device, in the order in which they should be taken.

    Compiled blocks cannot be copied block by block, as the copies would interrupt compiled code.
    """
    measures: tuple[Measure, ...] = get_args(Measure) if device == "cuda" else CPU_MEASURES
    return tuple(measure for measure in measures if not (is_compiled and measure == "unet-by-block"))


def first_fit(
    limit: int, forecast: Callable[[MemoryPlan], Forecast], given: MemoryPlan, measures: Iterable[Measure]
) -> MemoryPlan | None:
    """Add measures to a plan, in their order, until its forecast stays within `limit` bytes.

    Measures that do not help are skipped. Returns None if all measures together do not suffice.
    """
    plan, excess = given, _excess(limit, forecast(given))
    for measure in measures:
        if not excess:
            return plan
        better = plan.with_measure(measure)
        left = _excess(limit, forecast(better))
        if left < excess:
            plan, excess = better, left
    return None if excess else plan


def _excess(limit: int, forecast: Forecast) -> int:
    """Return the bytes above the limit, summed over the phases."""
    return sum(max(0, peak - limit) for peak in forecast.values())


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _bytes_by_block(unet: VideoUNet, num_blocks: int) -> int:
    """Return the bytes of the largest blocks, as many as are in memory at once, and of everything outside of blocks."""
    blocks = sorted(_bytes(block.state_dict().values()) for block in unet.blocks)
    return _bytes(unet.state_dict().values()) - sum(blocks[:-num_blocks])


def _inputs(unet: VideoUNet, latents: tuple[int, ...], num_tokens: int) -> tuple[Tensor, Tensor, Conditioning]:
    """Build inputs of a call for latents `b t c h w` on the meta device."""
    config, dtype = unet.config, next(unet.parameters()).dtype
    batch, num_frames, _, *size = latents

    def numbers(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    has_index = config.num_noise_indices is not None
    conditioning = Conditioning(
        context=numbers(batch, num_tokens, config.context_dim),
        vector=None if config.vector_dim is None else numbers(batch, num_frames, config.vector_dim),
        concat=numbers(batch, num_frames, config.concat_channels, *size) if config.concat_channels else None,
        frame_mask=numbers(batch, num_frames) if config.reads_frame_mask else None,
        noise_index=torch.zeros(batch, dtype=torch.long, device="meta") if has_index else None,
    )
    return numbers(*latents), torch.empty(batch, device="meta"), conditioning
