"""Trust in pickles, given once by whoever names a model; torch-free."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_ARE_TRUSTED: ContextVar[bool] = ContextVar("are_pickles_trusted", default=False)


@contextmanager
def pickles_trusted(*, when: bool = True) -> Generator[None]:
    """Open pickles instead of refusing them, within the context and in this thread only; `when=False` changes nothing.

    The decision is taken when a file is opened: weights that were opened in the context stay readable after it, and a
    file that is opened after it is refused. Trusted or not, only tensors are read, and no code in a pickle runs.
    """
    token = _ARE_TRUSTED.set(when or _ARE_TRUSTED.get())
    try:
        yield
    finally:
        _ARE_TRUSTED.reset(token)


def are_pickles_trusted() -> bool:
    """Return whether this thread is within `pickles_trusted`."""
    return _ARE_TRUSTED.get()
