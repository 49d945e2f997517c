"""Who the door believes: hosts, proxies, cookies, bearer tokens, the unix socket's peer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from edgebotd.access import Grant, Scope
from edgebotd.config.settings import Settings
from edgebotd.people.audit import SYSTEM
from edgebotd.web.hosts import Hosts, Misdirected
from tests.web.client import Client
from tests.web.house import open_house

SERVER = {
    "public_url": "https://bots.example.org",
    "chat_host": "chat.example.org",
    "trusted_proxies": ["10.0.0.0/8"],
    "allowed_origins": ["https://other.example.org"],
    "admin_uids": [1000],
}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:8787",
        "[::1]:8787",
        "127.9.9.9",
        "bots.example.org",
        "chat.example.org:444",
    ],
)
async def test_known_hosts_are_answered(autojump_clock: MockClock, host: str) -> None:
    async with open_house(Settings.model_validate({"server": SERVER})) as house:
        assert (await house.client.get("/healthz", host=host)).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.nip.io", "0.0.0.0", "bots.example.org@evil"]
)
async def test_an_unknown_host_is_misdirected_even_for_health(autojump_clock: MockClock, host: str) -> None:
    async with open_house(Settings.model_validate({"server": SERVER})) as house:
        answer = await house.client.get("/healthz", host=host)
        assert (answer.status, answer.code) == (421, "unknown_host")


@given(st.text(max_size=40))
def test_any_host_is_found_or_misdirected(authority: str) -> None:
    hosts = Hosts.configured("https://bots.example.org", None, {"a.example.org": "a"})
    try:
        found = hosts.find(authority)
    except Misdirected:
        return
    assert found.name in {"bots.example.org", "a.example.org", "localhost", "[::1]"} or found.name.startswith(
        ("127.", "[")
    )


async def test_wrong_truncated_expired_and_revoked_tokens_get_one_answer(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", bot=Grant.CHAT)
        good = await house.token("ann", Scope.READ)
        short_lived = await house.token("ann", Scope.READ, expires_at=house.clock() + 1000)
        revoked = await house.token("ann", Scope.READ)
        client = house.client.with_token(good)
        assert (await client.get("/api/me")).json["scopes"] == ["read"]
        mine = {t.id for t in house.people.record("ann").tokens}  # type: ignore[union-attr]  # ann exists
        admin = await house.user("root", admin=True)
        items = (await (await house.signed_in(admin)).get("/api/tokens")).json["items"]
        assert mine == {item["id"] for item in items}
        newest = house.people.principal_of_token(revoked)
        assert newest is not None
        assert (await (await house.signed_in(admin)).delete(f"/api/tokens/{newest.credential_id}")).status == 204
        house.clock.offset = 2000
        answers = set()
        for secret in (good[:-1], good + "x", good[:10], "ebt_", good.upper(), "x" * 600, short_lived, revoked):
            answer = await house.client.with_token(secret).get("/api/me")
            answers.add((answer.status, answer.body, tuple(answer.headers)))
        answers.add(((plain := await house.client.get("/api/me")).status, plain.body, tuple(plain.headers)))
        assert len(answers) == 1 and answers.pop()[0] == 401


async def test_a_token_in_the_query_is_not_read(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        token = await house.token("ann", Scope.READ)
        for name in ("token", "access_token", "authorization", "auth"):
            assert (await house.client.get(f"/api/me?{name}={token}")).status == 401


async def test_a_session_secret_is_no_token_and_a_token_no_session(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        browser = await house.signed_in("ann")
        secret = browser.headers["cookie"].partition("=")[2]
        assert (await house.client.with_token(secret).get("/api/me")).status == 401
        token = await house.token("ann", Scope.READ)
        assert (await house.client.with_cookie(f"edgebotd_session={token}").get("/api/me")).status == 401


async def test_a_wrong_bearer_is_not_made_good_by_a_cookie(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        browser = await house.signed_in("ann")
        assert (await browser.with_token("ebt_wrong").get("/api/me")).status == 401


async def test_a_neighbours_cookie_of_our_name_does_not_lock_out(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        browser = await house.signed_in("ann")
        tossed = house.client.with_cookie("edgebotd_session=tossed; " + browser.headers["cookie"])
        assert (await tossed.get("/api/me")).status == 200


async def test_root_and_admin_uids_are_local_admins_on_the_unix_socket_and_nobody_else(
    autojump_clock: MockClock,
) -> None:
    async with open_house(Settings.model_validate({"server": SERVER})) as house:
        for uid, status in ((0, 200), (1000, 200), (1001, 401)):
            assert (await house.client.local(uid).get("/api/me")).status == status
        assert (await house.client.local(0).get("/api/me")).json["kind"] == "local"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "1.2.3.4"},
        {"forwarded": "for=1.2.3.4"},
        {"via": "1.1 proxy"},
        {"origin": "http://localhost:8787"},
        {"sec-fetch-site": "same-origin"},
        {"host": "bots.example.org"},
    ],
)
async def test_a_proxy_or_page_behind_roots_socket_is_not_root(
    autojump_clock: MockClock, headers: dict[str, str]
) -> None:
    async with open_house(Settings.model_validate({"server": SERVER})) as house:
        assert (await house.client.local(0).request("GET", "/api/me", headers=headers)).status == 401


@pytest.mark.parametrize("name", ["x-remote-user", "remote-user", "x-forwarded-user", "x-auth-request-user"])
async def test_identity_headers_make_nobody(autojump_clock: MockClock, name: str) -> None:
    async with open_house(Settings.model_validate({"server": SERVER})) as house:
        await house.user("root", admin=True)
        for peer in ("127.0.0.1", "10.0.0.1"):
            client = Client(house.front, peer=peer)
            assert (await client.request("GET", "/api/me", headers={name: "root"})).status == 401


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
async def test_the_client_is_what_trusted_proxies_say_and_nobody_else(
    autojump_clock: MockClock, peer: str, forwarded: str, address: str
) -> None:
    async with open_house(Settings.model_validate({"server": SERVER})) as house:
        client = Client(house.front, peer=peer)
        scope = client.scope("http", "GET", "/", {"x-forwarded-for": forwarded, "x-forwarded-proto": "https"})
        caller = house.front.door.identify(scope)
        assert caller.address == address
        assert caller.secure == peer.startswith("10.")


async def test_an_allowed_origin_may_call_and_is_named_exactly(autojump_clock: MockClock) -> None:
    async with open_house(Settings.model_validate({"server": SERVER})) as house:
        other = "https://other.example.org"
        before = await house.client.request("OPTIONS", "/api/me", headers={"origin": other})
        assert (before.status, before.header("access-control-allow-origin")) == (204, other)
        refused = await house.client.get("/api/me", origin=other)
        assert (refused.status, refused.header("access-control-allow-origin")) == (401, other)
        assert refused.header("vary") == "Origin"
        foreign = await house.client.get("/api/me", origin="https://evil.example")
        assert foreign.header("access-control-allow-origin") is None


async def test_revoking_tells_the_hub_at_once_and_narrowing_stays(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", a=Grant.CHAT, b=Grant.CHAT)
        principal = house.people.principal_of_token(await house.token("ann", Scope.CHAT))
        assert principal is not None
        on_host = principal.narrowed_to("a")
        told: list[object] = []
        house.people.subscribe(lambda: told.append(house.people.refresh(on_host)))
        await house.services.accounts.grant(SYSTEM, "ann", "a", Grant.OPERATE)
        fresh = house.people.refresh(on_host)
        assert fresh is not None and fresh.visible(["a", "b"]) == ["a"] and told == [fresh]
        await house.services.accounts.edit(SYSTEM, "ann", disabled=True)
        assert house.people.refresh(on_host) is None
        await house.services.accounts.edit(SYSTEM, "ann", disabled=False)
        assert house.people.refresh(on_host) == fresh
        await house.services.accounts.remove(SYSTEM, "ann")
        assert house.people.refresh(principal) is None
