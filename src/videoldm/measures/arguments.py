"""Checks of arguments that several measures share."""

from fractions import Fraction

from torch import Tensor

from videoldm.core.errors import InputError


def check_video(name: str, video: Tensor, *, min_frames: int = 1) -> None:
    """Raise InputError unless `video` is a floating point `... t c h w` with at least `min_frames` frames."""
    if video.ndim < 4 or not video.is_floating_point():
        raise InputError(
            f"{name}: expected a floating point video '... t c h w' in [-1, 1], got {video.dtype} {tuple(video.shape)}"
        )
    if video.shape[-4] < min_frames:
        raise InputError(f"{name}: needs at least {min_frames} frames, got {video.shape[-4]}")
    if 0 in video.shape:
        raise InputError(f"{name}: has an empty axis: {tuple(video.shape)}")


def check_same_shape(name: str, first: Tensor, second: Tensor) -> None:
    """Raise InputError unless the two compared tensors have one shape."""
    if first.shape != second.shape:
        raise InputError(f"{name}: the two inputs differ in shape: {tuple(first.shape)} and {tuple(second.shape)}")


def check_fps(fps: Fraction) -> None:
    """Raise InputError unless `fps` is a positive rate."""
    if fps <= 0:
        raise InputError(f"fps: must be a positive number of frames per second, got {fps}")
