"""Executors: every task has one outcome, and a process that is lost takes nothing else with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import worker_tasks

from videoldm.curation.config import Limits
from videoldm.curation.executors.executor import Executor, Stopped
from videoldm.curation.executors.local import LocalExecutor

pytestmark = pytest.mark.slow

SHORT = Limits(time_s=1.5, memory_gib=1.0)


@pytest.fixture(scope="module")
def local() -> Iterator[LocalExecutor]:
    with LocalExecutor(2) as executor:
        yield executor


def test_every_task_has_its_result(local: LocalExecutor) -> None:
    assert dict(local.run(worker_tasks.double, range(20), Limits())) == {number: 2 * number for number in range(20)}


def test_nothing_to_do(local: LocalExecutor) -> None:
    assert list(local.run(worker_tasks.double, [], Limits())) == []


def test_lost_processes_stop_their_own_task_only(local: LocalExecutor) -> None:
    how = ["fine", "abort", "exit", "hang", "raise", "refuse", "fine too", "full"]
    found = dict(local.run(worker_tasks.misbehave, how, SHORT))
    assert found[0] == "fine"
    assert found[6] == "fine too"
    reasons = [found[place].reason for place in range(1, 6)]
    assert reasons[0] == "crashed (SIGABRT)"
    assert reasons[1] == "crashed (exit code 3)"
    assert reasons[2] == "took longer than 1.5 s"
    assert reasons[3].startswith("unexpected KeyError in worker_tasks.py, line")
    assert reasons[4] == "no good"
    assert found[7] == Stopped("the disk is full", ends_run=True)
    assert [found[place].ends_run for place in range(1, 6)] == [False] * 5


def test_process_that_grows_too_large_is_stopped_alone(local: LocalExecutor) -> None:
    """With time enough: on a busy machine memory fills slowly."""
    found = dict(local.run(worker_tasks.misbehave, ["fine", "grow", "fine too"], Limits(time_s=60, memory_gib=1)))
    assert (found[0], found[2]) == ("fine", "fine too")
    assert found[1].reason == "needed more than 1 GiB of memory"


def test_processes_are_kept_between_tasks(local: LocalExecutor, tmp_path: Path) -> None:
    processes = {process for _, process in local.run(worker_tasks.count_runs, [str(tmp_path)] * 8, Limits())}
    assert len(processes) <= 2
    assert os.getpid() not in processes


def test_leaving_early_stops_what_is_under_way(local: LocalExecutor) -> None:
    results = local.run(worker_tasks.misbehave, ["fine", "hang"], Limits())
    assert next(results) == (0, "fine")
    results.close()
    assert dict(local.run(worker_tasks.double, [1], Limits())) == {0: 2}


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    code = (
        "import sys, worker_tasks\n"
        "from videoldm.curation.config import Limits\n"
        "from videoldm.curation.executors.local import LocalExecutor\n"
        "if __name__ == '__main__':\n"
        "    tasks = [sys.argv[1], 'hang']\n"
        "    list(LocalExecutor(2).run(worker_tasks.tell_process, tasks, Limits()))\n"
    )
    script, told = tmp_path / "script.py", tmp_path / "told"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, str(script), str(told)], env=environment)
    _wait_until(told.exists)
    process.kill()
    process.wait()
    _wait_until(lambda: not Path(f"/proc/{told.read_text()}").exists())


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def on_ray() -> Iterator[Executor]:
    from videoldm.curation.executors.ray import RayExecutor

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # its processes are started by Ray, not by this one
        with RayExecutor(2) as executor:
            yield executor


def test_ray_does_the_same(on_ray: Executor, tmp_path: Path) -> None:
    how = ["fine", "abort", "hang", "refuse", "fine too"]
    found = dict(on_ray.run(worker_tasks.misbehave, how, SHORT))
    assert (found[0], found[4]) == ("fine", "fine too")
    assert found[1] == Stopped("crashed (SIGABRT)")
    assert found[2] == Stopped("took longer than 1.5 s", limit="time_s")
    assert found[3] == Stopped("no good")
    assert dict(on_ray.run(worker_tasks.double, range(6), Limits())) == {number: 2 * number for number in range(6)}


def test_task_goes_on_after_its_ray_worker_was_killed(on_ray: Executor, tmp_path: Path) -> None:
    """The first try of each task kills the actor around it; the second finds the file that says so."""
    found = dict(
        on_ray.run(worker_tasks.kill_parent_once, [str(tmp_path / "first"), str(tmp_path / "second")], Limits())
    )
    assert found == {0: "second try", 1: "second try"}
