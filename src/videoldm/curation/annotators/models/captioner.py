"""What answers a prompt about some pictures, wherever the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from videoldm.curation.annotators.annotator import Missing


@dataclass(frozen=True, eq=False)
class Request:
    """A prompt and the pictures it speaks of, in order; none for a language model."""

    prompt: str
    pictures: Sequence[UInt8[np.ndarray, "h w 3"]] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model wrote."""

    text: str
    model: str
    num_prompt_tokens: int | None
    """Those of pictures included; None if a server does not tell, as with `num_new_tokens`."""
    num_new_tokens: int | None
    is_cut: bool
    """Whether the model was stopped at its limit."""


class Captioner(Protocol):
    """Answers many requests, each as if it were alone."""

    def answer(self, requests: Sequence[Request]) -> list[Answer | Missing]:
        """The answer to each request, or why there is none."""
        ...
