"""Logins that edgebotd takes over from another program while its refresher runs."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import SecretStr
from trio.testing import MockClock

from edgebotd.accounts.keeping import ImportRequest, Keeping
from edgebotd.config import ProviderSettings
from edgebotd.store.profiles import Profile
from tests.accounts.provider import TTL_S, Desk, FakeProvider, clock, oauth, open_desk, until

ID = "openai:codex"


def request(acme: FakeProvider, claims: Any) -> ImportRequest:
    """Return the import of Codex's file, whose access token tells when it ends, or tells rubbish."""
    made = acme.login()
    access = f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.sig"
    tokens = {"id_token": "e30.e30.sig", "access_token": access, "refresh_token": made.refresh, "account_id": "acc"}
    content = json.dumps({"OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": "2026-01-01T00:00:00Z"})
    return ImportRequest.model_validate({"kind": "codex", "content": content, "owner": "edgebotd"})


async def taken(desk: Desk, asked: ImportRequest) -> Profile:
    await Keeping(desk.vault, PROVIDERS, clock).bring(asked)
    return desk.vault.get(ID)


PROVIDERS = {"openai": ProviderSettings(oauth=oauth(jwt_expiry=True))}


async def test_what_tells_its_end_is_refreshed_in_time(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call, providers=PROVIDERS) as desk:
        ends = clock() // 1000 + TTL_S
        profile = await taken(desk, request(acme, {"exp": ends}))
        assert (profile.owner, profile.account_id, profile.expires_at) == ("edgebotd", "acc", ends * 1000)
        await until(lambda: desk.vault.get(ID).generation == 2)
        assert ends * 1000 - 400_000 < clock() < ends * 1000 - 200_000
        assert acme.newest(await desk.vault.login(ID)) and desk.vault.get(ID).account_id == "acc"


@pytest.mark.parametrize("claims", [{}, {"exp": "soon"}, {"exp": -5}, {"exp": 1e400}, [], "exp"])
async def test_what_tells_no_end_is_refreshed_at_once(autojump_clock: MockClock, claims: Any) -> None:
    acme = FakeProvider()
    async with open_desk(acme.call, providers=PROVIDERS) as desk:
        profile = await taken(desk, request(acme, claims))
        assert profile.expires_at is None
        await until(lambda: desk.vault.get(ID).generation == 2, 30)
        assert desk.vault.get(ID).expires_at is not None and not acme.dead


async def test_a_copy_that_is_taken_in_the_middle_of_a_refresh_is_refused(autojump_clock: MockClock) -> None:
    acme = FakeProvider(seconds=5)
    async with open_desk(acme.call, providers=PROVIDERS) as desk:
        asked = request(acme, {})
        await taken(desk, asked)
        await until(lambda: desk.vault.get(ID).state == "refreshing")
        tokens = json.loads((asked.content or SecretStr("")).get_secret_value())["tokens"]
        row = {"type": "oauth", "access": tokens["access_token"], "refresh": tokens["refresh_token"]}
        content = json.dumps({"profiles": {"openai:other": row}})
        copy = ImportRequest.model_validate({"kind": "openclaw", "content": content, "owner": "edgebotd"})
        for told in ("it is here already", "it is an old copy"):
            [item] = (await Keeping(desk.vault, PROVIDERS, clock).bring(copy)).items
            assert item.outcome == "refused" and told in (item.problem or "")
            await until(lambda: desk.vault.get(ID).generation == 2)
        assert len(acme.asked) == 1 and not acme.dead
