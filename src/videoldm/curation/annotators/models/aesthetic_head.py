"""Linear heads that rate CLIP embeddings: read from a file, or fitted to ratings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from safetensors import safe_open
from safetensors.numpy import save_file

from videoldm.checkpoints.storage.trust import pickles_trusted
from videoldm.checkpoints.storage.weights_file import tensors_in
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.core.random import python_random
from videoldm.core.reading import existing_file, safetensors_errors

NUM_FOLDS, MIN_RATINGS = 5, 20
PENALTIES = tuple(10.0**power for power in range(-4, 5))
_LAION_LAYERS = (0, 2, 4, 6, 7)
_LAYER = re.compile(r"layers\.(\d+)\.(weight|bias)")


@dataclass(frozen=True, eq=False)
class AestheticHead:
    """A head, `score = weights . embedding + bias`, for unit embeddings of the model `clip_model`, empty if unknown."""

    weights: Float32[np.ndarray, " d"]
    bias: float
    clip_model: str = ""

    def __call__(self, embeddings: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, " n"]:
        """Return the score of each embedding."""
        return (embeddings * self.weights).sum(axis=1) + np.float32(self.bias)


@dataclass(frozen=True, kw_only=True)
class AestheticFit:
    """A head, and how well heads predict ratings that they were not fitted to."""

    head: AestheticHead
    num_ratings: int
    penalty: float
    pearson: float
    spearman: float


def fit_aesthetic_head(
    embeddings: Float[np.ndarray, "n 3 d"], ratings: Float[np.ndarray, " n"], *, clip_model: str = ""
) -> AestheticFit:
    """Fit a head by ridge regression of ratings on a clip's three unit embeddings.

    A clip's score is the mean of its frames' scores, so the mean embedding is fitted. The penalty is the one of
    `PENALTIES` with the smallest squared error over five held-out folds, drawn by the clips' order; the correlations
    are those of the same predictions. Raises InputError for too few ratings or ratings that are all equal.
    """
    x, y = embeddings.astype(np.float64).mean(axis=1), ratings.astype(np.float64)
    if len(y) < MIN_RATINGS:
        raise InputError(f"ratings: {len(y)} rated clips have embeddings, it should be at least {MIN_RATINGS}")
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise InputError("ratings: some rating or embedding is not a finite number")
    if np.ptp(y) == 0:
        raise InputError(f"ratings: all are {y[0]:g}, they should differ")
    held_out = _held_out_predictions(x, y)
    errors = ((held_out - y) ** 2).mean(axis=1)
    best = int(errors.argmin())
    weights, bias = _ridge(x, y, PENALTIES[best])
    return AestheticFit(
        head=AestheticHead(weights.astype(np.float32), float(bias), clip_model),
        num_ratings=len(y),
        penalty=PENALTIES[best],
        pearson=_correlation(held_out[best], y),
        spearman=_correlation(_ranks(held_out[best]), _ranks(y)),
    )


def save_head(fit: AestheticFit, path: Path) -> None:
    """Write the head as safetensors, in the layout of LAION's linear heads, with its metadata."""
    about = {
        "clip_model": fit.head.clip_model,
        "num_ratings": str(fit.num_ratings),
        "penalty": f"{fit.penalty:g}",
        "held_out_pearson": f"{fit.pearson:.4f}",
        "held_out_spearman": f"{fit.spearman:.4f}",
    }
    tensors = {"weight": fit.head.weights[None], "bias": np.array([fit.head.bias], np.float32)}
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, metadata=about)


def read_head(path: Path) -> AestheticHead:
    """Read a head that was fitted here or one of LAION's, linear or of five linear layers.

    LAION's larger head has nothing but dropout between its layers, so it is one linear map, into which it is folded.
    LAION publishes pickles; they are read without running code. Raises InputError for anything else.
    """
    existing_file(path, kind="an aesthetic head, a file of weights")
    with pickles_trusted():
        tensors = {key: tensor.read().double() for key, tensor in tensors_in(path).items()}
    if tensors.keys() == {"weight", "bias"}:
        layers = [(tensors["weight"], tensors["bias"])]
    elif {key for layer in _LAION_LAYERS for key in _names(layer)} == tensors.keys():
        layers = [(tensors[_names(layer)[0]], tensors[_names(layer)[1]]) for layer in _LAION_LAYERS]
    else:
        raise InputError(
            f"{path}: holds {', '.join(sorted(tensors)[:4])}, it should hold the weight and bias of a head"
        )
    weight, bias = _folded(layers, path)
    return AestheticHead(weight.float().numpy(), float(bias), _clip_model(path))


def _names(layer: int) -> tuple[str, str]:
    return f"layers.{layer}.weight", f"layers.{layer}.bias"


def _folded(layers: list[tuple[torch.Tensor, torch.Tensor]], path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = layers[0]
    try:
        for next_weight, next_bias in layers[1:]:
            weight, bias = next_weight @ weight, next_weight @ bias + next_bias
    except RuntimeError:
        raise InputError(f"{path}: its layers do not fit together") from None
    if weight.ndim != 2 or weight.shape[0] != 1 or bias.shape != (1,):
        raise InputError(f"{path}: its weight is {tuple(weight.shape)}, it should be (1, width of the embeddings)")
    return weight[0], bias[0]


def _clip_model(path: Path) -> str:
    if path.suffix != ".safetensors":
        return ""
    with safetensors_errors(path), safe_open(path, framework="numpy") as file:
        return (file.metadata() or {}).get("clip_model", "")


def _held_out_predictions(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, "p n"]:
    """Return for each penalty the predictions of heads for the fold that they were not fitted to."""
    order = list(range(len(y)))
    python_random(0, "aesthetic folds").shuffle(order)
    fold = np.empty(len(y), np.int64)
    fold[order] = np.arange(len(y)) % NUM_FOLDS
    predictions = np.empty((len(PENALTIES), len(y)))
    for number in range(NUM_FOLDS):
        out = fold == number
        for row, penalty in enumerate(PENALTIES):
            weights, bias = _ridge(x[~out], y[~out], penalty)
            predictions[row, out] = x[out] @ weights + bias
    return predictions


def _ridge(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], penalty: float) -> tuple[np.ndarray, float]:
    """Return `argmin_w,b |x w + b - y|^2 + penalty |w|^2`, solved in the smaller of n and d."""
    mean_x, mean_y = x.mean(axis=0), y.mean()
    a, b = x - mean_x, y - mean_y
    if len(y) < x.shape[1]:
        weights = a.T @ np.linalg.solve(a @ a.T + penalty * np.eye(len(y)), b)
    else:
        weights = np.linalg.solve(a.T @ a + penalty * np.eye(x.shape[1]), a.T @ b)
    return weights, float(mean_y - mean_x @ weights)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; 0 if either is constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    return (last - (counts - 1) / 2)[inverse]
