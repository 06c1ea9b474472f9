"""Cost and loss of each rung of the speed ladder.

    python benchmarks/speed_ladder.py [--model mini] [--clips 32]
    python benchmarks/speed_ladder.py --full-size
    python benchmarks/speed_ladder.py --full-size --run 14 256 384

Without --full-size: clips of one of our models from pictures and from prompts, with the same seeds on every rung, the
rungs in turn for each clip. Distances are to the clips of `exact`. The perceptual distance and the Frechet distance use
the judge network in the model's folder: they take the place of LPIPS and FVD and cannot be compared with those.

With --full-size: a forecast for SVD's own sampling. The operations of one UNet call are counted on tensors without
storage, the calls by sampling with a network that only counts; nothing is run or timed. With --run FRAMES HEIGHT WIDTH
full and shallow calls at that size are timed in turns, on SVD's UNet with random weights in the precision that
`generate` would choose; the seconds of a clip are these times multiplied by the number of calls. Encoding and decoding,
equal on every rung, are left out.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import get_args

import torch
from jaxtyping import Float
from mini_quality import FPS, SEED, features_of, folder_of, image_inputs, prompt_scenes, test_scenes, text_inputs
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from videoldm.core.progress import progress
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Preconditioned
from videoldm.diffusion.guidance import Guided
from videoldm.diffusion.noise import SeededNoise
from videoldm.diffusion.samplers.sample import sample
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.evaluation.speed.contenders import random_unet
from videoldm.generation.load import load_model
from videoldm.inference.config import Speed
from videoldm.inference.precision import DTYPES, default_precision
from videoldm.inference.reuse import ReusingUNet
from videoldm.measures.feature_distances import frechet_distance, perceptual_distance
from videoldm.measures.feature_network import FeatureNetwork, load_feature_network
from videoldm.measures.fidelity import psnr, ssim
from videoldm.models.presets import SVD as SVD_NETWORKS
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.synthetic.render import render_pixels
from videoldm.tasks.config import SamplingConfig, TaskModelConfig, TaskName
from videoldm.tasks.image_to_video import svd
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs

SPEEDS: tuple[Speed, ...] = get_args(Speed)
VIDEO_TASKS: tuple[TaskName, ...] = ("image-to-video", "text-to-video")
FULL_SIZES = ((14, 256, 384), (14, 576, 1024), (25, 576, 1024))
FACTOR = 8
ROUNDS = 5


@dataclass
class Calls:
    """The calls of the UNet in one sampling run, each branch of guidance counted as one."""

    full: int = 0
    shallow: int = 0


class CountingUNet:
    """Stands for a UNet in a sampling run and answers zeros."""

    def __init__(self, max_depth: int) -> None:
        self.max_depth = max_depth
        self.calls = Calls()

    def __call__(self, x: Tensor, *_: object) -> Tensor:
        """As a UNet."""
        return self.forward_reusing(x)[0]

    def forward_reusing(
        self, x: Tensor, *_: object, deep: Tensor | None = None, **_depth: object
    ) -> tuple[Tensor, Tensor]:
        """As a UNet."""
        if deep is None:
            self.calls.full += len(x)
        else:
            self.calls.shallow += len(x)
        return torch.zeros_like(x), x.flatten(0, 1)


def count_calls(model: TaskModelConfig, sampling: SamplingConfig, max_depth: int) -> Calls:
    """The UNet calls of one clip."""
    unet = CountingUNet(max_depth)
    network = unet if sampling.reuse is None else ReusingUNet(unet, sampling.reuse)
    conditioning = Conditioning(context=torch.ones(1, 1, 1))
    sigmas = schedule_sigmas(sampling.schedule, sampling.num_inference_steps)
    x = torch.ones(1, model.num_frames, 1, 1, 1)
    denoise = Guided(Preconditioned(network, model.preconditioning), sampling.guidance)
    sample(sampling.sampler, denoise, x, sigmas, conditioning, noise=SeededNoise([(0,)]))
    return unet.calls


@cache
def count_flops(config: UNetConfig, num_frames: int, height: int, width: int, *, depth: int) -> tuple[int, int]:
    """Of one full call and of one that reuses what lies below `depth`, for latents of `height` by `width`."""
    with torch.device("meta"):
        unet = VideoUNet(config)
        x = torch.empty(1, num_frames, config.in_channels, height, width)
        concat = torch.empty(1, num_frames, config.concat_channels, height, width)
        vector = torch.empty(1, num_frames, config.vector_dim or 0)
        conditioning = Conditioning(
            context=torch.empty(1, 1, config.context_dim),
            vector=vector if config.vector_dim else None,
            concat=concat if config.concat_channels else None,
        )
        c_noise = torch.empty(1)
    counts, deep = [], None
    for _ in range(2):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            _, deep = unet.forward_reusing(x, c_noise, conditioning, depth=depth, deep=deep)
        counts.append(counter.get_total_flops())
    return counts[0], counts[1]


def clip_flops(network: UNetConfig, model: TaskModelConfig, sampling: SamplingConfig) -> tuple[Calls, float]:
    """Calls and operations of the UNet in one clip of a model's own size."""
    with torch.device("meta"):
        max_depth = VideoUNet(network).max_depth
    calls = count_calls(model, sampling, max_depth)
    depth = 1 if sampling.reuse is None else sampling.reuse.depth
    size = model.num_frames, model.height // FACTOR, model.width // FACTOR
    full, shallow = count_flops(network, *size, depth=depth)
    return calls, calls.full * full + calls.shallow * shallow


