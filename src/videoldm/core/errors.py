"""Errors that a user is meant to see, the exit code each of them leads to, and hints at the name that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells the shell."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    CRASHED = 70
    INTERRUPTED = 130


class InputError(ValueError):
    """Something the user gave is wrong: one clear line that names the input, the value and what would be right."""


class OutputError(InputError):
    """The place that the user gave cannot be written to; whatever comes next there would fail as well."""


class SomeItemsFailed(Exception):  # noqa: N818 - the run itself did not fail
    """The run finished, but some of its items failed.

    `failures` holds one `(item, reason)` pair for each failed item, `num_items` how many items there were.
    """

    def __init__(self, failures: Sequence[tuple[str, str]], *, num_items: int) -> None:
        self.failures = tuple(failures)
        self.num_items = num_items
        lines = [f"{len(self.failures)} of {num_items} items failed:"]
        lines += [f"  {item}: {reason}" for item, reason in self.failures]
        super().__init__("\n".join(lines))


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop and did so at a clean point; the message says how to go on."""


def exit_code(error: BaseException | None) -> ExitCode:
    """The exit code of a process that ended with `error`, where None means that it ended well.

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


_MOST = 3


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Of the `known` names up to three that `name` could be meant for, best first; case and hyphens before it aside."""
    cores = {other.strip("-").lower(): other for other in known}
    core = name.strip("-").lower()
    similar = difflib.get_close_matches(core, cores, n=_MOST, cutoff=0.7)
    containing = [other for other in cores if len(core) > 2 and core in other]
    return [cores[other] for other in dict.fromkeys([*similar, *containing])][:_MOST]


def hint(name: str, known: Iterable[str], otherwise: str) -> str:
    """The end of a message about a wrong name: which one could be meant, or what to say where none is near."""
    close = closest(name, known)
    return f"did you mean {' or '.join(close)}?" if close else otherwise
