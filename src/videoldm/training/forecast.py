"""Forecast of the memory that a training step takes: its own code is run on tensors without data.

Neither weights nor a GPU are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
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
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder, text_config
from videoldm.models.presets import ModelConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.training.config import SGD, AdamW, AdamW8bit, Muon, TrainingConfig
from videoldm.training.data.config import ClipDimensions
from videoldm.training.distributed import recompute

SCALES_OF_8_BIT = 4 / 256
"""Bytes of scale for each 8-bit number: one float32 for each block of 256."""
_NORMS = (F.group_norm, F.layer_norm)
_USUAL_FACTOR = 8


@dataclass(frozen=True, kw_only=True)
class LatentBatch:
    """Shape of what one forward pass sees; height and width are those of the latents."""

    num_samples: int = 1
    num_frames: int
    height: int
    width: int
    num_tokens: int
    """Length of the context."""


@dataclass(frozen=True)
class Rehearsal:
    """Networks that a step trains, with the function that computes its loss."""

    networks: nn.Module
    blocks: Sequence[nn.Module]
    loss: Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes of GPU memory: what stays through the step, then what each of its parts takes beyond that at most."""

    weights: int
    optimizer: int
    average: int
    others: int
    """Weights of the autoencoder and of the encoder of texts or pictures."""
    encoding: int
    """Encoding of the conditions."""
    computing: int
    """Forward and backward pass: activations, weights in 16 bits, gradients."""
    gradients: int
    """Move of the weights by the optimizer, whose kernel needs the gradients alone."""

    @property
    def peak(self) -> int:
        """Bytes at the worst moment."""
        stays = self.weights + self.optimizer + self.average + self.others
        return stays + max(self.encoding, self.computing, self.gradients)


def forecast_denoising(
    make: Callable[[], VideoUNet],
    networks: ModelConfig | None,
    clips: ClipDimensions,
    training: TrainingConfig,
    *,
    num_samples: int,
) -> StepMemory:
    """Forecast a step in which the UNet that `make` builds learns to denoise clips.

    `networks` are the model's: those beside the UNet are frozen. Without them, their memory is left out.
    """
    batch, others, encoding = _latent_batch(networks, clips, num_samples), 0, 0
    if networks is not None:
        others = _weights_beside_unet(networks)
        if networks.image_encoder is not None:  # the picture that a clip is made from is encoded too
            encoding = encoding_bytes(
                networks.autoencoder, num_samples=num_samples, height=clips.height, width=clips.width
            )
    return forecast_step(lambda: denoise(make(), batch), training, others=others, encoding=encoding)


def forecast_reading_and_denoising(
    make: Callable[[], VideoUNet],
    networks: ModelConfig,
    clips: ClipDimensions,
    training: TrainingConfig,
    *,
    num_samples: int,
) -> StepMemory:
    """Forecast a step in which the text encoder learns with the UNet."""
    text, batch = networks.text_encoder, _latent_batch(networks, clips, num_samples)
    assert text is not None
    return forecast_step(
        lambda: read_and_denoise(make(), CLIPTextModel(text_config(text)), batch),
        training,
        others=_weights_beside_unet(networks.model_copy(update={"text_encoder": None})),
    )


