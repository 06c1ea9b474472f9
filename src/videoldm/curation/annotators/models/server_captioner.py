"""Captions from any server that speaks OpenAI's chat completions protocol."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import socket
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.models.captioner import Answer, CaptionRequest, ServerCaptioner

KEY_VARIABLE = "OPENAI_API_KEY"
JPEG_QUALITY = 92
MAX_WAIT_S = 60
MAX_ANSWER_BYTES = 2**22
_TRY_AGAIN = frozenset({408, 409, 425, 429})


@dataclass
class _FailureError(Exception):
    """A request without an answer: the reason, and what may help."""

    reason: str
    helps_again: bool = False
    """Whether to ask again at once."""
    helps_later: bool = True
    """Whether another run may get an answer."""
    is_unreachable: bool = False
    wait_s: float = 0
    """Wait that the server asked for."""


class ServerReader:
    """Sends several requests at a time; transient failures are retried, after waits that double.

    A server that cannot be reached even so is left alone for a while; requests of this time have no answer, and another
    run can get it. Redirects are not followed, so that the key is not sent elsewhere, and no proxy is used.
    """

    def __init__(self, config: ServerCaptioner, *, max_new_tokens: int) -> None:
        self.config = config
        self._max_new_tokens = max_new_tokens
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        self._rest: tuple[float, str] = (0, "")

    def answer(self, requests: Sequence[CaptionRequest]) -> list[Answer | Missing]:
        """Return the answer to each request, in order."""
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            return list(pool.map(self._answer, requests))

    def _answer(self, request: CaptionRequest) -> Answer | Missing:
        reason = ""
        for attempt in range(self.config.num_retries + 1):
            rests_until, why = self._rest
            if time.monotonic() < rests_until:
                return Missing(why, may_come_later=True)
            try:
                return self._parse(self._post(self._body(request)))
            except _FailureError as failure:
                reason = self._without_key(f"{self.config.url}: {failure.reason}")
                if not failure.helps_again:
                    return Missing(reason, may_come_later=failure.helps_later)
                if attempt == self.config.num_retries and failure.is_unreachable:
                    self._rest = (time.monotonic() + self.config.rest_s, reason)
                wait_s = max(failure.wait_s, self.config.first_wait_s * 2**attempt)
            if attempt < self.config.num_retries:
                time.sleep(min(wait_s, MAX_WAIT_S))
        return Missing(reason, may_come_later=True)

    def _body(self, request: CaptionRequest) -> bytes:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": _data_url(picture)}} for picture in request.pictures
        ]
        if request.prompt:  # models such as CoCa only complete captions
            content.append({"type": "text", "text": request.prompt})
        fields: dict[str, Any] = {
            "model": self.config.model,
            # Servers of language models often accept only text here.
            "messages": [{"role": "user", "content": content if request.pictures else request.prompt}],
            "max_tokens": self._max_new_tokens,
            "temperature": 0,
            "seed": 0,
            **self.config.options,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        place = urlsplit(self.config.url)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.netloc, timeout=self.config.timeout_s)
        expired = threading.Event()
        try:
            connection.connect()
            with _deadline(connection.sock, self.config.timeout_s, expired):
                connection.request("POST", f"{place.path}/chat/completions", body, headers)
                response = connection.getresponse()
                answer = response.read(MAX_ANSWER_BYTES)
            if expired.is_set():
                raise TimeoutError
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError) or expired.is_set():
                what = f"did not answer within {self.config.timeout_s:g} s"
            else:
                what = f"cannot be reached: {error or type(error).__name__}"
            raise _FailureError(what, helps_again=True, is_unreachable=True) from None
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise self._refusal(response, answer)
        return answer

    def _refusal(self, response: http.client.HTTPResponse, answer: bytes) -> _FailureError:
        status = response.status
        said = f"answers {status}{_message(answer)}"
        if status in _TRY_AGAIN or status >= http.client.INTERNAL_SERVER_ERROR:
            return _FailureError(said, helps_again=True, wait_s=_retry_after(response.headers.get("Retry-After")))
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            return _FailureError(f"{said}; {KEY_VARIABLE} should hold a key that it accepts")
        if http.client.MULTIPLE_CHOICES <= status < http.client.BAD_REQUEST:
            return _FailureError(f"{said} and redirects to {response.headers.get('Location')}: name that URL")
        # A wrong request will be wrong in the next run, too; a missing model may be loaded by then.
        return _FailureError(said, helps_later=status == http.client.NOT_FOUND)

    def _parse(self, answer: bytes) -> Answer:
        try:
            fields = json.loads(answer)
            choice = fields["choices"][0]
            text = _text(choice["message"])
            usage = fields.get("usage") or {}
            if choice.get("finish_reason") == "content_filter":
                raise _FailureError("its filter withheld the answer", helps_later=False)
            return Answer(
                text=text.strip(),
                model=str(fields.get("model") or self.config.model),
                num_prompt_tokens=_number(usage.get("prompt_tokens")),
                num_new_tokens=_number(usage.get("completion_tokens")),
                is_cut=choice.get("finish_reason") == "length",
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise _FailureError("its answer is not a chat completion", helps_again=True) from None

    def _without_key(self, text: str) -> str:
        """Hide the key, which servers often quote when they refuse it."""
        return text.replace(self._key, "***") if self._key else text


@contextlib.contextmanager
def _deadline(connection: socket.socket, seconds: float, expired: threading.Event) -> Generator[None]:
    """Cut the connection after `seconds`, even if bytes still arrive, and set `expired`."""

    def cut() -> None:
        expired.set()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _data_url(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _text(message: Mapping[str, Any]) -> str:
    """Return the text, which some servers send in parts, or the model's refusal."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else message.get("refusal") or ""


def _message(answer: bytes) -> str:
    """Return the message in the body of an error, in one line."""
    text = answer.decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = json.loads(text)["error"]
        text = error if isinstance(error, str) else str(error["message"])
    line = " ".join(text.split())
    return f", {line[:200]}" if line else ""


def _retry_after(value: str | None) -> float:
    """Return the seconds of the header; a date, which it may also hold, counts as 0."""
    return float(value) if value and value.isdecimal() else 0


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
