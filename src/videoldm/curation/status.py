"""State of a dataset: what it holds, what is missing, and how long the rest will take.

Work is measured in bytes of sources up to the clips, as nothing else is known about a file that has not been decoded,
and in clips after that. The number of clips still to be found is extrapolated from the finished sources, by bytes. A
stage that was never timed is named and not estimated; comparisons of all clips are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from pydantic import PositiveInt

from videoldm.core.config import Config, validate
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.core.progress import notice
from videoldm.core.reading import read_mapping
from videoldm.core.wording import are, counted, have
from videoldm.curation.config import CurationConfig
from videoldm.curation.stages.collect import QUARANTINED, is_owner, is_scanned
from videoldm.curation.store.batches import InputBatch, owners, read_batches
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import PartInPieces, read_if_whole, read_part
from videoldm.dataset.tables import NO_FRAME_KEPT, NOT_MADE, TOO_SHORT

PROBLEMS = ("refused", "quarantined", "damaged")
WAITING, DECODED = "waiting", "decoded"
"""States of an input that a run has read, and of a decoded one that waits for the others of its batch."""
DECODING, FINDING_CUTS = "Decoding", "Finding cuts"
RATES_FILE = "rates.json"


@dataclass(frozen=True)
class DatasetSummary:
    """Counts of a dataset's inputs, clips and annotations."""

    states: Mapping[str, int]
    """Number of inputs in each state."""
    problems: Sequence[tuple[str, str, str]]
    """Path, state and reason of each input that gave no clips, or not all."""
    num_clips: int
    duration_s: Fraction
    """Duration of all clips together."""
    frames: Mapping[str, int] | None
    """Where the decoded frames are; None if the dataset does not say, as an earlier version made it."""
    num_uncounted: int
    """Number of quarantined inputs that decoding did not finish, so that their frames are not known."""
    other_tracks: Mapping[str, Sequence[str]]
    """Video tracks that were not read, by path."""
    missing: Mapping[str, Mapping[str, int]]
    """For each annotation, the reasons why clips have no value with the number of clips."""

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "inputs": dict(self.states),
            "problems": [{"path": path, "state": state, "reason": reason} for path, state, reason in self.problems],
            "clips": self.num_clips,
            "duration_s": round(float(self.duration_s), 3),
            "frames": None if self.frames is None else dict(self.frames),
            "inputs_with_unknown_frames": self.num_uncounted,
            "other_tracks": {path: list(tracks) for path, tracks in self.other_tracks.items()},
            "missing": {name: dict(reasons) for name, reasons in self.missing.items()},
        }

    def as_text(self) -> str:
        """Return the summary as lines of text."""
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        lines = [
            f"inputs  {sum(self.states.values())}{states and f' ({states})'}",
            f"clips   {self.num_clips} ({float(self.duration_s):.1f} s)",
        ]
        if self.frames and any(self.frames.values()):
            places = ", ".join(f"{count} {place}" for place, count in self.frames.items() if count)
            lines.append(f"frames  {sum(self.frames.values())} decoded ({places})")
        if self.num_uncounted:
            inputs = counted(self.num_uncounted, "quarantined input")
            lines.append(f"the frames of {inputs} are not known: decoding did not finish")
        if self.other_tracks:
            (path, tracks), num_inputs = next(iter(self.other_tracks.items())), len(self.other_tracks)
            lines.append(
                f"{counted(num_inputs, 'input')} {have(num_inputs)} other video tracks, such as {path} (track "
                f"{', '.join(tracks)}); --stream chooses"
            )
        for name, reasons in self.missing.items() if self.num_clips else ():
            lines.append(f"{name}: {self.num_clips - sum(reasons.values())} of {self.num_clips}{_why(reasons)}")
        return "\n".join(lines)


def _why(reasons: Mapping[str, int]) -> str:
    """Return the commonest reason, and how many others there are; `as_json` has all of them."""
    if not reasons:
        return ""
    reason, count = min(reasons.items(), key=lambda one: (-one[1], one[0]))
    others = sum(reasons.values()) - count
    return f" ({count}: {reason}{f'; {others} for other reasons' if others else ''})"


