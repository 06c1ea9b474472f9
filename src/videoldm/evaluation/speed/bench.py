"""Timing of a UNet step, of decoding and of a whole clip, ours beside diffusers'.

Machines are noisy, so contenders take turns, and only medians over the rounds and medians of their ratios count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from videoldm.core.progress import progress
from videoldm.core.random import normal
from videoldm.diffusion.conditioning import Conditioning
from videoldm.evaluation.speed.contenders import (
    ClipRequest,
    diffusers_autoencoder,
    diffusers_frames,
    diffusers_latents,
    diffusers_pipeline,
    diffusers_unet,
    our_frames,
    our_latents,
    random_autoencoder,
    random_model,
    random_picture,
    random_unet,
)
from videoldm.inference.compiled import compile_blocks
from videoldm.inference.decode import decode
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import ModelConfig
from videoldm.models.unet.conditions import sinusoids
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.model import VideoModel

SIGNALS = (6.0, 127.0, 0.02)
"""Signals of the vector condition: frame rate less one, motion bucket, noise level of the picture."""
OURS, COMPILED, THEIRS = "videoldm", "videoldm, compiled", "diffusers"
WARM_UP = 1
MATRIX_SIDE = 4096
MATRIX_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class BenchSetting:
    """Size, precision and device of what is timed, and the number of rounds."""

    num_frames: int
    height: int
    """In latents, as is `width`."""
    width: int
    dtype: torch.dtype
    device: torch.device
    rounds: int


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times of one contender in seconds, one for each round."""

    name: str
    first_s: float
    """Time of the call before the rounds, which compiles and fills caches."""
    rounds_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.rounds_s)

    @property
    def spread(self) -> float:
        """Difference of the slowest and the fastest round, as a share of the median."""
        return (max(self.rounds_s) - min(self.rounds_s)) / self.median_s


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Times by contender, and figures to judge them by."""

    times: dict[str, Times]
    flops: int
    """Operations of one call."""
    peak_rate: float
    """Rate of the machine's matrix multiplication in FLOP/s."""
    largest_difference: float | None
    """Largest difference between our output and diffusers', over the largest value; None without diffusers."""

    def rate(self, name: str) -> float:
        """Return the FLOP/s that a contender reaches."""
        return self.flops / self.times[name].median_s

    def speed_up(self, name: str) -> float | None:
        """Return the factor by which a contender is faster than diffusers; None without diffusers."""
        return speed_ratio(self.times[name], self.times[THEIRS]) if THEIRS in self.times else None


def bench_step(preset: ModelConfig, setting: BenchSetting, *, is_compiled: bool) -> BenchResult:
    """Time one call of the UNet for one clip."""
    unet = random_unet(preset.unet, dtype=setting.dtype, device=setting.device)
    x, c_noise, conditioning = _step_inputs(unet.config, setting)
    embedding_dim = (unet.config.vector_dim or 0) // len(SIGNALS)
    calls: dict[str, Callable[[], Tensor]] = {OURS: lambda: unet(x, c_noise, conditioning)}
    theirs = diffusers_unet(unet, embedding_dim=embedding_dim, num_frames=setting.num_frames)
    if theirs is not None:
        assert conditioning.concat is not None
        joined = torch.cat([x, conditioning.concat], dim=2)
        signals = _signals(setting)
        calls[THEIRS] = lambda: theirs(joined, c_noise[0], conditioning.context, signals, return_dict=False)[0]
    if is_compiled:
        calls[COMPILED] = _compiled_step(unet, x, c_noise, conditioning)
    return _measure(calls, setting, flops=_step_flops(unet, x, c_noise, conditioning))


def bench_decode(preset: ModelConfig, setting: BenchSetting) -> BenchResult:
    """Time one clip from latents to pixels: ours in bounded memory, diffusers' all frames at once."""
    autoencoder = random_autoencoder(preset.autoencoder, dtype=setting.dtype, device=setting.device)
    channels = preset.autoencoder.latent_channels
    latents = _numbers((1, setting.num_frames, channels, setting.height, setting.width), setting, "latents")
    calls: dict[str, Callable[[], Tensor]] = {OURS: lambda: decode(autoencoder, latents, device=setting.device)}
    theirs = diffusers_autoencoder(autoencoder)
    if theirs is not None:
        decode_at_once: Any = theirs.decode
        calls[THEIRS] = lambda: decode_at_once(latents[0], num_frames=setting.num_frames).sample[None]
    return _measure(calls, setting, flops=_decode_flops(autoencoder, latents))


