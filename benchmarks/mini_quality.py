"""Quality of the mini model on scenes that training never saw.

    python benchmarks/mini_quality.py [--models mini OLDER] [--scenes 256] [--prompts 200] [--photographs FOLDER]

Prints one table: the measure, the number of clips, the bar, a figure for each model. Pictures and true clips come from
the "test" split of the synthetic world; photographs are cut to squares in their middle. Prompts are all combinations of
shape, colour and motion, or a random selection; shape, colour and direction are judged by the feature network of the
first model, whose own accuracy is printed.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core.progress import progress
from videoldm.core.random import python_random
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
from videoldm.synthetic.render import render, render_pixels
from videoldm.synthetic.scene import sample_scene, scene_from
from videoldm.synthetic.vocabulary import COLOURS, OBJECT_MOTIONS, SHAPES
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs
from videoldm.video.picture import fit_picture, load_picture
from videoldm.video.picture_files import pictures_in

FPS = Fraction(7)
NUM_FRAMES = 14
SEED = 2026
BATCH = 4
EVERY_PROMPT = list(product(SHAPES, COLOURS, [motion for motion in OBJECT_MOTIONS if motion != "still"]))


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    count: int
    bar: str
    figure: str


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["mini"], metavar="MODEL")
    parser.add_argument("--scenes", type=int, default=256)
    parser.add_argument(
        "--prompts", type=int, default=len(EVERY_PROMPT), choices=range(1, len(EVERY_PROMPT) + 1), metavar="N"
    )
    parser.add_argument("--photographs", type=Path, help="folder of photographs that training never saw")
    arguments = parser.parse_args()
    start = time.monotonic()
    judge = load_feature_network(folder_of(arguments.models[0]) / "judge")
    rendered = render(test_scenes(0, arguments.scenes), num_frames=NUM_FRAMES, fps=FPS)
    true_motion = mean_motion(rendered.motion, FPS).tolist()
    columns = [
        [
            *image_model_rows(name, judge, rendered.pixels, true_motion, arguments.photographs),
            *text_to_video_rows(load_model(name, "text-to-video"), judge, arguments.prompts),
        ]
        for name in arguments.models
    ]
    judged = [*true_rows(judge, rendered.pixels), *judge_rows(judge)]
    table = Table("measure", "clips", "bar", *arguments.models, title=f"seed {SEED}, {float(FPS):g} fps")
    for rows in [*zip(*columns, strict=True), *((row,) for row in judged)]:
        table.add_row(rows[0].what, str(rows[0].count), rows[0].bar, *(row.figure for row in rows))
    Console().print(table)
    print(f"{time.monotonic() - start:.0f} s on {torch.get_num_threads()} threads, torch {torch.__version__}")


def folder_of(name: str) -> Path:
    """Where the judge of one of our models lies."""
    files = open_model(name)
    assert isinstance(files, NativeFolder), f"{name} has no judge"
    return files.folder


def test_scenes(first: int, count: int) -> list[Scene]:
    """Scenes that training never saw."""
    return [sample_scene(SEED, "test", index, WorldOptions()) for index in range(first, first + count)]


def image_model_rows(
    name: str,
    judge: FeatureNetwork,
    clips: Float[Tensor, "b t c h w"],
    true_motion: Sequence[float],
    photographs: Path | None,
) -> Iterator[Row]:
    """All that is measured of a model that animates pictures."""
    model = load_model(name, "image-to-video")
    yield from autoencoder_rows(model, clips)
    yield from image_to_video_rows(model, judge, clips, true_motion)
    if photographs is not None:
        yield from photograph_rows(model, photographs)


def autoencoder_rows(model: VideoModel, clips: Float[Tensor, "b t c h w"]) -> Iterator[Row]:
    """Reconstruction of one frame of each clip."""
    middle = clips.shape[1] // 2
    frames = clips[:, middle : middle + 1]
    with torch.no_grad():
        decoded = model.autoencoder(frames).clamp(-1, 1)
    yield Row("autoencoder PSNR", len(frames), ">= 34 dB", f"{float(psnr(decoded, frames).mean()):.2f} dB")


def image_to_video_rows(
    model: VideoModel, judge: FeatureNetwork, clips: Float[Tensor, "b t c h w"], true_motion: Sequence[float]
) -> Iterator[Row]:
    """Fidelity to the picture, and motion (by estimated flow) and features beside those of the true clips.

    Once each clip is conditioned on its true motion, once all on the model's default.
    """
    true, features = float(video_motion(clips, FPS).mean()), features_of(judge, clips)
    default = model.config.signals.motion_bucket
    conditions = {
        "conditioned on its own": [bucket_of_motion(motion) for motion in true_motion],
        f"conditioned on bucket {default:g}": [default] * len(clips),
    }
    for how, buckets in conditions.items():
        videos = videos_of_pictures(model, clips[:, 0], buckets)
        first, motion = float(psnr(videos[:, 0], clips[:, 0]).mean()), float(video_motion(videos, FPS).mean())
        what, count = f"image to video, {how} motion", len(videos)
        yield Row(f"{what}: first frame PSNR to the input", count, ">= 27 dB", f"{first:.2f} dB")
        yield Row(f"{what}: motion, of the true clips'", count, "0.8 to 1.25", f"{motion / true:.2f} (true {true:.4f})")
        yield consistency_row(what, videos)
        yield from feature_rows(what, features_of(judge, videos), features)


def true_rows(judge: FeatureNetwork, clips: Float[Tensor, "b t c h w"]) -> Iterator[Row]:
    """The same measures of true clips: what a perfect model would have."""
    features = features_of(judge, clips)
    yield consistency_row("true clips", clips)
    others = render_pixels(test_scenes(len(clips), len(clips)), num_frames=NUM_FRAMES, fps=FPS)
    yield from feature_rows("true clips of other scenes", features_of(judge, others), features)


@torch.no_grad()
def features_of(judge: FeatureNetwork, videos: Float[Tensor, "b t c h w"]) -> VideoFeatures:
    """Return the features of clips."""
    return judge(videos)


def feature_rows(what: str, ours: VideoFeatures, true: VideoFeatures) -> Iterator[Row]:
    """Distances to the true clips in the judge's features: of the whole set, and clip by clip."""
    frechet = frechet_distance(ours.embedding, true.embedding)
    perceptual = float(perceptual_distance(ours.maps, true.maps).mean())
    count = len(ours.embedding)
    yield Row(f"{what}: Frechet distance to the true clips", count, "stated", f"{frechet:.2f}")
    yield Row(f"{what}: perceptual distance to the true clips", count, "stated", f"{perceptual:.4f}")


