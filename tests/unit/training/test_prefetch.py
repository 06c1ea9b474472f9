"""Reading ahead: what is asked for comes, whatever was guessed, and ranks read their own share only."""

from __future__ import annotations

import threading
import time

import pytest

from videoldm.training.data.reader import Prefetcher


class Load:
    """Gives the square, remembers what it was asked for, and is slow if need be."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.asked: list[int] = []
        self._seconds, self._lock = seconds, threading.Lock()

    def __call__(self, position: int) -> int:
        time.sleep(self._seconds)
        with self._lock:
            self.asked.append(position)
        return position * position


def test_results_come_in_the_order_of_their_positions() -> None:
    reader = Prefetcher(Load(), threads=3, ahead=16)
    for start in (0, 4, 8, 100, 3, 4):
        positions = [start + 1, start, start + 3]
        reader.announce(positions)
        assert reader(positions)[0] == [position * position for position in positions]


def test_later_batches_do_not_wait() -> None:
    load = Load(seconds=0.02)
    reader = Prefetcher(load, threads=4, ahead=8)
    waits = []
    for start in range(0, 40, 4):
        positions = range(start, start + 4)
        reader.announce(positions)
        waits.append(reader(positions)[1])
        time.sleep(0.06)  # what a step computes
    assert waits[0] > 0.015
    assert sum(waits[2:]) < 0.25 * waits[0] * len(waits[2:])


def test_each_position_is_read_once() -> None:
    load = Load()
    reader = Prefetcher(load, threads=2, ahead=6)
    for start in range(0, 30, 3):
        reader.announce(range(start, start + 3))
        reader(range(start, start + 3))
    assert len(load.asked) == len(set(load.asked))


def test_a_rank_reads_its_own_share() -> None:
    """The second of two ranks takes 2 and 3 of 0 to 3, then 6 and 7."""
    load = Load()
    reader = Prefetcher(load, threads=2, ahead=4)
    for start in range(2, 42, 4):
        reader.announce([start, start + 1])
        reader([start, start + 1])
    beyond_first_guess = [position for position in load.asked if position > 12]
    assert {position % 4 for position in beyond_first_guess} == {2, 3}


def test_errors_are_those_of_the_positions_asked_for() -> None:
    def load(position: int) -> int:
        if position == 5:
            raise ValueError("five")
        return position

    reader = Prefetcher(load, threads=2, ahead=8)
    reader.announce([3, 4])
    assert reader([3, 4])[0] == [3, 4]  # 5 was read ahead already
    reader.announce([5, 6])
    with pytest.raises(ValueError, match="five"):
        reader([5, 6])
