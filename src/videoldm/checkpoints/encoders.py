"""CLIP encoders: in folders of transformers' layout, or as tensors of another layout."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging

from videoldm.checkpoints.part import Part
from videoldm.core.errors import InputError
from videoldm.core.tensors import reading_tensors

M = TypeVar("M", bound=PreTrainedModel)
C = TypeVar("C")

DROPPABLE = frozenset({"text_projection.weight"})
"""Weights of an encoder that its conditioner does not use: contrastive training needs the projection of texts."""


@dataclass(frozen=True, kw_only=True)
class EncoderFolder(Generic[M]):
    """An encoder that transformers knows, not read yet; `variant` names one of several files with its weights."""

    folder: Path
    network: type[M]
    variant: str | None = None

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        ending = "" if self.variant is None else f".{self.variant}"
        return self.folder / f"model{ending}.safetensors"

    def check(self) -> None:
        """Refuse an incomplete folder, whose path transformers would take for the name of a model on a hub."""
        files = [self.folder / "config.json", self.weights]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(f"{self.folder}: has no {', '.join(missing)}, it should be the folder of an encoder")

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> M:
        """The encoder, frozen; its weights must be complete, as transformers would fill gaps with noise."""
        self.check()
        with _quiet_transformers(), reading_tensors(self.weights):
            loaded: Any = self.network.from_pretrained(
                self.folder, dtype=dtype or torch.float32, variant=self.variant, output_loading_info=True
            )
        model, report = loaded
        gaps = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
        if gaps:
            raise InputError(
                f"{self.folder}: its weights lack {', '.join(gaps[:3])} ({len(gaps)} in all) or have other shapes"
            )
        left_over = sorted(set(report["unexpected_keys"]) - DROPPABLE)
        if left_over:
            raise InputError(
                f"{self.folder}: its weights hold {', '.join(left_over[:3])} ({len(left_over)} in all), which no "
                f"{self.network.__name__} has"
            )
        nn.Module.to(model, device)
        return model.eval().requires_grad_(False)


@contextmanager
def _quiet_transformers() -> Generator[None]:
    """No progress bar, and no report that the text encoder's projection, which is not used here, was not loaded."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()


@dataclass(frozen=True)
class EncoderTensors(Generic[M, C]):
    """An encoder whose tensors lie in another layout, not read yet."""

    part: Part[M, C]

    def check(self) -> None:
        """Raise InputError if any tensor is missing, unexpected or misshapen."""
        self.part.check()

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> M:
        """The encoder, frozen."""
        model = self.part.load(dtype=dtype or torch.float32, device=device)
        for name, buffer in list(model.named_buffers()):
            assert name.endswith("position_ids"), f"{name} is no weight and not known"
            numbers = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
            model.get_submodule(name.rpartition(".")[0]).register_buffer("position_ids", numbers, persistent=False)
        return model.requires_grad_(False)
