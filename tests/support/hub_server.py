"""A small server that speaks as much of the Hugging Face hub's protocol as downloads need."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    """Models by name; the name `owner/gated` is gated, `owner/broken` fails, all others do not exist."""

    models: ClassVar[dict[str, Path]]
    fetched: ClassVar[list[str]]
    cut: ClassVar[set[str]]
    """Files whose next download ends in the middle."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args

    def _answer(self, *, with_body: bool) -> None:
        words = self.path.split("?")[0].strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self._answer_about("/".join(words[2:4]), words[4:])
        else:
            self._answer_file("/".join(words[:2]), "/".join(words[4:]), with_body=with_body)

    def _answer_about(self, model: str, rest: list[str]) -> None:
        folder = self._folder(model)
        if folder is None:
            return
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        if rest[:1] == ["tree"]:
            value: object = [
                {"type": "file", "path": name, "size": (folder / name).stat().st_size, "oid": COMMIT} for name in names
            ]
        else:
            siblings = [{"rfilename": name, "size": (folder / name).stat().st_size} for name in names]
            value = {"id": model, "sha": COMMIT, "siblings": siblings, "tags": ["clip", "license:mit"]}
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer_file(self, model: str, name: str, *, with_body: bool) -> None:
        folder = self._folder(model)
        if folder is None:
            return
        if not (folder / name).is_file():
            self._fail(404, "EntryNotFound")
            return
        content = (folder / name).read_bytes()
        if with_body:
            self.fetched.append(name)
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if with_body and wanted:
            first, size = int(wanted[1]), len(content)
            self.fetched[-1] = f"{name} from {first}"
            headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
            self._send(content[first:], headers, status=206)
        elif with_body and name in self.cut:
            self.cut.discard(name)
            self._send(content, headers, num_sent=len(content) // 2)
        else:
            self._send(content, headers, with_body=with_body)

    def _folder(self, model: str) -> Path | None:
        if model == "owner/gated":
            self._fail(403, "GatedRepo")
        elif model == "owner/broken":
            self._fail(418, None)
        elif model not in self.models:
            self._fail(404, "RepoNotFound")
        return self.models.get(model)

    def _send(
        self,
        content: bytes,
        headers: dict[str, str],
        *,
        with_body: bool = True,
        status: int = 200,
        num_sent: int | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content[:num_sent])
        self.close_connection |= num_sent is not None

    def _fail(self, status: int, code: str | None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.end_headers()


@contextmanager
def hub(models: dict[str, Path], *, cut: Iterable[str] = ()) -> Generator[tuple[str, list[str]]]:
    """Serve folders as models; gives the server's address and the list of the files that were downloaded.

    The first download of each file of `cut` ends in the middle.
    """
    fetched: list[str] = []
    handler = type("Handler", (_Handler,), {"models": models, "fetched": fetched, "cut": set(cut)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
