"""A training step beside a plain loop with diffusers' network: with kept latents, and encoding in each step.

    python benchmarks/training_speed.py [--preset small] [--num-frames 14] [--height 128] [--width 192] [--rounds 5]
    python benchmarks/training_speed.py --preset svd --lora

Image to video on one clip, AdamW, an average of the weights, gradients clipped to norm 1, mixed precision as listed.
Both have the same weights, clips and conditions: in every step the first frame is noised and encoded, by the
autoencoder and by CLIP, as its noise is drawn anew. Our step is that of `videoldm train`; the plain loop does what
community scripts do, with diffusers' UNet, autoencoder and EMA. With --lora, both train a LoRA of spatial attention
beside weights of 16 bits (ours, and peft's), from kept latents. Each contender is a process of its own; they take
turns, and medians of the rounds and of the pairs' ratios are printed. The first step compiles, if that is asked for.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.memory import keep_freed_memory
from videoldm.core.random import SampleKey, normal
from videoldm.dataset.clips import ClipRecord, to_stored
from videoldm.diffusion.config import SVD_NOISE_LEVELS
from videoldm.evaluation.speed.bench import interleaved, speed_ratio
from videoldm.evaluation.speed.contenders import diffusers_autoencoder, diffusers_unet, random_model
from videoldm.evaluation.speed.presets import SIZES
from videoldm.models.adapters.config import SpatialAttentionLora
from videoldm.models.adapters.fresh import fresh_lora
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.model import VideoModel
from videoldm.tasks.task import TrainingClips
from videoldm.training.config import AdamW, ClassicAverage, ExecutionConfig, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.data.reader import RenderedReader
from videoldm.training.data.samples import Samples
from videoldm.training.data.windows import encode
from videoldm.training.log import Clock, Meter
from videoldm.training.objective import Player
from videoldm.training.stages.diffusion.config import DiffusionStage, FromScratch
from videoldm.training.stages.diffusion.objective import DenoisingObjective
from videoldm.training.stages.diffusion.start import set_trained
from videoldm.training.stages.lora.objective import updates_module
from videoldm.training.state import build_state
from videoldm.training.step import Stepper

FPS, MOTION, RATE, EMA_DECAY = 7, 0.1, 1e-5, 0.9999
KEPT, ANEW = "kept latents", "encoded anew"
LORA = SpatialAttentionLora()
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
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--compile", action="store_true", help="compile our blocks")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, options)) for name in contenders(options)}
        times = interleaved(workers, rounds=options.rounds, device=torch.device("cpu"))
        peaks = {name: worker.peak_gib() for name, worker in workers.items()}
    table = Table("step", "first, s", "median, s", "spread", "times diffusers", "peak, GiB")
    for name, one in times.items():
        theirs = times[name.replace("ours", "diffusers")]
        ratio = f"{speed_ratio(one, theirs):.2f}" if name.startswith("ours") else ""
        first, median, spread = f"{one.first_s:.1f}", f"{one.median_s:.2f}", f"{one.spread:.0%}"
        table.add_row(name, first, median, spread, ratio, f"{peaks[name]:.2f}")
    Console(width=100).print(table)
    size = f"{options.num_frames} frames of {options.height}x{options.width}, {options.precision}"
    print(f"{options.preset}, {size}, {options.rounds} rounds, {os.cpu_count()} cores, torch {torch.__version__}")


def contenders(options: Any) -> list[str]:
    """Return the names of the contenders, ours before the one that it is compared with."""
    return [f"{who}, {kind}" for kind in ((KEPT,) if options.lora else (KEPT, ANEW)) for who in ("ours", "diffusers")]


class Worker:
    """A contender in a process of its own, which takes a step whenever it is called."""

    def __init__(self, name: str, options: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(name, options, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()

    def __call__(self) -> None:
        """Take a step."""
        self._ask("step")

    def peak_gib(self) -> float:
        """Return the most memory that the process has had resident."""
        return self._ask("peak")

    def _ask(self, what: str) -> Any:
        self._connection.send(what)
        return self._connection.recv()


def serve(name: str, options: Any, connection: Connection) -> None:
    """Build a contender and do what is asked."""
    who, kind = name.split(", ")
    device = torch.device(options.device)
    pixels = normal((options.num_frames, 3, options.height, options.width), 0, "clip").clamp(-1, 1)
    dtype = torch.bfloat16 if options.lora else torch.float32
    model = random_model(SIZES[options.preset], dtype=dtype, device=device)
    with tempfile.TemporaryDirectory() as folder:
        if who == "ours":
            keep_freed_memory()  # as `videoldm train` does
            step = our_step(model, Clip(model, pixels, is_kept=kind == KEPT), options, Path(folder))
        else:
            step = plain_step(model, pixels, options, is_kept=kind == KEPT)
        del model
        while True:
            match connection.recv():
                case "step":
                    step()
                    if device.type == "cuda":
                        torch.cuda.synchronize()
                    connection.send(None)
                case _:
                    connection.send(peak(device))


def peak(device: torch.device) -> float:
    """Return the largest memory so far in GiB: of the device, or what was resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


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
    """Trains the UNet, or what was put into it, and writes nothing."""

    def __init__(self, model: VideoModel, trained: nn.Module, stage: DiffusionStage, clip: Clip) -> None:
        super().__init__(model, stage, seed=0, data=clip, validation=clip)
        self._trained = trained

    @property
    def players(self) -> list[Player]:
        """What is trained."""
        return [Player("unet", self._trained, self.losses, blocks=self._model.unet.blocks)]

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
    trained = our_lora(model.unet) if options.lora else model.unet
    if not options.lora:
        set_trained(model.unet, stage.trained, task=model.config.task)
    training = TrainingConfig(
        num_samples=1_000_000,
        batch_size=1,
        optimizer=OptimizerConfig(learning_rate=RATE, algorithm=AdamW(betas=(0.9, 0.999), weight_decay=0.01)),
        average=ClassicAverage(decay=EMA_DECAY),
        precision=options.precision,
        execution=ExecutionConfig(compile="blocks" if options.compile else "none"),
    )
    objective = Timed(model, trained, stage, clip)
    state = build_state(objective, training, options.device)
    stepper = Stepper(training, state, objective, Meter(), Clock(state.device), folder)

    def step() -> None:
        stepper.step(state.first, range(state.samples_seen, state.samples_seen + 1))
        state.averages.update()
        state.samples_seen += 1

    return step


