"""Effect of a temporal decoder on flicker, beside the per-frame decoder from which it was trained.

    videoldm train mini-temporal-decoder
    python benchmarks/temporal_decoder.py runs/mini-temporal-decoder/export [--scenes 64] [--samples 32]

The warping error is the mean absolute difference, of pixels in [-1, 1], between each frame and its successor warped
back. Reconstructions are warped along the renderer's true motion where the next frame still shows the point. The true
clips have such an error too, as interpolating between pixels blurs and as light moves over surfaces: a decoder falls
below it only by being smoother than the truth. So the table also has the error above that of the true clip, and the
error of the difference to the true clip, which is 0 for whatever moves with the scene. Sampled clips have no truth:
they are warped along optical flow, each along its own and all along that of the per-frame decoder's clip.

A blur lowers the warping error too. So the table also has the per-frame decoder's clips, blurred until their
reconstructions have lost as much PSNR as the temporal decoder's: only an error below theirs is due to time.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from mini_quality import EVERY_PROMPT
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from videoldm.checkpoints.autoencoder_files import open_autoencoder
from videoldm.core.progress import progress
from videoldm.core.random import python_random
from videoldm.generation.load import load_model
from videoldm.inference.decode import decode
from videoldm.measures.fidelity import psnr
from videoldm.measures.flow import visible_backward_flow, visible_flow
from videoldm.measures.temporal import estimated_warping_error, forward_backward_valid, warping_error
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.synthetic.captions import caption
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.render import RenderedClips, render
from videoldm.synthetic.scene import sample_scene, scene_from
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_latents
from videoldm.tasks.task import Inputs

FPS = Fraction(7)
NUM_FRAMES = 14
SEEDS = {"test": 2026, "validation": 77}
BATCH = 4
MOVING_CAMERA = WorldOptions(static_camera=0.0)

WIDEST_BLUR_PX = 2.0
BLUR_RADIUS_PX = 4

Clips = Float[Tensor, "b t c h w"]


@dataclass(frozen=True)
class Row:
    """One line of the table: a measure of the true clips (if there are any), and of three versions of them."""

    what: str
    count: int
    true: float | None
    per_frame: float
    blurred: float
    temporal: float


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decoder", type=Path, help="folder of the autoencoder with the temporal decoder")
    parser.add_argument("--model", default="mini", help="whose per-frame decoder and whose samples")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--split", default="test", choices=SEEDS)
    arguments = parser.parse_args()
    start, seed = time.monotonic(), SEEDS[arguments.split]
    temporal = open_autoencoder(arguments.decoder).load(dtype=torch.float32)
    by_text, by_image = (load_model(arguments.model, task) for task in ("text-to-video", "image-to-video"))
    scenes = [sample_scene(seed, arguments.split, index, MOVING_CAMERA) for index in range(arguments.scenes)]
    clips = render(scenes, num_frames=NUM_FRAMES, fps=FPS)
    plain = by_text.autoencoder
    latents = torch.cat([plain.encode(clip[None]).mode() for clip in clips.pixels])
    ours, theirs = decoded_by(plain, latents), decoded_by(temporal, latents)
    blur_px = blur_that_costs_as_much(ours, theirs, clips.pixels)
    rows = [*reconstruction_rows((ours, blurred(ours, blur_px), theirs), clips)]
    pictures = clips.pixels[: arguments.samples, 0]
    for what, model, inputs in (
        ("text to video", by_text, text_batches(by_text, arguments.samples, seed)),
        ("image to video", by_image, picture_batches(by_image, pictures, seed)),
    ):
        latents = sampled(what, model, inputs, arguments.samples)
        ours, theirs = decoded_by(plain, latents), decoded_by(temporal, latents)
        rows += sampled_rows(what, (ours, blurred(ours, blur_px), theirs))
    print_table(
        rows, f"{arguments.model} and {arguments.decoder}, {arguments.split} split, seed {seed}, blur {blur_px:.2f} px"
    )
    print(f"{time.monotonic() - start:.0f} s on {torch.get_num_threads()} threads, torch {torch.__version__}")


def reconstruction_rows(versions: tuple[Clips, Clips, Clips], clips: RenderedClips) -> Iterator[Row]:
    """True clips encoded and decoded, warped along their true motion."""
    count, what = len(clips.pixels), "reconstructions, moving camera"

    def error(pixels: Clips) -> float:
        return float(warping_error(pixels, clips.motion, clips.motion_valid).mean())

    true, errors = error(clips.pixels), [error(pixels) for pixels in versions]
    yield Row(f"{what}: PSNR, dB", count, None, *(_psnr(pixels, clips.pixels) for pixels in versions))
    yield Row(f"{what}: warping error", count, true, *errors)
    yield Row(f"{what}: warping error above the true", count, 0.0, *(value - true for value in errors))
    yield Row(f"{what}: warping error of the difference", count, 0.0, *(error(v - clips.pixels) for v in versions))


def sampled_rows(what: str, versions: tuple[Clips, Clips, Clips]) -> Iterator[Row]:
    """Decodes of sampled latents, warped along estimated motion; how far each is from the per-frame decode."""
    per_frame, count = versions[0], len(versions[0])
    flow = visible_flow(per_frame)
    valid = forward_backward_valid(flow, visible_backward_flow(per_frame))
    own = [float(estimated_warping_error(pixels).nanmean()) for pixels in versions]
    shared = [float(warping_error(pixels, flow, valid).nanmean()) for pixels in versions]
    yield Row(f"{what}, sampled: warping error, own flow", count, None, *own)
    yield Row(f"{what}, sampled: warping error, flow of the per-frame clip", count, None, *shared)
    to_per_frame = [_psnr(pixels, per_frame) for pixels in versions]
    yield Row(f"{what}, sampled: PSNR to the per-frame clip, dB", count, None, *to_per_frame)


def blur_that_costs_as_much(pixels: Clips, other: Clips, truth: Clips) -> float:
    """Deviation in pixels of the blur after which `pixels` are as far from the truth as `other`; about 0 if before."""
    wanted, low, high = _psnr(other, truth), 0.0, WIDEST_BLUR_PX
    for _ in range(12):
        middle = (low + high) / 2
        if _psnr(blurred(pixels, middle), truth) > wanted:
            low = middle
        else:
            high = middle
    return high


def blurred(pixels: Clips, deviation_px: float) -> Clips:
    """Every frame blurred by a Gaussian."""
    weights = (torch.arange(-BLUR_RADIUS_PX, BLUR_RADIUS_PX + 1) / deviation_px).square().mul(-0.5).exp()
    kernel = (weights / weights.sum()).view(1, 1, 1, -1)
    planes = F.pad(pixels.flatten(0, 2)[:, None], (BLUR_RADIUS_PX,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(planes, kernel), kernel.transpose(2, 3)).view_as(pixels)


def decoded_by(autoencoder: Autoencoder, latents: Float[Tensor, "b t z h w"]) -> Clips:
    """Pixels as sampling gives them."""
    return decode(autoencoder, latents).clamp(-1, 1)


def sampled(what: str, model: VideoModel, batches: Iterator[Inputs], count: int) -> Float[Tensor, "b t z h w"]:
    """Raw latents of samples with the model's defaults."""
    size = {"num_frames": NUM_FRAMES, "height": model.config.height, "width": model.config.width}
    made = []
    with progress(what.capitalize(), count) as advance:
        for inputs in batches:
            latents = sample_latents(model, inputs, sampling=model.config.sampling, **size)
            made.append(model.to_raw_latents(latents))
            advance(len(latents))
    return torch.cat(made)


