"""Sessions with OpenAI-compatible endpoints: waits, aborts, probes, and their ends."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.bots import openai
from edgebotd.bots.connector import (
    Accepted,
    Connector,
    ConnectorError,
    Feature,
    Trouble,
)
from edgebotd.bots.openai import OpenAIConnector
from edgebotd.protocol.run import Outcome, RunDelta, RunEnded, RunEvent
from tests.bots.endpoint_session import (
    BLOCKED,
    KEY,
    connector_of,
    half_said,
    pass_time,
    turn,
    watched,
)
from tests.bots.fake_endpoint import DONE, HEAD, FakeEndpoint, Stage, chunk, open_endpoint, streamed
from tests.bots.fake_endpoint import whole as answered


@pytest.fixture
def clock() -> MockClock:
    """Real time that a test can also jump over."""
    return MockClock(rate=1.0)


@pytest.fixture
async def endpoint(clock: MockClock) -> AsyncIterator[FakeEndpoint]:
    async with open_endpoint() as served:
        yield served


# Waits


async def test_turn_counts_as_accepted_when_the_endpoint_stays_silent_over_it(
    endpoint: FakeEndpoint, clock: MockClock
) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        answers: list[Accepted] = []

        async def send() -> None:
            answers.append(await session.connector.send(turn()))

        nursery.start_soon(send)
        await stage.began.wait()
        await wait_all_tasks_blocked(BLOCKED)
        assert answers == []
        await pass_time(clock, openai.ACCEPT_SECONDS)
        await session.until(lambda: bool(session.events))
        assert await session.connector.send(turn()) is Accepted.RUNNING
        await pass_time(clock, openai.FIRST_SECONDS - 30)
        await stage.send(HEAD + chunk("late", finish="stop") + DONE)
        assert (await session.end()).text == "late"
        assert answers == [Accepted.STARTED] and len(endpoint.requests) == 1


async def test_error_after_acceptance_ends_the_run_in_words(endpoint: FakeEndpoint, clock: MockClock) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        await pass_time(clock, openai.ACCEPT_SECONDS)
        await session.until(lambda: bool(session.events))
        await stage.send(b"HTTP/1.1 400 -\r\nContent-Length: 4\r\n\r\nwhat")
        end = await session.end()
        assert (end.outcome, end.error_kind) == (Outcome.FAILED, "http_400") and "what" in (end.error or "")


async def test_reply_that_falls_silent_is_interrupted_and_slow_chunks_are_not(
    endpoint: FakeEndpoint, clock: MockClock
) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        await stage.send(HEAD)
        for text in ("a", "b", "c"):
            await stage.send(chunk(text))
            await session.until(lambda text=text: session.text.endswith(text))  # type: ignore[misc] # its default is the loop's
            await pass_time(clock, openai.NEXT_SECONDS - 10)
            await wait_all_tasks_blocked(BLOCKED)
        assert session.ends == []
        await pass_time(clock, 10)
        end = await session.end()
        assert (end.outcome, end.text, end.error_kind) == (Outcome.INTERRUPTED, "abc", "silent")
        await stage.gone.wait()


async def test_stream_that_never_ends_after_its_finish_is_finished(endpoint: FakeEndpoint, clock: MockClock) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        await stage.send(HEAD + chunk("all", finish="stop"))
        await session.until(lambda: session.text == "all")
        await pass_time(clock, openai.TAIL_SECONDS)
        end = await session.end()
        assert (end.outcome, end.text, end.error) == (Outcome.FINISHED, "all", None)


async def test_slow_reader_holds_back_the_reply(endpoint: FakeEndpoint) -> None:
    gate = trio.Event()

    async def wait(event: RunEvent) -> None:
        if isinstance(event, RunDelta):
            await gate.wait()

    async with watched(connector_of(endpoint)) as session:
        session.delivering = wait
        await session.connector.send(turn())
        await wait_all_tasks_blocked(BLOCKED)
        assert session.text == "" and session.ends == []
        gate.set()
        assert (await session.end()).text == "Hello there"


# Aborts and the session


async def test_abort_ends_the_run_with_its_text_and_closes_the_request(endpoint: FakeEndpoint) -> None:
    async with watched(connector_of(endpoint)) as session:
        stage = await half_said(endpoint, session)
        history = await session.connector.history("agent:main:edgebotd:c1")
        assert (history.in_flight_run_id, history.in_flight_text) == ("r1", "half")
        assert not await session.connector.abort("agent:main:edgebotd:c2", "r1")
        assert await session.connector.abort("agent:main:edgebotd:c1", "r1")
        end = await session.end()
        assert (end.outcome, end.text) == (Outcome.ABORTED, "half")
        with trio.fail_after(10):
            await stage.gone.wait()
        assert not await session.connector.abort("agent:main:edgebotd:c1", "r1")
        assert (await session.connector.history("agent:main:edgebotd:c1")).active_run_ids == frozenset()
        assert len(session.ends) == 1


async def test_abort_before_the_endpoint_has_answered_ends_the_run(endpoint: FakeEndpoint) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    async with watched(connector_of(endpoint)) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.connector.send, turn())
        await stage.began.wait()
        assert await session.connector.abort("agent:main:edgebotd:c1", "r1")
        assert (await session.end()).outcome is Outcome.ABORTED


async def test_cancelled_session_ends_its_run_with_the_text_so_far(endpoint: FakeEndpoint) -> None:
    async with watched(connector_of(endpoint)) as session:
        await half_said(endpoint, session)
        session.scope.cancel()
        end = await session.end()
        assert (end.outcome, end.text) == (Outcome.INTERRUPTED, "half")
        await session.until(lambda: session.scope.cancelled_caught)
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(turn(run_id="r2"))
        assert caught.value.trouble is Trouble.LOST


async def test_cancelled_session_does_not_wait_for_a_reader_that_hangs(
    endpoint: FakeEndpoint, clock: MockClock
) -> None:
    async def hang(event: RunEvent) -> None:
        if isinstance(event, RunEnded):
            await trio.sleep_forever()

    async with watched(connector_of(endpoint)) as session:
        await half_said(endpoint, session)
        session.delivering = hang
        session.scope.cancel()
        await pass_time(clock, openai.END_SECONDS)
        await session.until(lambda: session.scope.cancelled_caught)


async def test_turn_that_was_not_accepted_when_the_session_ends_can_be_sent_again(endpoint: FakeEndpoint) -> None:
    stage = Stage()
    endpoint.chat = stage.answer
    connector = connector_of(endpoint)
    errors: list[ConnectorError] = []

    async def send() -> None:
        try:
            await connector.send(turn())
        except ConnectorError as exc:
            errors.append(exc)

    async with trio.open_nursery() as nursery:
        async with watched(connector) as session:
            nursery.start_soon(send)
            await stage.began.wait()
        assert session.events == []
    assert [error.trouble for error in errors] == [Trouble.LOST]
    endpoint.chat = streamed(chunk("again", finish="stop"), DONE)
    async with watched(connector) as session:
        assert await connector.send(turn()) is Accepted.STARTED
        assert (await session.end()).text == "again"


async def test_more_runs_than_the_bound_are_refused_for_now(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai, "MAX_RUNS", 1)
    async with watched(connector_of(endpoint)) as session:
        await half_said(endpoint, session)
        with pytest.raises(ConnectorError) as caught:
            await session.connector.send(turn(run_id="r2"))
        assert (caught.value.trouble, caught.value.reason) == (Trouble.UNAVAILABLE, "busy")


async def test_hello_asks_for_context_and_takes_pictures_and_texts(endpoint: FakeEndpoint) -> None:
    connector: Connector = connector_of(endpoint)
    assert isinstance(connector, OpenAIConnector)
    for status in (200, 404, 405, 429):
        endpoint.models = answered(b"", status)
        async with watched(connector) as session:
            assert session.hello is not None and Feature.CONTEXT in session.hello.features
            assert session.hello.attachments is not None
            assert {"image/png", "text/*"} <= (session.hello.attachments.media_types or frozenset())


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (401, Trouble.BAD_CREDENTIALS),
        (403, Trouble.BAD_CREDENTIALS),
        (301, Trouble.CONFIGURATION),
        (503, Trouble.RESTARTING),
    ],
)
async def test_session_does_not_start_where_the_probe_is_refused(
    endpoint: FakeEndpoint, status: int, trouble: Trouble
) -> None:
    endpoint.models = answered(b"", status)
    async with watched(connector_of(endpoint)) as session:
        assert session.hello is None
        assert session.error is not None and session.error.trouble is trouble


async def test_session_does_not_start_where_nothing_listens(clock: MockClock) -> None:
    async with open_endpoint() as gone:
        pass
    async with watched(connector_of(gone)) as session:
        assert session.error is not None and session.error.trouble is Trouble.REFUSED


async def test_certificate_that_nobody_signed_is_told_and_gets_no_key(clock: MockClock) -> None:
    got: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            got.append(bytes(await stream.receive_some()))

    listeners = await trio.open_ssl_over_tcp_listeners(0, self_signed(), host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
        (listener,) = listeners
        assert isinstance(listener.transport_listener, trio.SocketListener)
        port = listener.transport_listener.socket.getsockname()[1]
        connector = OpenAIConnector(f"https://127.0.0.1:{port}/v1", "m", api_key=SecretStr(KEY))
        async with watched(connector) as session:
            assert session.error is not None and session.error.trouble is Trouble.CONFIGURATION
            assert "certificate is not trusted" in session.error.detail
        nursery.cancel_scope.cancel()
    assert b"".join(got) == b""


def self_signed() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder, "both.pem")
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        server.load_cert_chain(path)
    return server


@pytest.mark.parametrize("url", ["", "ftp://host/v1", "http://", "http://user:pw@host/v1", "http://[::1", "http://h:x"])
async def test_url_that_cannot_be_right_says_so(url: str) -> None:
    async with watched(OpenAIConnector(url, "m")) as session:
        assert session.error is not None and session.error.trouble is Trouble.CONFIGURATION
        assert "pw" not in session.error.detail


async def test_key_that_cannot_stand_in_a_header_is_not_shown(endpoint: FakeEndpoint) -> None:
    for key in (f"{KEY}\n", f"{KEY}ü", ""):
        connector = OpenAIConnector(endpoint.url, "m", api_key=SecretStr(key))
        async with watched(connector) as session:
            assert session.error is not None and session.error.trouble is Trouble.BAD_CREDENTIALS
            assert KEY not in repr(session.error)
    assert endpoint.paths == []


async def test_session_ends_when_the_endpoint_is_gone_twice(endpoint: FakeEndpoint, clock: MockClock) -> None:
    async with watched(connector_of(endpoint)) as session:
        await pass_time(clock, openai.PROBE_SECONDS)
        await wait_all_tasks_blocked(BLOCKED)
        assert len(endpoint.probes) == 2 and not session.over
        endpoint.scope.cancel()
        await pass_time(clock, openai.PROBE_SECONDS)
        await wait_all_tasks_blocked(BLOCKED)
        assert not session.over, "one failure is none"
        await pass_time(clock, openai.PROBE_AGAIN_SECONDS)
        await session.until(lambda: session.over)
        assert session.error is not None and session.error.trouble is Trouble.REFUSED


async def test_failing_turn_makes_the_session_look_at_once(endpoint: FakeEndpoint) -> None:
    async with watched(connector_of(endpoint)) as session:
        endpoint.scope.cancel()
        await wait_all_tasks_blocked(BLOCKED)
        for _ in range(2):
            with pytest.raises(ConnectorError) as caught:
                await session.connector.send(turn())
            assert caught.value.trouble is Trouble.REFUSED
            await wait_all_tasks_blocked(BLOCKED)
        await session.until(lambda: session.error is not None)


async def test_key_that_is_revoked_later_ends_the_session(endpoint: FakeEndpoint, clock: MockClock) -> None:
    async with watched(connector_of(endpoint)) as session:
        endpoint.models = answered(b"", 401)
        await pass_time(clock, openai.PROBE_SECONDS)
        await session.until(lambda: session.error is not None)
        assert session.error is not None and session.error.needs_person