def forecast() -> Table:
    """SVD's UNet at its own sizes."""
    table = Table("frames, size", "speed", "steps", "full calls", "shallow calls", "TFLOP a clip", "forecast ratio")
    for num_frames, height, width in FULL_SIZES:
        exact = 0.0
        model = svd().model_copy(update={"num_frames": num_frames, "height": height, "width": width})
        for speed in SPEEDS:
            sampling = model.sampling.at(speed)
            calls, flops = clip_flops(SVD_NETWORKS.unet, model, sampling)
            exact = exact or flops
            size, steps = f"{num_frames}, {height}x{width}", str(sampling.num_inference_steps)
            ratio = f"{exact / flops:.2f}"
            table.add_row(size, speed, steps, str(calls.full), str(calls.shallow), f"{flops / 1e12:.0f}", ratio)
    return table


def timed(num_frames: int, height: int, width: int) -> Table:
    """Seconds of one clip on each rung: medians of full and shallow calls, in turns, times their numbers."""
    dtype = DTYPES[default_precision("cuda" if torch.cuda.is_available() else "cpu")]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    unet = random_unet(SVD_NETWORKS.unet, dtype=dtype, device=device)
    model = svd().model_copy(update={"num_frames": num_frames, "height": height, "width": width})
    full_s, shallow_s = call_seconds(unet, num_frames, height // FACTOR, width // FACTOR)
    table = Table("speed", "s a clip", "ratio", title=f"{num_frames} frames of {width}x{height}, {dtype}, {device}")
    exact = 0.0
    for speed in SPEEDS:
        calls = count_calls(model, model.sampling.at(speed), unet.max_depth)
        seconds = calls.full * full_s + calls.shallow * shallow_s
        exact = exact or seconds
        table.add_row(speed, f"{seconds:.1f}", f"{exact / seconds:.2f}")
    table.caption = f"a full call {full_s:.2f} s, a shallow call {shallow_s:.2f} s, medians of {ROUNDS}"
    return table


def call_seconds(unet: VideoUNet, num_frames: int, height: int, width: int) -> tuple[float, float]:
    """Medians of full and shallow calls, after one pair that does not count."""
    device, dtype = next((parameter.device, parameter.dtype) for parameter in unet.parameters())
    x = torch.ones(1, num_frames, 4, height, width, device=device, dtype=dtype)
    vector, context = torch.ones(1, num_frames, 768, device=device), torch.ones(1, 1, 1024, device=device)
    conditioning = Conditioning(context=context, vector=vector, concat=x).to(dtype=dtype)
    reuse = svd().sampling.at("fast").reuse
    assert reuse is not None
    network = ReusingUNet(unet, reuse)
    seconds: list[float] = []
    for _ in range(reuse.interval * (1 + ROUNDS)):
        start = time.perf_counter()
        network(x, torch.zeros(1, device=device), conditioning).cpu()
        seconds.append(time.perf_counter() - start)
    counted = seconds[reuse.interval :]
    return statistics.median(counted[:: reuse.interval]), statistics.median(counted[1 :: reuse.interval])


def measured(name: str, task: TaskName, count: int) -> Table:
    """One task of a model of ours on every rung."""
    model, judge = load_model(name, task), load_feature_network(folder_of(name) / "judge")
    videos, seconds = clips_of(model, inputs_of(model, count))
    table = Table(
        "speed", "s a clip", "full calls", "shallow calls", "GFLOP a clip", "PSNR", "SSIM", "perceptual", "Frechet",
        title=f"{name}, {task}, {count} clips",
    )  # fmt: skip
    config = model.config
    for speed in SPEEDS:
        calls, flops = clip_flops(model.unet.config, config, config.sampling.at(speed))
        work = [f"{statistics.median(seconds[speed]):.2f}", str(calls.full), str(calls.shallow), f"{flops / 1e9:.1f}"]
        table.add_row(speed, *work, *distances(judge, videos[speed], videos["exact"]))
    return table


def distances(judge: FeatureNetwork, ours: Float[Tensor, "b t c h w"], exact: Float[Tensor, "b t c h w"]) -> list[str]:
    """PSNR, SSIM, perceptual and Frechet distance to the clips of `exact`."""
    if torch.equal(ours, exact):
        return ["equal", "1", "0", "0"]
    features, true = features_of(judge, ours), features_of(judge, exact)
    return [
        f"{float(psnr(ours, exact).mean()):.1f} dB",
        f"{float(ssim(ours, exact).mean()):.4f}",
        f"{float(perceptual_distance(features.maps, true.maps).mean()):.4f}",
        f"{frechet_distance(features.embedding, true.embedding):.1f}",
    ]


def inputs_of(model: VideoModel, count: int) -> list[Inputs]:
    """Pictures of scenes that training never saw, or prompts; one clip each."""
    if model.config.task == "text-to-video":
        return [text_inputs(model, [scene], index) for index, scene in enumerate(prompt_scenes(count))]
    pictures = render_pixels(test_scenes(0, count), num_frames=1, fps=FPS)[:, 0]
    bucket = model.config.signals.motion_bucket
    return [image_inputs(model, pictures[index : index + 1], [bucket], index) for index in range(count)]


def clips_of(
    model: VideoModel, inputs: Sequence[Inputs]
) -> tuple[dict[Speed, Float[Tensor, "b t c h w"]], dict[Speed, list[float]]]:
    """Clips of every rung and the seconds that each took, after one clip that does not count."""
    videos: dict[Speed, list[Tensor]] = {speed: [] for speed in SPEEDS}
    seconds: dict[Speed, list[float]] = {speed: [] for speed in SPEEDS}
    sample_clips(model, inputs[0])
    with progress(model.config.task, len(inputs) * len(SPEEDS)) as advance:
        for one in inputs:
            for speed in SPEEDS:
                start = time.perf_counter()
                videos[speed].append(sample_clips(model, one, sampling=model.config.sampling.at(speed)))
                seconds[speed].append(time.perf_counter() - start)
                advance()
    return {speed: torch.cat(made) for speed, made in videos.items()}, seconds


def main() -> None:
    """Measure or count, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--run", type=int, nargs=3, metavar=("FRAMES", "HEIGHT", "WIDTH"))
    arguments = parser.parse_args()
    console = Console()
    if arguments.full_size and arguments.run:
        with torch.inference_mode():
            console.print(timed(*arguments.run))
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
        return
    if arguments.full_size:
        console.print(forecast())
        print("Counted, not run; ratios of time will be lower where reading weights or launching kernels takes time.")
        return
    for task in VIDEO_TASKS:
        console.print(measured(arguments.model, task, arguments.clips))
    print(f"seed {SEED}, {torch.get_num_threads()} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
