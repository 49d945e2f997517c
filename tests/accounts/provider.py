"""A token endpoint that rotates its refresh tokens and looks for reuse, as real ones do, and the house that asks it.

The fake is held to the real one: `contract.py` runs on both.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import trio

from edgebotd.accounts.cipher import Cipher, new_key
from edgebotd.accounts.http import Answer, Call, NotSent, Unanswered
from edgebotd.accounts.lanes import Lanes
from edgebotd.accounts.refresh import Refresher
from edgebotd.accounts.refresh_lock import RefreshLock
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.vault import Vault, load_vault
from edgebotd.config import OAuthSettings, ProviderSettings
from edgebotd.store.database import Database, open_database
from edgebotd.store.profiles import Profile
from tests.hub.support import hub_on

KEY = new_key()
ID = "acme:work"
TTL_S = 3600
START = 1_700_000_000_000


@dataclass
class FakeProvider:
    """Grants tokens; each refresh token serves once, and one that comes twice ends its family.

    Attributes:
        faults: what happens to the next requests: a status, "lost" (done, and not answered), "unsent", "garbled".
        pending: what a request holds that is on its way.
        reused: when a spent token came, by Trio's clock in milliseconds.
        hold: a request waits for it between being done and being answered.
    """

    faults: deque[int | str] = field(default_factory=deque)
    retry_after: str | None = None
    date: str | None = None
    seconds: float = 0.0
    hold: trio.Event | None = None
    rotates: bool = True
    grace: bool = False
    current: dict[str, str] = field(default_factory=dict)
    spent: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    access: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    pending: str | None = None
    reused: list[int] = field(default_factory=list)
    _made: int = 0

    def login(self) -> Login:
        """Return the tokens of a new family."""
        self._made += 1
        return self._tokens(f"family-{self._made}")

    def _tokens(self, family: str) -> Login:
        self._made += 1
        access, refresh = f"access-canary-{self._made}", f"refresh-canary-{self._made}"
        if family in self.current:
            self.spent[self.current[family]] = family
        self.current[family], self.access[access] = refresh, family
        return Login(access, refresh)

    def newest(self, login: Login) -> bool:
        """Whether a login has the refresh token that is good now."""
        return login.refresh in self.current.values()

    def works(self, access: str) -> bool:
        """Whether an access token is taken, were it not for its end."""
        return self.access[access] not in self.dead

    def revoke(self, login: Login) -> None:
        """End a login."""
        assert login.access is not None
        self.dead.add(self.access[login.access])

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = 30.0,
        most: int = 0,
    ) -> Answer:
        """Be `http.Caller.call` with this provider at its other end."""
        moved()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            with trio.fail_after(seconds):
                return await self._answer(parse_qs((body or b"").decode()))
        except trio.TooSlowError:
            raise Unanswered("acme did not answer: the time was up.") from None
        finally:
            self.at_once -= 1

    async def _answer(self, form: Mapping[str, list[str]]) -> Answer:
        self.pending = form["refresh_token"][0]
        await trio.lowlevel.checkpoint()
        self.pending = None
        fault = self.faults.popleft() if self.faults else None
        if fault == "unsent":
            raise NotSent("acme could not be reached: it takes no connection.")
        sent = form["refresh_token"][0]
        self.asked.append(sent)
        if isinstance(fault, int):
            await trio.sleep(self.seconds)
            return self._said(fault, {"error": "rate_limited" if fault == 429 else "temporarily_unavailable"})
        status, document = self._granted(sent)
        await trio.sleep(self.seconds)
        if self.hold is not None:
            await self.hold.wait()
        if fault == "lost":
            raise Unanswered("acme did not answer: the connection broke.")
        answer = self._said(status, document)
        return Answer(200, answer.headers, answer.body[:20], whole=False) if fault == "garbled" else answer

    def arrive(self) -> None:
        """Let a request arrive whose sender has died."""
        if self.pending is not None:
            self._granted(self.pending)
        self.pending, self.at_once = None, 0

    def _granted(self, sent: str) -> tuple[int, dict[str, Any]]:
        family = next((family for family, token in self.current.items() if token == sent), None)
        if family is None or family in self.dead:
            if self.grace and sent in self.spent:
                family = self.spent[sent]
            else:
                if sent in self.spent:
                    self.reused.append(round(trio.current_time() * 1000))
                self.dead.add(self.spent.get(sent, sent))
                return 400, {"error": "invalid_grant"}
        if not self.rotates:
            self._made += 1
            self.access[f"access-canary-{self._made}"] = family
            return 200, {"access_token": f"access-canary-{self._made}", "token_type": "Bearer", "expires_in": TTL_S}
        login = self._tokens(family)
        tokens = {"access_token": login.access, "refresh_token": login.refresh}
        return 200, {**tokens, "token_type": "Bearer", "expires_in": TTL_S}

    def _said(self, status: int, document: dict[str, Any]) -> Answer:
        headers = {"content-type": "application/json"}
        if self.retry_after is not None and status != 200:
            headers["retry-after"] = self.retry_after
        if self.date is not None:
            headers["date"] = self.date
        return Answer(status, headers, json.dumps(document).encode())


def oauth(token_url: str = "https://acme.test/token", **more: Any) -> OAuthSettings:
    """Return settings of the provider."""
    return OAuthSettings(token_url=token_url, client_id="edgebotd-public", **more)


@dataclass
class Desk:
    """A refresher over a real store and hub."""

    vault: Vault
    refresher: Refresher
    database: Database
    lanes: Lanes
    now: Callable[[], int]

    async def add(self, login: Login, profile_id: str = ID, *, seconds: float = TTL_S, **more: Any) -> Profile:
        """Put a login in whose access token lives for so long."""
        now = self.now()
        fields = {"state": "fresh", "expires_at": now + int(seconds * 1000), "lifetime_ms": TTL_S * 1000, **more}
        return await self.vault.add(Profile(profile_id, profile_id.partition(":")[0], "oauth", **fields), login)

    @property
    def profile(self) -> Profile:
        """Return the one that most tests have."""
        return self.vault.get(ID)

    async def told(self, kind: str = "auth-profiles:refreshed") -> list[dict[str, Any]]:
        """Return the events of a type, as they are in the journal."""

        def query(conn: sqlite3.Connection) -> list[dict[str, Any]]:
            found = conn.execute("SELECT data FROM journal WHERE type = ? ORDER BY number", (kind,))
            return [json.loads(data) for (data,) in found]

        return await self.database.read(query)

    async def outcomes(self) -> list[str]:
        """Return the outcomes of refreshes that were told, without the vault's own words."""
        return [
            word for event in await self.told() if (word := event["outcome"]) not in ("added", "changed", "removed")
        ]

    async def alerts(self) -> list[tuple[str, str]]:
        """Return the alerts that were told: id and state."""
        return [(event["alertId"], event["state"]) for event in await self.told("alert")]