def bench_pipeline(preset: ModelConfig, setting: BenchSetting, *, num_steps: int, is_compiled: bool) -> BenchResult:
    """Time one clip from a picture to pixels: both encoders, all steps with guidance, decoding."""
    model = random_model(preset, dtype=setting.dtype, device=setting.device)
    factor = preset.autoencoder.factor
    picture = random_picture(setting.height * factor, setting.width * factor)
    request = ClipRequest(picture=picture, num_frames=setting.num_frames, num_steps=num_steps)
    calls: dict[str, Callable[[], Tensor]] = {OURS: lambda: our_frames(model, our_latents(model, request))}
    theirs = diffusers_pipeline(model, num_frames=setting.num_frames)
    if theirs is not None:
        calls[THEIRS] = lambda: diffusers_frames(theirs, diffusers_latents(theirs, request))
    if is_compiled:
        compiled = replace(model, unet=compile_blocks(_twin(model.unet)))
        calls[COMPILED] = lambda: our_frames(compiled, our_latents(compiled, request))
    return _measure(calls, setting, flops=_pipeline_flops(model, setting, num_steps))


def interleaved(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int, device: torch.device
) -> dict[str, Times]:
    """Time every contender once in each round, in turn, after one call of each that does not count."""
    first = {name: _seconds(call, device) for name, call in contenders.items()}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    with progress("Timing", rounds * len(contenders)) as advance:
        for _ in range(rounds):
            for name, call in contenders.items():
                taken[name].append(_seconds(call, device))
                advance()
    return {name: Times(name=name, first_s=first[name], rounds_s=tuple(taken[name])) for name in contenders}


def speed_ratio(ours: Times, theirs: Times) -> float:
    """Return the median over the rounds of the factor by which `ours` is faster."""
    return statistics.median(b / a for a, b in zip(ours.rounds_s, theirs.rounds_s, strict=True))


def matrix_multiply_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Measure the best rate at which this machine multiplies large square matrices, in FLOP/s."""
    side = MATRIX_SIDE
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    times = [_seconds(lambda: left @ right, device) for _ in range(WARM_UP + MATRIX_ROUNDS)]
    return 2 * side**3 / min(times[WARM_UP:])


def _measure(calls: dict[str, Callable[[], Tensor]], setting: BenchSetting, *, flops: int) -> BenchResult:
    with torch.inference_mode():
        difference = None
        if THEIRS in calls:
            ours, theirs = calls[OURS](), calls[THEIRS]()
            difference = float((ours - theirs).abs().max() / theirs.abs().max())
        return BenchResult(
            times=interleaved(calls, rounds=setting.rounds, device=setting.device),
            flops=flops,
            peak_rate=matrix_multiply_rate(setting.dtype, setting.device),
            largest_difference=difference,
        )


def _count(call: Callable[[], Tensor]) -> int:
    """Count the FLOPs of a call on the meta device; on a CPU the counter misses attention."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        call()
    return counter.get_total_flops()


def _step_flops(unet: VideoUNet, x: Tensor, c_noise: Tensor, conditioning: Conditioning) -> int:
    twin = _twin(unet).to("meta")
    on_meta = (x.to("meta"), c_noise.to("meta"), conditioning.to("meta"))
    return _count(lambda: twin(*on_meta))


def _decode_flops(autoencoder: Autoencoder, latents: Tensor) -> int:
    with torch.device("meta"):
        twin = Autoencoder(autoencoder.config).to(latents.dtype)
    return _count(lambda: twin.decode(latents.to("meta")))


def _pipeline_flops(model: VideoModel, setting: BenchSetting, num_steps: int) -> int:
    """Count the FLOPs of all steps with both branches and of decoding; encoding a picture is less than a hundredth."""
    inputs = _step_inputs(model.unet.config, setting)
    latents = inputs[0].to(setting.dtype)
    return 2 * num_steps * _step_flops(model.unet, *inputs) + _decode_flops(model.autoencoder, latents)


def _compiled_step(unet: VideoUNet, x: Tensor, c_noise: Tensor, conditioning: Conditioning) -> Callable[[], Tensor]:
    compiled = compile_blocks(_twin(unet))
    return lambda: compiled(x, c_noise, conditioning)


def _twin(unet: VideoUNet) -> VideoUNet:
    """Return the same network again, on the same weights."""
    with torch.device("meta"):
        twin = VideoUNet(unet.config)
    twin.load_state_dict(unet.state_dict(), assign=True)
    return twin.eval().requires_grad_(False)


def _step_inputs(config: UNetConfig, setting: BenchSetting) -> tuple[Tensor, Tensor, Conditioning]:
    """Return x, c_noise and conditioning of one clip."""
    size = (1, setting.num_frames, config.in_channels, setting.height, setting.width)
    embedded = sinusoids(_signals(setting), (config.vector_dim or 0) // len(SIGNALS)).flatten(1)[:, None]
    conditioning = Conditioning(
        context=_numbers((1, 1, config.context_dim), setting, "context"),
        vector=embedded.expand(-1, setting.num_frames, -1).to(setting.dtype),
        concat=_numbers(size, setting, "concat"),
    )
    return _numbers(size, setting, "x"), torch.tensor([0.3], device=setting.device), conditioning


def _signals(setting: BenchSetting) -> Tensor:
    return torch.tensor([SIGNALS], device=setting.device).to(setting.dtype)


def _numbers(shape: tuple[int, ...], setting: BenchSetting, stream: str) -> Tensor:
    return normal(shape, 0, stream).to(setting.device, setting.dtype)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
