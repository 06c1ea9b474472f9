"""Models that run in the worker: their configs, how they are opened, and the error for one that is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import PositiveInt

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing
from videoldm.inference.config import Precision

if TYPE_CHECKING:
    from videoldm.curation.annotators.models.clip_model import ClipModel

T = TypeVar("T")


class LocalModel(Config):
    """A model of transformers that runs in the worker.

    Every setting can change the last bits of the values, so all of them belong to what the values depend on.
    """

    model: str
    """A folder, or the hub name of a model in the local cache of the Hugging Face hub."""
    device: str = "cpu"
    precision: Precision = "float32"
    num_threads: PositiveInt = 1
    batch_size: PositiveInt = 1
    """Number of items that go through the model at once; the last batch is padded to this size."""


class ClipModelConfig(LocalModel):
    """A model that embeds pictures and texts into one space: CLIP or SigLIP.

    The default was trained on LAION-2B and is under the MIT licence.
    """

    model: str = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    width: PositiveInt = 512
    """Number of dimensions of an embedding."""
    batch_size: PositiveInt = 12


class MissingModelError(InputError):
    """A model, or the package that runs it, is not on this machine; its values stay missing until it is."""


def unless_missing(load: Callable[[], T]) -> T | Missing:
    """Return what `load` returns, or the reason if the model is not on this machine."""
    try:
        return load()
    except MissingModelError as error:
        return Missing(str(error), may_come_later=True)


def open_clip(config: ClipModelConfig) -> ClipModel | Missing:
    """Load the CLIP model of `config`, or return why it is missing; raises InputError if it is broken."""
    from videoldm.curation.annotators.models.clip_model import ClipModel

    return unless_missing(lambda: ClipModel(config))


def open_session(path: Path, num_threads: int) -> Any:
    """Open the network in an .onnx file on the CPU, with a fixed number of threads.

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
    except Exception as error:
        reader = f"onnxruntime {onnxruntime.__version__}"
        raise InputError(f"{path}: is not a model that {reader} can read, give an ONNX file") from error
