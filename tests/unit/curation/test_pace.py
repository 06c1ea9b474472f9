"""How long a run says that it will take, against how long it takes by a clock that the test turns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from curated import CONFIG, Inline
from fault_videos import pictures, write

from videoldm.curation import pace
from videoldm.curation import status as estimates_module
from videoldm.curation.annotators.motion import MotionConfig
from videoldm.curation.config import CurationConfig
from videoldm.curation.executors.executor import Stopped
from videoldm.curation.inputs import find_inputs
from videoldm.curation.run import Run
from videoldm.curation.stages.clips import ClipsTask
from videoldm.curation.stages.scan import ScanTask
from videoldm.curation.status import RATES_FILE, Estimate, duration, estimate_of, read_rates
from videoldm.curation.store.dataset import Dataset

pytestmark = pytest.mark.slow

SECONDS = {"h": 3600, "min": 60, "s": 1, "days": 86400}


class Ticking(Inline):
    """Decodes a byte in 0.1 s, finds a source's cuts in 50 s, annotates a clip in 400 s, and turns a clock by that."""

    def __init__(self, num_workers: int = 1, *, num_annotated: int = 1000) -> None:
        super().__init__()
        self.num_workers = num_workers
        self.now = 0.0
        self._num_annotated = num_annotated

    def run(self, function: Any, tasks: Any, limits: Any) -> Iterator[tuple[int, Any]]:
        for place, result in super().run(function, tasks, limits):
            task = tasks[place]
            match task:
                case ScanTask():
                    self.now += 0.1 * (task.entry.size_bytes or 0)
                case ClipsTask():
                    self.now += 50
                case _ if function.__name__ == "annotate":
                    if self._num_annotated == 0:
                        raise KeyboardInterrupt
                    self._num_annotated -= 1
                    self.now += 400 * len(task.clip_ids)
                case _:
                    pass
            yield place, result

    def clock(self) -> float:
        return self.now


def timed_run(folder: Path, raw: Path, executor: Ticking, config: CurationConfig) -> Dataset:
    dataset = Dataset.create(folder)
    with dataset.locked():
        Run(dataset, config, executor, clock=executor.clock)(find_inputs([str(raw)]))
    return dataset


