"""Measures of frames that may begin a shot and of windows that may be gradual transitions, with what is true.

  python benchmarks/cut_judges/measure.py fade MEASURES.npz --real FOLDER ... --rendered FOLDER
  python benchmarks/cut_judges/measure.py cut MEASURES.npz --real FOLDER ... --rendered FOLDER
  python benchmarks/cut_judges/measure.py gradual MEASURES.npz --real FOLDER ... --rendered FOLDER

read videos for tuning that `benchmarks/real_cuts.py --part tune` and `benchmarks/cuts.py --split train` left in
folders, and write what `fit.py` reads. Each kind is sought outside of those before it, so the judge of
fades is fitted first, then that of cuts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from cut_videos import make_videos
from found_transitions import signals_of
from real_footage.videos import Event, read_video
from sweep_videos import make_sweeps

from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.fade_measures import measure_fades
from videoldm.curation.cuts.flicker import find_flicker
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.gradual import GradualFinder
from videoldm.curation.cuts.gradual_measures import WindowMeasures
from videoldm.curation.cuts.hard_cuts import CutMeasures, find_cuts
from videoldm.curation.cuts.judges import Measures
from videoldm.curation.cuts.timeline import between, find_lights, find_veils
from videoldm.curation.cuts.transition import Window, taken

RENDERED = {7: 36, 8: 72}
"""Number of rendered videos by seed."""
NUM_SWEEPS, NUM_SHOTS = 12, 8
CONFIG = CutConfig()
MISSED_EVERY = 4


@dataclass(frozen=True)
class Labelled:
    """A file and the shot changes in it."""

    path: Path
    events: tuple[Event, ...]


@dataclass
class Rows:
    """Measures of many files, with labels."""

    measures: list[Measures] = field(default_factory=list)
    labels: list[dict[str, np.ndarray]] = field(default_factory=list)

    def add(self, measures: Measures, labels: dict[str, np.ndarray]) -> None:
        """Append the rows of one file or stretch."""
        self.measures.append(measures)
        self.labels.append(labels)

    def write(self, path: Path) -> None:
        """Write one array a column; names of labels begin with an underscore."""
        columns = {name: np.concatenate([part[name] for part in self.measures]) for name in self.measures[0]}
        labels = {f"_{name}": np.concatenate([part[name] for part in self.labels]) for name in self.labels[0]}
        np.savez(path, allow_pickle=False, **columns | labels)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("change", choices=tuple(ADD))
    parser.add_argument("measures", type=Path)
    parser.add_argument("--real", type=Path, nargs="*", default=[])
    parser.add_argument("--rendered", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    av.logging.set_level(av.logging.PANIC)
    options.measures.parent.mkdir(parents=True, exist_ok=True)
    rows = Rows()
    add = ADD[options.change]
    for number, video in enumerate(labelled(options.real, options.rendered)):
        signals, _ = signals_of(video.path, CONFIG)
        add(rows, number, video, Footage(signals))
    rows.write(options.measures)


def labelled(real: list[Path], rendered: Path | None) -> Iterator[Labelled]:
    """All videos of the folders; rendered ones are made if they are not there."""
    for folder in real:
        for note in sorted(folder.glob("tune_*_[0-9][0-9][0-9].json")):
            video = read_video(note)
            yield Labelled(video.path, video.events)
    if rendered:
        for seed, num_videos in RENDERED.items():
            for one in make_videos(rendered, seed=seed, num_videos=num_videos, num_shots=NUM_SHOTS, split="train"):
                yield Labelled(one.path, tuple(Event(event.kind, event.first, event.end, "") for event in one.events))
        for path in make_sweeps(rendered, seed=min(RENDERED), num_videos=NUM_SWEEPS, split="train"):
            yield Labelled(path, ())


def add_cuts(rows: Rows, number: int, video: Labelled, footage: Footage) -> None:
    """Measure the frames that may begin a shot."""
    measured = CutMeasures(footage, taken(find_lights(footage, CONFIG), len(footage)), CONFIG.hard)
    frames = measured.candidates()
    if not len(frames):
        return
    true = [event.first for event in video.events if event.kind == "cut"]
    is_left_out = [any(one.kind != "cut" and one.first <= at <= one.end for one in video.events) for at in frames]
    labels = {
        "video": np.full(len(frames), number),
        "is_true": np.isin(frames, true),
        "is_left_out": np.array(is_left_out, bool),
    }
    rows.add(measured.quick(frames) | measured.motion(frames), labels)


def add_gradual(rows: Rows, number: int, video: Labelled, footage: Footage) -> None:
    """Measure the windows that may be gradual transitions."""
    found = find_lights(footage, CONFIG)
    cuts = find_cuts(footage, taken(found, len(footage)), CONFIG.hard)
    # Some cuts as if they had been missed: what lies around them is no gradual transition.
    found += [cut for place, cut in enumerate(cuts) if place % MISSED_EVERY]
    found.sort(key=lambda one: one.first)
    finder = GradualFinder(footage, CONFIG.gradual)
    windows = finder.windows(list(between(found, len(footage))))
    if windows:
        measures = WindowMeasures(footage)
        quick = measures.quick(windows)
        rows.add(quick | measures.motion(windows, quick["share"]), _window_labels(number, video, windows))


def add_fades(rows: Rows, number: int, video: Labelled, footage: Footage) -> None:
    """Measure what may be fades."""
    veils = find_veils(footage, find_flicker(footage, CONFIG.flicker), CONFIG)
    fades = [one for one in veils if one.kind != "flash"]
    if not fades:
        return
    gradual = [event for event in video.events if event.kind not in ("cut", "flash")]
    met = [[one.kind for one in gradual if one.first < fade.end and fade.first < one.end] for fade in fades]
    is_true = [any(kind.startswith("fade") for kind in kinds) for kinds in met]
    labels = {
        "video": np.full(len(fades), number),
        "is_true": np.array(is_true),
        "is_left_out": np.array([bool(kinds) and not true for kinds, true in zip(met, is_true, strict=True)]),
    }
    rows.add(measure_fades(footage, fades), labels)


def _window_labels(number: int, video: Labelled, windows: list[Window]) -> dict[str, np.ndarray]:
    gradual = [event for event in video.events if event.kind not in ("cut", "flash")]
    covers, kinds = np.zeros(len(windows)), np.zeros(len(windows), "U16")
    is_touching = np.zeros(len(windows), bool)
    for row, window in enumerate(windows):
        for event in gradual:
            common = min(event.end, window.last) - max(event.first, window.first + 1)
            if common > 0:
                is_touching[row] = True
                cover = common / (max(event.end, window.last) - min(event.first, window.first + 1))
                if cover > covers[row]:
                    covers[row], kinds[row] = cover, event.kind
    ends = np.array([(one.first, one.last) for one in windows])
    video_column = np.full(len(windows), number)
    return {"video": video_column, "cover": covers, "kind": kinds, "is_touching": is_touching, "ends": ends}


ADD = {"fade": add_fades, "cut": add_cuts, "gradual": add_gradual}

if __name__ == "__main__":
    main()
