"""The routes of logins: a secret goes in and never comes out, and each sees what the own bots use."""

from __future__ import annotations

import json
from typing import Any

from trio.testing import MockClock

from edgebotd import logs
from edgebotd.access import Grant, Scope
from edgebotd.accounts.secrets import Login
from edgebotd.config import Settings
from edgebotd.store import bots as bot_rows
from edgebotd.store.bots import StoredBot
from edgebotd.store.profiles import Profile
from tests.web.client import Client
from tests.web.house import House, open_house

SECRET = "canary-0123456789"
KEY = {"provider": "anthropic", "name": "work", "secret": SECRET, "label": "Work"}
ONE = "/api/profiles/anthropic:work"
SETTINGS = Settings.model_validate({"providers": {"anthropic": {"name": "Anthropic"}}})


async def furnished(house: House) -> tuple[Client, Client]:
    """Return an administrator's and a user's page; there are the bots `own` (the user's) and `other`."""
    for bot_id in ("own", "other"):
        row = StoredBot(bot_id, "echo", bot_id, {})
        await house.services.database.write(lambda tx, row=row: bot_rows.add(tx.connection, row))  # type: ignore[misc]  # a bound default
    await house.user("root", admin=True)
    await house.user("ann", own=Grant.VIEW)
    return await house.signed_in("root"), await house.signed_in("ann")


async def ids(client: Client) -> list[str]:
    return [item["id"] for item in (await client.get("/api/profiles")).json["items"]]


async def test_a_key_is_added_shown_by_its_fingerprint_and_removed(autojump_clock: MockClock) -> None:
    async with open_house(SETTINGS) as house:
        root, _ = await furnished(house)
        made = await root.post("/api/profiles", KEY)
        assert made.status == 201
        row = made.json
        assert (row["id"], row["providerName"], row["type"], row["owner"]) == (
            "anthropic:work", "Anthropic", "api_key", "edgebotd",
        )  # fmt: skip
        assert (row["state"], row["expired"], len(row["fingerprint"]), row["label"]) == ("static", False, 12, "Work")
        again = await root.post("/api/profiles", KEY)
        assert (again.status, again.json["code"]) == (409, "profile_exists")
        changed = await root.request("PUT", ONE + "/secret", {"secret": SECRET + "x"})
        assert changed.status == 200 and changed.json["fingerprint"] != row["fingerprint"]
        assert (await root.request("PATCH", ONE, {"label": None})).json["label"] is None
        assert (await root.request("PUT", ONE + "/bots", {"bots": ["own", "own"]})).json["bots"] == ["own"]
        assert (await root.request("PUT", ONE + "/bots", {"bots": ["nobody"]})).status == 404
        answers = [
            made,
            again,
            changed,
            await root.get("/api/profiles"),
            await root.get(ONE),
            await root.get("/api/audit"),
        ]
        assert not [answer for answer in answers if SECRET.encode() in answer.body]
        done = {item["action"]: item for item in answers[-1].json["items"] if item["action"].startswith("profile.")}
        assert set(done) == {"profile.add", "profile.secret", "profile.label", "profile.bots"}
        assert (done["profile.bots"]["detail"]["bots"], done["profile.add"]["actor"]) == (["own"], "root")
        assert logs.redact(f"x {SECRET} y") == "x [redacted] y"
        assert (await root.request("DELETE", ONE)).status == 204
        assert (await root.get(ONE)).status == 404 and await ids(root) == []


