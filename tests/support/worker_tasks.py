"""Functions for disposable processes, good and bad."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from videoldm.core.errors import InputError, OutputError


def double(number: int) -> int:
    return 2 * number


def misbehave(how: str) -> str:
    """Fail in the way that `how` names, or return it."""
    match how:
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(600)
        case "grow":
            hog = [bytearray(50_000_000) for _ in range(40)]
            time.sleep(600)
            return str(len(hog))
        case "raise":
            raise KeyError("lost")
        case "full":
            raise OutputError("the disk is full")
        case "refuse":
            raise InputError("no good")
        case _:
            return how
    return how


def count_runs(folder: str) -> int:
    """Leave a file for each run."""
    path = Path(folder) / f"{os.getpid()}-{time.monotonic_ns()}"
    path.touch()
    return os.getpid()


def kill_parent_once(marker: str) -> str:
    """Kill the process that started this one, unless that has been done before."""
    path = Path(marker)
    if path.exists():
        return "second try"
    path.touch()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
    return "never"


def tell_process(path: str) -> None:
    """Write down which process this is, and go on for long."""
    if path != "hang":
        partial = Path(f"{path}.partial")
        partial.write_text(str(os.getpid()))
        partial.replace(path)
    time.sleep(600)