def photograph_rows(model: VideoModel, folder: Path) -> Iterator[Row]:
    """Fidelity to photographs, with and without sampling; motion is the model's default."""
    size = (model.config.height, model.config.width)
    pictures = torch.stack([fit_picture(load_picture(path), *size, "crop") for path in pictures_in(folder)])
    with torch.no_grad():
        decoded = model.autoencoder(pictures[:, None]).clamp(-1, 1)[:, 0]
    videos = videos_of_pictures(model, pictures, [model.config.signals.motion_bucket] * len(pictures))
    for what, made in (("autoencoder PSNR", decoded), ("first frame PSNR", videos[:, 0])):
        each = psnr(made, pictures).tolist()
        figure = f"{sum(each) / len(each):.2f} dB (" + " ".join(f"{one:.1f}" for one in each) + ")"
        yield Row(f"photographs: {what}", len(each), ">= 24 dB", figure)


def videos_of_pictures(
    model: VideoModel, pictures: Float[Tensor, "b c h w"], buckets: Sequence[float]
) -> Float[Tensor, "b t c h w"]:
    """A clip from each picture."""
    made = []
    with progress("Image to video", len(pictures)) as advance:
        for start in range(0, len(pictures), BATCH):
            rows = slice(start, start + BATCH)
            made.append(sample_clips(model, image_inputs(model, pictures[rows], buckets[rows], start)))
            advance(len(made[-1]))
    return torch.cat(made)


