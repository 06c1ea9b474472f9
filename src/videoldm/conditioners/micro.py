"""Frame rate, amount of motion and noise level as a condition; fills `Conditioning.vector`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.config import MicroConfig, MicroSignal
from videoldm.core.errors import InputError
from videoldm.models.unet.embeddings import sinusoids

Signals = Mapping[MicroSignal, Float[Tensor, "b _"]]
"""Each signal's values: one column where they hold for the whole clip, or one column a frame."""


def micro_vector(signals: Signals, config: MicroConfig, *, num_frames: int) -> Float[Tensor, "b num_frames d"]:
    """The sinusoids of each signal's raw values, side by side in the config's order; there is nothing to learn.

    The frame rate enters as fps - 1 and the noise level as sigma itself, not its logarithm. Where all signals are
    constant the result is an expanded view. Raises InputError unless `signals` holds exactly those of the config, all
    numbers finite, fps > 0, the others >= 0. SVD, App. D, and its released code.
    """
    _check(signals, num_frames, config)
    raw = [signals[name] - 1 if name == "fps" else signals[name] for name in config.signals]
    num_columns = max(values.shape[1] for values in raw)
    embedded = [sinusoids(values, config.embedding_dim).expand(-1, num_columns, -1) for values in raw]
    return torch.cat(embedded, dim=-1).expand(-1, num_frames, -1)


def constant(values: Sequence[float]) -> Float[Tensor, "b 1"]:
    """One value a clip, as `micro_vector` takes it."""
    return torch.tensor([float(value) for value in values])[:, None]


def warn_if_untrained(signals: Signals, config: MicroConfig) -> None:
    """Warn about frame rates and motion buckets that training never showed the model."""
    low, high = config.trained_fps
    for fps in _outside(signals.get("fps"), low, high):
        warnings.warn(f"fps is {fps:g}, the model was trained on {low:g} to {high:g}", stacklevel=2)
    for bucket in _outside(signals.get("motion_bucket"), 0, config.trained_max_motion_bucket):
        limit = f"{config.trained_max_motion_bucket:g}"
        warnings.warn(f"motion bucket is {bucket:g}, the model was trained on 0 to {limit}", stacklevel=2)


def _check(signals: Signals, num_frames: int, config: MicroConfig) -> None:
    if set(signals) != set(config.signals):
        raise InputError(f"signals are {sorted(signals)}, this model takes {sorted(config.signals)}")
    for name, values in signals.items():
        if values.shape[1] not in (1, num_frames):
            raise InputError(f"{name} has {values.shape[1]} values a clip, it should have 1 or {num_frames}")
        allowed = values.isfinite() & ((values > 0) if name == "fps" else (values >= 0))
        if not bool(allowed.all()):
            wrong = float(values[~allowed][0])
            raise InputError(f"{name} is {wrong:g}, it should be a finite number {'>' if name == 'fps' else '>='} 0")


def _outside(values: Tensor | None, low: float, high: float) -> list[float]:
    """The different values below `low` or above `high`."""
    return [] if values is None else values[(values < low) | (values > high)].unique().tolist()
