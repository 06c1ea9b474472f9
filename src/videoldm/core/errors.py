"""Errors meant for the user, the exit code of each, and "did you mean" hints."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path

from videoldm.core.wording import counted

_MAX_SUGGESTIONS = 3


class ExitCode(IntEnum):
    """Exit codes of the process."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    CRASHED = 70
    INTERRUPTED = 130


class InputError(ValueError):
    """Invalid input from the user: one clear line that names the input, the value and what would be right."""


class OutputError(InputError):
    """The output path cannot be written to; later writes there would fail as well."""


class ItemError(InputError):
    """Something is wrong with one item of several; the others may be right."""


class SomeItemsFailed(Exception):  # noqa: N818 - the run itself did not fail
    """The run finished, but some of its items failed.

    failures: one `(item, reason)` pair for each failed item.
    num_items: number of items in the run.
    """

    def __init__(self, failures: Sequence[tuple[str, str]], *, num_items: int) -> None:
        self.failures = tuple(failures)
        self.num_items = num_items
        lines = [f"{len(self.failures)} of {counted(num_items, 'item')} failed:"]
        lines += [f"  {item}: {reason}" for item, reason in self.failures]
        super().__init__("\n".join(lines))


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop and did so at a clean point; the message says how to resume."""


def exit_code(error: BaseException | None) -> ExitCode:
    """Return the exit code of a process that ended with `error`, or without one if it is None.

    A bug of ours gets a code of its own (70, "internal software error" in sysexits.h), so that scripts never mistake
    it for "finished, but some items failed".
    """
    match error:
        case None:
            return ExitCode.DONE
        case InputError():
            return ExitCode.BAD_INPUT
        case SomeItemsFailed():
            return ExitCode.SOME_FAILED
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case _:
            return ExitCode.CRASHED


def unexpected(error: Exception) -> str:
    """Return a reason for an error that nobody foresaw: its kind and place, without a library's own words."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: please report it"


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the `known` names that resemble `name`, best first, ignoring case and hyphens around it."""
    cores = {other.strip("-").lower(): other for other in known}
    core = name.strip("-").lower()
    similar = difflib.get_close_matches(core, cores, n=_MAX_SUGGESTIONS, cutoff=0.7)
    containing = [other for other in cores if len(core) > 2 and core in other]
    return [cores[other] for other in dict.fromkeys([*similar, *containing])][:_MAX_SUGGESTIONS]


def hint(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return the end of a message about an unknown name: "did you mean ...?", or `otherwise` if none resembles it."""
    close = closest(name, known)
    return f"did you mean {' or '.join(close)}?" if close else otherwise
