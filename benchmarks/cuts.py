"""Detection of known shot changes in generated videos: our detectors beside those of PySceneDetect.

Hard cuts count if they are found at exactly their frame. Gradual transitions are fades and dissolves; a fade_out and
the fade_in that follows it at once are one. A gradual transition counts as hit if any of its frames, or the first one
after it, is found, and as covered if the detection shares half of the frames of both (intersection over union at least
0.5); each detection counts once only. PySceneDetect's detections are single frames without a kind: those inside a
gradual transition or a flash do not count against its cuts, those that match nothing count against its cuts alone. Shot
changes are all of these and flashes between different shots; a flash inside a shot is not one. Sweeps are videos
without any transition.

  python benchmarks/cuts.py --videos 36 --folder runs/cut-videos
  python benchmarks/cuts.py --cost FILE ...      CPU time a frame, beside that of decoding alone
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from cut_videos import Event, TrueVideo, make_videos
from found_transitions import Spans, find_in
from rich.console import Console
from rich.table import Table
from scenedetect import AdaptiveDetector, ContentDetector, SceneManager, ThresholdDetector, open_video
from sweep_videos import LENGTH_S, make_sweeps

from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import CutSignals
from videoldm.curation.cuts.timeline import find_transitions, safe_spans

LEAST_COVER = 0.5
THEIRS = {"content": ContentDetector, "adaptive": AdaptiveDetector, "threshold": ThresholdDetector}
OURS, UNION = "ours", "union of the three"


@dataclass
class Findings:
    """What was found, as frame numbers: single frames and spans up to before their ends."""

    cuts: set[int]
    gradual: Spans
    changes: Spans
    has_kinds: bool


@dataclass
class Count:
    """Right, false and missed findings."""

    right: int = 0
    false: int = 0
    missed: int = 0

    def add(self, right: int, false: int, missed: int) -> None:
        """Those of one more video."""
        self.right, self.false, self.missed = self.right + right, self.false + false, self.missed + missed

    @property
    def texts(self) -> list[str]:
        """Precision, recall and their harmonic mean F1."""
        values = [(self.right, self.right + self.false), (self.right, self.right + self.missed)]
        values.append((2 * self.right, 2 * self.right + self.false + self.missed))
        return [f"{part / whole:.3f}" if whole else "-" for part, whole in values]


@dataclass
class Tally:
    """All counts of one detector."""

    cuts: Count = field(default_factory=Count)
    met: Count = field(default_factory=Count)
    covered: Count = field(default_factory=Count)
    changes: Count = field(default_factory=Count)
    num_false_in_sweeps: int = 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=36)
    parser.add_argument("--sweeps", type=int, default=12)
    parser.add_argument("--shots", type=int, default=8, help="of each video")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("train", "test"), default="test", help="thresholds are tuned on train")
    parser.add_argument("--folder", type=Path, default=Path("runs/cut-videos"))
    parser.add_argument("--cost", nargs="+", metavar="FILE")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    av.logging.set_level(av.logging.PANIC)
    if options.cost:
        print_costs(options.cost)
        return
    tallies = {name: Tally() for name in (OURS, *THEIRS, UNION)}
    kinds: dict[str, int] = {}
    kwargs = {"seed": options.seed, "split": options.split}
    for video in make_videos(options.folder, num_videos=options.videos, num_shots=options.shots, **kwargs):
        for event in (*video.events, *video.inner_flashes):
            kind = event.kind if event in video.events else "flash inside a shot"
            kinds[kind] = kinds.get(kind, 0) + 1
        for name, findings in all_findings(video.path).items():
            tally(tallies[name], video, findings)
    for path in make_sweeps(options.folder, num_videos=options.sweeps, **kwargs):
        for name, findings in all_findings(path).items():
            tallies[name].num_false_in_sweeps += len(findings.changes)
    print_table(tallies, kinds, options.sweeps * LENGTH_S / 60)


def all_findings(path: Path) -> dict[str, Findings]:
    """What each detector finds in the file."""
    ours, times = our_findings(path)
    theirs = {name: their_frames(path, detector, times) for name, detector in THEIRS.items()}
    theirs[UNION] = sorted(set().union(*theirs.values()))
    untyped = {
        name: Findings(set(frames), [(at, at) for at in frames], [(at, at) for at in frames], has_kinds=False)
        for name, frames in theirs.items()
    }
    return {OURS: ours, **untyped}


def our_findings(path: Path) -> tuple[Findings, np.ndarray]:
    """What is found here, and the frames' times in seconds."""
    config = CutConfig()
    ours = find_in(path, config)
    safe = safe_spans(ours.transitions, ours.signals, ours.end_pts, config)
    spans = [(ours.numbers[span.start_pts], ours.numbers[span.end_pts]) for span in safe]
    changes = [(one[1], other[0]) for one, other in itertools.pairwise(spans)]
    times = ours.signals.pts * float(ours.signals.time_base)
    return Findings(set(ours.cuts()), ours.gradual(), changes, has_kinds=True), times