def clock() -> int:
    """Return Unix milliseconds that follow the virtual clock."""
    return START + round(trio.current_time() * 1000)


@asynccontextmanager
async def open_desk(
    call: Call,
    settings: OAuthSettings | None = None,
    *,
    database: Database | None = None,
    now: Callable[[], int] = clock,
    lock: Path | None = None,
    run: bool = True,
    seed: int = 1,
    providers: Mapping[str, ProviderSettings] | None = None,
    life: int = 1,
) -> AsyncIterator[Desk]:
    """Open a refresher, whose job runs unless it shall not; closing it is how a daemon stops."""
    if database is None:
        async with (
            open_database(None, now=START) as own,
            open_desk(
                call, settings, database=own, now=now, lock=lock, run=run, seed=seed, providers=providers
            ) as desk,
        ):
            yield desk
        return
    known = providers if providers is not None else {"acme": ProviderSettings(oauth=settings or oauth())}
    async with hub_on(database, life=life) as hub:
        vault = await load_vault(database, Cipher(KEY), now=now, submit=hub.submit)
        vault.subscribe(moved)
        lanes = Lanes()
        refresher = Refresher(
            vault, database, hub, known, call, lanes, RefreshLock(lock), now=now, rng=random.Random(seed)
        )
        async with trio.open_nursery() as nursery:
            if run:
                nursery.start_soon(refresher.run)
                await until(lambda: refresher.leading or lock is not None)
            yield Desk(vault, refresher, database, lanes, now)
            nursery.cancel_scope.cancel()


_moves = 0


def moved(_: object = None) -> None:
    """Count that something has changed, for those who wait."""
    global _moves
    _moves += 1


async def until(condition: Callable[[], bool], seconds: float = 3600 * 24) -> None:
    """Wait until something is so; looks often after each change of a login, and seldom while nothing changes."""
    seen, looks = -1, 0
    with trio.fail_after(seconds):
        while not condition():
            seen, looks = _moves, looks + 1 if seen == _moves else 0
            await trio.sleep(0.05 if looks < 20 else 1.0 if looks < 200 else 4.0)