def summarise(dataset: Dataset) -> DatasetSummary:
    """Summarise the current tables of a dataset."""
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
    return DatasetSummary(
        states=states,
        problems=problems,
        num_clips=num_clips,
        duration_s=duration,
        frames=frames_of(dataset),
        num_uncounted=_num_uncounted(view.sources),
        other_tracks=_other_tracks(view.sources),
        missing=missing,
    )


def frames_of(dataset: Dataset) -> dict[str, int] | None:
    """Count where the frames of all sources are: in clips, in transitions, in spans that are no clips, or left out.

    None for tables of an earlier version, which do not say.
    """
    view = dataset.view()
    places = {TOO_SHORT: "in spans that are too short", NO_FRAME_KEPT: "in spans without a kept frame"}
    frames: dict[str, int] = dict.fromkeys(("in clips", "in transitions", *places.values(), "left out"), 0)
    for part in view.sources:
        if not _has(part, "left_out"):
            return None
        for left_out in read_part(part, ["left_out"])["left_out"].to_pylist():
            frames["left out"] += sum(row["num_frames"] for row in left_out or ())
    for part in view.clips:
        frames["in clips"] += sum(read_part(part, ["num_frames"])["num_frames"].to_pylist())
    for part in view.transitions:
        for row in read_part(part, ["kind", "num_frames"]).to_pylist():
            frames[places.get(row["kind"], "in transitions")] += row["num_frames"]
    return frames


def _num_uncounted(sources: Sequence[Path]) -> int:
    parts = [read_part(part, ["state", "num_decoded"]) for part in sources if _has(part, "num_decoded")]
    rows = [row for part in parts for row in part.to_pylist()]
    return sum(row["state"] == QUARANTINED and row["num_decoded"] is None for row in rows)


def _other_tracks(sources: Sequence[Path]) -> dict[str, list[str]]:
    parts = [read_part(part, ["path", "other_streams"]) for part in sources if _has(part, "other_streams")]
    return {row["path"]: row["other_streams"] for part in parts for row in part.to_pylist() if row["other_streams"]}


def _has(part: Path, column: str) -> bool:
    return column in pq.read_schema(part).names


def _num_decoded(dataset: Dataset) -> int:
    """Return the number of decoded sources whose batch has others that are not."""
    decoding = dataset.current()[0].get("sources")
    return 0 if decoding is None else sum(map(is_scanned, (dataset.work / decoding).glob("*")))


def estimate_of(dataset: Dataset) -> Estimate | None:
    """Estimate the time for what is missing at the rates of the last runs; None if none of it was ever timed."""
    tables, annotations = dataset.current()
    if not tables:
        return None  # no run has got this far
    compared = [one.name for one in CurationConfig().comparisons]
    made = {name: config_hash for name, config_hash in annotations.items() if name not in compared}
    stages = stages_of(tables, made)
    rates = {stage: rate.seconds_per_unit for stage, rate in read_rates(dataset.folder).items()}
    found = estimate(missing_work(dataset, stages, read_batches(dataset.batches)), rates)
    return found if found.stages else None


class RunStage(NamedTuple):
    """A stage of a run, with the hash of its configuration."""

    name: str
    config_hash: str


class Rate(Config):
    """Time that a stage took when it was last timed."""

    units: PositiveInt
    """Number of bytes of sources, or of clips."""
    ms: PositiveInt
    workers: PositiveInt

    @property
    def seconds_per_unit(self) -> float:
        """Seconds for each unit with this number of workers."""
        return self.ms / 1000 / self.units


@dataclass(frozen=True)
class MissingWork:
    """Work that is missing in a dataset."""

    units: Mapping[RunStage, int | None]
    """Units by stage, in order; None if they depend on the number of clips and none are known."""
    num_expected: int
    """Number of clips among them that are expected and not found yet."""


