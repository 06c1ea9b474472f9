"""A whole run, from inputs to a dataset with all annotations; it does only what is missing."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from videoldm.core.progress import notice
from videoldm.core.wording import are, counted
from videoldm.curation.annotators.registry import AnnotatorConfig
from videoldm.curation.comparisons import compare, digest
from videoldm.curation.config import AnyComparison, CurationConfig
from videoldm.curation.executors.executor import Executor, Stopped, check_goes_on
from videoldm.curation.inputs import Input
from videoldm.curation.pace import Clock, Pace, timed_progress
from videoldm.curation.stages.annotate import AnnotateTask, annotate, made_from, missing_rows
from videoldm.curation.stages.clips import USABLE, ClipsTask, SourceRows, make_clips, write_clips
from videoldm.curation.stages.collect import QUARANTINED, Parts, collect, is_owner, is_scanned, quarantine
from videoldm.curation.stages.scan import ScanTask, scan, write_row
from videoldm.curation.status import DECODING, FINDING_CUTS, stages_of
from videoldm.curation.store.batches import (
    Entry,
    InputBatch,
    new_batches,
    owners,
    read_batches,
    read_entry,
    stamp,
    write_batch,
)
from videoldm.curation.store.dataset import Dataset, Hashes
from videoldm.curation.store.parts import PartInPieces, clip_ids, is_made_from, read_part, write_part

CLIPS_PER_TASK = 64
"""Number of clips that one task annotates."""
MANY_BATCHES = 4
"""With this many batches to do, one goes through all stages first, so that the time for the others is known."""


class Run:
    """One run on a dataset that nothing else writes to."""

    def __init__(
        self,
        dataset: Dataset,
        config: CurationConfig,
        executor: Executor,
        *,
        retry_quarantined: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        self._dataset = dataset
        self._config = config
        self._executor = executor
        self._retry_quarantined = retry_quarantined
        self._hashes = Hashes.of(config)
        self._tables = {name: dataset.table(name, one) for name, one in self._hashes.tables.items()}
        self._annotations = {name: dataset.annotation(name, one) for name, one in self._hashes.annotations.items()}
        made = {one.name: self._hashes.annotations[one.name] for one in config.annotations}
        stages = stages_of(self._hashes.tables, made)
        self._pace = Pace(dataset, stages, num_workers=executor.num_workers, clock=clock)

    def __call__(self, inputs: Sequence[Input]) -> None:
        """Carry out all stages, in order."""
        batches = self.read(inputs)
        owner = owners(batches)
        digests = {batch.number: _digest(batch, owner) for batch in batches}
        self._dataset.set_current(self._hashes.tables, self._hashes.annotations)
        self._pace.batches = batches
        for some in self._in_turn(batches, digests):
            self.decode(some, owner, digests)
            self.make_clips(some, digests)
            for config in self._config.annotations:
                self.annotate(config, some)
        for comparison in self._config.possible_comparisons:
            self.compare(comparison, batches)
        shutil.rmtree(self._dataset.work, ignore_errors=True)

    def read(self, inputs: Sequence[Input]) -> list[InputBatch]:
        """Return all batches, including new inputs, after reading new and changed files.

        Known files that are gone stay as they were, unless this run names them: other files may be meant now.
        """
        named = {one.path: dict(one.metadata) for one in inputs}
        before = {batch.number: batch for batch in read_batches(self._dataset.batches)}
        known = [_with_metadata(batch, named) for batch in before.values()]
        fresh = new_batches(known, inputs, self._config.batch_size)
        entries = [entry for batch in known for entry in batch.entries if not entry.is_as_it_was()]
        gone = [entry for entry in entries if entry.path not in named and stamp(entry.path) == (None, None)]
        missed = [entry.path for entry in gone if entry.source_id is not None]
        if missed:
            files = f"{counted(len(missed), 'known file')} {are(len(missed))} gone, among them {missed[0]}"
            notice(f"{files}; their clips cannot be exported")
        entries = [entry for entry in entries if entry not in gone]
        entries += [entry for batch in fresh for entry in batch.entries]
        seen: dict[str, Entry] = {}
        with timed_progress("Reading files", len(entries), "file") as advance:
            for place, result in self._executor.run(read_entry, entries, self._config.decode_limits):
                entry = entries[place]
                if isinstance(result, Stopped):
                    seen[entry.path] = entry.model_copy(update={"source_id": None, "reason": _why(result, "decode")})
                else:
                    seen[entry.path] = result
                advance()
        renewed = [
            batch.model_copy(update={"entries": tuple(seen.get(entry.path, entry) for entry in batch.entries)})
            for batch in [*known, *fresh]
        ]
        for batch in renewed:
            if batch != before.get(batch.number):
                write_batch(self._dataset.batches, batch)
        return renewed

    def decode(self, batches: Sequence[InputBatch], owner: Mapping[str, str], digests: Mapping[int, str]) -> None:
        """Decode each source that has not been decoded yet."""
        unfinished = [
            batch
            for batch in batches
            if self._is_to_retry(batch) or not self._parts(batch).are_made_from(digests[batch.number])
        ]
        tasks = [task for batch in unfinished for task in self._scan_tasks(batch, owner)]
        sizes = [task.entry.size_bytes or 0 for task in tasks]
        with self._pace.stage(DECODING, len(tasks), "file", units=sum(sizes)) as done:
            for place, result in self._executor.run(scan, tasks, self._config.decode_limits):
                check_goes_on(result)
                if isinstance(result, Stopped):
                    write_row(tasks[place].folder, {"state": QUARANTINED, "reason": _why(result, "decode")})
                done(1, sizes[place])
        for batch in unfinished:
            self._forget_clips(batch)
            collect(batch, owner, self._scanned, self._parts(batch), digest=digests[batch.number])

    def make_clips(self, batches: Sequence[InputBatch], digests: Mapping[int, str]) -> None:
        """Find the cuts and clips of batches that have none yet; a source for which that fails is quarantined."""
        clips = self._tables["clips"]
        uncut = [
            _Uncut(batch, self._clips_tasks(batch))
            for batch in batches
            if not is_made_from(clips.part(batch.number), digests[batch.number])
        ]
        for one in uncut:
            if one.is_complete:  # without a usable source
                self._write_clips(one, digests[one.batch.number])
        tasks = [(one, task) for one in uncut for task in one.tasks]
        sizes = [one.sizes[task.source["source_id"]] for one, task in tasks]
        with self._pace.stage(FINDING_CUTS, len(tasks), "file", units=sum(sizes)) as done:
            limits = self._config.decode_limits
            for place, result in self._executor.run(make_clips, [task for _, task in tasks], limits):
                one, task = tasks[place]
                check_goes_on(result)
                one.results[task.source["source_id"]] = result
                if one.is_complete:
                    self._write_clips(one, digests[one.batch.number])
                done(1, sizes[place])

    def annotate(self, config: AnnotatorConfig, batches: Sequence[InputBatch]) -> None:
        """Make one annotation for the clips that lack it, or lack a value that another attempt may give."""
        clips = {batch.number: self._tables["clips"].part(batch.number) for batch in batches}
        parts = {part: self._in_pieces(config.name, number) for number, part in clips.items()}
        for part, pieces in parts.items():
            pieces.gather(clip_ids(part))  # what a killed run left, without clips that no longer exist
        tasks = [task for batch in batches for task in self._annotate_tasks(config, batch)]
        waiting = Counter(task.clips for task in tasks)
        try:
            num_clips = sum(len(task.clip_ids) for task in tasks)
            with self._pace.stage(config.name, num_clips, "clip", units=num_clips) as done:
                for place, result in self._executor.run(annotate, tasks, self._config.annotate_limits):
                    task = tasks[place]
                    rows = (
                        missing_rows(task, _why(result, "annotate", f" for {counted(len(task.clip_ids), 'clip')}"))
                        if isinstance(result, Stopped)
                        else result
                    )
                    parts[task.clips].add(rows)
                    waiting[task.clips] -= 1
                    if not waiting[task.clips]:
                        parts[task.clips].gather(clip_ids(task.clips))
                    done(len(rows), len(rows), num_lost=sum(rows["may_come_later"].to_pylist()))
        finally:
            for part in +waiting:  # incomplete parts, if the run is interrupted
                parts[part].gather(clip_ids(part))

    def compare(self, config: AnyComparison, batches: Sequence[InputBatch]) -> None:
        """Repeat one comparison of all clips if what it compares has changed."""
        parts = [self._tables["clips"].part(batch.number) for batch in batches]
        clips = [clip_ids(part) for part in parts]
        everyone = [clip_id for batch in clips for clip_id in batch]
        needed = {name: self._annotations[name].parts for name in config.needs if name in self._annotations}
        table, inputs = self._annotations[config.name], digest(everyone, needed)
        if all(is_made_from(table.folder / part.name, inputs) for part in parts):
            return
        rows, start = compare(config, everyone, needed), 0
        for part, batch in zip(parts, clips, strict=True):
            write_part(table.folder / part.name, rows.slice(start, len(batch)), rows.schema, digest=inputs)
            start += len(batch)

    def _in_turn(self, batches: Sequence[InputBatch], digests: Mapping[int, str]) -> Iterator[Sequence[InputBatch]]:
        """Yield the batches that go through all stages together, one group after another."""
        clips = self._tables["clips"]
        uncut = [one for one in batches if not is_made_from(clips.part(one.number), digests[one.number])]
        first = uncut[:1] if len(uncut) >= MANY_BATCHES and not self._pace.is_known else []
        if first:
            num_files = len(first[0].entries)
            notice(f"one batch (of {num_files}) goes through all stages first, so that the time left is known")
            yield first
        yield [one for one in batches if one not in first]

    def _write_clips(self, one: _Uncut, digest: str) -> None:
        if one.failed:
            self._forget_clips(one.batch)
            quarantine(self._parts(one.batch).sources, one.failed, digest=digest)
        transitions, clips = (self._tables[name].part(one.batch.number) for name in ("transitions", "clips"))
        write_clips(one.found, transitions, clips, digest=digest)
        one.results.clear()  # there may be many batches

    def _forget_clips(self, batch: InputBatch) -> None:
        """Remove the clips of sources that are decoded anew, for all configurations of the cuts."""
        for clips in self._dataset.folder.glob(f"clips/*/{self._parts(batch).sources.name}"):
            clips.unlink()

    def _in_pieces(self, annotation: str, number: int) -> PartInPieces:
        return PartInPieces.of(self._dataset, self._annotations[annotation].part(number))

    def _parts(self, batch: InputBatch) -> Parts:
        return Parts(**{name: self._tables[name].part(batch.number) for name in ("sources", "signals", "sidecars")})

    def _decoded(self, batch: InputBatch) -> set[str]:
        """Return the sources that need not be decoded."""
        rows = self._parts(batch).decoded()
        return {source for source, row in rows.items() if not (self._retry_quarantined and row["state"] == QUARANTINED)}

    def _is_to_retry(self, batch: InputBatch) -> bool:
        return self._retry_quarantined and len(self._decoded(batch)) < len(self._parts(batch).decoded())

    def _scanned(self, source_id: str) -> Path:
        return self._dataset.work / self._hashes.tables["sources"] / source_id

    def _scan_tasks(self, batch: InputBatch, owner: Mapping[str, str]) -> Iterator[ScanTask]:
        before = self._decoded(batch)
        for entry in batch.entries:
            if entry.source_id is None or not is_owner(entry, owner) or entry.source_id in before:
                continue
            folder = self._scanned(entry.source_id)
            if not is_scanned(folder):
                yield ScanTask(entry, folder, self._config.sidecar, self._config.cuts, self._config.stream)

    def _clips_tasks(self, batch: InputBatch) -> list[ClipsTask]:
        parts = self._parts(batch)
        return [
            ClipsTask(row, parts.signals, parts.sidecars, self._config.cuts, self._config.clips)
            for row in read_part(parts.sources).to_pylist()
            if row["state"] in USABLE
        ]

    def _annotate_tasks(self, config: AnnotatorConfig, batch: InputBatch) -> list[AnnotateTask]:
        everyone = AnnotateTask(
            clips=self._tables["clips"].part(batch.number),
            sources=self._tables["sources"].part(batch.number),
            sidecars=self._tables["sidecars"].part(batch.number),
            needs={name: self._annotations[name].part(batch.number) for name in config.needs},
            clip_ids=tuple(clip_ids(self._tables["clips"].part(batch.number))),
            config=config,
        )
        inputs, settled = made_from(everyone), self._in_pieces(config.name, batch.number).settled()
        wanted = [clip_id for clip_id in everyone.clip_ids if settled.get(clip_id) != inputs(clip_id)]
        return [
            replace(everyone, clip_ids=tuple(wanted[first : first + CLIPS_PER_TASK]))
            for first in range(0, len(wanted), CLIPS_PER_TASK)
        ]


@dataclass
class _Uncut:
    """A batch whose cuts are being found."""

    batch: InputBatch
    tasks: list[ClipsTask]
    results: dict[str, SourceRows | Stopped] = field(default_factory=dict[str, SourceRows | Stopped])
    """Results by source."""

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Sizes of the sources in bytes."""
        return {one.source_id: one.size_bytes or 0 for one in self.batch.entries if one.source_id is not None}

    @property
    def is_complete(self) -> bool:
        return len(self.results) == len(self.tasks)

    @property
    def found(self) -> list[SourceRows]:
        """Rows found in the sources, in their order."""
        results = [self.results[task.source["source_id"]] for task in self.tasks]
        return [one for one in results if not isinstance(one, Stopped)]

    @property
    def failed(self) -> dict[str, str]:
        """Reasons by source, for those in which nothing was found."""
        return {
            source: f"no cuts can be found in it: {_why(result, 'decode')}"
            for source, result in self.results.items()
            if isinstance(result, Stopped)
        }


def _why(stopped: Stopped, kind: Literal["decode", "annotate"], what: str = "") -> str:
    """Return the reason, and the option of `videoldm curate run` that sets the limit if there was one."""
    if stopped.limit is None:
        return stopped.reason
    return f"{stopped.reason}{what}; --{kind}-{stopped.limit.replace('_', '-')} sets this limit"


def _with_metadata(batch: InputBatch, named: Mapping[str, Mapping[str, str]]) -> InputBatch:
    """Return the batch with what a list of this run's inputs says about its files."""
    entries = [
        entry.model_copy(update={"metadata": {**entry.metadata, **named[entry.path]}})
        if named.get(entry.path)
        else entry
        for entry in batch.entries
    ]
    return batch.model_copy(update={"entries": tuple(entries)})


def _digest(batch: InputBatch, owner: Mapping[str, str]) -> str:
    """Hash everything about a batch's inputs that shows in its tables."""
    lines = [f"{entry.model_dump_json()} {owner.get(entry.source_id or '')}" for entry in batch.entries]
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
