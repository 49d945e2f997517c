"""Each answer of a provider, good and bad, over a real connection; no secret comes back in what is told of it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from edgebotd.accounts.http import USER_AGENT, Caller
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.usage import asking
from edgebotd.accounts.usage.asking import Trouble, ask
from edgebotd.config import UsageSettings
from edgebotd.protocol.usage import Usage
from edgebotd.store.profiles import Profile
from tests.protocol import usage_answers as answers
from tests.protocol.usage_answers import NOW

CANARY = "canary-access-token"
Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def provider(serve: Serve, seen: list[bytes]) -> AsyncIterator[str]:
    async def one(stream: trio.SocketStream) -> None:
        async with stream:
            seen.append(await _request(stream))
            await serve(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, one, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/usage"
        nursery.cancel_scope.cancel()


async def _request(stream: trio.SocketStream) -> bytes:
    """Return a request with its body, which may come after its head."""
    data = b""
    while True:
        head, ended, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if ended and len(body) >= (0 if length is None else int(length[1])):
            return data
        if not (more := await stream.receive_some()):
            return data
        data += more


def says(status: int, body: object, *headers: str, declared: int | None = None) -> Serve:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = len(data) if declared is None else declared
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {length}", "Connection: close", *headers]

    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode() + data)

    return serve


async def asked(
    serve: Serve, kind: str = "anthropic", seen: list[bytes] | None = None, **settings: Any
) -> Usage | Trouble:
    profile = Profile("p:work", "p", "oauth", state="fresh", account_id="acct-1")
    async with provider(serve, [] if seen is None else seen) as url:
        given = UsageSettings.model_validate({"kind": kind, "url": url, **settings})
        return await ask(Caller().call, given, profile, Login(access=CANARY), NOW)


@pytest.mark.parametrize(
    ("kind", "answer", "window", "used"),
    [
        ("anthropic", answers.ANTHROPIC, "five_hour", 61.0),
        ("codex", answers.CODEX, "5h", 15.0),
        ("copilot", answers.COPILOT, "premium_interactions", 110.0),
        ("gemini", answers.GEMINI, "pro", 50.0),
        ("openrouter", answers.OPENROUTER_KEY, "key", 75.0),
    ],
)
async def test_each_provider_is_read(kind: str, answer: object, window: str, used: float) -> None:
    outcome = await asked(says(200, answer), kind)
    assert isinstance(outcome, Usage)
    assert {one.id: one.used_percent for one in outcome.windows}[window] == used


async def test_the_generic_reader_is_told_where_to_look() -> None:
    windows = [{"id": "day", "label": "A day", "used": "quota.used", "limit": "quota.limit"}]
    outcome = await asked(says(200, {"quota": {"used": 1, "limit": "8"}}), "json", windows=windows)
    assert isinstance(outcome, Usage)
    assert [(one.id, one.used_percent) for one in outcome.windows] == [("day", 12.5)]


async def test_a_request_has_what_the_settings_say_and_says_who_we_are() -> None:
    seen: list[bytes] = []
    await asked(says(200, answers.CODEX), "codex", seen, headers={"X-Beta": "b-1"})
    await asked(says(200, answers.GEMINI), "gemini", seen, method="POST")
    await asked(says(200, answers.COPILOT), "copilot", seen, authorization="token", headers={"user-agent": "own/1"})
    get, post, own = (head.decode() for head in seen)
    assert get.startswith("GET /usage HTTP/1.1\r\n")
    for line in (f"Authorization: Bearer {CANARY}", "ChatGPT-Account-Id: acct-1", "X-Beta: b-1", USER_AGENT):
        assert line in get
    assert post.startswith("POST ") and post.endswith("{}") and "Content-Type: application/json" in post
    assert f"Authorization: token {CANARY}" in own and "own/1" in own and "ChatGPT" not in own


@pytest.mark.parametrize(
    ("serve", "kind", "wait"),
    [
        (says(429, {"error": {"type": "rate_limit_error"}}, "Retry-After: 0"), "rate_limited", None),
        (says(429, b"", "Retry-After: 900"), "rate_limited", 900_000),
        (says(429, b"", "Retry-After: Sat, 28 Nov 2026 10:10:00 GMT"), "rate_limited", 600_000),
        (says(401, {"error": CANARY}), "auth", None),
        (
            says(403, {"error": {"message": "OAuth token does not meet scope requirement user:profile"}}),
            "unsupported",
            None,
        ),
        (says(403, b"<html>you are scoped out</html>"), "http", None),
        (says(500, {"five_hour": {"utilization": 1}}), "http", None),
        (says(503, b"", "Retry-After: 60"), "http", 60_000),
        (says(302, b"", "Location: https://elsewhere.example/"), "http", None),
        (says(200, b"<!DOCTYPE html><title>Just a moment</title>"), "malformed", None),
        (says(200, {"error": CANARY}), "malformed", None),
        (says(200, b"x" * (asking.MOST_BYTES + 1)), "malformed", None),
        (says(200, json.dumps(answers.ANTHROPIC).encode(), declared=9999), "malformed", None),
        (says(200, b'{"five_hour": '), "malformed", None),
    ],
)
async def test_each_kind_of_trouble_is_told_apart(serve: Serve, kind: str, wait: int | None) -> None:
    outcome = await asked(serve)
    assert isinstance(outcome, Trouble)
    assert (outcome.kind, outcome.retry_after_ms) == (kind, wait)
    assert CANARY not in repr(outcome) and outcome.detail.endswith(".")


async def test_the_words_say_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.3)

    async def drips(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        await trio.sleep_forever()

    for serve, words in (
        (drips, "takes longer than 0 s"),
        (says(302, b"", "Location: /x"), "not followed. Look at the url"),
        (says(404, b""), "status 404. Look at the url"),
        (says(500, b""), "status 500."),
    ):
        outcome = await asked(serve)
        assert isinstance(outcome, Trouble) and words in outcome.detail


async def test_silence_and_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.2)

    async def waits(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    outcome = await asked(waits)
    assert isinstance(outcome, Trouble) and outcome.kind == "timeout"
    settings = UsageSettings.model_validate({"kind": "codex", "url": "http://127.0.0.1:1/"})
    outcome = await ask(Caller().call, settings, Profile("p:w", "p", "oauth"), Login(access=CANARY), NOW)
    assert isinstance(outcome, Trouble) and outcome.kind == "unreachable" and CANARY not in outcome.detail
    outcome = await ask(Caller().call, settings, Profile("p:w", "p", "oauth"), Login(), NOW)
    assert isinstance(outcome, Trouble) and outcome.kind == "unsupported"
