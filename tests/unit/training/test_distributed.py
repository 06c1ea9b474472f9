"""Several processes against one: equal results, whatever the layout of the weights, and from one layout to another."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from rank_scenarios import BATCH, SCENARIOS, STEPS, copy_middle
from toy_objective import ToyContest, assert_close

from videoldm.training.loop import train
from videoldm.training.state import Checkpoints, build_state

pytestmark = pytest.mark.slow

CASES = [
    *(
        (2, name, layout)
        for name in ("adamw64", "sgd32", "adamw32", "contest", "idle", "student")
        for layout in ("ddp", "fsdp")
    ),
    (2, "muon", "ddp"),
    *((4, name, layout) for name in ("contest", "accumulated", "adamw32") for layout in ("ddp", "fsdp")),
]
RESUMED = [
    (4, "contest-again.ddp", "contest.ddp"),
    (4, "contest-again.fsdp", "contest.fsdp"),
    (4, "contest-of1.ddp", "contest.alone"),
    (4, "contest-other.fsdp", "contest.ddp"),
    (2, "contest-of1.fsdp", "contest.alone"),
    (2, "contest-other.ddp", "contest.fsdp"),
]
TOLERANCES = dict.fromkeys(("adamw64", "contest", "accumulated", "idle", "student"), 1e-09) | {
    "sgd32": 1e-6,
    "muon": 3e-3,  # it iterates in 16 bits
}


def launch(size: int, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the scenarios in that many processes."""
    program = Path(__file__).parents[2] / "support/rank_scenarios.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, program, folder, str(size), *words]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, alone: Callable[[str], Path]) -> dict[int, Path]:
    """The folder of the runs of two and of four processes."""
    folders = {size: tmp_path_factory.mktemp(f"of-{size}") for size in (2, 4)}
    for size, folder in folders.items():
        shutil.copytree(alone("contest"), folder / "contest.alone")
        names = [f"{name}.{layout}" for of, name, layout in CASES if of == size]
        done = launch(size, folder, *names, *(f"{new}={old}" for of, new, old in RESUMED if of == size))
        assert done.returncode == 0, done.stderr[-3000:]
    return folders


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a scenario's run in one process."""
    out = tmp_path_factory.mktemp("alone")

    @cache
    def run(name: str) -> Path:
        train(SCENARIOS[name].objective(), SCENARIOS[name].config("ddp"), out / name)
        return out / name

    return run


def final(folder: Path, name: str, *, weights_only: bool = True) -> dict[str, object]:
    """What a run left in its last checkpoint, read by one process."""
    state = build_state(SCENARIOS[name].objective(), SCENARIOS[name].config("ddp"))
    Checkpoints(folder / "checkpoints").load(state)
    assert state.samples_seen == SCENARIOS[name].config("ddp").num_samples
    values = state.values()
    if weights_only:  # second moments are far smaller than weights: that they are near would say nothing
        for player in values["players"].values():
            del player["optimizer"]
    return values


def losses(folder: Path) -> list[float]:
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if "loss" in record]


@pytest.mark.parametrize(("size", "name", "layout"), CASES)
def test_processes_together_do_what_one_does(
    together: dict[int, Path], alone: Callable[[str], Path], size: int, name: str, layout: str
) -> None:
    ours, reference = together[size] / f"{name}.{layout}", alone(name)
    curves = losses(ours), losses(reference)
    assert len(curves[0]) == STEPS
    assert curves[0] == pytest.approx(curves[1], rel=0, abs=TOLERANCES.get(name, 1e-4))
    assert curves[0][0] != pytest.approx(curves[0][-1], rel=0, abs=1e-3)
    if name in TOLERANCES:
        assert_close(final(ours, name), final(reference, name), tolerance=TOLERANCES[name])
        exported = (torch.load(folder / "export/weights.pt") for folder in (ours, reference))
        assert_close(*exported, tolerance=TOLERANCES[name])


@pytest.mark.parametrize("layout", ["ddp", "fsdp"])
def test_processes_read_disjoint_samples_and_draw_different_noise(together: dict[int, Path], layout: str) -> None:
    folder = together[2] / f"sgd32.{layout}"
    drawn = [dict(json.loads((folder / f"drawn-{rank}.json").read_text())) for rank in range(2)]
    trained = [{position: number for position, number in one.items() if position < 10_000} for one in drawn]
    assert sorted(position for one in trained for position in one) == list(range(BATCH * STEPS))
    assert sorted(trained[1])[:4] == [2, 3, BATCH + 2, BATCH + 3]
    assert len({number for one in trained for number in one.values()}) == BATCH * STEPS


