"""Login, setup, logout, own password, sessions; over the whole application."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from edgebotd.access import Grant, Scope
from edgebotd.people.audit import SYSTEM
from edgebotd.store import audit
from tests.web.house import PASSWORD, open_house

DAY = 86_400_000


async def test_login_sets_a_cookie_that_authenticates(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", bot=Grant.CHAT)
        answer = await house.client.post("/api/login", {"userId": "ann", "password": PASSWORD})
        assert answer.status == 200, answer.body
        cookie = answer.header("set-cookie") or ""
        assert cookie.startswith("edgebotd_session=")
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
        me = (await house.client.with_cookie(answer.cookie).get("/api/me")).json
        assert (me["userId"], me["kind"], me["grants"]) == ("ann", "session", {"bot": "chat"})


async def test_over_https_the_cookie_is_secure_and_bound_to_the_host(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        client = house.client
        client.scheme = "https"
        answer = await client.post("/api/login", {"userId": "ann", "password": PASSWORD})
        cookie = answer.header("set-cookie") or ""
        assert cookie.startswith("__Host-edgebotd_session=") and "; Secure" in cookie and "Path=/;" in cookie


@pytest.mark.parametrize(
    ("user_id", "password"), [("ann", "wrong password"), ("nobody", PASSWORD), ("", ""), ("ann", "x" * 4000)]
)
async def test_every_wrong_login_gets_the_same_answer(autojump_clock: MockClock, user_id: str, password: str) -> None:
    async with open_house() as house:
        await house.user("ann")
        answer = await house.client.post("/api/login", {"userId": user_id, "password": password})
        assert (answer.status, answer.code, answer.json["detail"]) == (
            401,
            "bad_credentials",
            "Wrong user or password.",
        )


async def test_a_login_storm_waits_and_is_let_in_later(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        body = {"userId": "ann", "password": "wrong password"}
        statuses = [(await house.client.post("/api/login", body)).status for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        blocked = await house.client.post("/api/login", {"userId": "ann", "password": PASSWORD})
        assert blocked.status == 429
        retry_after = int(blocked.header("retry-after") or 0)
        assert 0 < retry_after <= 60
        await trio.sleep(retry_after)
        assert (await house.client.post("/api/login", {"userId": "ann", "password": PASSWORD})).status == 200


async def test_a_failed_login_is_in_the_audit_but_an_unknown_name_is_nowhere(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_house() as house:
        await house.user("ann")
        await house.client.post("/api/login", {"userId": "ann", "password": "wrong password"})
        await house.client.post("/api/login", {"userId": "hunter2-typed-in-the-wrong-field", "password": "x"})
        entries = await house.services.database.read(lambda conn: audit.page(conn))
        assert [e.subject for e in entries if e.action == "login.failed"] == ["ann"]
        assert "hunter2" not in caplog.text


async def test_the_setup_code_makes_the_first_admin_once(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        code, _ = await house.services.sign_in.add_code(SYSTEM, "setup", None)
        more = await house.client.post("/api/setup", {"code": code})
        assert (more.status, more.code) == (422, "setup_incomplete")
        body = {"code": code, "userId": "root-of-all", "password": PASSWORD}
        reserved = await house.client.post("/api/setup", {**body, "userId": "local"})
        assert (reserved.status, reserved.json["detail"]) == (
            400,
            "The user id 'local' is reserved. Choose another one.",
        )
        done = await house.client.post("/api/setup", body)
        assert done.status == 200
        assert (await house.client.with_cookie(done.cookie).get("/api/me")).json["admin"] is True
        again = await house.client.post("/api/setup", {**body, "userId": "second"})
        assert (again.status, again.code) == (401, "bad_code")
        assert house.people.record("second") is None


async def test_two_setup_codes_make_one_admin(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        codes = [(await house.services.sign_in.add_code(SYSTEM, "setup", None))[0] for _ in range(2)]
        answers = []

        async def use(code: str, user_id: str) -> None:
            body = {"code": code, "userId": user_id, "password": PASSWORD}
            answers.append((await house.client.post("/api/setup", body)).status)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, codes[0], "one")
            nursery.start_soon(use, codes[1], "two")
        assert sorted(answers) == [200, 409]
        assert len(house.people.records()) == 1


async def test_a_code_is_worth_nothing_after_fifteen_minutes(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        code, _ = await house.services.sign_in.add_code(SYSTEM, "login", "ann")
        await trio.sleep(901)
        assert (await house.client.post("/api/setup", {"code": code})).code == "bad_code"


async def test_a_login_code_opens_a_session_of_its_user(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        code, _ = await house.services.sign_in.add_code(SYSTEM, "login", "ann")
        answer = await house.client.post("/api/setup", {"code": code})
        assert answer.json["userId"] == "ann"
        assert (await house.client.post("/api/setup", {"code": code})).code == "bad_code"


async def test_logout_ends_the_session_and_clears_the_cookie(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        browser = await house.signed_in("ann")
        answer = await browser.post("/api/logout")
        assert answer.status == 204
        assert "Max-Age=0" in (answer.header("set-cookie") or "")
        assert (await browser.get("/api/me")).status == 401


async def test_a_new_password_ends_the_other_sessions_only(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        here, there = await house.signed_in("ann"), await house.signed_in("ann")
        told: list[bool] = []
        house.people.subscribe(lambda: told.append(True))
        wrong = await here.put("/api/me/password", {"currentPassword": "not it at all", "newPassword": "another one 1"})
        assert wrong.status == 403
        body = {"currentPassword": PASSWORD, "newPassword": "another one 1"}
        assert (await here.put("/api/me/password", body)).status == 204
        assert told
        assert (await here.get("/api/me")).status == 200
        assert (await there.get("/api/me")).status == 401
        assert (await house.client.post("/api/login", {"userId": "ann", "password": PASSWORD})).status == 401


async def test_a_short_password_is_refused_with_its_length(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        here = await house.signed_in("ann")
        answer = await here.put("/api/me/password", {"currentPassword": PASSWORD, "newPassword": "short"})
        assert (answer.status, answer.code) == (400, "bad_password")
        assert "10 to 1024" in answer.json["detail"]


async def test_a_session_expires(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        browser = await house.signed_in("ann")
        house.clock.offset = 30 * DAY - 1000
        assert (await browser.get("/api/me")).status == 200
        house.clock.offset = 30 * DAY
        assert (await browser.get("/api/me")).status == 401


async def test_own_sessions_are_listed_and_ended_and_nobody_elses(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        await house.user("bob")
        here, there, bob = [await house.signed_in(user) for user in ("ann", "ann", "bob")]
        items = (await here.get("/api/sessions")).json["items"]
        assert len(items) == 2 and sum(item["current"] for item in items) == 1
        bobs = (await bob.get("/api/sessions")).json["items"][0]["id"]
        assert (await here.delete(f"/api/sessions/{bobs}")).status == 404
        other = next(item["id"] for item in items if not item["current"])
        assert (await here.delete(f"/api/sessions/{other}")).status == 204
        assert (await there.get("/api/me")).status == 401


async def test_a_token_cannot_make_a_wider_one_nor_change_the_password(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", bot=Grant.OPERATE)
        client = house.client.with_token(await house.token("ann", Scope.READ))
        assert (await client.post("/api/tokens", {"name": "x", "scopes": ["operate"]})).status == 403
        body = {"currentPassword": PASSWORD, "newPassword": "another one 1"}
        assert (await client.put("/api/me/password", body)).status == 403
        assert (await client.get("/api/sessions")).status == 403
