"""How long it will take to make what a dataset lacks, by what its own stages took before.

Work is measured in bytes of sources up to the clips, as nothing else is known of a file that has not been decoded, and
in clips after that. How many clips are still to be found is reckoned from those of the sources that are done, by their
bytes. A stage that was never timed is named and not estimated; comparisons of all clips are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import PositiveInt

from videoldm.core.config import Config, validate
from videoldm.core.errors import InputError
from videoldm.core.files import read_mapping, write_json
from videoldm.core.progress import notice
from videoldm.curation.stages.collect import is_owner
from videoldm.curation.stages.scanned import is_scanned
from videoldm.curation.store.batches import Batch, owners
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_if_whole
from videoldm.curation.store.pieces import PartInPieces

DECODING, FINDING_CUTS = "Decoding", "Finding cuts"
RATES_FILE = "rates.json"


class Stage(NamedTuple):
    """A stage as one configuration has it."""

    name: str
    config_hash: str


class Rate(Config):
    """What a stage took when it was timed last."""

    units: PositiveInt
    """Bytes of sources, or clips."""
    ms: PositiveInt
    workers: PositiveInt

    @property
    def seconds_per_unit(self) -> float:
        """With as many workers."""
        return self.ms / 1000 / self.units


@dataclass(frozen=True)
class Lacking:
    """What is missing of a dataset."""

    units: Mapping[Stage, int | None]
    """By stage, in order; None where it depends on how many clips there will be, and none are known."""
    num_expected: int
    """Clips among them that are only reckoned with."""


@dataclass(frozen=True)
class Estimate:
    """The time for what is missing, as far as it is known."""

    seconds: float
    stages: Sequence[str]
    """Those that have something to do and were timed."""
    not_timed: Sequence[str]
    """Those that have something to do and were not."""
    num_expected: int

    def as_text(self) -> str:
        """Such as "2.5 h for Decoding, motion; not timed yet: text_area"."""
        text = f"{duration(self.seconds)} for {', '.join(self.stages)}"
        if self.num_expected:
            text += f" (some {self.num_expected} more clips are expected)"
        return f"{text}; not timed yet: {', '.join(self.not_timed)}" if self.not_timed else text


def stages_of(tables: Mapping[str, str], annotations: Mapping[str, str]) -> list[Stage]:
    """The stages that make these tables and annotations, given by their hashes."""
    first = [Stage(DECODING, tables["sources"]), Stage(FINDING_CUTS, tables["clips"])]
    return first + [Stage(name, config_hash) for name, config_hash in annotations.items()]


def lacking(dataset: Dataset, stages: Sequence[Stage], batches: Sequence[Batch]) -> Lacking:
    """What is missing by now."""
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
    return Lacking({decoding: undecoded, finding_cuts: uncut, **units}, expected or 0)


def estimate(missing: Lacking, seconds_per_unit: Mapping[Stage, float]) -> Estimate:
    """By these rates, of the stages that were timed."""
    to_do = {stage: units for stage, units in missing.units.items() if units != 0}
    timed = {stage: units for stage, units in to_do.items() if units is not None and stage in seconds_per_unit}
    is_reckoned = any(stage.name not in (DECODING, FINDING_CUTS) for stage in timed)
    return Estimate(
        seconds=sum(units * seconds_per_unit[stage] for stage, units in timed.items()),
        stages=[stage.name for stage in timed],
        not_timed=[stage.name for stage in to_do if stage not in timed],
        num_expected=missing.num_expected if is_reckoned else 0,
    )


def read_rates(folder: Path) -> dict[Stage, Rate]:
    """What runs on a dataset have measured; a broken file is as good as none, it will be written anew."""
    path = folder / RATES_FILE
    try:
        found = read_mapping(path) if path.exists() else {}
        return {Stage(*key.rsplit("/", 1)): validate(Rate, value, source=str(path)) for key, value in found.items()}
    except (InputError, TypeError):
        notice(f"{path}: cannot be read, so that the time left is not known until stages are timed again")
        return {}


def write_rates(folder: Path, rates: Mapping[Stage, Rate]) -> None:
    """Keep them with the dataset, outside of its tables, which are the same however long they took."""
    write_json(folder / RATES_FILE, {"/".join(stage): rate.model_dump() for stage, rate in sorted(rates.items())})


def duration(seconds: float) -> str:
    """In a unit that gives about two digits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def _column(part: Path, name: str) -> set[str] | None:
    """None if the part is missing or broken, so that it is made anew."""
    found = read_if_whole(part, [name])
    return None if found is None else set(found[name].to_pylist())
