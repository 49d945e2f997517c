"""The frame around all routes: errors, limits, headers, the page, the OpenAPI document, fuzz and canaries."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.access import Grant, Scope
from edgebotd.accounts.keeping import AddRequest
from edgebotd.protocol.fields import LAST_MILLISECOND
from edgebotd.store import operations
from edgebotd.store.operations import Operation
from edgebotd.web.policy import POLICIES, Body, Need, Surface
from tests.docker.fake_engine import open_fake_engine
from tests.web.client import Answer, Client
from tests.web.fakes import CONVERSATION_ID, FakeChat
from tests.web.house import PASSWORD, Clock, House, open_house

PARAMETERS = {
    "bot_id": "own",
    "conversation_id": CONVERSATION_ID,
    "user_id": "ann",
    "granted_bot_id": "other",
    "session_id": "s_none",
    "token_id": "t_none",
    "stream_id": "s_none",
    "operation_id": "op_one",
    "run_id": "r_none",
    "profile_id": "anthropic:work",
    "login_id": "l_none",
    "channel_id": "none",
    "sha256": "a" * 64,
    "file...": "main.js",
    "view...": "own",
}
WITHOUT_CONTAINER = {f"/api/bots/{{bot_id}}/container/{name}" for name in ("logs", "logs/download", "take-over")}
"""What has nothing to tell of a bot without a container."""
ROWS = [policy for policy in POLICIES if policy.surface is Surface.HTTP]


def path_of(template: str) -> str:
    return re.sub(r"\{([\w.]+)\}", lambda found: PARAMETERS[found[1]], template)


async def admin_of(house: House) -> Client:
    await house.user("root", admin=True)
    await house.user("ann", own=Grant.CHAT)
    return await house.signed_in("root")


async def test_each_error_is_a_problem_document_with_the_security_headers(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        answers = [
            await house.client.get("/api/me"),
            await admin.get("/nothing"),
            await admin.delete("/api/status"),
            await admin.post("/api/login", {"userId": 7}),
            await admin.request("POST", "/api/login", data=b"{", headers={}),
            await admin.request("POST", "/api/tokens", data=b"x" * 70_000),
            await admin.get("/api/events/poll?wait=soon"),
            await admin.post("/api/bots/own/chat/send", {"text": "crash", "idempotencyKey": "k"}),
        ]
        assert [answer.status for answer in answers] == [401, 404, 405, 400, 400, 413, 400, 500]
        for answer in answers:
            assert answer.header("content-type") == "application/problem+json"
            assert {"type", "title", "status", "detail", "code"} <= answer.json.keys()
            assert answer.json["status"] == answer.status
            assert answer.header("x-content-type-options") == "nosniff"
            assert answer.header("cache-control") == "no-store"
            policy = answer.header("content-security-policy") or ""
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy


async def test_what_is_absent_is_named_as_it_was_asked_for(autojump_clock: MockClock) -> None:
    """The words are the same for a bot that is not there and one that is not granted."""
    async with open_house() as house:
        admin = await admin_of(house)
        ann = await house.signed_in("ann")
        for bot_id in ("other", "nowhere"):
            answer = await ann.get(f"/api/bots/{bot_id}/chat/history")
            assert (answer.status, answer.json["detail"]) == (404, f"No such bot: '{bot_id}'.")
        assert (await admin.get("/api/bots/nowhere")).json["detail"] == "No such bot: 'nowhere'."
        assert (await admin.delete("/api/users/bert")).json["detail"] == "No such user: 'bert'."
        odd = (await admin.get("/api/bots/%1b%5b2J" + "x" * 100)).json["detail"]
        assert odd == "No such bot: '?[2J" + "x" * 59 + "…'."


async def test_a_bug_tells_an_id_that_is_in_the_log_and_nothing_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        answer = await admin.post("/api/bots/own/chat/send", {"text": "crash", "idempotencyKey": "k"})
        assert (answer.status, answer.code) == (500, "internal")
        assert "canary" not in answer.body.decode() and "ZeroDivision" not in answer.body.decode()
        assert f"error {answer.json['errorId']}" in caplog.text and "ZeroDivisionError" in caplog.text
        assert (await admin.get("/api/me")).status == 200


async def test_a_body_in_pieces_is_bounded_without_a_length(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        received = 0

        async def receive() -> Any:
            nonlocal received
            received += 1
            return {"type": "http.request", "body": b"x" * 16_384, "more_body": True}

        answer = Answer()

        async def send(message: Any) -> None:
            answer.status = message.get("status", answer.status)

        await house.front(admin.scope("http", "POST", "/api/tokens", {}), receive, send)
        assert (answer.status, received) == (413, 5)


async def test_a_body_that_never_ends_is_given_up(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)

        async def receive() -> Any:
            import trio

            await trio.sleep_forever()

        answer = Answer()

        async def send(message: Any) -> None:
            answer.status = message.get("status", answer.status)

        await house.front(admin.scope("http", "POST", "/api/tokens", {}), receive, send)
        assert answer.status == 408


@pytest.mark.parametrize("depth", [250, 100_000])
async def test_deep_json_is_refused(autojump_clock: MockClock, depth: int) -> None:
    async with open_house() as house:
        await house.user("ann", own=Grant.CHAT)
        client = house.client.with_token(await house.token("ann", Scope.PUBLISH))
        nested = b'{"type":"code-session:event","sessionId":"s","kind":"k","botId":"own","data":{"a":'
        data = nested + b"[" * depth + b"]" * depth + b"}}"
        assert (await client.request("POST", "/api/bots/own/events", data=data)).status == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_form_of_another_site_cannot_be_a_body(autojump_clock: MockClock, content_type: str) -> None:
    async with open_house() as house:
        data = json.dumps({"userId": "ann", "password": PASSWORD}).encode()
        answer = await house.client.request("POST", "/api/login", data=data, headers={"content-type": content_type})
        assert (answer.status, answer.code) == (400, "unsupported_media_type")


async def test_the_page_is_public_and_has_no_inline_script(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        page = await house.client.get("/")
        assert page.status == 200 and page.header("content-type") == "text/html; charset=utf-8"
        html = page.body.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+\s*=|<style|style=|https?://", html)
        for file in re.findall(r'(?:src|href)="(/ui/[^"]+)"', html):
            assert (await house.client.get(file)).status == 200
        again = await house.client.get("/", if_none_match=page.header("etag") or "")
        assert (again.status, again.body) == (304, b"")
        for path in ("/ui/../app.py", "/ui/%2e%2e/app.py", "/ui/nothing.js", "/ui//main.js"):
            assert (await house.client.get(path)).status == 404, path


async def test_health_reveals_nothing(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        for path in ("/healthz", "/readyz"):
            answer = await house.client.get(path)
            assert (answer.status, answer.json) == (200, {"ok": True})
            assert answer.header("server") is None


async def test_head_is_the_gets_head(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        for path in ("/", "/healthz", "/api/me", "/api/events/poll?wait=0"):
            assert (await admin.request("HEAD", path)).status == 200, path


async def test_the_openapi_document_is_whole(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        document = (await admin.get("/api/openapi.json")).json
        assert document["openapi"] == "3.1.0"
        described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
        assert described == {(policy.method, policy.path.replace("...}", "}")) for policy in POLICIES}
        references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
        assert references <= document["components"]["schemas"].keys()
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        assert all(operation["summary"] and operation["responses"] for operation in operations)
        assert len({operation["operationId"] for operation in operations}) == len(operations)


async def test_answers_are_what_the_openapi_document_says(autojump_clock: MockClock) -> None:
    clock = Clock()
    async with open_fake_engine(clock) as engine, open_house(clock=clock, engine=engine) as house:
        known = Operation("op_one", "own", "create", {}, state="failed", reason="It broke.", ended_at=1)
        await house.services.database.write(lambda tx: operations.add(tx.connection, known))
        login = AddRequest.model_validate({"provider": "anthropic", "name": "work", "secret": "canary-k"})
        await house.services.profiles.keeping.add(login)
        admin = await admin_of(house)
        document = (await admin.get("/api/openapi.json")).json
        for policy in ROWS:
            if policy.method != "GET":
                continue
            query = {"/api/search": "?q=x", "/api/events/poll": "?wait=0"}.get(policy.path, "")
            answer = await admin.get(path_of(policy.path) + query)
            operation = document["paths"][policy.path.replace("...}", "}")]["get"]
            if policy.need is Need.PROFILE_TOKEN:
                assert answer.status == 403 and "default" in operation["responses"]
                continue
            if policy.path in WITHOUT_CONTAINER:
                assert answer.code == "no_container" and "default" in operation["responses"]
                continue
            if "{login_id}" in policy.path:
                # None is under way: tests/accounts/test_signing.py has them.
                assert answer.status == 404 and "default" in operation["responses"]
                continue
            if policy.path.endswith("/link"):
                # No gateway is there to be asked: tests/accounts/test_linking.py has some.
                assert answer.status == 400 and "default" in operation["responses"]
                continue
            assert str(answer.status) in operation["responses"], (policy, answer.status, answer.body)
            content = operation["responses"][str(answer.status)].get("content", {})
            schema = content.get("application/json", {}).get("schema")
            if schema:
                whole = {**schema, "components": document["components"]}
                jsonschema.Draft202012Validator(whole).validate(answer.json)


async def test_what_comes_in_pages_is_items_and_an_opaque_next(autojump_clock: MockClock) -> None:
    """CHANNEL section 5, pages of lists: whatever takes `before` answers so, and nothing is paged in another way."""
    async with open_house() as house:
        document = (await (await admin_of(house)).get("/api/openapi.json")).json
        paged, windows = set(), set()
        for path, operations in document["paths"].items():
            for operation in operations.values():
                asked = {parameter["name"] for parameter in operation.get("parameters", ())}
                assert not asked & {"page", "offset", "after"}, path
                content = operation["responses"].get("200", {}).get("content", {})
                name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
                fields = document["components"]["schemas"].get(name, {}).get("properties", {}).keys()
                if "before" in asked:
                    assert fields == {"items", "next"}, path
                    paged.add(path)
                elif "next" in fields:
                    # No list, but a place in one: the list's own `next` leads on from it, `newer` back to now.
                    assert fields == {"items", "next", "newer"} and "newer" in asked, path
                    windows.add(path)
        bot = "/api/bots/{bot_id}"
        assert paged == {"/api/search", "/api/audit", f"{bot}/chat/history", f"{bot}/conversations"}
        assert windows == {f"{bot}/chat/window"}


async def test_a_plugin_publishes_what_is_its_own_only(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", own=Grant.VIEW)
        client = house.client.with_token(await house.token("ann", Scope.PUBLISH, bots=frozenset({"own"})))
        event = {"type": "bot-activity", "botId": "own", "activity": "thinking"}
        assert (await client.post("/api/bots/own/events", event)).status == 202
        chat = house.services.chat
        assert isinstance(chat, FakeChat) and [bot_id for bot_id, _ in chat.published] == ["own"]
        for other in ("bots-status-update", "alert", "chat-delta", "provision-done"):
            assert (await client.post("/api/bots/own/events", {**event, "type": other})).status == 400
        assert (await client.post("/api/bots/other/events", event)).status == 404


async def test_metrics_need_a_credential_and_name_nobody(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        assert (await house.client.get("/metrics")).status == 401
        await (await house.signed_in("ann")).get("/api/bots/own")
        text = (await admin.get("/metrics")).body.decode()
        assert 'edgebotd_http_requests_total{method="GET",route="/api/bots/{bot_id}",status="200"} 1.0' in text
        assert "edgebotd_streams 0.0" in text
        assert "ann" not in text and "own" not in re.sub(r"unknown|own_|down", "", text)


async def test_an_attachment_that_could_run_is_a_download(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        answer = await (await admin_of(house)).get("/api/attachments/" + "a" * 64)
        assert answer.header("content-type") == "application/octet-stream"
        assert (answer.header("content-disposition") or "").startswith("attachment;")
        assert answer.header("content-security-policy") == "default-src 'none'; sandbox"


async def test_an_exports_name_cannot_break_the_header(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        answer = await (await admin_of(house)).get(f"/api/bots/own/conversations/{CONVERSATION_ID}/export")
        assert answer.header("content-disposition") == 'attachment; filename="a__title___x.md"'


async def test_the_last_admin_stays(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        for answer in (
            await admin.delete("/api/users/root"),
            await admin.patch("/api/users/root", {"admin": False}),
            await admin.patch("/api/users/root", {"disabled": True}),
        ):
            assert (answer.status, answer.code) == (409, "last_admin")
        assert (await admin.patch("/api/users/ann", {"admin": True})).status == 200
        assert (await admin.patch("/api/users/root", {"admin": False})).status == 200
        assert (await admin.get("/api/users")).status == 403


async def test_the_audit_tells_who_did_what_to_which_bot_from_where(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        admin.peer = "192.0.2.7"
        await admin.put("/api/users/ann/grants/other", {"grant": "operate"})
        await admin.post("/api/bots/own/chat/send", {"text": "hi", "idempotencyKey": "k"})
        page = (await admin.get("/api/audit?limit=2")).json
        seen = [(e["actor"], e["action"], e["subject"], e["botId"], e["address"]) for e in page["items"]]
        assert seen == [
            ("root", "chat.send", "r_1", "own", "192.0.2.7"),
            ("root", "grant.set", "ann", "other", "192.0.2.7"),
        ]
        older = (await admin.get(f"/api/audit?limit=500&before={page['next']}")).json
        assert older["next"] is None and all(e["id"] < page["items"][-1]["id"] for e in older["items"])
        assert [e["action"] for e in (await admin.get("/api/audit?bot=other")).json["items"]] == ["grant.set"]


async def test_what_people_do_to_bots_and_conversations_is_in_the_audit(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        await admin.post("/api/bots/own/retry", {})
        await admin.post("/api/bots/own/conversations", {"title": "t"})
        items = (await admin.get("/api/audit?bot=own")).json["items"]
        assert [e["action"] for e in items] == ["conversation.create", "bot.retry", "grant.set"]


async def test_a_time_that_nothing_can_hold_is_refused(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        for at in (LAST_MILLISECOND + 1, 2**63, 2**70):
            body = {"name": "n", "scopes": ["read"], "expiresAt": at}
            assert (await admin.post("/api/tokens", body)).status == 400, at
        body["expiresAt"] = LAST_MILLISECOND
        assert (await admin.post("/api/tokens", body)).status == 201


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "userId",
        "password",
        "code",
        "name",
        "admin",
        "id",
        "grant",
        "purpose",
        "scopes",
        "bots",
        "expiresAt",
        "token",
        "logs",
        "stats",
        "text",
        "conversationId",
        "idempotencyKey",
        "mode",
        "attachments",
        "title",
        "seq",
        "runId",
        "type",
        "botId",
        "activity",
        "data",
        "sessionId",
        "kind",
        "url",
    ]
)
BODIES = st.dictionaries(KEYS, JSON, max_size=6) | JSON
TARGETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@settings(max_examples=60)
@given(body=BODIES, tail=TARGETS)
async def test_no_body_and_no_query_is_ever_an_internal_error(body: Any, tail: str) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        plugin = house.client.with_token(await house.token("root", Scope.PUBLISH))
        for policy in ROWS:
            if (
                policy.path in ("/api/logout", "/api/events/poll", "/api/setup", "/api/login")
                or policy.need is Need.PUBLIC
            ):
                continue
            client = plugin if policy.need is Need.PUBLISH else admin
            data = None if policy.body is Body.NONE else json.dumps(body).encode()
            if policy.method == "DELETE":
                data = None
            answer = await client.request(policy.method, path_of(policy.path) + "?" + tail, data=data)
            assert answer.status != 500, (policy, body, tail, answer.body)


async def test_no_secret_comes_out_anywhere(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_house() as house:
        admin = await admin_of(house)
        token = await house.token("root", Scope.READ)
        made = (await admin.post("/api/tokens", {"name": "t", "scopes": ["read"]})).json["token"]
        canary = "canary-password-1234"
        secrets = [token, made, canary, admin.headers["cookie"].partition("=")[2]]
        bodies = [
            {"userId": "ann", "password": canary},
            {"code": canary},
            {"currentPassword": canary, "newPassword": canary},
            {"id": "x", "password": [canary]},
            {"password": canary, "token": canary, canary: 1},
        ]
        out = []
        clients = [admin, await house.signed_in("ann"), house.client.with_token(token), house.client]
        for client in clients:
            for policy in ROWS:
                if policy.path == "/api/logout" or (policy.method, policy.path) == ("DELETE", "/api/users/{user_id}"):
                    continue
                target = path_of(policy.path) + f"?token={canary}&q={canary}&wait=0"
                for body in bodies if policy.mutating else [None]:
                    answer = await client.request(policy.method, target, body)
                    out.append(str(answer.headers) + answer.body.decode())
        everything = "\n".join(out) + caplog.text
        # What a request had in a wrong place is named as the place, which is the client's own word.
        everything = everything.replace(f'"path": "{canary}"', "").replace(f"{canary}: Extra", "")
        for secret in secrets:
            assert secret not in everything
        assert "argon2" not in everything


async def test_an_address_behind_the_limits_of_a_house_is_forgotten(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        stranger = replace(house.client, peer="192.0.2.1")
        body = {"userId": "ann", "password": "wrong"}
        for number in range(45):
            await stranger.post("/api/login", {**body, "userId": f"u{number}"})
        assert (await stranger.post("/api/login", body)).status == 429
        assert (await house.client.post("/api/login", body)).status == 401


async def test_a_stop_does_not_wait_for_polls(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        admin = await admin_of(house)
        cursor = (await admin.get("/api/events/poll?wait=0")).json["cursor"]
        answers: list[Answer] = []

        async def poll() -> None:
            answers.append(await admin.get(f"/api/events/poll?wait=30&cursor={cursor}"))

        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await wait_all_tasks_blocked()
            await house.services.hub.drain()
        assert trio.current_time() - begin < 1
        assert answers[0].status == 200 and answers[0].json["events"] == []