async def test_what_is_no_key_is_refused_without_being_told(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        root, _ = await furnished(house)
        wrong: list[dict[str, Any]] = [
            {"secret": ""}, {"secret": f"{SECRET} {SECRET}"}, {"provider": "An"}, {"name": "a:b"}, {"type": "oauth"},
            {"expiresAt": 5}, {"accountId": "a\nb"}, {"secrets": SECRET},
        ]  # fmt: skip
        for one in wrong:
            answer = await root.post("/api/profiles", {**KEY, **one})
            assert answer.status == 400, one
            assert SECRET.encode() not in answer.body
        assert (await root.post("/api/profiles", {**KEY, "bots": ["nobody"]})).status == 404
        assert await ids(root) == [], "nothing of it was stored"


async def test_each_sees_what_the_own_bots_use_and_no_more(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        root, ann = await furnished(house)
        await root.post("/api/profiles", {**KEY, "bots": ["own", "other"]})
        await root.post("/api/profiles", {**KEY, "name": "far", "bots": ["other"], "type": "token", "expiresAt": 1})
        await root.post("/api/profiles", {**KEY, "name": "none"})
        assert await ids(root) == ["anthropic:far", "anthropic:none", "anthropic:work"]
        assert (await root.get("/api/profiles/anthropic:far")).json["expired"]
        [row] = (await ann.get("/api/profiles")).json["items"]
        assert row == (await ann.get(ONE)).json
        told = {key for key, value in row.items() if value is not None}
        assert told == {"id", "provider", "providerName", "type", "state", "expired", "bots"}
        assert row["bots"] == ["own"]
        for hidden in ("far", "none", "nobody"):
            assert (await ann.get(f"/api/profiles/anthropic:{hidden}")).status == 404
        narrow = house.client.with_token(await house.token("root", Scope.READ, bots=frozenset({"other"})))
        assert await ids(narrow) == ["anthropic:far", "anthropic:work"]
        assert (await narrow.get(ONE)).json["fingerprint"] is None
        # A bot that is removed uses nothing.
        await house.services.profiles.vault.forget_bot("own")
        assert await ids(ann) == []


async def test_what_another_one_keeps_is_changed_there(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        root, _ = await furnished(house)
        vault = house.services.profiles.vault
        await vault.add(Profile("a:b@own", "a", "api_key", owner="gateway", place="own"), None, bots=["own"])
        watched = Profile("a:seen", "a", "api_key", owner="external", place="codex:/home/ann/auth.json")
        await vault.add(watched, Login(access="canary"))
        one = "/api/profiles/a:b@own"
        for method, at, body in (
            ("DELETE", one, None),
            ("PUT", one + "/bots", {"bots": ["other"]}),
            ("PUT", one + "/secret", {"secret": SECRET}),
        ):
            answer = await root.request(method, at, body)
            assert (answer.status, answer.json["code"]) == (409, "gateways_own"), at
            assert "the bot own keeps this login" in answer.json["detail"]
        assert (await root.request("PATCH", one, {"label": "Ann's"})).json["bots"] == ["own"]
        answer = await root.request("PUT", "/api/profiles/a:seen/secret", {"secret": SECRET})
        assert answer.status == 409 and "in /home/ann/auth.json. Log in there" in answer.json["detail"]


async def test_logins_of_another_program_are_shown_then_imported(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        root, _ = await furnished(house)
        profiles = {
            "anthropic:work": {"type": "oauth", "provider": "anthropic", "access": SECRET, "refresh": SECRET + "r"},
            "openai:key": {"type": "api_key", "provider": "openai", "key": SECRET + "k"},
            "openai:out": {"type": "oauth", "provider": "openai", "access": "", "refresh": ""},
        }
        body = {"kind": "openclaw", "content": json.dumps({"version": 1, "profiles": profiles})}
        shown = await root.post("/api/profiles/import", body)
        assert [(one["profileId"], one["outcome"]) for one in shown.json["items"]] == [
            ("anthropic:work", "found"), ("openai:key", "found"), ("openai:out", "refused"),
        ]  # fmt: skip
        assert await ids(root) == []
        taken = await root.post("/api/profiles/import", {**body, "owner": "edgebotd", "only": ["anthropic:work"]})
        assert [one["outcome"] for one in taken.json["items"]] == ["added"]
        assert "Log out in the gateway" in taken.json["meaning"]
        assert await ids(root) == ["anthropic:work"]
        again = await root.post("/api/profiles/import", {**body, "owner": "edgebotd"})
        assert [one["outcome"] for one in again.json["items"]] == ["refused", "added", "refused"]
        assert (await root.request("PUT", ONE + "/secret", {"secret": "x" * 9})).json["code"] == "not_by_secret"
        watched = await root.post("/api/profiles/import", {**body, "owner": "external"})
        assert watched.status == 400 and "path" in watched.json["detail"]
        broken = await root.post("/api/profiles/import", {**body, "content": SECRET})
        assert broken.json["code"] == "no_store"
        assert not [one for one in (shown, taken, again, watched, broken) if SECRET.encode() in one.body]


async def test_administrators_are_told_of_the_providers_and_how_one_logs_in_there(autojump_clock: MockClock) -> None:
    oauth = {"token_url": "https://a.example/t", "client_id": "c", "device_url": "https://a.example/d"}
    both = {**oauth, "authorize_url": "https://a.example/a"}
    usage = {"kind": "codex", "url": "https://a.example/u"}
    providers = {"both": {"name": "Both", "oauth": both}, "code": {"oauth": oauth, "usage": usage}, "key": {}}
    async with open_house(Settings.model_validate({"providers": providers})) as house:
        root, ann = await furnished(house)
        assert (await root.get("/api/profiles")).json["providers"] == [
            {"id": "both", "name": "Both", "methods": ["browser", "device"], "usage": False},
            {"id": "code", "name": "code", "methods": ["device"], "usage": True},
            {"id": "key", "name": "key", "methods": [], "usage": False},
        ]
        assert (await ann.get("/api/profiles")).json["providers"] == []
