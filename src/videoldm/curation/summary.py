"""What a dataset holds, in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from videoldm.curation.config import CurationConfig
from videoldm.curation.estimates import Estimate, estimate, lacking, read_rates, stages_of
from videoldm.curation.stages.scanned import is_scanned
from videoldm.curation.store.batches import read_batches
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_part
from videoldm.curation.store.view import NOT_MADE

PROBLEMS = ("refused", "quarantined", "damaged")
WAITING, DECODED = "waiting", "decoded"
"""The states of an input that a run has read, and of one that waits for the others of its batch after that."""


@dataclass(frozen=True)
class Summary:
    """Inputs, clips and annotations of a dataset."""

    states: Mapping[str, int]
    """How many inputs are in which state."""
    problems: Sequence[tuple[str, str, str]]
    """Path, state and reason of each input that gave no clips, or not all."""
    num_clips: int
    duration_s: Fraction
    """Of all clips together."""
    missing: Mapping[str, Mapping[str, int]]
    """For each annotation the reasons why clips have no value, and how many clips."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "inputs": dict(self.states),
            "problems": [{"path": path, "state": state, "reason": reason} for path, state, reason in self.problems],
            "clips": self.num_clips,
            "duration_s": round(float(self.duration_s), 3),
            "missing": {name: dict(reasons) for name, reasons in self.missing.items()},
        }

    def as_text(self) -> str:
        """For people."""
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        lines = [
            f"inputs  {sum(self.states.values())}{states and f' ({states})'}",
            f"clips   {self.num_clips} ({float(self.duration_s):.1f} s)",
        ]
        for name, reasons in self.missing.items():
            lines.append(f"{name}: {self.num_clips - sum(reasons.values())} of {self.num_clips}")
            lines += [f"  {count} missing: {reason}" for reason, count in sorted(reasons.items())]
        return "\n".join(lines)


def summarise(dataset: Dataset) -> Summary:
    """Read the current tables."""
    view = dataset.view()
    states: Counter[str] = Counter()
    problems: list[tuple[str, str, str]] = []
    for part in view.sources:
        for row in read_part(part, ["path", "state", "reason"]).to_pylist():
            states[row["state"]] += 1
            if row["state"] in PROBLEMS:
                problems.append((row["path"], row["state"], row["reason"]))
    num_waiting = sum(len(batch.entries) for batch in read_batches(dataset.batches)) - states.total()
    num_decoded = min(num_waiting, _num_decoded(dataset))
    states += Counter({WAITING: num_waiting - num_decoded, DECODED: num_decoded})
    num_clips, duration = 0, Fraction(0)
    for part in view.clips:
        for row in read_part(part, ["start_pts", "end_pts", "time_base_num", "time_base_den"]).to_pylist():
            num_clips += 1
            duration += Fraction((row["end_pts"] - row["start_pts"]) * row["time_base_num"], row["time_base_den"])
    missing: dict[str, Counter[str]] = {}
    for name, parts in view.annotations.items():
        reasons = missing.setdefault(name, Counter())
        num_rows = 0
        for part in parts:
            found = read_part(part, ["missing"])["missing"].to_pylist()
            num_rows += len(found)
            reasons.update(reason for reason in found if reason is not None)
        if num_rows < num_clips:
            reasons[NOT_MADE] += num_clips - num_rows
    return Summary(states, problems, num_clips, duration, missing)


def _num_decoded(dataset: Dataset) -> int:
    """Sources whose batch has others that are still to be decoded."""
    decoding = dataset.current()[0].get("sources")
    return 0 if decoding is None else sum(map(is_scanned, (dataset.work / decoding).glob("*")))


def estimate_of(dataset: Dataset) -> Estimate | None:
    """The time for what is missing, at the rates of the last runs; None if nothing of it was ever timed."""
    tables, annotations = dataset.current()
    if not tables:
        return None  # no run has come so far
    compared = [one.name for one in CurationConfig().comparisons]
    made = {name: config_hash for name, config_hash in annotations.items() if name not in compared}
    stages = stages_of(tables, made)
    rates = {stage: rate.seconds_per_unit for stage, rate in read_rates(dataset.folder).items()}
    found = estimate(lacking(dataset, stages, read_batches(dataset.batches)), rates)
    return found if found.stages else None
