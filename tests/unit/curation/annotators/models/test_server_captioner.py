"""Captions over HTTP, against a real server: what is sent, what comes back, and all that can go wrong between."""

from __future__ import annotations

import base64
import io
import socket
import time

import numpy as np
import pytest
from chat_server import Asked, Reply, chat_server, completion
from PIL import Image

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.models.captioner import (
    Answer,
    CaptionRequest,
    LocalCaptioner,
    ServerCaptioner,
    parse_captioner,
)
from videoldm.curation.annotators.models.server_captioner import KEY_VARIABLE, ServerReader

pytestmark = pytest.mark.slow

PICTURE = np.full((20, 30, 3), (200, 40, 90), np.uint8)
ASK = CaptionRequest("what is it", [PICTURE, PICTURE])


def reader(url: str, **changes: object) -> ServerReader:
    settings = {"model": "tiny", "url": url, "timeout_s": 5, "num_retries": 2, "first_wait_s": 0.01} | changes
    return ServerReader(ServerCaptioner(**settings), max_new_tokens=20)


def one(url: str, **changes: object) -> Answer | Missing:
    return reader(url, **changes).answer([ASK])[0]


def test_what_is_sent_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, " secret\n")
    with chat_server(lambda number, asked: Reply(completion(" a red wall "))) as server:
        answer = one(f"{server.url}/", options={"temperature": None, "top_k": 1})
    assert answer == Answer(text="a red wall", model="tiny-1", num_prompt_tokens=11, num_new_tokens=7, is_cut=False)
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == "Bearer secret"
    *pictures, text = asked.body["messages"][0]["content"]
    assert text == {"type": "text", "text": "what is it"}
    for picture in pictures:
        kind, _, data = picture["image_url"]["url"].partition(",")
        assert kind == "data:image/jpeg;base64"
        sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), np.int16)
        assert sent.shape == PICTURE.shape
        assert np.abs(sent - PICTURE).max() < 8
    assert len(pictures) == 2
    del asked.body["messages"]
    assert asked.body == {"model": "tiny", "max_tokens": 20, "seed": 0, "top_k": 1}


def test_prompts_without_pictures_are_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with chat_server(lambda number, asked: Reply(completion("yes"))) as server:
        reader(server.url).answer([CaptionRequest("merge")])
    assert server.asked[0].body["messages"] == [{"role": "user", "content": "merge"}]
    assert "Authorization" not in server.asked[0].headers


def test_answers_keep_their_order_and_go_side_by_side() -> None:
    def reply(number: int, asked: Asked) -> Reply:
        text = asked.body["messages"][0]["content"]
        return Reply(completion(text), delay_s=0.05 * (number % 3))

    with chat_server(reply) as server:
        answers = reader(server.url, concurrency=4).answer([CaptionRequest(f"number {i}") for i in range(12)])
    assert [answer.text for answer in answers] == [f"number {i}" for i in range(12)]
    assert 2 <= server.busiest <= 4


def test_what_fails_for_a_moment_is_asked_again() -> None:
    def reply(number: int, asked: Asked) -> Reply:
        bad = [Reply({"error": {"message": "busy"}}, status=503), Reply(b"{oops")]
        return bad[number] if number < 2 else Reply(completion("at last"))

    with chat_server(reply) as server:
        assert one(server.url).text == "at last"
    assert len(server.asked) == 3