def image_inputs(model: VideoModel, pictures: Float[Tensor, "b c h w"], buckets: Sequence[float], start: int) -> Inputs:
    """Pictures and the amount of motion that the model is conditioned on."""
    count = len(pictures)
    return Inputs(
        samples=[(SEED + start + i,) for i in range(count)],
        pictures=pictures,
        fps=[float(FPS)] * count,
        motion_bucket=list(buckets),
        noise_level=[model.config.signals.noise_level] * count,
    )


def text_to_video_rows(model: VideoModel, judge: FeatureNetwork, count: int) -> Iterator[Row]:
    """What the judge sees in clips from prompts that name shape, colour and direction."""
    scenes = list(prompt_scenes(count))
    right: dict[str, list[bool]] = {"colour": [], "shape": [], "motion": [], "left or right": []}
    made = []
    with progress("Text to video", count) as advance:
        for start in range(0, count, BATCH):
            part = scenes[start : start + BATCH]
            made.append(sample_clips(model, text_inputs(model, part, start)))
            for scene, seen in zip(part, judge.judge(made[-1]), strict=True):
                for head in ("colour", "shape", "motion"):
                    right[head].append(seen[head] == getattr(scene.objects[0], head))
                if scene.objects[0].motion in ("left", "right"):
                    right["left or right"].append(right["motion"][-1])
            advance(len(part))
    for (head, all_right), bar in zip(right.items(), (98, 95, 90, 90), strict=True):
        share = f"{100 * sum(all_right) / len(all_right):.1f} %" if all_right else "none asked for"
        yield Row(f"text to video: {head} right", len(all_right), f">= {bar} %", share)
    videos, true = torch.cat(made), render_pixels(scenes, num_frames=NUM_FRAMES, fps=FPS)
    of_true = float(video_motion(videos, FPS).mean() / video_motion(true, FPS).mean())
    yield Row("text to video: motion, of clips rendered from the same words", count, "stated", f"{of_true:.2f}")
    yield consistency_row("text to video", videos)
    yield consistency_row("clips rendered from the same words", true)


def prompt_scenes(count: int) -> Iterator[Scene]:
    """Scenes with one moving object under a still camera: a random selection of all combinations."""
    chosen = python_random(SEED, "prompts").sample(EVERY_PROMPT, count)
    for index, (shape, colour, motion) in enumerate(chosen):
        yield scene_from(shape=shape, colour=colour, motion=motion, camera="static", seed=SEED + index)


def text_inputs(model: VideoModel, scenes: Sequence[Scene], start: int) -> Inputs:
    """Captions of scenes, under the model's default signals."""
    count = len(scenes)
    return Inputs(
        samples=[(SEED + start + i,) for i in range(count)],
        prompts=[caption(scene, variant=0) for scene in scenes],
        fps=[float(FPS)] * count,
        motion_bucket=[model.config.signals.motion_bucket] * count,
        noise_level=[model.config.signals.noise_level] * count,
    )


def consistency_row(task: str, videos: Float[Tensor, "b t c h w"]) -> Row:
    """Mean absolute error of frames warped onto their neighbours along the estimated flow."""
    return Row(f"{task}: warping error", len(videos), "stated", f"{float(estimated_warping_error(videos).mean()):.4f}")


def judge_rows(judge: FeatureNetwork) -> Iterator[Row]:
    """The judge's own accuracy."""
    for head, accuracy in judge.accuracy.items():
        yield Row(f"judge: {head} right on unseen renders", accuracy.num_clips, "", f"{100 * accuracy.fraction:.1f} %")


if __name__ == "__main__":
    main()
