"""How well the annotation `degradation` follows what photographs lost, and the fit of its head.

Views of photographs at 1280x720 are blurred, given noise, compressed as JPEG, made smaller and enlarged, or two of
these, then scaled and stored as a sidecar stores frames. The truth is 1 - SSIM between the small frames with and
without the degradation. The head is fitted to the part "tune" alone; figures are of "test", which has other
photographs. Beside it stand what needs no network: the variance of the Laplacian (blur), and Immerkaer's estimate of
noise.

  python benchmarks/real_cuts.py --fetch SOURCES
  python benchmarks/degradation.py --sources SOURCES [--fit src/videoldm/assets/degradation_head.safetensors]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from altered_clips import coded, views_of
from real_footage.sources import Part, Sources
from safetensors.numpy import save_file
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from videoldm.assets.packaged import EFFICIENTNET_LITE0
from videoldm.curation.annotators.models.degradation_network import (
    DegradationNetwork,
    efficientnet_lite0,
    picture_features,
)

PENALTIES = (100.0, 300.0, 1000.0, 3000.0)
FOLDS = 5
LARGE, SMALL, QUALITY = (1280, 720), (640, 360), 90
LEAST_WIDTH = 640
IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def _blurred(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    sigma = 0.7 * 9**strength
    if random.random() < 0.5:
        return cv2.GaussianBlur(picture, (0, 0), sigma)
    length, angle = int(3 * sigma) | 1, random.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length // 2)
    ends = [tuple(round(value) for value in length // 2 + sign * reach) for sign in (-1, 1)]
    cv2.line(kernel, *ends, 1)
    return cv2.filter2D(picture, -1, kernel / kernel.sum())


def _noisy(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return (picture + random.normal(0, 3 * 13**strength, picture.shape)).clip(0, 255).astype(np.uint8)


def _compressed(picture: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    return coded(picture, round(60 * 0.06**strength))


def _enlarged(picture: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    factor = 1.5 * 5**strength
    small = cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)


KINDS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "blur": _blurred,
    "noise": _noisy,
    "compression": _compressed,
    "enlargement": _enlarged,
}
STRENGTHS = 4
MIXTURES = 4


class Frame(NamedTuple):
    """A small frame, what was done to it, and how much it lost."""

    picture: str
    kind: str
    loss: float
    pixels: np.ndarray


def main() -> None:
    """Fit if asked to, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True, help="unpacked packages, see real_cuts.py --fetch")
    parser.add_argument("--clips", type=Path, default=Path(), help="real clips, not used")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="fit the head and write it there")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.fit:
        fit(list(frames(Sources(options.sources, options.clips, "tune"), options.seed)), options.fit)
    parts: tuple[Part, ...] = ("test",)
    for part in parts:
        print(table(list(frames(Sources(options.sources, options.clips, part), options.seed))))


def frames(sources: Sources, seed: int) -> Iterator[Frame]:
    """Yield the frames of one part."""
    random = np.random.default_rng(seed)
    for name in sources.pictures:
        for view in views_of(sources.picture(name), random, least_width=LEAST_WIDTH, size=LARGE):
            clean = _stored(view)
            yield Frame(name, "none", 0.0, clean)
            for kind, degrade in KINDS.items():
                for number in range(STRENGTHS):
                    strength = (number + random.random()) / STRENGTHS
                    yield _frame(name, kind, clean, degrade(view, strength, random))
            for _ in range(MIXTURES):
                first, second = random.choice(list(KINDS), 2, replace=False)
                both = KINDS[first](view, random.random(), random)
                yield _frame(name, "two of them", clean, KINDS[second](both, random.random(), random))


def _frame(name: str, kind: str, clean: np.ndarray, degraded: np.ndarray) -> Frame:
    small = _stored(degraded)
    grey, other = (cv2.cvtColor(one, cv2.COLOR_BGR2GRAY) for one in (clean, small))
    return Frame(name, kind, 1 - float(structural_similarity(grey, other)), small)


def _stored(picture: np.ndarray) -> np.ndarray:
    return coded(cv2.resize(picture, SMALL, interpolation=cv2.INTER_AREA), QUALITY)


def features_of(some: list[Frame]) -> np.ndarray:
    """Features of each frame."""
    network = efficientnet_lite0()
    return np.concatenate([picture_features(network, [_rgb(one)]) for one in some])


def _rgb(one: Frame) -> np.ndarray:
    return np.ascontiguousarray(one.pixels[..., ::-1])


def fit(some: list[Frame], path: Path) -> None:
    """Fit the square root of the loss by ridge regression; the penalty is chosen over folds of whole pictures."""
    x, y = features_of(some).astype(np.float64), np.sqrt([one.loss for one in some])
    names = sorted({one.picture for one in some})
    folds = np.array([names.index(one.picture) % FOLDS for one in some])
    errors = {}
    for penalty in PENALTIES:
        predicted = np.empty(len(y))
        for fold in range(FOLDS):
            weights, bias = _ridge(x[folds != fold], y[folds != fold], penalty)
            predicted[folds == fold] = x[folds == fold] @ weights + bias
        errors[penalty] = float(((predicted - y) ** 2).mean())
    best = min(errors, key=errors.__getitem__)
    weights, bias = _ridge(x, y, best)
    about = {"network": EFFICIENTNET_LITE0.distribution, "num_frames": str(len(some)), "penalty": f"{best:g}"}
    save_file({"weight": weights.astype(np.float32), "bias": np.array([bias], np.float32)}, path, metadata=about)
    print(f"fitted to {len(some)} frames of {len(names)} photographs, penalty {best:g}, held-out errors {errors}")


def _ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    a, b = (x - mean) / spread, y - y.mean()
    weights = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ b) / spread
    return weights, float(y.mean() - mean @ weights)


def table(some: list[Frame]) -> str:
    """Rank correlations with the loss, of all frames and of each kind with the undegraded ones."""
    start = time.process_time()
    judged = DegradationNetwork()
    ours = np.concatenate([judged([_rgb(one)]) for one in some])
    ms = 1000 * (time.process_time() - start) / len(some)
    greys = [cv2.cvtColor(one.pixels, cv2.COLOR_BGR2GRAY).astype(np.float32) for one in some]
    scores = {
        "degradation": ours,
        "Laplacian variance, less is worse": np.array([-cv2.Laplacian(grey, cv2.CV_32F).var() for grey in greys]),
        "Immerkaer's noise": np.array([np.abs(cv2.filter2D(grey, -1, IMMERKAER)).mean() for grey in greys]),
    }
    kinds, losses = np.array([one.kind for one in some]), np.array([one.loss for one in some])
    names = [*KINDS, "two of them"]
    num_pictures, error = len({one.picture for one in some}), np.abs(ours - losses).mean()
    lines = [f"{len(some)} frames of {num_pictures} photographs, {ms:.0f} ms of processor time each;"]
    lines += [f"losses {losses.mean():.3f} in the mean, mean error of the estimate {error:.3f}", ""]
    lines += [f"| Spearman's rank correlation with 1 - SSIM | all | {' | '.join(names)} |"]
    lines += ["|---" * (len(names) + 2) + "|"]
    for score, values in scores.items():
        cells = [float(spearmanr(values, losses)[0])]
        cells += [_of_kind(values, losses, (kinds == name) | (kinds == "none")) for name in names]
        lines.append(f"| {score} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    return "\n".join(lines)


def _of_kind(values: np.ndarray, losses: np.ndarray, chosen: np.ndarray) -> float:
    return float(spearmanr(values[chosen], losses[chosen])[0])


if __name__ == "__main__":
    main()
