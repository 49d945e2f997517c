"""The registry: how bots come, go, fail alone, and are never hammered."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.bots.connector import Connector, ConnectorError, Deliver, HelloStatus, Trouble
from edgebotd.bots.echo import EchoConnector, EchoPeer
from edgebotd.bots.kinds import Wanted, checked_url
from edgebotd.bots.requests import ConnectRequest, EditRequest
from edgebotd.config import BotSettings
from edgebotd.errors import Conflict, Invalid, NotFound
from edgebotd.events import BotsStatusUpdate, BotState, BotStatus, RunState
from tests.bots.house import ADMIN, ECHO, now, open_house

SECRET = "very-secret-token-0815"


class Counting(EchoConnector):
    """Fails each attempt with one trouble, and counts."""

    def __init__(self, error: Exception) -> None:
        super().__init__(EchoPeer(0.01, now))
        self.error: Exception | None = error
        self.attempts: list[float] = []

    @override
    async def run_session(  # noqa: ASYNC128  the base says started
        self, deliver: Deliver, *, task_status: HelloStatus
    ) -> None:
        self.attempts.append(trio.current_time())
        if self.error is not None:
            await trio.lowlevel.checkpoint()
            raise self.error
        await super().run_session(deliver, task_status=task_status)


async def test_states_are_told_at_start_and_after_each_change(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        house.connectors["echo"].cut()
        await house.until(lambda: house.registry.get("echo").status.state is BotState.DISCONNECTED)
        await house.connected()
        states = [event.state for event in house.told.events if isinstance(event, BotStatus)]
        assert states == [
            BotState.CONNECTING,
            BotState.CONNECTED,
            BotState.DISCONNECTED,
            BotState.CONNECTED,
        ]
        updates = [event for event in house.told.events if isinstance(event, BotsStatusUpdate)]
        assert updates[-1].bots == tuple(house.registry.summaries())
        assert updates[-1].bots[0].state is BotState.CONNECTED


async def test_a_lost_bot_is_tried_with_backoff_up_to_half_a_minute(tmp_path: Path, autojump_clock: MockClock) -> None:
    connector = Counting(ConnectorError(Trouble.REFUSED, "Nothing answers."))
    async with open_house(tmp_path, make=lambda _: connector):
        await trio.sleep(3600)
    gaps = [later - earlier for earlier, later in zip(connector.attempts, connector.attempts[1:], strict=False)]
    assert max(gaps) <= 30 and max(gaps[:1]) <= 1
    # Full jitter around 15 s in the mean.
    assert 150 <= len(connector.attempts) <= 400


@pytest.mark.parametrize(
    "trouble", [trouble for trouble in Trouble if trouble.needs_person], ids=lambda trouble: trouble.value
)
async def test_what_needs_a_person_is_not_hammered(trouble: Trouble, tmp_path: Path, autojump_clock: MockClock) -> None:
    extra = {"requestId": "abc", "command": "openclaw devices approve abc"}
    connector = Counting(ConnectorError(trouble, "Somebody has to do something.", extra=extra))
    async with open_house(tmp_path, make=lambda _: connector) as house:
        await trio.sleep(3600)
        assert len(connector.attempts) <= 16
        status = house.registry.get("echo").status
        assert (status.state, status.reason) == (BotState.ERROR, trouble.value)
        assert house.registry.detail("echo", ADMIN).extra == extra and house.registry.detail("echo").extra == {}
        # Not one event per attempt either.
        assert len([event for event in house.told.events if isinstance(event, BotStatus)]) == 2
        connector.error = None
        house.registry.retry("echo")
        await house.until(lambda: house.registry.get("echo").connected, timeout=1)


async def test_a_bug_in_one_bot_touches_no_other(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Counting(ZeroDivisionError("a bug"))

    def make(wanted: Wanted) -> Connector:
        if wanted.bot_id == "worse":
            raise KeyError("another bug")
        return broken if wanted.bot_id == "broken" else EchoConnector(EchoPeer(0.01, now))

    bots = {**ECHO, "broken": BotSettings(kind="echo"), "worse": BotSettings(kind="echo")}
    async with open_house(tmp_path, bots=bots, make=make) as house:
        answer = await house.say("[[say well]]")
        assert house.told.states(answer.run_id)[-1] is RunState.FINISHED
        await house.until(lambda: house.registry.get("broken").bugs >= 3)
        assert house.registry.get("broken").status.state is BotState.ERROR
        assert house.registry.get("worse").status.state is BotState.ERROR
        broken.error = None
        await house.until(lambda: house.registry.get("broken").connected)
        await house.say("[[say mended]]", bot="broken")
    assert "ZeroDivisionError" in caplog.text


async def test_a_bot_is_connected_edited_and_removed_at_run_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    database = tmp_path / "none"
    seen: list[Wanted] = []

    def make(wanted: Wanted) -> Connector:
        seen.append(wanted)
        return Counting(ConnectorError(Trouble.BAD_CREDENTIALS, "The gateway refuses the token."))

    async with open_house(tmp_path, bots={}, make=make) as house:
        request = ConnectRequest(id="claw", url="ws://127.0.0.1:18789", token=SecretStr(SECRET))
        answer = await house.registry.connect(request)
        assert not answer.ok and answer.message == "The gateway refuses the token."
        token = tmp_path / "bots" / "claw" / "token"
        assert token.read_text() == SECRET and stat.S_IMODE(token.stat().st_mode) == 0o600
        with pytest.raises(Conflict):
            await house.registry.connect(request)
        await house.registry.edit("claw", EditRequest(name="Claw", url="wss://claw.example/"))
        assert seen[-1].options["url"] == "wss://claw.example/" and seen[-1].token == SecretStr(SECRET)
        await house.registry.remove("claw")
        assert house.registry.ids() == [] and not token.exists()
        with pytest.raises(NotFound):
            house.registry.get("claw")
        with pytest.raises(Conflict):
            await house.registry.connect(request)
    assert not database.exists()


async def test_bots_of_the_file_are_read_only(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        with pytest.raises(Conflict):
            await house.registry.edit("echo", EditRequest(name="x"))
        with pytest.raises(Conflict):
            await house.registry.remove("echo")


async def test_removing_keeps_history_unless_asked(tmp_path: Path, autojump_clock: MockClock) -> None:
    for history in (False, True):
        async with open_house(tmp_path, bots={}) as house:
            await house.registry.connect(ConnectRequest(id="e", kind="echo", pace_ms=1))
            await house.say("[[say kept]]", bot="e")
            await house.registry.remove("e", history=history)
            assert len(await house.messages("e")) == (0 if history else 2)


async def test_no_secret_is_in_a_log_a_repr_or_an_event(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wanted: list[Wanted] = []

    def make(one: Wanted) -> Connector:
        wanted.append(one)
        return Counting(ConnectorError(Trouble.BAD_CREDENTIALS, "Refused."))

    async with open_house(tmp_path, bots={}, make=make) as house:
        request = ConnectRequest(id="claw", url="ws://127.0.0.1:1", token=SecretStr(SECRET))
        answer = await house.registry.connect(request)
        stored = await house.database.read(lambda conn: conn.execute("SELECT * FROM bots").fetchall())
        shown = [request, wanted, answer.model_dump_json(), house.told.events, stored, house.registry.get("claw")]
        assert SECRET not in repr(shown) + caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "file:///etc/passwd",
        "ws://",
        "ws://user:pw@h",
        "ws://h/?token=x",
        "ws://h/#x",
        "ws://h:0",
        "ws://h:99999",
        "ws://a b",
        "",
    ],
)
def test_a_url_of_another_kind_or_with_a_secret_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        checked_url("openclaw", url)
