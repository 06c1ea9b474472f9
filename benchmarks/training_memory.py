"""Memory of a training step of SVD-XT, 25 frames of 1024x576, one clip: the forecast for a ladder of settings.

  python benchmarks/training_memory.py              # nothing is run, no weights are needed; minutes on a CPU
  python benchmarks/training_memory.py --resident   # a small UNet on this CPU: forecast, and rise of the resident set

The step is that of `videoldm train`: bfloat16 autocast over weights in float32 (for a LoRA, the frozen ones also in
bfloat16), AdamW, a moving average. "Networks beside" are the autoencoder and the picture encoder; without them latents
and conditions come from a cache.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table

from videoldm.core.config import GIB
from videoldm.inference.memory.meter import PeakMeter
from videoldm.models.adapters.config import TemporalAttentionLora
from videoldm.models.adapters.fresh import put_stand_ins
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.encoders import build_image_encoder
from videoldm.models.presets import SD21, SVD_XT
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.recipes.scale import PAPER
from videoldm.recipes.svd import svd_xt_image_to_video_576x1024
from videoldm.training.config import AdamW8bit, ExecutionConfig, TrainingConfig
from videoldm.training.distributed import recompute
from videoldm.training.forecast import (
    LatentBatch,
    Rehearsal,
    StepMemory,
    default_dtype,
    denoise,
    encoding_bytes,
    forecast_step,
    optimizer_bytes,
    run_step,
    weight_bytes,
)
from videoldm.training.stages.diffusion.config import AllParameters
from videoldm.training.stages.diffusion.start import set_trained

HEIGHT, WIDTH, NUM_FRAMES, RANK = 576, 1024, 25, 16
LATENTS = LatentBatch(num_frames=NUM_FRAMES, height=HEIGHT // 8, width=WIDTH // 8, num_tokens=1)
SMALL = UNetConfig(channels=(64, 128), attention_levels=(True, True), head_channels=32, context_dim=64)
Method = Literal["full", "LoRA", "LoRA, frozen bf16"]


@dataclass(frozen=True)
class Rung:
    """One way to train."""

    method: Method
    is_recomputed: bool
    has_8_bit_optimizer: bool
    is_cached: bool


def rungs() -> Iterator[Rung]:
    """From the most memory to the least."""
    for method in ("full", "LoRA", "LoRA, frozen bf16"):
        yield Rung(method, is_recomputed=False, has_8_bit_optimizer=False, is_cached=False)
        yield Rung(method, is_recomputed=True, has_8_bit_optimizer=False, is_cached=False)
        yield Rung(method, is_recomputed=True, has_8_bit_optimizer=True, is_cached=False)
        yield Rung(method, is_recomputed=True, has_8_bit_optimizer=True, is_cached=True)


def main() -> None:
    """Print the ladder, or the comparison with what was resident."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resident", action="store_true")
    if parser.parse_args().resident:
        show_resident()
    else:
        show_ladder()


def show_ladder() -> None:
    """The table of docs/memory.md."""
    beside = weight_bytes(lambda: Autoencoder(SD21.autoencoder))
    beside += weight_bytes(lambda: build_image_encoder(SVD_XT.image_encoder))
    encoding = encoding_bytes(SD21.autoencoder, num_samples=1, height=HEIGHT, width=WIDTH)
    columns = ("weights", "beside", "optimizer", "average", "encode", "compute", "gradients", "at most")
    table = Table("method", "blocks", "optimizer", "networks beside", *columns, title="GiB, forecast")
    for rung in rungs():
        memory = forecast(rung, beside=beside, encoding=encoding)
        sizes = (memory.weights, memory.others, memory.optimizer, memory.average, memory.encoding, memory.computing)
        names = (
            rung.method,
            "recomputed" if rung.is_recomputed else "kept",
            "8 bit" if rung.has_8_bit_optimizer else "32 bit",
            "no" if rung.is_cached else "yes",
        )
        table.add_row(*names, *(f"{size / GIB:.1f}" for size in (*sizes, memory.gradients, memory.peak)))
    Console(width=150).print(table)


def forecast(rung: Rung, *, beside: int, encoding: int) -> StepMemory:
    """The forecast of one rung; what is computed does not depend on the optimizer and the cache."""
    memory = computed(rung.method, is_recomputed=rung.is_recomputed)
    optimizer = optimizer_bytes(training_of(rung), memory.gradients)
    places = {} if rung.is_cached else {"others": beside, "encoding": encoding}
    return replace(memory, optimizer=optimizer, **places)


@cache
def computed(method: Method, *, is_recomputed: bool) -> StepMemory:
    """The forecast without networks beside the UNet."""
    return forecast_step(maker(method), executed(is_recomputed=is_recomputed))


def executed(*, is_recomputed: bool, **changes: object) -> TrainingConfig:
    """SVD-XT's training with blocks recomputed or kept, and other changes."""
    execution = ExecutionConfig(recompute="blocks" if is_recomputed else "none")
    return svd_xt_image_to_video_576x1024(PAPER).training.model_copy(update={"execution": execution} | changes)


def training_of(rung: Rung) -> TrainingConfig:
    """SVD-XT's, with the rung's optimizer and one clip a step."""
    training = svd_xt_image_to_video_576x1024(PAPER).training.model_copy(update={"batch_size": 1})
    if not rung.has_8_bit_optimizer:
        return training
    optimizer = training.optimizer.model_copy(update={"algorithm": AdamW8bit()})
    return training.model_copy(update={"optimizer": optimizer})


def maker(method: Method) -> Callable[[], Rehearsal]:
    """What builds the UNet with what is trained of it; a LoRA goes beside attention along time (SVD, D.4)."""

    def full() -> Rehearsal:
        unet = VideoUNet(SVD_XT.unet)
        set_trained(unet, AllParameters(), task="image-to-video")
        return denoise(unet, LATENTS)

    def lora() -> Rehearsal:
        with default_dtype(torch.bfloat16 if method == "LoRA, frozen bf16" else torch.float32):
            unet = VideoUNet(SVD_XT.unet).requires_grad_(False)
        put_stand_ins(unet, TemporalAttentionLora(rank=RANK), has_one_token=True)
        return denoise(unet, LATENTS)

    return full if method == "full" else lora


def show_resident() -> None:
    """A small UNet in float32: what a forward and backward pass is forecast to take, and what it took."""
    batch = LatentBatch(num_frames=8, height=32, width=32, num_tokens=4)
    table = Table("blocks", "forecast, MiB", "resident set rose by, MiB")
    for is_recomputed in (False, True):
        training = executed(is_recomputed=is_recomputed, precision="float32")
        expected = forecast_step(lambda: denoise(VideoUNet(SMALL), batch), training)
        unet = VideoUNet(SMALL).train()
        if is_recomputed:
            recompute(unet.blocks)
        meter = PeakMeter("cpu")
        with meter.watch("denoise"):
            run_step(denoise(unet, batch))
        name = "recomputed" if is_recomputed else "kept"
        table.add_row(name, f"{expected.computing / 2**20:.0f}", f"{meter.peaks['denoise'] / 2**20:.0f}")
        del unet
    Console(width=100).print(table)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
