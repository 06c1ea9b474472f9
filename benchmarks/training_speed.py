"""A training step beside a plain loop with diffusers' network: with kept latents, and encoding in each step.

    python benchmarks/training_speed.py [--preset small|svd] [--num-frames 14] [--height 128] [--width 192] [--rounds 5]

Image to video on one clip, AdamW, an average of the weights, gradients clipped to norm 1, mixed precision as listed.
Both have the same weights, clips and conditions: in every step the first frame is noised and encoded, by the
autoencoder and by CLIP, as its noise is drawn anew. Our step is that of `videoldm train`; the plain loop does what
community scripts do, with diffusers' UNet, autoencoder and EMA. Contenders take turns; medians of the rounds and of the
pairs' ratios are printed.
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.random import SampleKey, normal
from videoldm.dataset.clips import ClipRecord, to_stored
from videoldm.diffusion.config import SVD_NOISE_LEVELS
from videoldm.evaluation.speed.bench import interleaved, speed_ratio
from videoldm.evaluation.speed.contenders import diffusers_autoencoder, diffusers_unet, random_model
from videoldm.evaluation.speed.presets import SIZES
from videoldm.tasks.model import VideoModel
from videoldm.tasks.task import TrainingClips
from videoldm.training.config import AdamW, ClassicAverage, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.data.reader import RenderedReader
from videoldm.training.data.samples import Samples
from videoldm.training.data.windows import encode
from videoldm.training.log import Clock, Meter
from videoldm.training.objective import Player
from videoldm.training.stages.diffusion.config import DiffusionStage, FromScratch
from videoldm.training.stages.diffusion.objective import DenoisingObjective
from videoldm.training.state import build_state
from videoldm.training.step import Stepper

FPS, MOTION, RATE, EMA_DECAY = 7, 0.1, 1e-5, 0.9999
LEVELS = SVD_NOISE_LEVELS["image_to_video_576x1024"]
CONDITION_MEAN, CONDITION_STD = -3.0, 0.5
"""Of the log noise level of the first frame (SVD, D.4)."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=("small", "svd"), default="small")
    parser.add_argument("--num-frames", type=int, default=14)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    pixels = normal((options.num_frames, 3, options.height, options.width), 0, "clip").clamp(-1, 1)
    contenders: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, is_kept in (("kept latents", True), ("encoded anew", False)):
            model = random_model(SIZES[options.preset], dtype=torch.float32, device=device)
            contenders[f"ours, {kind}"] = our_step(model, Clip(model, pixels, is_kept=is_kept), options, Path(folder))
            contenders[f"diffusers, {kind}"] = plain_step(model, pixels, options, is_kept=is_kept)
        times = interleaved(contenders, rounds=options.rounds, device=device)
    table = Table("step", "median, s", "spread", "times diffusers")
    for name, one in times.items():
        theirs = times[name.replace("ours", "diffusers")]
        ratio = f"{speed_ratio(one, theirs):.2f}" if name.startswith("ours") else ""
        table.add_row(name, f"{one.median_s:.2f}", f"{one.spread:.0%}", ratio)
    Console().print(table)
    size = f"{options.num_frames} frames of {options.height}x{options.width}, {options.precision}"
    print(f"{options.preset}, {size}, {options.rounds} rounds, {os.cpu_count()} cores, torch {torch.__version__}")


class Clip:
    """See `TrainingData`: one clip, its latents kept or encoded for each step."""

    num_clips, reader = 1, RenderedReader([0], seed=0)

    def __init__(self, model: VideoModel, pixels: Tensor, *, is_kept: bool) -> None:
        self._model, self._pixels = model, to_stored(pixels)
        self._first = pixels[:1]
        self._kept = encode(model.autoencoder, self._pixels) if is_kept else None

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """See `TrainingData`."""
        del is_image
        window = self._kept or encode(self._model.autoencoder, self._pixels)
        drawn = [window.draw((0, position)) for position in positions]
        return Samples(torch.stack(drawn), self.shown([(0, position) for position in positions]))

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """See `TrainingData`."""
        del count, key
        return self.samples([number], is_image=False)

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """See `TrainingData`."""
        record = ClipRecord(caption="", image_caption="", fps=Fraction(FPS), motion=MOTION)
        return TrainingClips(
            samples=keys,
            records=[record] * len(keys),
            read_frames=lambda _, positions: self._first.expand(len(positions), -1, -1, -1),
        )


