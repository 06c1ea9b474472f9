"""Share of clips in which camera LoRAs move the camera as their names say, beside the model without them.

    python benchmarks/camera_lora.py [--loras horizontal zooming static] [--clips 32] [--seed 2026]

Train first: videoldm train mini-moving-camera, then mini-camera-horizontal, -zooming and -static. Pictures are first
frames of scenes that training never saw, under a still camera and on patterned grounds, the same for all models; clip i
has the sampling seed SEED + i. The camera is fitted to the estimated flow of each clip and named by `classify_camera`.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from videoldm.core.progress import progress
from videoldm.generation.load import load_model
from videoldm.measures.camera import CameraClass, CameraFit, classify_camera, video_camera
from videoldm.measures.temporal import video_motion
from videoldm.recipes.camera_lora import CAMERAS, EXPORT, WORLD, Camera
from videoldm.synthetic.render import render_pixels
from videoldm.synthetic.scene import sample_scene
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs

FPS, BATCH = Fraction(7), 8
COUNTED: tuple[CameraClass, ...] = ("static", "pan_left", "pan_right", "zoom_in", "zoom_out", "other")


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    start = time.monotonic()
    pictures = unseen_pictures(arguments.seed, arguments.split, arguments.clips)
    table = Table("model", *COUNTED, *(f"{name}, %" for name in CAMERAS), "pan, 1/s", "zoom, 1/s", "motion")
    for name, lora in models(arguments.runs, arguments.loras, arguments.weight).items():
        model = load_model(arguments.model, "image-to-video", lora=lora)
        table.add_row(name, *row(clips_of(model, pictures, arguments.seed, name)))
    table.title = (
        f"{arguments.clips} clips each, {arguments.split} scenes, seed {arguments.seed}, LoRA weight "
        f"{arguments.weight:g}, {float(FPS):g} fps"
    )
    Console(width=160).print(table)
    print(f"{time.monotonic() - start:.0f} s on {torch.get_num_threads()} threads, torch {torch.__version__}")


def models(runs: Path, loras: Sequence[Camera], weight: float) -> dict[str, str]:
    """The model alone, and with each LoRA."""
    return {"without": ""} | {name: f"{runs / f'mini-camera-{name}' / 'export/peft'}:{weight}" for name in loras}


def unseen_pictures(seed: int, split: str, count: int) -> Float[Tensor, "b c h w"]:
    """First frames of scenes whose camera stands still."""
    still = WORLD.model_copy(update={"static_camera": 1.0})
    scenes = [sample_scene(seed, split, index, still) for index in range(count)]
    return render_pixels(scenes, num_frames=2, fps=FPS)[:, 0]


def clips_of(model: VideoModel, pictures: Float[Tensor, "b c h w"], seed: int, name: str) -> Float[Tensor, "b t c h w"]:
    """A clip from each picture, under the model's default signals."""
    made, signals = [], model.config.signals
    with progress(name, len(pictures)) as advance:
        for first in range(0, len(pictures), BATCH):
            part = pictures[first : first + BATCH]
            inputs = Inputs(
                samples=[(seed + first + i,) for i in range(len(part))],
                pictures=part,
                fps=[float(FPS)] * len(part),
                motion_bucket=[signals.motion_bucket] * len(part),
                noise_level=[signals.noise_level] * len(part),
            )
            made.append(sample_clips(model, inputs, num_frames=model.config.num_frames))
            advance(len(part))
    return torch.cat(made)


def row(clips: Float[Tensor, "b t c h w"]) -> Sequence[str]:
    """How many clips have each camera motion, the share that each LoRA is to have, and mean rates."""
    fit: CameraFit = video_camera(clips, FPS)
    classes = classify_camera(fit)
    found = Counter[str](classes)
    shares = [f"{100 * share(classes, name):.0f}" for name in CAMERAS]
    rates = [f"{float(rate.mean(dim=-1).abs().mean()):.3f}" for rate in (fit.pan_x, fit.zoom)]
    return [*(str(found[one]) for one in COUNTED), *shares, *rates, f"{float(video_motion(clips, FPS).mean()):.3f}"]


def share(classes: Sequence[CameraClass], camera: Camera) -> float:
    """The part of clips whose camera moves as a LoRA of that name should."""
    return sum(one in CAMERAS[camera] for one in classes) / len(classes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--model", default=EXPORT, help="what the LoRAs were trained on")
    parser.add_argument("--loras", nargs="+", choices=tuple(CAMERAS), default=tuple(CAMERAS))
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--weight", type=float, default=2.0, help="of the LoRAs; chosen on validation scenes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