@dataclass(frozen=True)
class Estimate:
    """Time for what is missing, as far as it is known."""

    seconds: float
    stages: Sequence[str]
    """Stages with work to do that were timed."""
    not_timed: Sequence[str]
    """Stages with work to do that were never timed."""
    num_expected: int

    def as_text(self) -> str:
        """Return a text such as "2.5 h for Decoding, motion; not timed yet: text_area"."""
        text = f"{duration(self.seconds)} for {', '.join(self.stages)}"
        if self.num_expected:
            more = counted(self.num_expected, "more clip")
            text += f" (about {more} {are(self.num_expected)} expected)"
        return f"{text}; not timed yet: {', '.join(self.not_timed)}" if self.not_timed else text


def stages_of(tables: Mapping[str, str], annotations: Mapping[str, str]) -> list[RunStage]:
    """Return the stages that make these tables and annotations, given by their hashes."""
    first = [RunStage(DECODING, tables["sources"]), RunStage(FINDING_CUTS, tables["clips"])]
    return first + [RunStage(name, config_hash) for name, config_hash in annotations.items()]


def missing_work(dataset: Dataset, stages: Sequence[RunStage], batches: Sequence[InputBatch]) -> MissingWork:
    """Return the work that is missing now."""
    decoding, finding_cuts, *annotations = stages
    owner = owners(batches)
    undecoded = uncut = cut = num_clips = 0
    lacked = dict.fromkeys(annotations, 0)
    for batch in batches:
        sizes = {one.source_id: one.size_bytes or 0 for one in batch.entries if is_owner(one, owner)}
        decoded = _column(dataset.table("sources", decoding.config_hash).part(batch.number), "source_id") or ()
        missing = [source for source in sizes if source is not None and source not in decoded]
        work = dataset.work / decoding.config_hash
        undecoded += sum(sizes[source] for source in missing if not is_scanned(work / source))
        clips = _column(dataset.table("clips", finding_cuts.config_hash).part(batch.number), "clip_id")
        if missing or clips is None:
            uncut += sum(sizes.values())
            continue
        cut += sum(sizes.values())
        num_clips += len(clips)
        for one in annotations:
            part = dataset.annotation(one.name, one.config_hash).part(batch.number)
            lacked[one] += len(clips - PartInPieces.of(dataset, part).settled().keys())
    expected = 0 if uncut == 0 else round(uncut * num_clips / cut) if num_clips else None
    units = {one: None if expected is None else num + expected for one, num in lacked.items()}
    return MissingWork({decoding: undecoded, finding_cuts: uncut, **units}, expected or 0)


def estimate(missing: MissingWork, seconds_per_unit: Mapping[RunStage, float]) -> Estimate:
    """Estimate the time of the stages that were timed, at these rates."""
    to_do = {stage: units for stage, units in missing.units.items() if units != 0}
    timed = {stage: units for stage, units in to_do.items() if units is not None and stage in seconds_per_unit}
    is_reckoned = any(stage.name not in (DECODING, FINDING_CUTS) for stage in timed)
    return Estimate(
        seconds=sum(units * seconds_per_unit[stage] for stage, units in timed.items()),
        stages=[stage.name for stage in timed],
        not_timed=[stage.name for stage in to_do if stage not in timed],
        num_expected=missing.num_expected if is_reckoned else 0,
    )


def read_rates(folder: Path) -> dict[RunStage, Rate]:
    """Read the rates that runs on a dataset have measured; a broken file counts as missing, it will be rewritten."""
    path = folder / RATES_FILE
    try:
        found = read_mapping(path) if path.exists() else {}
        return {RunStage(*key.rsplit("/", 1)): validate(Rate, value, source=str(path)) for key, value in found.items()}
    except (InputError, TypeError):
        notice(f"{path}: cannot be read, the time left is unknown until stages are timed again")
        return {}


def write_rates(folder: Path, rates: Mapping[RunStage, Rate]) -> None:
    """Write the rates into the dataset's folder, outside of its tables, which do not depend on the time they took."""
    write_json(folder / RATES_FILE, {"/".join(stage): rate.model_dump() for stage, rate in sorted(rates.items())})


def duration(seconds: float) -> str:
    """Return a duration in a unit that gives about two digits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def _column(part: Path, name: str) -> set[str] | None:
    """Return the values of a column, None if the part is missing or broken, so that it is made anew."""
    found = read_if_whole(part, [name])
    return None if found is None else set(found[name].to_pylist())