@pytest.mark.parametrize("layout", ["ddp", "fsdp"])
def test_resumed_run_of_many_processes_equals_uninterrupted_one(together: dict[int, Path], layout: str) -> None:
    again, whole = (together[4] / f"{name}.{layout}" for name in ("contest-again", "contest"))
    ends = (final(folder, "contest", weights_only=False) for folder in (again, whole))
    assert_close(*ends, tolerance=0)
    assert losses(again) == losses(whole)


@pytest.mark.parametrize(("size", "name"), [(size, name) for size, name, _ in RESUMED if "again" not in name])
def test_run_goes_on_in_another_layout(
    together: dict[int, Path], alone: Callable[[str], Path], size: int, name: str
) -> None:
    ends = (final(folder, "contest", weights_only=False) for folder in (together[size] / name, alone("contest")))
    assert_close(*ends, tolerance=1e-9)
    assert losses(together[size] / name) == pytest.approx(losses(alone("contest")), rel=0, abs=1e-9)


@pytest.mark.parametrize("source", ["contest.ddp", "contest.fsdp"])
def test_one_process_goes_on_with_what_four_began(
    tmp_path: Path, together: dict[int, Path], alone: Callable[[str], Path], source: str
) -> None:
    copy_middle(together[4] / source, tmp_path)
    train(ToyContest(), SCENARIOS["contest"].config("ddp"), tmp_path)
    ends = (final(folder, "contest", weights_only=False) for folder in (tmp_path, alone("contest")))
    assert_close(*ends, tolerance=1e-9)


def test_failure_of_the_first_process_is_told_by_it_alone(together: dict[int, Path]) -> None:
    told = [(together[2] / f"failure-{rank}.txt").read_text() for rank in range(2)]
    assert told == ["InputError", "OtherRankFailed"]


@pytest.mark.parametrize("layout", ["ddp", "fsdp"])
def test_loss_that_is_not_finite_in_one_process_ends_all(together: dict[int, Path], layout: str) -> None:
    place = together[2] / f"poisoned.{layout}"
    told = {(together[2] / f"poisoned.{layout}-{rank}.txt").read_text() for rank in range(2)}
    name = f"diverged-{BATCH:012d}.json"
    (line,) = told
    assert line.startswith(f"gradient norm is nan after {BATCH} samples, the loss of sample 6 is not finite; ")
    assert line.endswith(f"the weights were not changed, the batch is listed in {place / name}")
    samples = json.loads((place / name).read_text())["samples"]
    assert [(one["position"], one["rank"]) for one in samples] == [(4, 0), (5, 0), (6, 1), (7, 1)]
    assert [one["position"] for one in samples if isinstance(one["loss"], str)] == [6, 7]
    assert not (place / "export").exists()


@pytest.mark.parametrize("layout", ["ddp", "fsdp"])
@pytest.mark.parametrize("size", [2, 4])
def test_gradients_are_exchanged_once_a_step(together: dict[int, Path], size: int, layout: str) -> None:
    for rank in range(size):
        in_one, in_four_micro_batches = json.loads((together[size] / f"reductions.{layout}-{rank}.json").read_text())
        assert in_four_micro_batches == in_one > 0


def test_log_is_that_of_all_processes(together: dict[int, Path], alone: Callable[[str], Path]) -> None:
    ours, reference = (
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (together[2] / "adamw64.fsdp", alone("adamw64"))
    )
    assert len(ours) == len(reference) == STEPS + 1
    clock = {"seconds", "samples_per_second", "waiting_share", "peak_memory_gib"}
    for mine, theirs in zip(ours, reference, strict=True):
        assert mine.keys() == theirs.keys()
        assert mine == pytest.approx(theirs | {key: mine[key] for key in clock & mine.keys()}, rel=1e-9)
    assert {"gradient_norm/spatial", "gradient_norm/temporal"} <= ours[0].keys()
    norm = ours[0]["gradient_norm/spatial"] ** 2 + ours[0]["gradient_norm/temporal"] ** 2
    assert norm == pytest.approx(ours[0]["gradient_norm"] ** 2)
    assert all(left["samples"] < right["samples"] for left, right in pairwise(ours[:STEPS]))
