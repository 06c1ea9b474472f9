"""A distilled student beside its teacher: Frechet distances to true clips, and calls of the network.

    python benchmarks/distillation.py STUDENT [--teacher mini] [--task text-to-video] [--clips 256] [--sheet FILE.png]

STUDENT is what a run of `mini-distil-text-to-video` or `mini-distil-image-to-video` exported, or a LoRA's folder.
Student and teacher get the same inputs and seeds, those of rendered scenes that training never saw: captions or first
frames, and the scene's own motion. Distances are between sets of clips, in the features of mini's judge, and depend on
the number of clips: the line of true clips of other scenes says how small one of that many can be. On mini they hardly
tell a blurred clip from a sharp one, so the table also says how often the judge sees the scene's shape, colour and
motion, and what the teacher makes of the student's steps without any distillation.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core.progress import progress
from videoldm.generation.load import load_model
from videoldm.measures.feature_distances import frechet_distance, perceptual_distance
from videoldm.measures.feature_network import FeatureNetwork, VideoFeatures, load_feature_network
from videoldm.measures.fidelity import psnr
from videoldm.measures.temporal import estimated_warping_error, mean_motion, video_motion
from videoldm.pipelines.folder import NativeFolder
from videoldm.pipelines.open import open_model
from videoldm.synthetic.captions import caption
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.elements import Scene
from videoldm.synthetic.render import render
from videoldm.synthetic.scene import sample_scene
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs
from videoldm.video.contact_sheet import contact_sheet

FPS = Fraction(7)
NUM_FRAMES = 14
SEED = 2026
BATCH = 8
SHOWN = 8
BAR = 1.3
HEADS = ("shape", "colour", "motion")


@dataclass(frozen=True)
class Scenes:
    """True clips with the inputs that models get."""

    pixels: Float[Tensor, "b t c h w"]
    scenes: Sequence[Scene]
    captions: Sequence[str]
    buckets: Sequence[float]

    def inputs(self, rows: slice, *, noise_level: float) -> Inputs:
        """Return inputs of some clips, of both kinds: a task takes what it needs."""
        buckets = list(self.buckets[rows])
        return Inputs(
            samples=[(SEED, index) for index in range(rows.start, rows.start + len(buckets))],
            prompts=self.captions[rows],
            pictures=self.pixels[rows, 0],
            fps=[float(FPS)] * len(buckets),
            motion_bucket=buckets,
            noise_level=[noise_level] * len(buckets),
        )


@dataclass(frozen=True)
class Made:
    """Clips of one model, with calls of its UNet and seconds for each clip."""

    pixels: Float[Tensor, "b t c h w"]
    calls: float
    seconds: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student")
    parser.add_argument("--teacher", default="mini")
    parser.add_argument("--task", default="text-to-video", choices=("text-to-video", "image-to-video"))
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--sheet", type=Path, help="picture of clips: true, the teacher's and the student's")
    arguments = parser.parse_args()
    files = open_model(arguments.teacher)
    assert isinstance(files, NativeFolder), f"{arguments.teacher} has no judge"
    judge = load_feature_network(files.folder / "judge")
    scenes = scenes_of(arguments.split, 0, arguments.clips)
    teacher = load_model(arguments.teacher, arguments.task)
    student, sampling = student_of(arguments.student, arguments.teacher, arguments.task)
    made = {
        "teacher": made_clips("teacher", teacher, teacher.config.sampling, scenes),
        "teacher in the student's steps": made_clips("few steps", teacher, sampling, scenes),
        "student": made_clips("student", student, sampling, scenes),
    }
    others = scenes_of(arguments.split, arguments.clips, arguments.clips).pixels
    print_table(arguments, judge, scenes, others, made)
    if arguments.sheet is not None:
        draw(arguments.sheet, scenes, made)


def scenes_of(split: str, first: int, count: int) -> Scenes:
    """Return rendered scenes of a split that training never saw, as they come."""
    scenes = [sample_scene(SEED, split, index, WorldOptions()) for index in range(first, first + count)]
    clips = render(scenes, num_frames=NUM_FRAMES, fps=FPS)
    buckets = [bucket_of_motion(motion) for motion in mean_motion(clips.motion, FPS).tolist()]
    return Scenes(clips.pixels, scenes, [caption(scene, variant=0) for scene in scenes], buckets)


def student_of(place: str, teacher: str, task: str) -> tuple[VideoModel, SamplingConfig]:
    """Return a student and its sampling: of a whole model, or of a LoRA for the teacher."""
    if (Path(place) / "autoencoder").is_dir():
        model = load_model(place, task)
        return model, model.config.sampling
    model = load_model(teacher, task, lora=place)
    return model, model.config.sampling.distilled(4)


def made_clips(name: str, model: VideoModel, sampling: SamplingConfig, scenes: Scenes) -> Made:
    """Return a clip for each scene."""
    calls, parts, start = 0, [], time.monotonic()

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    level = model.config.signals.noise_level
    hook = model.unet.register_forward_hook(count)
    with progress(name, len(scenes.pixels)) as advance:
        for first in range(0, len(scenes.pixels), BATCH):
            inputs = scenes.inputs(slice(first, first + BATCH), noise_level=level)
            parts.append(sample_clips(model, inputs, sampling=sampling))
            advance(len(parts[-1]))
    hook.remove()
    return Made(torch.cat(parts), calls / len(parts), (time.monotonic() - start) / len(scenes.pixels))


def print_table(
    arguments: argparse.Namespace,
    judge: FeatureNetwork,
    scenes: Scenes,
    others: Float[Tensor, "b t c h w"],
    made: dict[str, Made],
) -> None:
    """Print a line for each set of clips, and whether the student keeps to the bar."""
    true = scenes.pixels
    title = f"{arguments.task}, {len(true)} clips, {arguments.split} split, seed {SEED}"
    table = Table(
        "clips", "calls", "s", "Frechet", "to teacher's", "moves", "warping", "1st frame", *HEADS, title=title
    )
    features = {name: features_of(judge, clips.pixels) for name, clips in made.items()}
    real, moves = features_of(judge, true), float(video_motion(true, FPS).mean())
    distances = {name: frechet_distance(one.embedding, real.embedding) for name, one in features.items()}
    for name, clips in made.items():
        apart = float(perceptual_distance(features[name].maps, features["teacher"].maps).mean())
        table.add_row(
            name,
            f"{clips.calls:g}",
            f"{clips.seconds:.2f}",
            f"{distances[name]:.1f}",
            f"{apart:.3f}",
            f"{float(video_motion(clips.pixels, FPS).mean()) / moves:.2f}",
            warping(clips.pixels),
            f"{float(psnr(clips.pixels[:, 0], true[:, 0]).mean()):.1f} dB",
            *right(judge, clips.pixels, scenes.scenes),
        )
    floor = f"{frechet_distance(features_of(judge, others).embedding, real.embedding):.1f}"
    seen = right(judge, true, scenes.scenes)
    table.add_row("true; Frechet of other scenes", "", "", floor, "", "1", warping(true), "", *seen)
    Console(width=150).print(table)
    ratio = distances["student"] / distances["teacher"]
    fewer = made["teacher"].calls / made["student"].calls
    print(f"student / teacher: Frechet {ratio:.2f} (bar {BAR}), {fewer:g} times fewer calls (bar 10)")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")


def warping(videos: Float[Tensor, "b t c h w"]) -> str:
    """Return the warping error as it is printed."""
    return f"{float(estimated_warping_error(videos).nanmean()):.4f}"


def right(judge: FeatureNetwork, videos: Float[Tensor, "b t c h w"], scenes: Sequence[Scene]) -> list[str]:
    """Return how often the judge sees what the scene's first object is and does."""
    seen = judge.judge(videos)
    hits = [
        sum(getattr(scene.objects[0], head) == labels[head] for scene, labels in zip(scenes, seen, strict=True))
        for head in HEADS
    ]
    return [f"{100 * count / len(scenes):.0f} %" for count in hits]


@torch.no_grad()
def features_of(judge: FeatureNetwork, videos: Float[Tensor, "b t c h w"]) -> VideoFeatures:
    """Return the features of clips."""
    return judge(videos)


def draw(path: Path, scenes: Scenes, made: dict[str, Made]) -> None:
    """Draw the first clips of each set below each other."""
    clips, labels = [], []
    for index in range(min(SHOWN, len(scenes.pixels))):
        rows = {"true": scenes.pixels, "teacher": made["teacher"].pixels, "student": made["student"].pixels}
        clips += [pixels[index] for pixels in rows.values()]
        labels += [f"{name}: {scenes.captions[index]}" for name in rows]
    contact_sheet(clips, labels).save(path)


if __name__ == "__main__":
    main()
