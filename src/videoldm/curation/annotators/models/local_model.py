"""Models that are not on this machine: what needs them goes without, and says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

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


def open_session(path: Path, num_threads: int) -> Any:
    """The network of a file, on the CPU, with a fixed number of threads.

    Raises MissingModelError without onnxruntime, InputError for a file that it cannot read.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingModelError("onnxruntime is not installed, install videoldm[curate]")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises whatever its C++ throws
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: is no model that onnxruntime can read: {reason}") from None
