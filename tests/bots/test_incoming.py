"""Files that a bot sends: fetched once, kept with their message, and told where they could not be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from edgebotd.bots.connector import Connector, ConnectorError, Trouble
from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.bots.kinds import Wanted
from edgebotd.bots.openclaw_files import fetch
from edgebotd.events import AttachmentPart, ErrorPart, RunState, TextPart
from edgebotd.protocol.run import History, Outcome, PastMessage, RunDelta, RunEnded, RunEnding, SessionSeen
from tests.bots.house import ADMIN, House, now, open_house

SESSION = "agent:main:main"


class Sender(EchoConnector):
    """The built-in peer, with files."""

    def __init__(self, peer: EchoPeer) -> None:
        super().__init__(peer)
        self.files: dict[str, bytes | ConnectorError] = {}
        self.fetched: list[str] = []

    async def fetch_file(self, session_key: str, part: Mapping[str, Any], limit: int) -> bytes:
        self.fetched.append(part["name"])
        found = self.files[part["name"]]
        if isinstance(found, ConnectorError):
            raise found
        return found


def message_with(name: str, size: int | None = None) -> PastMessage:
    file = {"type": "file", "name": name, "mediaType": "image/png", "size": size}
    return PastMessage("row-1", "assistant", SESSION, ({"type": "text", "text": "Look"}, file), "run-1", now())


async def told_of(house: House, sender: Sender, message: PastMessage) -> None:
    """Have a message found in the peer's history."""
    sender.peer._remember(message)
    for _ in range(2):  # a second look finds nothing new
        await house.registry.get("echo").capture.deliver(SessionSeen(SESSION))
        await house.until(lambda: bool(house.registry.get("echo").capture._conversations))
        await house.until(lambda: not house.registry.get("echo").catch_up._wanted)


@pytest.fixture
def sender() -> Sender:
    return Sender(EchoPeer(0.01, now))


async def test_a_file_is_fetched_once_and_served(sender: Sender, tmp_path: Path, autojump_clock: MockClock) -> None:
    def make(wanted: Wanted) -> Connector:
        return sender

    sender.files["a.png"] = b"picture"
    async with open_house(tmp_path, make=make) as house:
        await house.connected()
        await told_of(house, sender, message_with("a.png"))
        (message,) = await house.messages()
        text, file = message.parts
        assert isinstance(text, TextPart) and isinstance(file, AttachmentPart)
        assert (file.name, file.media_type, file.size) == ("a.png", "image/png", 7)
        assert (await house.registry.chat.attachment(ADMIN, file.sha256)).data == b"picture"
        assert sender.fetched == ["a.png"]


@pytest.mark.parametrize(
    ("size", "found", "why"),
    [
        (10**9, b"", "bytes"),
        (None, ConnectorError(Trouble.REJECTED, "the gateway does not give it (HTTP 404)"), "HTTP 404"),
    ],
)
async def test_a_file_that_cannot_be_had_is_told_in_its_message(
    size: int | None,
    found: bytes | ConnectorError,
    why: str,
    sender: Sender,
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    sender.files["a.png"] = found
    async with open_house(tmp_path, make=lambda wanted: sender) as house:
        await house.connected()
        await told_of(house, sender, message_with("a.png", size))
        (message,) = await house.messages()
        error = message.parts[1]
        assert isinstance(error, ErrorPart) and "a.png" in error.message and why in error.message


@pytest.mark.parametrize(
    "url", ["https://elsewhere/api/x", "//elsewhere/api/x", "/../etc", "@elsewhere/api/", "/api\\x", "/api/\nx", None]
)
async def test_an_address_that_is_not_the_gateways_gets_no_request_and_no_token(url: str | None) -> None:
    async def call(method: str, params: Mapping[str, Any], /) -> Any:
        raise AssertionError(method)

    with pytest.raises(ConnectorError) as caught:
        await fetch(call, "ws://127.0.0.1:9", SESSION, {"url": url}, 100, token="secret", tls=None)
    assert caught.value.trouble is Trouble.REJECTED and "address" in caught.value.detail


@pytest.mark.parametrize("ending_first", [False, True])
async def test_a_reply_with_files_is_stored_as_its_history_has_it(
    ending_first: bool, sender: Sender, tmp_path: Path, autojump_clock: MockClock
) -> None:
    sender.files["a.png"] = b"picture"
    async with open_house(tmp_path, make=lambda wanted: sender) as house:
        await house.connected()
        deliver = house.registry.get("echo").capture.deliver
        await deliver(RunDelta("run-1", SESSION, 0, "Look"))
        if ending_first:
            await deliver(RunEnding("run-1", SESSION))
        await deliver(RunEnded("run-1", SESSION, Outcome.FINISHED, "Look", truncated=True))
        # Somebody looks before the files are there.
        text = ({"type": "text", "text": "Look MEDIA:a.png"},)
        early = PastMessage("row-1", "assistant", SESSION, text, "run-1", now())
        capture = house.registry.get("echo").capture
        await capture.take_history(History(SESSION, (early,)), frozenset())
        sender.peer._remember(message_with("a.png"))
        assert await house.told.wait_over("run-1") is RunState.FINISHED
        (message,) = await house.messages()
        assert [part.type for part in message.parts] == ["text", "attachment"]
