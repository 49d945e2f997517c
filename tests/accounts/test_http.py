"""Whether anything was sent is known, whatever happens; and no error holds what was sent."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from edgebotd.accounts.http import USER_AGENT, Answer, Caller, NotSent, Unanswered

CANARY = "s3cr3t-canary"
Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    async def one(stream: trio.SocketStream) -> None:
        async with stream:
            await serve(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, one, listeners)
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}/token?key={CANARY}"
        nursery.cancel_scope.cancel()


async def head_of(stream: trio.SocketStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or CANARY.encode() not in data.partition(b"\r\n\r\n")[2]:
        if not (more := await stream.receive_some()):
            break
        data += more
    return data


def says(data: bytes, *, seen: list[bytes] | None = None) -> Serve:
    async def serve(stream: trio.SocketStream) -> None:
        request = await head_of(stream)
        if seen is not None:
            seen.append(request)
        await stream.send_all(data)

    return serve


async def ask(url: str, *, seconds: float = 5.0, most: int = 1000) -> Answer:
    body = CANARY.encode()
    return await Caller().call("POST", url, headers={"X-Key": CANARY}, body=body, seconds=seconds, most=most)


async def test_an_answer_comes_whole_and_the_request_says_who_we_are() -> None:
    seen: list[bytes] = []
    async with serving(says(b"HTTP/1.1 400 No\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}", seen=seen)) as url:
        answer = await ask(url)
    assert (answer.status, answer.headers["x-a"], answer.body, answer.whole) == (400, "1", b"{}", True)
    assert f"User-Agent: {USER_AGENT}".encode() in seen[0] and CANARY not in repr(answer)


async def test_a_redirect_is_an_answer() -> None:
    async with serving(says(b"HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")) as url:
        assert (await ask(url)).status == 302


async def test_nothing_was_sent_where_nobody_listens_or_the_name_is_unknown() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/?key={CANARY}"
    for url in (closed, f"http://nobody.invalid/?key={CANARY}"):
        with pytest.raises(NotSent) as caught:
            await ask(url)
        assert CANARY not in str(caught.value) and caught.value.__cause__ is None


async def test_nothing_was_sent_where_tls_fails() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"this is no TLS")

    async with serving(serve) as url:
        with pytest.raises(NotSent):
            await ask(url.replace("http:", "https:"))


async def test_nothing_was_sent_where_tls_takes_too_long() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with serving(serve) as url:
        with pytest.raises(NotSent, match="the time was up"):
            await ask(url.replace("http:", "https:"), seconds=1)


async def test_a_request_without_an_answer_is_told_apart() -> None:
    async def cuts(stream: trio.SocketStream) -> None:
        await head_of(stream)

    async def waits(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await trio.sleep_forever()

    for serve, seconds in ((cuts, 5.0), (waits, 1.0), (says(b"SSH-2.0 hello\r\n"), 5.0)):
        async with serving(serve) as url:
            with pytest.raises(Unanswered) as caught:
                await ask(url, seconds=seconds)
            assert CANARY not in str(caught.value) and "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("slow", [False, True])
async def test_of_an_answer_that_breaks_off_all_is_kept_that_came(slow: bool) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"access_token": "a"}')
        if slow:
            await trio.sleep_forever()

    async with serving(serve) as url:
        answer = await ask(url, seconds=1 if slow else 5)
    assert (answer.status, answer.body, answer.whole) == (200, b'{"access_token": "a"}', False)


async def test_a_body_without_an_end_is_cut() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                await stream.send_all(b"x" * 1000)
        except trio.BrokenResourceError:
            pass  # the caller has had enough

    async with serving(serve) as url:
        answer = await ask(url)
    assert (len(answer.body), answer.whole) == (1000, False)


async def test_a_packed_body_is_unpacked_and_one_in_an_unknown_way_is_not_whole() -> None:
    packed = gzip.compress(b'{"a": 1}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    async with serving(says(head % (b"gzip", len(packed)) + packed)) as url:
        answer = await ask(url)
    assert (answer.body, answer.whole) == (b'{"a": 1}', True)
    for name, data in ((b"br", b"{}"), (b"gzip", b"{}"), (b"gzip", packed[:-9])):
        async with serving(says(head % (name, len(data)) + data)) as url:
            assert not (await ask(url)).whole


async def test_whoever_asks_may_be_cancelled() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with serving(serve) as url:
        with trio.move_on_after(0.1) as scope:
            await ask(url)
        assert scope.cancelled_caught


def test_certificates_are_verified() -> None:
    assert Caller()._trust.verify_mode is ssl.CERT_REQUIRED and Caller()._trust.check_hostname
