"""How the kernel shares processors between tests and what they start."""

import os
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def ordinary_scheduling() -> Generator[None]:
    """After the context this thread is scheduled as before it; also a decorator.

    SVT-AV1 makes the thread that opens its encoder a real-time one where it may, as root may. Whatever that thread
    starts inherits it, and real-time processes of gloo wait for each other by turning in a loop, for ever on two cores.
    """
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)