def config_of(batch_size: int) -> CurationConfig:
    return CONFIG.model_copy(update={"batch_size": batch_size})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of the time left."""
    lines: list[str] = []
    monkeypatch.setattr(pace, "notice", lines.append)
    return lines


def seconds_left(line: str) -> float:
    match = re.search(r"time left: about ([\d.]+) (h|min|s|days) for", line)
    assert match, line
    return float(match[1]) * SECONDS[match[2]]


def estimates(lines: list[str]) -> list[str]:
    return [line for line in lines if "time left" in line]


def test_first_run_of_many_files_tells_its_time_from_one_batch(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Ticking()
    said: list[tuple[float, str]] = []
    monkeypatch.setattr(pace, "notice", lambda line: said.append((executor.now, line)))
    timed_run(tmp_path / "dataset", videos, executor, config_of(1))
    found = [(now, line) for now, line in said if "time left" in line]
    assert found[0][1].endswith("for Decoding, Finding cuts; not timed yet: motion")
    complete = [(now, line) for now, line in found if "not timed yet" not in line]
    assert len(complete) >= 3
    assert complete[0][0] < executor.now / 3
    for now, line in complete:
        assert "for Decoding, Finding cuts, motion" in line or "for Finding cuts, motion" in line
        assert seconds_left(line) == pytest.approx(executor.now - now, rel=0.15)


def test_no_estimate_without_rates(videos: Path, tmp_path: Path, told: list[str]) -> None:
    timed_run(tmp_path / "dataset", videos, Ticking(), config_of(4))
    assert [line.split(":")[0] for line in told] == ["Decoding", "Finding cuts", "motion"]
    assert estimates(told) == []


def test_next_run_tells_its_time_at_once(videos: Path, tmp_path: Path, told: list[str]) -> None:
    timed_run(tmp_path / "dataset", videos, Ticking(), config_of(4))
    told.clear()
    for number in range(3):
        write(videos / f"new {number}.mp4", pictures(70 + number))
    executor = Ticking()
    dataset = timed_run(tmp_path / "dataset", videos, executor, config_of(4))
    first = estimates(told)[0]
    assert "for Decoding, Finding cuts, motion (about 3 more clips are expected)" in first
    assert seconds_left(first) == pytest.approx(executor.now, rel=0.1)
    assert {stage.name: rate.units for stage, rate in read_rates(dataset.folder).items()}["motion"] == 3


def test_rates_of_other_workers_or_settings_are_not_used(videos: Path, tmp_path: Path, told: list[str]) -> None:
    timed_run(tmp_path / "dataset", videos, Ticking(), config_of(4))
    write(videos / "new.mp4", pictures(70))
    told.clear()
    other = config_of(4).model_copy(update={"annotations": (MotionConfig(stored_short_side=8),)})
    dataset = timed_run(tmp_path / "dataset", videos, Ticking(), other)
    assert all("not timed yet: motion" in line for line in estimates(told))
    assert len(read_rates(dataset.folder)) == 4  # of motion two
    write(videos / "newer.mp4", pictures(71))
    told.clear()
    timed_run(tmp_path / "dataset", videos, Ticking(2), config_of(4))
    assert estimates(told) == []


def test_status_knows_the_time_for_what_is_missing(videos: Path, tmp_path: Path, told: list[str]) -> None:
    config = config_of(2)
    with pytest.raises(KeyboardInterrupt):
        timed_run(tmp_path / "dataset", videos, Ticking(num_annotated=2), config)
    found = estimate_of(Dataset.open(tmp_path / "dataset"))
    assert found == Estimate(seconds=2 * 400, stages=["motion"], not_timed=[], num_expected=0)
    dataset = timed_run(tmp_path / "dataset", videos, Ticking(), config)
    assert estimate_of(dataset) is None


def test_dataset_without_a_finished_stage_has_no_estimate(tmp_path: Path) -> None:
    assert estimate_of(Dataset.create(tmp_path / "dataset")) is None


def test_stage_that_gave_no_values_is_not_timed(videos: Path, tmp_path: Path, told: list[str]) -> None:
    class WithoutModel(Ticking):
        def run(self, function: Any, tasks: Any, limits: Any) -> Iterator[tuple[int, Any]]:
            for place, result in super().run(function, tasks, limits):
                yield place, Stopped("no model") if function.__name__ == "annotate" else result

    dataset = timed_run(tmp_path / "dataset", videos, WithoutModel(), config_of(4))
    assert {stage.name for stage in read_rates(dataset.folder)} == {"Decoding", "Finding cuts"}


def test_clips_without_a_value_do_not_count_as_made(videos: Path, tmp_path: Path, told: list[str]) -> None:
    class LosingTheFirst(Ticking):
        def run(self, function: Any, tasks: Any, limits: Any) -> Iterator[tuple[int, Any]]:
            for place, result in super().run(function, tasks, limits):
                yield place, Stopped("crashed") if function.__name__ == "annotate" and place == 0 else result

    timed_run(tmp_path / "dataset", videos, LosingTheFirst(), config_of(2))
    assert "motion: 4 clips in 40 min, 6.0 an hour; 2 more got no value" in told


def test_short_stages_are_not_timed(videos: Path, tmp_path: Path) -> None:
    class Fast(Ticking):
        def clock(self) -> float:
            return self.now / 1e6

    dataset = timed_run(tmp_path / "dataset", videos, Fast(), config_of(4))
    assert not (dataset.folder / RATES_FILE).exists()


def test_rates_are_plain_numbers(videos: Path, tmp_path: Path, told: list[str]) -> None:
    dataset = timed_run(tmp_path / "dataset", videos, Ticking(3), config_of(4))
    found = json.loads((dataset.folder / RATES_FILE).read_text())
    [motion] = [rate for key, rate in found.items() if key.startswith("motion/")]
    assert motion == {"units": 6, "ms": 6 * 400_000, "workers": 3}


@pytest.mark.parametrize("broken", ["{", '{"motion": 3}', '{"motion/x": {"units": 0}}'])
def test_broken_rates_are_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    said: list[str] = []
    monkeypatch.setattr(estimates_module, "notice", said.append)
    (tmp_path / RATES_FILE).write_text(broken)
    assert read_rates(tmp_path) == {}
    assert "rates.json: cannot be read" in said[0]


def test_time_is_told_now_and_then(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed_run(tmp_path / "dataset", videos, Ticking(), config_of(4))
    executor = Ticking()
    said: list[float] = []
    monkeypatch.setattr(pace, "notice", lambda line: said.append(executor.now) if "time left" in line else None)
    for number in range(6):
        write(videos / f"new {number}.mp4", pictures(70 + number))
    timed_run(tmp_path / "dataset", videos, executor, config_of(4))
    assert len(said) >= 3
    assert min(after - before for before, after in pairwise(said)) >= 600


def test_throughput_is_told_in_a_unit_that_fits(videos: Path, tmp_path: Path, told: list[str]) -> None:
    timed_run(tmp_path / "dataset", videos, Ticking(), config_of(4))
    assert told[1:] == ["Finding cuts: 6 files in 5 min, 1.2 a minute", "motion: 6 clips in 40 min, 9.0 an hour"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (100_000, "27.8 h"),
        (2e5, "2.3 days"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
