"""Warnings of lengths, sizes and noise far from those of training, where results are poor and memory is large."""

from __future__ import annotations

import warnings

from videoldm.generation.request import Request
from videoldm.tasks.config import TaskModelConfig

MANY_TIMES_FRAMES, FEW_TIMES_FRAMES = 2.0, 0.25
MANY_TIMES_PIXELS, FEW_TIMES_PIXELS = 3.0, 0.25
"""Shares of the trained number of frames, and of pixels in a frame, beyond which a clip is far from training."""
MUCH_NOISE = 0.3
"""SVD's training drew ln(noise) from N(-3, 0.5^2): one clip in ten thousand had more."""


def warn_if_far(request: Request, config: TaskModelConfig) -> None:
    """Warn of what a model was hardly trained on; a single frame is a picture, which models of clips can make."""
    frames, trained = request.num_frames, config.num_frames
    if frames > MANY_TIMES_FRAMES * trained or 1 < frames < FEW_TIMES_FRAMES * trained:
        warnings.warn(f"num_frames is {frames}, the model was trained on {trained}", stacklevel=2)
    share = request.height * request.width / (config.height * config.width)
    if not FEW_TIMES_PIXELS <= share <= MANY_TIMES_PIXELS:
        size, usual = f"{request.width}x{request.height}", f"{config.width}x{config.height}"
        warnings.warn(f"the size is {size}, the model was trained on {usual}", stacklevel=2)
    if "noise_level" in config.signal_names and request.noise_aug_strength > MUCH_NOISE:
        noise = f"{request.noise_aug_strength:g}"
        warnings.warn(
            f"noise_aug_strength is {noise}, models are trained on up to about {MUCH_NOISE:g}: the clip will have "
            "little to do with the picture",
            stacklevel=2,
        )
