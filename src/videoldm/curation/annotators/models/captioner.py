"""Captioners: which model answers a prompt about pictures, and where it runs; torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import UInt8
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from videoldm.core.config import Config, validate
from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.models.local_model import LocalModel


class LocalCaptioner(LocalModel):
    """A vision-language model of transformers, or for summaries a language model."""

    kind: Literal["transformers"] = "transformers"
    model: str = "HuggingFaceTB/SmolVLM-500M-Instruct"
    """The default is under the Apache licence 2.0."""
    image_options: dict[str, Any] = Field(default_factory=dict)
    """Attributes to set on the model's image processor, such as `do_image_splitting: false`."""
    padding_multiple: PositiveInt = 32
    """Prompts of a language model are padded to a multiple of this many tokens, so that few batches hold them all."""


class ServerCaptioner(Config):
    """A model behind a server that speaks OpenAI's protocol; a key, if it needs one, is read from OPENAI_API_KEY."""

    kind: Literal["openai"] = "openai"
    model: str
    url: str
    """Base URL up to and including the version, such as `http://localhost:8000/v1`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Additional fields of each request; null removes a field that is sent by default, such as `temperature`."""
    concurrency: PositiveInt = 8
    timeout_s: PositiveFloat = 60
    """Time limit for one answer, from the request to its last byte."""
    num_retries: NonNegativeInt = 3
    first_wait_s: NonNegativeFloat = 1
    """Wait before the first retry; each further wait is twice as long."""
    rest_s: NonNegativeFloat = 30
    """How long a server is left alone after it could not be reached."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        place = urlsplit(url)
        # Asking for the port raises ValueError if it is not a number.
        if place.scheme not in ("http", "https") or not place.hostname or place.port == 0 or place.username:
            raise ValueError("should look like http://host:port/v1 or https://host/v1")
        return url.rstrip("/")


CaptionerConfig = Annotated[LocalCaptioner | ServerCaptioner, Field(discriminator="kind")]


def parse_captioner(text: str) -> CaptionerConfig:
    """Parse `openai:http://host:port/v1#model` as a server, anything else as the folder or hub name of a model."""
    if not text.startswith("openai:"):
        return LocalCaptioner(model=text)
    url, _, model = text.removeprefix("openai:").partition("#")
    if not model:
        raise InputError(f"captioner is {text!r}, it should name a model too: openai:http://host:port/v1#model")
    return validate(ServerCaptioner, {"url": url, "model": model}, source=f"captioner {text!r}")


@dataclass(frozen=True, eq=False)
class CaptionRequest:
    """A prompt and the pictures it is about, in order; no pictures for a language model."""

    prompt: str
    pictures: Sequence[UInt8[np.ndarray, "h w 3"]] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The text that a model wrote, and what it cost."""

    text: str
    model: str
    num_prompt_tokens: int | None
    """Includes those of pictures; None if a server does not report it, like `num_new_tokens`."""
    num_new_tokens: int | None
    is_cut: bool
    """Whether the model was stopped at its limit."""


class Captioner(Protocol):
    """Answers many requests, each as if it were alone."""

    def answer(self, requests: Sequence[CaptionRequest]) -> list[Answer | Missing]:
        """Return the answer to each request, or why there is none."""
        ...


def open_captioner(config: CaptionerConfig, *, max_new_tokens: int, num_pictures: int) -> Captioner:
    """Open the captioner of `config`; transformers is imported only for a model that runs in the worker.

    Raises MissingModelError if the model is not on this machine, InputError if it cannot caption `num_pictures`.
    """
    if isinstance(config, ServerCaptioner):
        from videoldm.curation.annotators.models.server_captioner import ServerReader

        return ServerReader(config, max_new_tokens=max_new_tokens)
    from videoldm.curation.annotators.models.transformers_captioner import PictureReader, TextWriter

    if num_pictures == 0:
        return TextWriter(config, max_new_tokens=max_new_tokens)
    return PictureReader(config, max_new_tokens=max_new_tokens, num_pictures=num_pictures)