def test_a_server_says_how_long_to_wait() -> None:
    def reply(number: int, asked: Asked) -> Reply:
        return Reply(completion("ok")) if number else Reply({}, status=429, headers={"Retry-After": "1"})

    with chat_server(reply) as server:
        start = time.monotonic()
        assert one(server.url).text == "ok"
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    ("reply", "said", "may_come_later", "num_asked"),
    [
        (Reply({"error": {"message": "full"}}, status=500), "answers 500, full", True, 3),
        (Reply({"error": "too  large"}, status=400), "answers 400, too large", False, 1),
        (Reply(b"<html>", status=413), "answers 413, <html>", False, 1),
        (Reply({"error": {"message": "no model"}}, status=404), "answers 404, no model", True, 1),
        (Reply(b"", status=302, headers={"Location": "http://else"}), "redirects to http://else", True, 1),
        (Reply(b"not json"), "its answer is not a chat completion", True, 3),
        (Reply([1, 2]), "its answer is not a chat completion", True, 3),
        (Reply({"choices": []}), "its answer is not a chat completion", True, 3),
        (Reply({"choices": [{"message": 3}]}), "its answer is not a chat completion", True, 3),
        (Reply(b"\xff\xfe"), "its answer is not a chat completion", True, 3),
        (Reply(b'{"choices": [{"mess', is_cut=True), "its answer is not a chat completion", True, 3),
    ],
)
def test_failures_are_told(reply: Reply, said: str, *, may_come_later: bool, num_asked: int) -> None:
    with chat_server(lambda number, asked: reply) as server:
        missing = one(server.url)
    assert isinstance(missing, Missing)
    assert said in missing.reason
    assert missing.reason.startswith(f"{server.url}: ")
    assert missing.may_come_later == may_come_later
    assert len(server.asked) == num_asked


def test_a_refused_key_is_not_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    reply = Reply({"error": {"message": "Incorrect key provided: secret-key."}}, status=401)
    with chat_server(lambda number, asked: reply) as server:
        missing = one(server.url)
    assert missing.may_come_later
    assert (
        "answers 401, Incorrect key provided: ***.; OPENAI_API_KEY should hold a key that it accepts" in missing.reason
    )


@pytest.mark.parametrize("slow", [{"delay_s": 3}, {"drip_s": 0.05}])
def test_slow_answers_have_a_time_limit(slow: dict[str, float]) -> None:
    with chat_server(lambda number, asked: Reply(completion("x" * 100), **slow)) as server:
        start = time.monotonic()
        missing = one(server.url, timeout_s=0.3, num_retries=0)
    assert time.monotonic() - start < 2.9
    assert missing == Missing(f"{server.url}: did not answer within 0.3 s", may_come_later=True)


def test_a_server_that_is_away_is_left_alone_for_a_while() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    made = reader(url, first_wait_s=1.5, num_retries=1, rest_s=2.5)
    first = made.answer([ASK])[0]
    assert "cannot be reached" in first.reason
    start = time.monotonic()
    assert made.answer([ASK] * 50) == [first] * 50
    assert time.monotonic() - start < 1.5
    time.sleep(2.6)
    start = time.monotonic()
    made.answer([ASK])
    assert time.monotonic() - start >= 1.5


def test_kinds_of_answers() -> None:
    parts = [{"type": "text", "text": "a red "}, {"type": "other"}, {"type": "text", "text": "wall"}]
    refused = completion(None)
    refused["choices"][0]["message"]["refusal"] = "I cannot."
    cut = completion("and so on", usage=None)
    cut["choices"][0]["finish_reason"] = "length"
    held = completion("")
    held["choices"][0]["finish_reason"] = "content_filter"
    bodies = [completion(parts), refused, cut, completion(None), held]
    with chat_server(lambda number, asked: Reply(bodies[number])) as server:
        joined, refusal, long, nothing, filtered = reader(server.url, concurrency=1).answer([ASK] * 5)
    assert joined.text == "a red wall"
    assert refusal.text == "I cannot."
    assert long.is_cut
    assert long.num_prompt_tokens is long.num_new_tokens is None
    assert nothing.text == ""
    assert filtered == Missing(f"{server.url}: its filter withheld the answer")


def test_captioners_in_words() -> None:
    assert parse_captioner("openai:https://host/v1#a/b") == ServerCaptioner(url="https://host/v1", model="a/b")
    assert parse_captioner("owner/model") == LocalCaptioner(model="owner/model")
    with pytest.raises(InputError, match="should name a model too: openai:http://host:port/v1#model"):
        parse_captioner("openai:http://host/v1")
    for url in ("host:8000/v1", "ftp://host/v1", "http:///v1", "http://host:port/v1", "http://me:secret@host/v1"):
        with pytest.raises(InputError, match=r"url is .*, should look like|url is .*, Port could not"):
            parse_captioner(f"openai:{url}#m")