def text_batches(model: VideoModel, count: int, seed: int) -> Iterator[Inputs]:
    """Captions of scenes with one moving object under a still camera."""
    chosen = python_random(seed, "prompts").sample(EVERY_PROMPT, count)
    scenes = [
        scene_from(shape=shape, colour=colour, motion=motion, camera="static", seed=seed + index)
        for index, (shape, colour, motion) in enumerate(chosen)
    ]
    for start in range(0, count, BATCH):
        prompts = [caption(scene, variant=0) for scene in scenes[start : start + BATCH]]
        yield Inputs(prompts=prompts, **signals(model, len(prompts), seed + start))


def picture_batches(model: VideoModel, pictures: Float[Tensor, "b c h w"], seed: int) -> Iterator[Inputs]:
    """First frames of the true clips."""
    for start in range(0, len(pictures), BATCH):
        part = pictures[start : start + BATCH]
        yield Inputs(pictures=part, **signals(model, len(part), seed + start))


def signals(model: VideoModel, count: int, first_seed: int) -> dict[str, Any]:
    """Seeds, and the model's default signals."""
    defaults = model.config.signals
    return {
        "samples": [(first_seed + i,) for i in range(count)],
        "fps": [float(FPS)] * count,
        "motion_bucket": [defaults.motion_bucket] * count,
        "noise_level": [defaults.noise_level] * count,
    }


def print_table(rows: list[Row], title: str) -> None:
    """Print figures, and what the temporal decoder leaves of the per-frame decoder's."""
    table = Table("measure", "clips", "true clips", "per frame", "blurred", "temporal", "ratio", title=title)
    for row in rows:
        ratio = "" if "PSNR" in row.what else f"{row.temporal / row.per_frame:.2f}"
        values = (row.true, row.per_frame, row.blurred, row.temporal)
        figures = ("" if value is None else f"{value:.4f}" for value in values)
        table.add_row(row.what, str(row.count), *figures, ratio)
    Console().print(table)


def _psnr(first: Clips, second: Clips) -> float:
    return float(psnr(first, second).mean())


if __name__ == "__main__":
    main()
