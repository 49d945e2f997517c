"""Every row of the policy table x role x own and foreign bot, generated; what is allowed stands here a second time."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from edgebotd.access import Grant, Scope
from edgebotd.config.settings import Settings
from edgebotd.web.app import check_complete
from edgebotd.web.front import Front
from edgebotd.web.policy import PAGES, POLICIES, Body, Need, Policy, Surface, Table
from edgebotd.web.route import Call, Reply, Route, route
from tests.web.client import Client
from tests.web.house import House, open_house

PASS = 299
"""What a handler answers here: the request got through."""

ROLES = (
    "none",
    "stranger",
    "viewer",
    "chatter",
    "operator",
    "admin",
    "read token",
    "publish token",
    "admin's token",
    "login's token",
)

# What each need answers to each role, in the order of ROLES, on a bot that all but the stranger have.
EXPECTED: dict[Need, tuple[int, ...]] = {
    Need.PUBLIC: (PASS,) * 10,
    Need.SIGNED_IN: (401, *(PASS,) * 8, 403),
    Need.ACCOUNT: (401, PASS, PASS, PASS, PASS, PASS, 403, 403, 403, 403),
    Need.MONITOR: (401, 403, 403, 403, 403, PASS, 403, 403, PASS, 403),
    Need.ADMIN: (401, 403, 403, 403, 403, PASS, 403, 403, 403, 403),
    Need.PROFILE_TOKEN: (401, *(403,) * 8, PASS),
    Need.VIEW: (401, 404, PASS, PASS, PASS, PASS, PASS, 404, PASS, 403),
    Need.CHAT: (401, 404, 403, PASS, PASS, PASS, 403, 404, 403, 403),
    Need.OPERATE: (401, 404, 403, 403, PASS, PASS, 403, 404, 403, 403),
    Need.PUBLISH: (401, 404, 403, 403, 403, 403, 403, PASS, 403, 403),
}
# An admin's row about a bot: absent bots are absent first.
ADMIN_OF_BOT = (401, 404, 403, 403, 403, PASS, 403, 404, 403, 403)
# A bot that nobody has a grant on; an admin has all.
FOREIGN = (401, 404, 404, 404, 404, None, 404, 404, None, 403)


async def reached(call: Call) -> Reply:
    return Reply(status=PASS)


async def reached_app(scope: Any, receive: Any, send: Any) -> None:
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": kind + ".start", "status": PASS, "headers": []})
    await send({"type": kind + ".body", "body": b""})


async def reached_socket(scope: Any, receive: Any, send: Any, caller: Any, bot_id: str) -> None:
    await reached_app(scope, receive, send)


def gate(house: House) -> Front:
    """Return a front of the same door and table, where each route only says that it was reached."""
    routes = {
        (p.method, p.path): replace(route(p.method, p.path, reached), direct=True)
        for p in POLICIES
        if p.surface is Surface.HTTP
    }
    return Front(
        house.front.door,
        Table(),
        routes,
        framework=reached_app,
        stream=reached_app,
        socket=reached_socket,
        metrics=house.services.metrics,
        limits={Body.JSON: 1000, Body.MESSAGE: 1000},
    )


async def clients(house: House, front: Front) -> dict[str, Client]:
    await house.user("stranger")
    await house.user("viewer", own=Grant.VIEW)
    await house.user("chatter", own=Grant.CHAT)
    await house.user("operator", own=Grant.OPERATE)
    await house.user("admin", admin=True)
    found = {name: await house.signed_in(name) for name in ("stranger", "viewer", "chatter", "operator", "admin")}
    found["none"] = house.client
    own = frozenset({"own"})
    tokens = {
        "read token": await house.token("operator", Scope.READ, bots=own),
        "publish token": await house.token("viewer", Scope.PUBLISH, bots=own),
        "admin's token": await house.token("admin", Scope.READ),
        "login's token": await house.profile_token("admin", "x"),
    }
    found.update({name: house.client.with_token(secret) for name, secret in tokens.items()})
    return {name: replace(client, front=front) for name, client in found.items()}


def target(policy: Policy, bot_id: str) -> str:
    path = policy.path.replace("{bot_id}", bot_id)
    return re.sub(r"\{\w+(\.\.\.)?\}", "x", path)


async def status_of(client: Client, policy: Policy, bot_id: str) -> int:
    if policy.surface is not Surface.SOCKET:
        return (await client.request(policy.method, target(policy, bot_id))).status
    return await upgrade_status(client, target(policy, bot_id))


async def upgrade_status(client: Client, path: str) -> int:
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        if message["type"] == "websocket.http.response.start":
            statuses.append(message["status"])

    await client.front(client.scope("websocket", "GET", path, {}), receive, send)
    return statuses[0]


async def test_each_row_answers_each_role_as_it_should(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        by_role = await clients(house, gate(house))
        wrong = []
        for policy in POLICIES:
            expected = ADMIN_OF_BOT if policy.need is Need.ADMIN and policy.of_bot else EXPECTED[policy.need]
            for role, status in zip(ROLES, expected, strict=True):
                got = await status_of(by_role[role], policy, "own")
                if got != status:
                    wrong.append((policy.method, policy.path, role, got, status))
        assert not wrong


async def test_a_foreign_bot_is_absent_on_every_row(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        by_role = await clients(house, gate(house))
        rows = [policy for policy in POLICIES if policy.of_bot]
        assert len(rows) >= 15
        for policy in rows:
            for role, status in zip(ROLES, FOREIGN, strict=True):
                if status is not None:
                    assert await status_of(by_role[role], policy, "foreign") == status, (policy, role)


async def test_on_a_bots_own_host_other_bots_are_absent_for_admins_too(autojump_clock: MockClock) -> None:
    settings = Settings.model_validate({"bots": {"own": {"kind": "echo", "host": "own.example.org"}}})
    async with open_house(settings) as house:
        by_role = await clients(house, gate(house))
        admin = by_role["admin"]
        admin.headers.update(host="own.example.org", origin="http://own.example.org")
        for policy in POLICIES:
            if policy.of_bot and policy.need is not Need.PUBLISH:
                assert await status_of(admin, policy, "foreign") == 404, policy
            if policy.need is Need.VIEW:
                assert await status_of(admin, policy, "own") == PASS, policy
            if policy.need in (Need.ADMIN, Need.MONITOR):
                assert await status_of(admin, policy, "own") == 403, policy


async def test_nothing_is_public_but_health_login_setup_and_the_page() -> None:
    assert {policy.path for policy in POLICIES if policy.need is Need.PUBLIC} == {
        *PAGES, "/ui/{file...}", "/healthz", "/readyz", "/api/login", "/api/setup",
    }  # fmt: skip


async def test_a_foreign_origin_is_refused_before_any_work_on_all_that_changes_streams_or_upgrades(
    autojump_clock: MockClock,
) -> None:
    async with open_house() as house:
        by_role = await clients(house, gate(house))
        for origin in ("https://evil.example", "null", "http://localhost:9999", "http://127.0.0.1:8787"):
            for role in ("none", "admin", "read token"):
                client = replace(by_role[role], headers={**by_role[role].headers, "origin": origin})
                for policy in POLICIES:
                    if policy.guarded:
                        assert await status_of(client, policy, "own") == 403, (policy, role, origin)


async def test_a_cookie_without_an_origin_changes_nothing_and_upgrades_nothing(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = (await clients(house, gate(house)))["admin"]
        bare = replace(admin, headers={"cookie": admin.headers["cookie"]})
        for policy in POLICIES:
            refused = policy.mutating or policy.surface is Surface.SOCKET or policy.need is Need.PROFILE_TOKEN
            if refused:
                assert await status_of(bare, policy, "own") == 403, policy
            else:
                assert await status_of(bare, policy, "own") == PASS, policy
        # The page's own EventSource sends no Origin, but says that it is the same origin's.
        for site, stream, change in (("same-origin", PASS, PASS), ("none", PASS, 403), ("cross-site", 403, 403)):
            client = replace(bare, headers={**bare.headers, "sec-fetch-site": site})
            assert (await client.get("/api/events")).status == stream
            assert (await client.post("/api/logout")).status == change


async def test_unknown_paths_and_methods_tell_nothing_without_a_credential(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        ann = await house.signed_in("ann")
        for method, path in (
            ("GET", "/nothing"),
            ("DELETE", "/api/status"),
            ("GET", "/api/login"),
            ("GET", "//api/me"),
        ):
            assert (await house.client.request(method, path)).status == 401, path
        assert (await ann.get("/nothing")).code == "not_found"
        refused = await ann.delete("/api/status")
        assert (refused.status, refused.header("allow")) == (405, "GET, HEAD")
        assert (await ann.get("/api/bots/connect/")).status == 404
        allowed = await ann.request("OPTIONS", "/api/status")
        assert (allowed.status, allowed.header("allow")) == (204, "GET, HEAD")
        assert (await house.client.request("OPTIONS", "/api/status")).status == 401


async def test_a_route_without_a_row_or_a_row_without_a_route_does_not_start() -> None:
    one = Policy("GET", "/one", Need.PUBLIC)
    served: Route = route("GET", "/one", reached)
    check_complete({("GET", "/one"): served}, [one])
    with pytest.raises(RuntimeError, match="without a row"):
        check_complete({("GET", "/one"): served, ("GET", "/two"): served}, [one])
    with pytest.raises(RuntimeError, match="without a route"):
        check_complete({}, [one])


async def test_checkpoints_are_reached_in_a_refused_request(autojump_clock: MockClock) -> None:
    # A flood of refusals must not starve the rest: a 401 is answered through `send`, which gives way.
    async with open_house() as house:
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(house.client.get, "/api/me")