class Timed(DenoisingObjective):
    """Trains the whole UNet and writes nothing."""

    @property
    def players(self) -> list[Player]:
        """The UNet."""
        return [Player("unet", self._model.unet, self.losses, blocks=self._model.unet.blocks)]

    def export(self, folder: Path) -> None:
        """Nothing."""
        del folder


def our_step(model: VideoModel, clip: Clip, options: Any, folder: Path) -> Callable[[], object]:
    """A step as `videoldm train` takes it."""
    size = {"height": options.height, "width": options.width, "num_frames": options.num_frames}
    world = WorldData(num_clips=64, **size)
    model = replace(model, config=model.config.model_copy(update=size))
    stage = DiffusionStage.model_construct(
        unet=model.unet.config,
        start=FromScratch(),
        data=world,
        validation=world,
        noise_levels=LEVELS,
        dropout=DropoutConfig(joint=0.1),
        model=model.config,
    )
    model.unet.requires_grad_(True)
    training = TrainingConfig(
        num_samples=1_000_000,
        batch_size=1,
        optimizer=OptimizerConfig(learning_rate=RATE, algorithm=AdamW(betas=(0.9, 0.999), weight_decay=0.01)),
        average=ClassicAverage(decay=EMA_DECAY),
        precision=options.precision,
    )
    objective = Timed(model, stage, seed=0, data=clip, validation=clip)
    state = build_state(objective, training, options.device)
    stepper = Stepper(training, state, objective, Meter(), Clock(state.device), folder)

    def step() -> None:
        stepper.step(state.first, range(state.samples_seen, state.samples_seen + 1))
        state.averages.update()
        state.samples_seen += 1

    return step


def plain_step(model: VideoModel, pixels: Tensor, options: Any, *, is_kept: bool) -> Callable[[], object]:
    """A step of a script around diffusers' networks, which get copies of our weights."""
    from diffusers.training_utils import EMAModel

    device = torch.device(options.device)
    micro = model.config.micro
    unet: Any = copy.deepcopy(diffusers_unet(model.unet, embedding_dim=micro.embedding_dim, num_frames=len(pixels)))
    autoencoder: Any = diffusers_autoencoder(model.autoencoder)
    encoder: Any = model.image_conditioner
    unet.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, betas=(0.9, 0.999), weight_decay=0.01)
    average = EMAModel(unet.parameters(), decay=EMA_DECAY)
    scale, pixels = model.autoencoder.config.scaling_factor, pixels.to(device)
    draw = torch.Generator().manual_seed(0)

    def encoded() -> Tensor:
        with torch.no_grad():
            return autoencoder.encode(pixels).latent_dist.sample()[None] * scale

    kept = encoded() if is_kept else None

    def step() -> None:
        latents = encoded() if kept is None else kept
        sigma = torch.exp(LEVELS.p_mean + LEVELS.p_std * torch.randn(1, generator=draw)).to(device)
        level = torch.exp(CONDITION_MEAN + CONDITION_STD * torch.randn(1, generator=draw)).to(device)
        first = pixels[:1]
        with torch.no_grad():
            noised = first + level * torch.randn(first.shape, generator=draw).to(device)
            condition = autoencoder.encode(noised).latent_dist.mode()[:, None].expand(-1, len(pixels), -1, -1, -1)
            context = encoder(first)
        noisy = latents + sigma * torch.randn(latents.shape, generator=draw).to(device)
        joined = torch.cat([noisy / (sigma**2 + 1) ** 0.5, condition], dim=2)
        ids = torch.tensor([[FPS - 1.0, 127.0, float(level)]], device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bfloat16"):
            output = unet(joined, 0.25 * sigma.log(), context, added_time_ids=ids, return_dict=False)[0].float()
        denoised = noisy / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5
        loss = ((sigma**2 + 1) / sigma**2 * (denoised - latents) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(unet.parameters())

    return step


if __name__ == "__main__":
    main()
