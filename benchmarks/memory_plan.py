"""Memory of image to video under each measure: the forecast of every phase, and the measured peaks.

  python benchmarks/memory_plan.py                      # forecasts for SVD-XT on a GPU, nothing is run
  python benchmarks/memory_plan.py --model FOLDER --device cpu --num-frames 14 --height 256 --width 384

With --model, one clip of that model is made for each plan, in its own process, and the peak of each phase is measured:
the tensors on a GPU, the rise of the resident set on a CPU (Linux). `--write` first writes a full-size pipeline of
random weights there, which needs diffusers and 4.6 GB of disk.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from pipeline_parity import write_pipeline
from rich.console import Console
from rich.table import Table

from videoldm.core.config import GIB
from videoldm.generation.memory_plan import clip_size, forecaster
from videoldm.inference.config import ALL_IN_MEMORY, MemoryPlan, RunPhase
from videoldm.inference.memory.forecast import ClipSize, Forecaster, measures_on
from videoldm.inference.memory.meter import PeakMeter
from videoldm.inference.precision import DTYPES, default_precision
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.encoders import build_image_encoder
from videoldm.models.presets import SVD_XT
from videoldm.models.unet.network import VideoUNet
from videoldm.pipelines.load import load_opened
from videoldm.pipelines.open import open_model
from videoldm.tasks.image_to_video import SVD_XT_SAMPLING
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs

PUBLISHED_SIZES = ((14, 256, 384), (14, 576, 1024), (25, 576, 1024))
Peaks = Mapping[RunPhase, int]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is made, and where."""

    model: str
    device: str
    num_frames: int
    height: int
    width: int
    num_inference_steps: int

    @property
    def dtype(self) -> torch.dtype:
        """The precision that `videoldm generate` would choose."""
        return DTYPES[default_precision(self.device)]


def main() -> None:
    """Forecast, and measure if there is a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--num-frames", type=int, default=14)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--num-inference-steps", type=int, default=1)
    values = vars(parser.parse_args())
    is_to_be_written = values.pop("write")
    if not values["model"]:
        show_forecasts()
        return
    setting = Setting(**values)
    if is_to_be_written:
        write_half(Path(setting.model))
    show_measured(setting)


def show_forecasts() -> None:
    """The table of docs/memory.md: SVD-XT on a GPU, for each size and each measure more."""
    with torch.device("meta"):
        forecast = Forecaster(
            unet=VideoUNet(SVD_XT.unet).half(),
            autoencoder=Autoencoder(SVD_XT.autoencoder),
            encoders=[build_image_encoder(SVD_XT.image_encoder)],
            num_tokens=1,
            device="cuda",
        )
    for num_frames, height, width in PUBLISHED_SIZES:
        clip = clip_size(num_frames, height, width, SVD_XT_SAMPLING, has_picture=True)
        title = f"{num_frames} frames of {width}x{height}, GiB"
        table = Table("measures", "encode", "denoise", "decode", "at most", title=title)
        for name, plan in plans("cuda"):
            peaks = forecast(clip, plan)
            table.add_row(name, *(f"{peak / GIB:.1f}" for peak in (*peaks.values(), max(peaks.values()))))
        Console(width=110).print(table)


def plans(device: str) -> list[tuple[str, MemoryPlan]]:
    """No measure, then one more at a time, in the order in which they are taken."""
    found = [("none", ALL_IN_MEMORY)]
    for measure in measures_on(device):
        found.append((f"+ {measure}", found[-1][1].with_measure(measure)))
    return found


def show_measured(setting: Setting) -> None:
    """Forecast and measured peak of each phase under each plan."""
    files = open_model(setting.model)
    forecast = forecaster(files, "image-to-video", device=setting.device, dtype=setting.dtype)
    sampling = files.config("image-to-video").sampling
    clip: ClipSize = clip_size(setting.num_frames, setting.height, setting.width, sampling, has_picture=True)
    kind = torch.device(setting.device).type
    title = f"{clip.num_frames} frames of {clip.width}x{clip.height}, {setting.dtype}, GiB forecast (measured)"
    table = Table("measures", "encode", "denoise", "decode", title=title)
    for name, plan in plans(kind):
        expected, peaks = forecast(clip, plan), in_new_process(setting, plan)
        cells = (f"{expected[phase] / GIB:.2f} ({peaks[phase] / GIB:.2f})" for phase in expected)
        table.add_row(name, *cells)
    Console(width=110).print(table)
    print(f"torch {torch.__version__}, {setting.device}, {torch.get_num_threads()} threads")


def in_new_process(setting: Setting, plan: MemoryPlan) -> Peaks:
    """Measure where nothing was allocated before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, setting, plan).result()


def measured(setting: Setting, plan: MemoryPlan) -> Peaks:
    """The peaks of one clip."""
    meter = PeakMeter(setting.device)
    model = load_opened(
        open_model(setting.model), "image-to-video", device=setting.device, dtype=setting.dtype, memory=plan
    )
    sampling = model.config.sampling.model_copy(update={"num_inference_steps": setting.num_inference_steps})
    inputs = Inputs(
        samples=[(0,)],
        pictures=torch.zeros(1, 3, setting.height, setting.width),
        fps=[7],
        motion_bucket=[127],
        noise_level=[0.02],
    )
    sample_clips(
        model,
        inputs,
        sampling=sampling,
        num_frames=setting.num_frames,
        height=setting.height,
        width=setting.width,
        watch=meter.watch,
    )
    return meter.peaks


def write_half(folder: Path) -> None:
    """A full-size pipeline of random weights in float16, as SVD is published for GPUs."""
    from diffusers import StableVideoDiffusionPipeline

    with tempfile.TemporaryDirectory(dir=folder.parent) as whole:
        write_pipeline(Path(whole), "full", num_frames=25)
        StableVideoDiffusionPipeline.from_pretrained(whole, torch_dtype=torch.float16).save_pretrained(folder)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