def their_frames(path: Path, detector: Callable[[], object], times: np.ndarray) -> list[int]:
    """First frames of all scenes but the first."""
    manager = SceneManager()
    manager.add_detector(detector())
    manager.detect_scenes(open_video(str(path), backend="pyav"))
    starts = [start.seconds + times[0] for start, _ in manager.get_scene_list()[1:]]
    return [int(np.abs(times - start).argmin()) for start in starts]


def tally(result: Tally, video: TrueVideo, found: Findings) -> None:
    """Count what was found in one video."""
    true_cuts = {event.first for event in video.events if event.kind == "cut"}
    spread = [event for event in video.events if event.kind != "cut"]
    gradual = [event for event in spread if event.kind != "flash"]
    false_cuts = found.cuts - true_cuts
    if not found.has_kinds:
        false_cuts = {at for at in false_cuts if not any(is_met(event, (at, at)) for event in spread)}
    result.cuts.add(len(found.cuts & true_cuts), len(false_cuts), len(true_cuts - found.cuts))
    result.met.add(*matched(gradual, found.gradual, is_met, are_false_counted=found.has_kinds))
    result.covered.add(*matched(gradual, found.gradual, is_covered, are_false_counted=found.has_kinds))
    result.changes.add(*matched(video.events, found.changes, is_met, are_false_counted=True))


def matched(
    events: Sequence[Event], found: Spans, fits: Callable[[Event, tuple[int, int]], bool], *, are_false_counted: bool
) -> tuple[int, int, int]:
    """Right, false and missed ones, each finding used once; more findings in an event that is met are not false."""
    left = list(found)
    num_right = 0
    for event in events:
        fitting = [span for span in left if fits(event, span)]
        num_right += bool(fitting)
        if fitting:
            left.remove(fitting[0])
    num_false = sum(not any(fits(event, span) for event in events) for span in left)
    return num_right, num_false if are_false_counted else 0, len(events) - num_right


def is_met(event: Event, span: tuple[int, int]) -> bool:
    """Whether the two have a frame in common, the first after the event included."""
    return span[0] <= event.end and max(span[1], span[0] + 1) > event.first


def is_covered(event: Event, span: tuple[int, int]) -> bool:
    """Whether the two share enough frames."""
    common = min(event.end, span[1]) - max(event.first, span[0])
    return common > 0 and common / (max(event.end, span[1]) - min(event.first, span[0])) >= LEAST_COVER


def print_table(tallies: dict[str, Tally], kinds: dict[str, int], sweep_minutes: float) -> None:
    """One row a detector; three numbers are precision, recall and F1."""
    title = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    table = Table(
        "detector", "hard cuts", "gradual, met", "gradual, covered", "shot changes", "false/min in sweeps", title=title
    )
    for name, one in tallies.items():
        counts = (" ".join(count.texts) for count in (one.cuts, one.met, one.covered, one.changes))
        table.add_row(name, *counts, f"{one.num_false_in_sweeps / max(sweep_minutes, 1e-9):.1f}")
    Console(width=150).print(table)


def print_costs(paths: Sequence[str]) -> None:
    """CPU milliseconds a frame, the least of some runs."""
    table = Table(
        "file", "frames", "decode", "+ signals", "+ transitions", "of decode", title="CPU ms a frame, one thread"
    )
    for path in paths:
        runs = np.array([costs(path) for _ in range(5)])
        num_frames, decode, signals, whole = runs.min(axis=0)
        parts = [f"{1000 * part / num_frames:.3f}" for part in (decode, signals - decode, whole - signals)]
        table.add_row(Path(path).name, f"{num_frames:.0f}", *parts, f"{whole / decode:.2f}")
    Console(width=150).print(table)


def costs(path: str) -> tuple[float, float, float, float]:
    """Number of frames, CPU seconds to decode them, with signals, and with transitions found in those."""
    start = time.process_time()
    num_frames = sum(1 for _ in _decoded(path))
    decoded = time.process_time()
    signals = CutSignals(CutConfig())
    for frame in _decoded(path):
        signals.add(frame)
    table = signals.finish()
    added = time.process_time()
    find_transitions(table, int(table.pts[-1]) + 1, CutConfig())
    return num_frames, decoded - start, added - decoded, time.process_time() - decoded


def _decoded(path: str):
    with av.open(path) as container:
        container.streams.video[0].thread_type = "NONE"
        yield from container.decode(video=0)


if __name__ == "__main__":
    main()