def forecast_step(
    make: Callable[[], Rehearsal], training: TrainingConfig, *, others: int = 0, encoding: int = 0
) -> StepMemory:
    """Forecast one step on a GPU; `make` builds what is trained, and is called where tensors have no data.

    With several micro-batches a step, gradients are there during all but the first. Attention is taken to keep no table
    of scores.
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


def denoise(unet: VideoUNet, batch: LatentBatch) -> Rehearsal:
    """Rehearse that the UNet, or what is trained of it or beside it, learns to denoise."""
    return Rehearsal(unet, unet.blocks, lambda: _denoising_loss(unet, batch, None))


def read_and_denoise(unet: VideoUNet, text: CLIPTextModel, batch: LatentBatch) -> Rehearsal:
    """Rehearse that the UNet and the text encoder learn together."""

    def loss() -> Tensor:
        tokens = torch.zeros(batch.num_samples, batch.num_tokens, dtype=torch.long)
        with torch.autocast("cpu", enabled=False):
            context = text(input_ids=tokens).last_hidden_state
        return _denoising_loss(unet, batch, context)

    return Rehearsal(nn.ModuleDict({"unet": unet, "text_encoder": text}), unet.blocks, loss)


def run_step(rehearsal: Rehearsal, *, is_16_bit: bool = False) -> None:
    """Run one forward and backward pass, on the CPU or on tensors without data."""
    with torch.autocast("cpu", torch.bfloat16) if is_16_bit else nullcontext():
        loss = rehearsal.loss()
    _backward(loss)


def optimizer_bytes(training: TrainingConfig, trained: int) -> int:
    """Size of the optimizer's moments for parameters of `trained` bytes in float32."""
    match training.optimizer.algorithm:
        case AdamW8bit():
            return round(2 * trained / 4 * (1 + SCALES_OF_8_BIT))
        case SGD(momentum=momentum):
            return trained if momentum else 0
        case Muon():  # nearly all parameters are matrices, which have no second moment
            return trained
        case AdamW():
            return 2 * trained
        case _:
            assert_never(training.optimizer.algorithm)


def weight_bytes(make: Callable[[], nn.Module]) -> int:
    """Size of a network that is built without its weights."""
    with torch.device("meta"):
        return _bytes(make().state_dict().values())


def encoding_bytes(config: AutoencoderConfig, *, num_samples: int, height: int, width: int) -> int:
    """Memory to encode one picture a sample, of that size in pixels, in float32."""
    with torch.device("meta"):
        autoencoder = Autoencoder(config)
        pictures = torch.empty(num_samples, 1, config.pixel_channels, height, width)
    return peak_bytes(lambda: autoencoder.encode(pictures))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Generator[None]:
    """Build networks in that dtype within the context; networks without data cannot be cast."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _latent_batch(networks: ModelConfig | None, clips: ClipDimensions, num_samples: int) -> LatentBatch:
    factor = _USUAL_FACTOR if networks is None else networks.autoencoder.factor
    text = None if networks is None else networks.text_encoder
    return LatentBatch(
        num_samples=num_samples,
        num_frames=clips.num_frames,
        height=clips.height // factor,
        width=clips.width // factor,
        num_tokens=1 if text is None else text.max_tokens,
    )


def _weights_beside_unet(networks: ModelConfig) -> int:
    """Size of the autoencoder and the encoders."""
    text, image = networks.text_encoder, networks.image_encoder
    size = weight_bytes(lambda: Autoencoder(networks.autoencoder))
    size += 0 if text is None else weight_bytes(lambda: build_text_encoder(text))
    return size if image is None else size + weight_bytes(lambda: build_image_encoder(image))


def _denoising_loss(unet: VideoUNet, batch: LatentBatch, context: Tensor | None) -> Tensor:
    x, c_noise, conditioning = _network_inputs(unet, batch)
    output = unet(x, c_noise, conditioning if context is None else conditioning.replace(context=context))
    return (output.float() - x.float()).square().mean()


def _network_inputs(unet: VideoUNet, batch: LatentBatch) -> tuple[Tensor, Tensor, Conditioning]:
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


def _computing(rehearsal: Rehearsal, *, passes: int, is_16_bit: bool) -> int:
    with _AsOnGPU(is_16_bit=is_16_bit), LiveTensors() as live:
        for _ in range(passes):
            run_step(rehearsal, is_16_bit=is_16_bit)
    return live.peak_bytes


def _backward(loss: Tensor) -> None:
    """Run `loss.backward()` within the current mode, which torch's own function would leave.

    What is recomputed in the backward pass must run as it did the first time.
    """
    torch.autograd.graph._engine_run_backward(  # pyright: ignore[reportPrivateUsage] - what backward() calls
        (loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


class _AsOnGPU(TorchFunctionMode):
    """Makes autocast and attention compute with tensors of the CPU as they do on a GPU."""

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
