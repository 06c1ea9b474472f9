"""Networks in .onnx files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError
from videoldm.curation.annotators.missing_model import MissingModelError


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