def our_lora(unet: VideoUNet) -> nn.Module:
    """Put a LoRA beside the weights as the stage `lora` does; return what is trained of it."""
    injection = inject(unet, [Adapter(fresh_lora(unet, LORA, has_one_token=True, seed=0))])
    injection.train(0)
    return updates_module(injection.lora(0))


def plain_step(model: VideoModel, pixels: Tensor, options: Any, *, is_kept: bool) -> Callable[[], object]:
    """A step of a script around diffusers' networks, which get copies of our weights."""
    from diffusers.training_utils import EMAModel

    device = torch.device(options.device)
    micro = model.config.micro
    unet: Any = copy.deepcopy(diffusers_unet(model.unet, embedding_dim=micro.embedding_dim, num_frames=len(pixels)))
    autoencoder: Any = diffusers_autoencoder(model.autoencoder)
    encoder: Any = model.image_conditioner
    unet.train().requires_grad_(not options.lora)
    if options.lora:
        add_plain_lora(unet)
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, betas=(0.9, 0.999), weight_decay=0.01)
    average = EMAModel(trained, decay=EMA_DECAY)
    scale, pixels = model.autoencoder.config.scaling_factor, pixels.to(device, autoencoder.dtype)
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
            noised = (first + level * torch.randn(first.shape, generator=draw).to(device)).to(first.dtype)
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
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(trained)

    return step


def add_plain_lora(unet: Any) -> None:
    """Put peft's LoRA, in 32 bits as scripts have it, beside the projections of all spatial attention."""
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig, inject_adapter_in_model

    where = r".*\.transformer_blocks\..*(to_q|to_k|to_v|to_out\.0)"
    inject_adapter_in_model(LoraConfig(r=LORA.rank, lora_alpha=LORA.rank, target_modules=where), unet)
    cast_training_params(unet)


if __name__ == "__main__":
    main()
