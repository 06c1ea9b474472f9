"""A forecast of what a training step takes, by running its code on tensors without data: no weights, no device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode  # pyright: ignore[reportPrivateUsage] - has no public name
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers import CLIPTextModel

from videoldm.diffusion.conditioning import Conditioning
from videoldm.inference.memory.live import LiveTensors, peak_bytes
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet
from videoldm.training.config import SGD, AdamW, AdamW8bit, TrainingConfig
from videoldm.training.distributed import recompute

SCALES_OF_8_BIT = 4 / 256
"""Bytes for each 8-bit number that say what it is a multiple of: one float32 in each block of 256."""
_NORMS = (F.group_norm, F.layer_norm)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one forward pass sees; `num_tokens` is the length of the context."""

    num_samples: int = 1
    num_frames: int
    height: int
    """Of the latents, as is `width`."""
    width: int
    num_tokens: int


@dataclass(frozen=True)
class Rehearsal:
    """What a step trains, and how it comes to a loss."""

    networks: nn.Module
    blocks: Sequence[nn.Module]
    loss: Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes of the device; what stays through the step, then what each of its parts takes beyond that at most."""

    weights: int
    optimizer: int
    average: int
    others: int
    """Weights of the autoencoder and of the encoder of texts or pictures."""
    encoding: int
    """Of the conditions."""
    computing: int
    """Of the forward and the backward pass: activations, weights in 16 bits, gradients."""
    gradients: int
    """With them alone the optimizer moves the weights, by a kernel that keeps nothing else."""

    @property
    def peak(self) -> int:
        """The most at any time."""
        stays = self.weights + self.optimizer + self.average + self.others
        return stays + max(self.encoding, self.computing, self.gradients)


def forecast_step(
    make: Callable[[], Rehearsal], training: TrainingConfig, *, others: int = 0, encoding: int = 0
) -> StepMemory:
    """The memory of one step on a GPU; `make` builds what is trained, with all else frozen.

    It is called where tensors have no data. With several micro-batches a step, gradients are there during all but the
    first; attention is taken to keep no table of scores.
    """
    with FakeTensorMode():
        rehearsal = make()
        networks = rehearsal.networks.train()
        if training.execution.recompute == "blocks":
            recompute(rehearsal.blocks)
        trained = _bytes(parameter for parameter in networks.parameters() if parameter.requires_grad)
        passes = 1 if training.accumulation_steps == 1 else 2
        computing = _computing(rehearsal, passes=passes, is_16_bit=training.precision == "bfloat16")
        weights = _bytes(networks.state_dict().values())
    return StepMemory(
        weights=weights,
        optimizer=optimizer_bytes(training, trained),
        average=trained,
        others=others,
        encoding=encoding,
        computing=computing,
        gradients=trained,
    )


def encoding_bytes(config: AutoencoderConfig, *, num_samples: int, height: int, width: int) -> int:
    """What it takes to encode one picture a sample, of that size in pixels, in float32."""
    with torch.device("meta"):
        autoencoder = Autoencoder(config)
        pictures = torch.empty(num_samples, 1, config.pixel_channels, height, width)
    return peak_bytes(lambda: autoencoder.encode(pictures))


def weight_bytes(make: Callable[[], nn.Module]) -> int:
    """The size of a network that is built without its weights."""
    with torch.device("meta"):
        return _bytes(make().state_dict().values())


def denoise(unet: VideoUNet, batch: Batch) -> Rehearsal:
    """The UNet, or what is trained of it or beside it, learns to denoise."""
    return Rehearsal(unet, unet.blocks, lambda: _denoising_loss(unet, batch, None))


def read_and_denoise(unet: VideoUNet, text: CLIPTextModel, batch: Batch) -> Rehearsal:
    """The UNet learns to denoise, and the text encoder to write what it reads."""

    def loss() -> Tensor:
        tokens = torch.zeros(batch.num_samples, batch.num_tokens, dtype=torch.long)
        with torch.autocast("cpu", enabled=False):
            context = text(input_ids=tokens).last_hidden_state
        return _denoising_loss(unet, batch, context)

    return Rehearsal(nn.ModuleDict({"unet": unet, "text_encoder": text}), unet.blocks, loss)


def run_step(rehearsal: Rehearsal, *, is_16_bit: bool = False) -> None:
    """One forward and backward pass, on the CPU or on tensors without data."""
    with torch.autocast("cpu", torch.bfloat16) if is_16_bit else nullcontext():
        loss = rehearsal.loss()
    _backward(loss)


def _denoising_loss(unet: VideoUNet, batch: Batch, context: Tensor | None) -> Tensor:
    x, c_noise, conditioning = _inputs(unet, batch)
    output = unet(x, c_noise, conditioning if context is None else conditioning.replace(context=context))
    return (output.float() - x.float()).square().mean()


def _computing(rehearsal: Rehearsal, *, passes: int, is_16_bit: bool) -> int:
    with _AsOnGPU(is_16_bit=is_16_bit), LiveTensors() as live:
        for _ in range(passes):
            run_step(rehearsal, is_16_bit=is_16_bit)
    return live.peak_bytes


def _backward(loss: Tensor) -> None:
    """`loss.backward()` within the mode that we are in, which torch's own function would leave for its duration.

    What is computed anew in the backward pass must run as it did the first time.
    """
    torch.autograd.graph._engine_run_backward(  # pyright: ignore[reportPrivateUsage] - what backward() calls
        (loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def _inputs(unet: VideoUNet, batch: Batch) -> tuple[Tensor, Tensor, Conditioning]:
    config, frames, size = unet.config, (batch.num_samples, batch.num_frames), (batch.height, batch.width)
    has_index = config.num_noise_indices is not None
    conditioning = Conditioning(
        context=torch.empty(batch.num_samples, batch.num_tokens, config.context_dim),
        vector=None if config.vector_dim is None else torch.empty(*frames, config.vector_dim),
        concat=torch.empty(*frames, config.concat_channels, *size) if config.concat_channels else None,
        frame_mask=torch.empty(*frames) if config.reads_frame_mask else None,
        noise_index=torch.zeros(batch.num_samples, dtype=torch.long) if has_index else None,
    )
    return torch.empty(*frames, config.in_channels, *size), torch.empty(batch.num_samples), conditioning


def optimizer_bytes(training: TrainingConfig, trained: int) -> int:
    """Of the moments."""
    match training.optimizer.algorithm:
        case AdamW8bit():
            return round(2 * trained / 4 * (1 + SCALES_OF_8_BIT))
        case SGD(momentum=momentum):
            return trained if momentum else 0
        case AdamW():
            return 2 * trained
        case _:
            assert_never(training.optimizer.algorithm)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


class _AsOnGPU(TorchFunctionMode):
    """Tensors of the CPU are computed with as autocast and attention do it on a GPU."""

    def __init__(self, *, is_16_bit: bool) -> None:
        super().__init__()
        self._is_16_bit = is_16_bit

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == Tensor.is_cpu.__get__:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            return False
        if self._is_16_bit and func in _NORMS:
            return func(*(_cast(value, torch.float32) for value in args), **_casts(kwargs, torch.float32))
        if func is F.scaled_dot_product_attention:
            dtype = torch.bfloat16 if self._is_16_bit else torch.float32
            with torch.autocast("cpu", enabled=False):
                return func(*(_cast(value, dtype) for value in args), **kwargs)
        return func(*args, **kwargs)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def _casts(values: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return {name: _cast(value, dtype) for name, value in values.items()}
