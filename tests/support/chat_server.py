"""A server that speaks as much of OpenAI's protocol as captions need, and misbehaves when told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server sends; `drip_s` waits before each byte of the body, `delay_s` before anything."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0
    drip_s: float = 0
    is_cut: bool = False
    """Says that it is longer than it is."""


@dataclass
class Asked:
    """What the server was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class ChatServer:
    """Its address, what it was asked, and how many requests it had in hand at once."""

    url: str
    asked: list[Asked]
    busiest: int = 0


def completion(text: object, **changes: Any) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {"id": "1", "object": "chat.completion", "model": "tiny-1", "choices": [choice], "usage": usage} | changes


@contextmanager
def chat_server(reply: Callable[[int, Asked], Reply]) -> Generator[ChatServer]:
    """A server that answers request number n, counted from 0, with `reply(n, asked)`."""
    lock, active = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                asked = Asked(self.path, dict(self.headers.items()), body)
                number = len(state.asked)
                state.asked.append(asked)
                active[0] += 1
                state.busiest = max(state.busiest, active[0])
            answer = reply(number, asked)
            time.sleep(answer.delay_s)
            with lock:
                active[0] -= 1
            with suppress(OSError):  # the client may have gone
                self._send(answer)

        def _send(self, answer: Reply) -> None:
            raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            length = len(raw) + (10 if answer.is_cut else 0)
            for key, value in {"Content-Length": str(length), **answer.headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if not answer.drip_s:
                self.wfile.write(raw)
                return
            for position in range(len(raw)):
                self.wfile.write(raw[position : position + 1])
                self.wfile.flush()
                time.sleep(answer.drip_s)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    state = ChatServer(f"http://127.0.0.1:{server.server_port}/v1", [])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
