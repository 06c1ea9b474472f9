"""What each detector finds in a file, as frame numbers, and the processor time that it takes with decoding."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from found_transitions import Spans, find_in
from scenedetect import (
    AdaptiveDetector,
    ContentDetector,
    HistogramDetector,
    SceneManager,
    ThresholdDetector,
    open_video,
)

from real_footage.findings import Findings
from videoldm.curation.cuts.config import CutConfig, LearnedConfig
from videoldm.curation.cuts.transition import runs

PEERS: dict[str, Callable[[], object]] = {
    "PySceneDetect content": ContentDetector,
    "PySceneDetect adaptive": AdaptiveDetector,
    "PySceneDetect hist": HistogramDetector,
    "PySceneDetect threshold": ThresholdDetector,
}
OURS, CONFIRMED, TRANSNET = "videoldm", "videoldm, confirmed", "TransNetV2"
SCRIPT = Path(__file__).parent / "transnet.py"


def ours(path: Path) -> Findings:
    """Our detectors; fades that follow each other at once are one transition."""
    start = time.process_time()
    found = find_in(path, CutConfig())
    return Findings(tuple(found.cuts()), tuple(found.gradual()), time.process_time() - start)


def ours_confirmed(path: Path, network: Path) -> Findings:
    """Our detectors, with dissolves confirmed by a network in a file."""
    start = time.process_time()
    found = find_in(path, CutConfig(learned=LearnedConfig(model=str(network))))
    return Findings(tuple(found.cuts()), tuple(found.gradual()), time.process_time() - start)


def peer(path: Path, name: str) -> Findings:
    """One of PySceneDetect's detectors with its defaults, stored beside the video: the first frames of new scenes."""
    note = path.with_suffix(f".{name.rsplit(maxsplit=1)[-1]}.json")
    if not note.exists():
        start = time.process_time()
        manager = SceneManager()
        manager.add_detector(PEERS[name]())
        manager.detect_scenes(open_video(str(path), backend="pyav"))
        cuts = [int(first.frame_num) for first, _ in manager.get_scene_list()[1:]]
        note.write_text(json.dumps({"cuts": cuts, "cpu_s": time.process_time() - start}))
    stored = json.loads(note.read_text())
    return Findings(tuple(stored["cuts"]), (), stored["cpu_s"], has_kinds=False)


def transnet(paths: Sequence[Path], python: Path) -> dict[Path, Findings]:
    """TransNetV2 at its own threshold, run by an interpreter whose environment holds the package."""
    missing = [path for path in paths if not path.with_suffix(".transnet.json").exists()]
    if missing:
        subprocess.run([str(python), str(SCRIPT), *map(str, missing)], check=True)
    return {path: transnet_findings(path) for path in paths}


def transnet_findings(path: Path) -> Findings:
    """Cuts and gradual transitions from the stored probabilities of both heads.

    The first head marks where the shot changes, the second every frame of a transition. A run of the second that marks
    at most two frames is a cut; the new shot begins after the last frame that the first head marks.
    """
    stored = json.loads(path.with_suffix(".transnet.json").read_text())
    threshold = stored["threshold"]
    single = np.array(stored["single"]) > threshold
    every = single | (np.array(stored["all"]) > threshold)
    cuts, gradual = list[int](), Spans()
    for first, end in runs(every):
        marked = runs(single[first:end])
        if not marked:
            continue
        if end - first <= 2:
            cuts.append(first + marked[-1][1])
        elif len(marked) > 1 and all(stop - begin <= 2 for begin, stop in marked) and end - first <= 3 * len(marked):
            cuts += [first + stop for _, stop in marked]
        else:
            gradual.append((first, end))
    return Findings(tuple(cuts), tuple(gradual), stored["cpu_s"])


def all_findings(path: Path, transnet_python: Path | None) -> dict[str, Findings]:
    """What every detector finds."""
    found = {OURS: ours(path)}
    found |= {name: peer(path, name) for name in PEERS}
    if transnet_python:
        found[TRANSNET] = transnet([path], transnet_python)[path]
    return found
