"""Names that are meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

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
