"""Logins that gateways own: shown as they tell, told once when one dies, gone with them, never refreshed."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from edgebotd.accounts.cipher import Cipher
from edgebotd.accounts.house import open_accounts
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import Vault
from edgebotd.bots.connector import ConnectorError, Trouble
from edgebotd.protocol.openclaw.auth_status import MOST, parse_auth_status
from edgebotd.store import deliveries
from edgebotd.store.database import Database, open_database
from edgebotd.store.profiles import Profile
from tests.accounts.test_vault import KEY, make_bots, now
from tests.hub.support import hub_on

AT = 1_795_474_132_325
# As 2026.9.6 answers, shortened.
ANSWER: dict[str, Any] = {
    "ts": 1,
    "providers": [
        {"provider": "fake", "status": "static", "profiles": [], "apiKey": {"source": "config"}},
        {
            "provider": "anthropic",
            "status": "ok",
            "profiles": [
                {"profileId": "anthropic:me@x", "type": "oauth", "status": "ok", "expiry": {"at": AT, "label": "1h"}},
                {"profileId": "anthropic:manual", "type": "api_key", "status": "static", "source": "config"},
            ],
        },
        {"provider": "openai", "status": "missing", "profiles": []},
    ],
}


@dataclass
class FakeGateways:
    answers: dict[str, Mapping[str, Any] | ConnectorError] = field(default_factory=dict)
    there: list[str] = field(default_factory=lambda: ["claw"])
    asked: list[str] = field(default_factory=list)

    def ids(self) -> list[str]:
        return self.there

    def gateway_of(self, bot_id: str) -> tuple[str, str] | None:
        return ("2026.9.6", "main") if bot_id in self.answers else None

    async def auth_status(self, bot_id: str) -> Mapping[str, Any]:
        self.asked.append(bot_id)
        await trio.lowlevel.checkpoint()
        answer = self.answers[bot_id]
        if isinstance(answer, ConnectorError):
            raise answer
        return answer


@asynccontextmanager
async def housed() -> AsyncIterator[tuple[Database, Vault, FakeGateways]]:
    async with (
        open_database(None) as database,
        hub_on(database) as hub,
        open_accounts(database, {}, hub=hub, cipher=Cipher(KEY), now=now) as accounts,
        trio.open_nursery() as nursery,
    ):
        gateways = FakeGateways({"claw": copy.deepcopy(ANSWER)})
        await make_bots(database, "claw")
        accounts.gateway_logins.wire(gateways)
        nursery.start_soon(accounts.gateway_logins.run)
        nursery.start_soon(accounts.refresher.run)
        yield database, accounts.vault, gateways
        nursery.cancel_scope.cancel()


async def told(database: Database) -> list[tuple[str, str, str]]:
    """Return what was told: each alert, its state, and what is to be done or was."""
    found = await database.read(lambda conn: deliveries.told(conn, 100))
    return [(one.alert_id, one.state, one.detail or one.title) for _, one in found]


def test_an_answer_is_read_as_it_is_meant() -> None:
    found = parse_auth_status(ANSWER)
    assert [(one.id, one.type, one.lasting, one.expires_at, one.trouble) for one in found] == [
        ("anthropic:manual", "api_key", True, None, None),
        ("anthropic:me@x", "oauth", False, AT, None),
        ("openai:default", "token", False, None, "There is no secret."),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["providers", "provider", "profiles", "profileId", "status", "expiry", "at", "reasonCode"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.just("providers"), JSON))
def test_nothing_that_a_gateway_sends_breaks_it(payload: dict[str, Any]) -> None:
    assert all(one.id.startswith(f"{one.provider}:") for one in parse_auth_status(payload))


def test_a_gateway_makes_no_end_of_logins() -> None:
    rows = [{"profileId": f"x:{number}"} for number in range(MOST * 2)]
    assert len(parse_auth_status({"providers": [{"provider": "x", "profiles": rows}]})) == MOST


async def test_they_are_shown_and_a_dead_one_is_told_once(autojump_clock: MockClock) -> None:
    async with housed() as (database, vault, gateways):
        await trio.sleep(1)
        shown = {one.id: one for one in vault.all()}
        assert set(shown) == {"anthropic:manual@claw", "anthropic:me@x@claw", "openai:default@claw"}
        one = shown["anthropic:me@x@claw"]
        assert (one.owner, one.place, one.state, one.expires_at, one.fingerprint) == (
            "gateway",
            "claw",
            "fresh",
            AT,
            None,
        )
        assert vault.bots_of(one.id) == ("claw",)
        todo = "It is the gateway's own: log in there, on the bot claw."
        missing = ("profile:openai:default@claw:login", "open", f"There is no secret. {todo}")
        assert await told(database) == [missing]
        answer = gateways.answers["claw"]
        assert isinstance(answer, dict)
        login = answer["providers"][1]["profiles"][0]
        login.update(status="expired", reasonCode="refresh_failed")
        await trio.sleep(700)
        assert vault.get(one.id).reason == "It has expired (refresh_failed)."
        dead = ("profile:anthropic:me@x@claw:login", "open", f"It has expired (refresh_failed). {todo}")
        assert await told(database) == [missing, dead], "each once"
        login.update(status="ok")
        del answer["providers"][2]
        await trio.sleep(700)
        assert sorted((await told(database))[2:]) == [
            ("profile:anthropic:me@x@claw:login", "resolved", "anthropic:me@x@claw is logged in again"),
            ("profile:openai:default@claw:login", "resolved", "openai:default@claw was removed"),
        ]
        assert "openai:default@claw" not in {one.id for one in vault.all()}


async def test_one_is_asked_anew_when_it_is_back_and_gone_with_its_bot(autojump_clock: MockClock) -> None:
    async with housed() as (_, vault, gateways):
        await trio.sleep(250)
        assert gateways.asked == ["claw"]
        answer = gateways.answers.pop("claw")
        await trio.sleep(15)
        assert len(vault.all()) == 3, "what was told stays"
        gateways.answers["claw"] = answer
        await trio.sleep(15)
        assert gateways.asked == ["claw", "claw"]
        gateways.answers["claw"] = ConnectorError(Trouble.REJECTED, "It knows no such method.")
        await trio.sleep(700)
        assert len(vault.all()) == 3
        gateways.there.clear()
        await trio.sleep(15)
        assert vault.all() == []


async def test_a_login_here_of_the_same_name_is_left_alone(autojump_clock: MockClock) -> None:
    async with housed() as (_, vault, gateways):
        ours = Profile("anthropic:manual@claw", "anthropic", "api_key")
        await vault.add(ours, Login(access="canary"))
        await trio.sleep(400)
        assert vault.get(ours.id).owner == "edgebotd" and len(vault.all()) == 3 and gateways.asked
