"""How findings are counted against what is true.

Hard cuts count at exactly their frame. A cut inside a gradual transition, or at the first frame after it, is neither
right nor false. A gradual transition is met by a finding that has a frame in common with it or begins at the first
frame after it, and covered if both share half of all their frames (intersection over union); each finding counts once,
and one that meets no true gradual transition is false. Detectors without kinds give single frames: one inside a gradual
transition, or at the first frame after it, meets it, and every other one counts as a cut. All false findings, of any
kind, in videos without gradual transitions count as false changes there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from real_footage.findings import Findings
from real_footage.videos import Event, TrueVideo

LEAST_COVER = 0.5
Span = tuple[int, int]


@dataclass
class Count:
    """Right, false and missed findings."""

    right: int = 0
    false: int = 0
    missed: int = 0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(1, 2 * self.right + self.false + self.missed)

    def __str__(self) -> str:
        precision, recall = self.right / max(1, self.right + self.false), self.right / max(1, self.right + self.missed)
        return f"{self.f1:.3f} ({precision:.3f}, {recall:.3f})"


@dataclass
class Tally:
    """All counts of one detector; `faults` are (missed or false, what, where) with how often."""

    has_kinds: bool = True
    cuts: Count = field(default_factory=Count)
    met: Count = field(default_factory=Count)
    covered: Count = field(default_factory=Count)
    false_gradual: int = 0
    false_changes: int = 0
    steady_s: float = 0.0
    all_s: float = 0.0
    cpu_s: float = 0.0
    faults: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)

    def add(self, video: TrueVideo, found: Findings) -> None:
        """Count what was found in one more video."""
        self.has_kinds = found.has_kinds
        self.all_s, self.cpu_s = self.all_s + video.duration_s, self.cpu_s + found.cpu_s
        gradual = [event for event in video.events if event.kind != "cut"]
        false_cuts = self._add_cuts(video, found, gradual)
        spans = list(found.gradual) if found.has_kinds else [(at, at + 1) for at in found.cuts]
        false_spans = self._add_gradual(video, spans, gradual, found.has_kinds)
        if not gradual:
            self.steady_s += video.duration_s
            self.false_gradual += len(false_spans)
            self.false_changes += len(false_spans) + len(false_cuts)

    def _add_cuts(self, video: TrueVideo, found: Findings, gradual: list[Event]) -> list[int]:
        true = {event.first: event for event in video.events if event.kind == "cut"}
        false = [at for at in found.cuts if at not in true and not any(one.first <= at <= one.end for one in gradual)]
        missed = [event for at, event in true.items() if at not in found.cuts]
        self.cuts.right += len(true) - len(missed)
        self.cuts.false += len(false)
        self.cuts.missed += len(missed)
        self._note(video, "missed", ((f"cut, {event.words}", (event.first, event.end)) for event in missed))
        self._note(video, "false", (("cut", (at, at)) for at in false))
        return false

    def _add_gradual(self, video: TrueVideo, spans: list[Span], gradual: list[Event], has_kinds: bool) -> list[Span]:
        missed, false = _matched(gradual, spans, _is_met)
        false = false if has_kinds else []
        self._count(self.met, gradual, missed, false)
        uncovered, not_covering = _matched(gradual, spans, _is_covered)
        self._count(self.covered, gradual, uncovered, not_covering if has_kinds else [])
        self._note(video, "missed", ((f"{event.kind}, {event.words}", (event.first, event.end)) for event in missed))
        self._note(video, "false", (("gradual", span) for span in false))
        return false

    def _count(self, count: Count, gradual: list[Event], missed: list[Event], false: list[Span]) -> None:
        count.right += len(gradual) - len(missed)
        count.false += len(false)
        count.missed += len(missed)

    def _note(self, video: TrueVideo, fault: str, things: Iterator[tuple[str, Span]]) -> None:
        for what, (first, end) in things:
            place = _situation(video, first, end)
            self.faults[fault, what, place] += 1
            self.places.append(f"{fault} {what} {video.path.name} {first}-{end} {place}")


def _situation(video: TrueVideo, first: int, end: int) -> str:
    """What is going on there: a light, a cut that is near, or else the shot."""
    for light in video.lights:
        if light.first - 2 <= end and first <= light.end + 2:
            return light.kind
    for event in video.events:
        if first != event.first and event.first - 3 <= end and first <= event.end + 3:
            return f"beside {event.kind}, {event.words}"
    return next((shot.words for shot in video.shots if first < shot.end), "end")


def _matched(
    events: list[Event], spans: list[Span], fits: Callable[[Event, Span], bool]
) -> tuple[list[Event], list[Span]]:
    """Events without a finding, and findings that fit no event."""
    left = list(spans)
    missed = list[Event]()
    for event in events:
        fitting = next((span for span in left if fits(event, span)), None)
        if fitting is None:
            missed.append(event)
        else:
            left.remove(fitting)
    return missed, [span for span in left if not any(fits(event, span) for event in events)]


def _is_met(event: Event, span: Span) -> bool:
    return span[0] <= event.end and max(span[1], span[0] + 1) > event.first


def _is_covered(event: Event, span: Span) -> bool:
    common = min(event.end, span[1]) - max(event.first, span[0])
    return common > 0 and common / (max(event.end, span[1]) - min(event.first, span[0])) >= LEAST_COVER


def table(tallies: dict[str, Tally]) -> str:
    """One row of Markdown a detector; brackets hold precision and recall."""
    heads = ["detector", "hard cuts, same frame: F1 (P, R)", "gradual, met: F1 (P, R)"]
    heads += ["gradual, covered by half: F1 (P, R)", "false gradual in 10 min without any"]
    heads += ["false changes of any kind in 10 min there", "CPU s a minute"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, one in tallies.items():
        tens = max(one.steady_s, 1e-9) / 600
        met = str(one.met) if one.has_kinds else f"recall {one.met.right / max(1, one.met.right + one.met.missed):.3f}"
        cells = [name, str(one.cuts), met, str(one.covered) if one.has_kinds else "-"]
        cells.append(f"{one.false_gradual / tens:.2f}" if one.has_kinds else "-")
        cells += [f"{one.false_changes / tens:.1f}", f"{one.cpu_s / max(one.all_s, 1e-9) * 60:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def fault_table(tally: Tally, videos: list[TrueVideo], most: int = 45) -> str:
    """What is missed, of how many, and what is false, in which situation; the most frequent first."""
    whole = Counter(f"{event.kind}, {event.words}" for video in videos for event in video.events)
    missed = Counter[str]()
    for (fault, what, _), number in tally.faults.items():
        missed[what] += number * (fault == "missed")
    lines = ["| missed | number | of |", "|---|---|---|"]
    lines += [f"| {what} | {number} | {whole[what]} |" for what, number in missed.most_common() if number]
    false = Counter(
        {(what, place): number for (fault, what, place), number in tally.faults.items() if fault == "false"}
    )
    lines += ["", "| false | where | number |", "|---|---|---|"]
    lines += [f"| {what} | {place} | {number} |" for (what, place), number in false.most_common(most)]
    return "\n".join(lines)
