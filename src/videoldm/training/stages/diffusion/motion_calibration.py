"""Calibration of motion buckets: how much clips move under each, inverted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from videoldm.conditioners.config import MotionCalibration
from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core import ranks
from videoldm.core.progress import progress
from videoldm.measures.temporal import video_motion
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import TrainingClips


def calibrated(model: VideoModel, clips: TrainingClips, buckets: Sequence[float]) -> VideoModel:
    """Return the model with the calibration of motion buckets that its clips from these inputs give.

    What is told is the bucket of the mean motion of all clips that are conditioned on one of `buckets`. Every process
    calls it and makes a part of the clips.
    """
    free, rising = with_calibration(model, None), sorted(buckets)
    with progress("Measuring motion", len(rising) * len(clips.records)) as advance:
        motions = [_mean_motion(free, clips, bucket, advance) for bucket in rising]
    return with_calibration(model, calibration_of([bucket_of_motion(motion) for motion in motions], rising))


def calibration_of(measured: Sequence[float], conditioned: Sequence[float]) -> MotionCalibration:
    """Return the calibration of a model whose clips have the `measured` buckets under rising `conditioned` ones.

    Buckets under which clips move no more than under a lower one are dropped.
    """
    kept = [i for i, bucket in enumerate(measured) if all(bucket > lower for lower in measured[:i])]
    return MotionCalibration(told=tuple(measured[i] for i in kept), conditioned=tuple(conditioned[i] for i in kept))


def with_calibration(model: VideoModel, calibration: MotionCalibration | None) -> VideoModel:
    """Return the same networks with another calibration."""
    micro = model.config.micro.model_copy(update={"motion_calibration": calibration})
    return replace(model, config=model.config.model_copy(update={"micro": micro}))


def _mean_motion(model: VideoModel, clips: TrainingClips, bucket: float, advance: Callable[[int], None]) -> float:
    """Return the mean motion of clips from these inputs that are conditioned on one bucket."""

    def motion_of(row: int) -> float:
        inputs = task_named(model.config.task).training_inputs(clips[[row]])
        inputs = replace(inputs, motion_bucket=[bucket], noise_level=[model.config.signals.noise_level])
        return float(video_motion(sample_clips(model, inputs)[0], clips.records[row].fps))

    count = len(clips.records)
    motions = ranks.map_over_ranks(range(count), lambda rows: [motion_of(row) for row in rows])
    advance(count)
    return math.fsum(motions) / count
