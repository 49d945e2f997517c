"""Logins under way: who may go on with one, how long, and what becomes of each answer; no secret is told."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
from pydantic import SecretStr
from trio.testing import MockClock

from edgebotd.accounts.http import Answer, NotSent, Unanswered
from edgebotd.accounts.secrets import Login
from edgebotd.accounts.signing import AT_ONCE, SECONDS, FinishRequest, Signing, SignInRequest, SignInState
from edgebotd.config import ProviderSettings
from edgebotd.errors import Conflict, Invalid, NotFound, Problem
from edgebotd.store.profiles import Profile
from tests.accounts.provider import ID, Desk, FakeProvider, clock, oauth, open_desk, until

TOKENS = {"access_token": "canary-a", "refresh_token": "canary-r", "token_type": "bearer", "expires_in": 3600}
DEVICE = {"device_code": "canary-d", "user_code": "AB-CD", "verification_uri": "https://acme.test/d", "interval": 5}


@dataclass
class Acme:
    """Answers as it is told to, and remembers what it was sent."""

    answers: deque[Any] = field(default_factory=deque)
    sent: list[dict[str, str]] = field(default_factory=list)

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
        await trio.lowlevel.checkpoint()
        assert "canary" not in url
        self.sent.append({name: values[0] for name, values in parse_qs((body or b"").decode()).items()})
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        status, document = answer
        return Answer(status, {}, json.dumps(document).encode())


@asynccontextmanager
async def signing_at(acme: Acme, **more: Any) -> AsyncIterator[tuple[Signing, Desk]]:
    fixed = {"redirect_uri": "http://127.0.0.1:7/callback", **more}
    settings = oauth(authorize_url="https://acme.test/auth", device_url="https://acme.test/device", **fixed)
    providers = {"acme": ProviderSettings(oauth=settings), "bare": ProviderSettings()}
    async with open_desk(FakeProvider().call, providers=providers, run=False) as desk:
        async with trio.open_nursery() as nursery:
            yield Signing(desk.vault, providers, acme.call, nursery, clock), desk
            nursery.cancel_scope.cancel()


def wanted(**more: Any) -> SignInRequest:
    return SignInRequest(provider="acme", name="work", **more)


def pasted(begun: SignInState, code: str = "canary-code", **other: str) -> FinishRequest:
    assert begun.url is not None
    given = {"state": parse_qs(urlsplit(begun.url).query)["state"][0], **other}
    return FinishRequest(address=SecretStr(f"http://127.0.0.1:7/callback?code={code}&state={given['state']}"))


async def test_a_pasted_address_makes_the_login(autojump_clock: MockClock) -> None:
    acme = Acme(deque([(200, TOKENS)]))
    async with signing_at(acme) as (signing, desk):
        begun = await signing.begin(wanted(label="Work"), "ann")
        assert not begun.lands_here and "canary" not in repr(begun)
        done = await signing.finish(begun.id, "ann", pasted(begun))
        assert done.state == "done" and "canary" not in repr(done)
        assert await desk.vault.login(ID) == Login("canary-a", "canary-r")
        assert (desk.profile.state, desk.profile.label) == ("fresh", "Work") and desk.profile.next_at is not None
        assert acme.sent[0]["code"] == "canary-code" and acme.sent[0]["code_verifier"]
        with pytest.raises(Conflict, match="finished already"):
            await signing.finish(begun.id, "ann", pasted(begun))
        assert len(acme.sent) == 1


async def test_a_new_login_takes_the_place_of_one_that_is_over_or_being_refreshed(autojump_clock: MockClock) -> None:
    acme = Acme(deque([(200, TOKENS)]))
    async with signing_at(acme) as (signing, desk):
        old: dict[str, Any] = {
            "state": "refreshing",
            "claim": "1-x",
            "claimed_at": 1,
            "uncertain_at": 1,
            "attempts": 4,
            "reason": "x",
        }
        await desk.add(Login("a", "r"), **old)
        begun = await signing.begin(wanted(), "ann")
        await signing.finish(begun.id, "ann", pasted(begun))
        now = desk.profile
        assert (now.generation, now.state, now.claim, now.uncertain_at, now.attempts) == (2, "fresh", None, None, 0)
        assert now.reason is None


@pytest.mark.parametrize(
    ("claim", "account"), [((), None), (("https://acme.test/auth", "account"), "acc-new")], ids=["unknown", "told"]
)
async def test_a_new_login_is_not_taken_for_the_account_of_the_one_before(
    autojump_clock: MockClock, claim: tuple[str, ...], account: str | None
) -> None:
    body = base64.urlsafe_b64encode(json.dumps({"https://acme.test/auth": {"account": "acc-new"}}).encode()).decode()
    acme = Acme(deque([(200, {**TOKENS, "id_token": f"e30.{body.rstrip('=')}.canary"})]))
    async with signing_at(acme, account_claim=claim) as (signing, desk):
        await desk.add(Login("a", "r"), account_id="acc-old")
        begun = await signing.begin(wanted(), "ann")
        await signing.finish(begun.id, "ann", pasted(begun))
        assert desk.profile.account_id == account


async def test_it_is_bound_to_who_began_it_and_to_ten_minutes(autojump_clock: MockClock) -> None:
    acme = Acme()
    async with signing_at(acme) as (signing, _):
        begun = await signing.begin(wanted(), "ann")
        with pytest.raises(NotFound):
            signing.look(begun.id, "bob")
        with pytest.raises(NotFound):
            await signing.finish(begun.id, "bob", pasted(begun))
        await trio.sleep(SECONDS + 1)
        with pytest.raises(NotFound):
            await signing.finish(begun.id, "ann", pasted(begun))
        assert not acme.sent


async def test_the_address_of_another_login_sends_nothing(autojump_clock: MockClock) -> None:
    acme = Acme()
    async with signing_at(acme) as (signing, _):
        begun, other = await signing.begin(wanted(), "ann"), await signing.begin(wanted(), "ann")
        with pytest.raises(Invalid) as caught:
            await signing.finish(begun.id, "ann", pasted(other))
        assert caught.value.code == "other_login" and "canary" not in caught.value.detail
        assert signing.look(begun.id, "ann").state == "waiting" and not acme.sent


async def test_what_the_provider_says_to_the_code(autojump_clock: MockClock) -> None:
    acme = Acme(
        deque([NotSent("acme could not be reached."), (400, {"error": "invalid_grant"}), Unanswered("acme did")])
    )
    async with signing_at(acme) as (signing, desk):
        begun = await signing.begin(wanted(), "ann")
        with pytest.raises(Problem, match="could not be reached"):
            await signing.finish(begun.id, "ann", pasted(begun))
        failed = await signing.finish(begun.id, "ann", pasted(begun))
        assert failed.state == "failed" and "invalid_grant" in (failed.reason or "")
        begun = await signing.begin(wanted(), "ann")
        assert (await signing.finish(begun.id, "ann", pasted(begun))).state == "failed"
        assert desk.vault.all() == []


async def test_whoever_goes_while_the_code_is_sent_loses_nothing(autojump_clock: MockClock) -> None:
    acme = Acme(deque([(200, TOKENS)]))
    async with signing_at(acme) as (signing, desk):
        begun = await signing.begin(wanted(), "ann")
        with trio.CancelScope() as gone:
            gone.cancel()
            await signing.finish(begun.id, "ann", pasted(begun))
        assert desk.profile.state == "fresh"


async def test_a_device_is_asked_for_until_the_person_has_agreed(autojump_clock: MockClock) -> None:
    pending, slow = (400, {"error": "authorization_pending"}), (400, {"error": "slow_down"})
    acme = Acme(deque([(200, DEVICE), pending, slow, NotSent("away"), (503, {}), (200, TOKENS)]))
    async with signing_at(acme) as (signing, desk):
        begun = await signing.begin(wanted(method="device"), "ann")
        assert (begun.user_code, begun.url) == ("AB-CD", "https://acme.test/d") and "canary" not in repr(begun)
        with pytest.raises(Conflict):
            await signing.finish(begun.id, "ann", pasted_anything())
        await until(lambda: signing.look(begun.id, "ann").state == "done", 500)
        assert trio.current_time() + 1 >= 5 + 5 + 10 + 20 + 40 and desk.profile.state == "fresh"


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_grant"])
async def test_a_device_that_is_refused(autojump_clock: MockClock, error: str) -> None:
    acme = Acme(deque([(200, DEVICE), (400, {"error": error})]))
    async with signing_at(acme) as (signing, desk):
        begun = await signing.begin(wanted(method="device"), "ann")
        await until(lambda: signing.look(begun.id, "ann").state == "failed", 60)
        assert desk.vault.all() == []


async def test_what_cannot_be_begun(autojump_clock: MockClock) -> None:
    acme = Acme(deque([NotSent("acme could not be reached."), (404, {})]))
    async with signing_at(acme) as (signing, desk):
        with pytest.raises(
            Conflict, match=r"bare.oauth\] needs authorize_url or device_url.*accounts add bare:default"
        ):
            await signing.begin(SignInRequest(provider="bare"), "ann")
        for _ in range(2):
            with pytest.raises(Problem):
                await signing.begin(wanted(method="device"), "ann")
        await desk.vault.add(Profile("acme:key", "acme", "api_key"), Login("k"))
        with pytest.raises(Conflict, match="another kind"):
            await signing.begin(SignInRequest(provider="acme", name="key"), "ann")
        for _ in range(AT_ONCE):
            await signing.begin(wanted(), "ann")
        with pytest.raises(Problem, match="Too many"):
            await signing.begin(wanted(), "ann")


def pasted_anything() -> FinishRequest:
    return FinishRequest(address=SecretStr("c#s"))
