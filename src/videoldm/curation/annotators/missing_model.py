"""Models that are not on this machine: what needs them goes without, and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing

T = TypeVar("T")


class MissingModelError(InputError):
    """A model is not on this machine; what needs it has no values until it is."""


def unless_missing(load: Callable[[], T]) -> T | Missing:
    """What `load` gives, or why it cannot for now."""
    try:
        return load()
    except MissingModelError as error:
        return Missing(str(error), may_come_later=True)
