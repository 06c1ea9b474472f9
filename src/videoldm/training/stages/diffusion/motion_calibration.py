"""Calibration of motion buckets: how much clips move under each, turned round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from videoldm.conditioners.config import MotionCalibration
from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core.progress import progress
from videoldm.measures.temporal import video_motion
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import TrainingClips

BATCH = 4


def calibrated(model: VideoModel, clips: TrainingClips, buckets: Sequence[float]) -> VideoModel:
    """Return the model with the calibration of the motion buckets that clips from these inputs give.

    What is told is the bucket of the mean motion of all clips that are conditioned on one of `buckets`.
    """
    free = with_calibration(model, None)
    with progress("Measuring motion", len(buckets) * len(clips.records)) as advance:
        motions = [_mean_motion(free, clips, bucket, advance) for bucket in sorted(buckets)]
    return with_calibration(model, calibration_of([bucket_of_motion(motion) for motion in motions], sorted(buckets)))


def calibration_of(measured: Sequence[float], conditioned: Sequence[float]) -> MotionCalibration:
    """Return the calibration of a model whose clips have the `measured` buckets under rising `conditioned` ones.

    Of buckets under which clips move no more than under a lower one, nothing is kept.
    """
    kept = [i for i, bucket in enumerate(measured) if all(bucket > lower for lower in measured[:i])]
    return MotionCalibration(told=tuple(measured[i] for i in kept), conditioned=tuple(conditioned[i] for i in kept))


def with_calibration(model: VideoModel, calibration: MotionCalibration | None) -> VideoModel:
    """Return the same networks with another calibration."""
    micro = model.config.micro.model_copy(update={"motion_calibration": calibration})
    return replace(model, config=model.config.model_copy(update={"micro": micro}))


def _mean_motion(model: VideoModel, clips: TrainingClips, bucket: float, advance: Callable[[int], None]) -> float:
    """Return the mean motion of clips from these inputs that are conditioned on one bucket."""
    total, count = 0.0, len(clips.records)
    for start in range(0, count, BATCH):
        part = clips[range(start, min(start + BATCH, count))]
        inputs = task_named(model.config.task).training_inputs(part)
        level = model.config.signals.noise_level
        inputs = replace(inputs, motion_bucket=[bucket] * len(part.records), noise_level=[level] * len(part.records))
        videos = sample_clips(model, inputs)
        total += sum(float(video_motion(video, one.fps)) for video, one in zip(videos, part.records, strict=True))
        advance(len(part.records))
    return total / count
