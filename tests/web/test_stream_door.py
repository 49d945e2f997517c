"""The channel through the real front door: credentials, Origins, hosts, revocations, watches (CHANNEL 1, 2, 5)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio

from edgebotd.access import Grant, Scope, local_admin
from edgebotd.events import BotActivity, BotLog, LogLine
from edgebotd.people.audit import SYSTEM
from tests.web.stream_client import TRANSPORTS, EventClient, Files, make_certificate
from tests.web.whole_edge import WholeEdge, open_whole_edge

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
ALL_WAYS = ("http/1.1", "tls", "h2", "unix")
"""One of each kind: handed over, ordinary HTTP/1, HTTP/2, unix socket."""
OWN = "https://bots.example.org"
OTHER = "https://other.example.org"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_certificate(tmp_path_factory.mktemp("tls"))


async def people_of(edge: WholeEdge) -> None:
    await edge.house.user("ann", atlas=Grant.CHAT)
    await edge.house.user("root", admin=True)


async def problem(client: EventClient) -> Any:
    assert client.headers["content-type"] == "application/problem+json"
    return json.loads(await client.rest())


@every_transport
async def test_c11_without_a_valid_credential_401_with_json_and_no_way_elsewhere(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        # On the unix socket root is somebody; what a proxy passes on is not.
        nobody = {"x-forwarded-for": "192.0.2.1"} if transport == "unix" else {}
        for headers in (nobody, {"authorization": "Bearer ebt_wrong"}, {"cookie": "edgebotd_session=wrong"}):
            client = await edge.open(transport, headers=headers)
            assert client.status == 401
            assert "location" not in client.headers
            said = await problem(client)
            assert (said["status"], said["code"]) == (401, "unauthenticated")
            assert b"<" not in client.body.replace(b"`Authorization: Bearer <token>`", b"")
        assert edge.hub.connections() == []


@every_transport
async def test_s19_with_a_credential_get_and_head_are_200_and_an_event_stream(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        headers = await edge.token_of("ann", Scope.READ)
        for method in ("HEAD", "GET"):
            client = await edge.open(transport, method=method, headers=headers)
            assert client.status == 200
            assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert client.headers["cache-control"] == "no-store, no-transform"
        hello = json.loads((await client.next("hello")).data)
        assert hello["user"] == "ann"
        statuses = await client.next_json()
        assert [bot["botId"] for bot in statuses["bots"]] == ["atlas"]
        assert edge.hub.stream_count == 1


@every_transport
async def test_s20_over_the_cap_and_while_stopping_the_status_is_200(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        headers = await edge.token_of("ann", Scope.READ)
        await edge.hub.drain()
        client = await edge.stream(transport, headers)
        bye = await client.next("bye")
        assert json.loads(bye.data) == {"reason": "restart"}
        assert bye.retry is not None
        await client.rest()


@pytest.mark.quiet
@pytest.mark.parametrize("transport", ALL_WAYS)
@pytest.mark.parametrize("how", ["token", "session", "password", "user", "disabled"])
async def test_c6_a_revocation_ends_the_stream_within_a_second(
    how: str, transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        house = edge.house
        if how == "token":
            headers = await edge.token_of("ann", Scope.READ)
        elif transport in ("tls", "h2"):
            cookie = (await edge.cookie_of("ann"))["cookie"]
            headers = {"cookie": "__Host-" + cookie, "sec-fetch-site": "same-origin"}
        else:
            headers = await edge.cookie_of("ann")
        client, other = (
            await edge.stream(transport, headers),
            await edge.stream(transport, await edge.token_of("root", Scope.READ)),
        )
        await client.next_json()
        await other.next_json()
        with trio.fail_after(1):
            record = house.people.record("ann")
            assert record is not None
            if how == "token":
                await house.services.tokens.revoke(local_admin(0), "test", record.tokens[0].id)
            elif how == "session":
                principal = house.people.principal_of_session(headers["cookie"].partition("=")[2])
                assert principal is not None
                await house.services.sign_in.logout(principal, "test")
            elif how == "password":
                await house.services.accounts.set_password(SYSTEM, "ann", "a new password")
            elif how == "user":
                await house.services.accounts.remove(SYSTEM, "ann")
            else:
                await house.services.accounts.edit(SYSTEM, "ann", disabled=True)
            assert json.loads((await client.next("bye")).data) == {"reason": "revoked"}
            await client.rest()
        assert [info.user_id for info in edge.hub.connections()] == ["root"]


@pytest.mark.quiet
@pytest.mark.parametrize("transport", ALL_WAYS)
async def test_c6_a_change_of_grants_rescopes_the_stream_within_a_second(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        accounts = edge.house.services.accounts
        client = await edge.stream(transport, await edge.token_of("ann", Scope.READ))
        await client.next_json()
        with trio.fail_after(1):
            await accounts.grant(SYSTEM, "ann", "iris", Grant.VIEW)
            assert [bot["botId"] for bot in (await client.next_json())["bots"]] == ["atlas", "iris"]
        edge.hub.publish("iris", BotActivity(bot_id="iris", activity="seen"))
        assert (await client.next_json())["activity"] == "seen"
        with trio.fail_after(1):
            await accounts.grant(SYSTEM, "ann", "iris", None)
            assert [bot["botId"] for bot in (await client.next_json())["bots"]] == ["atlas"]
        edge.hub.publish("iris", BotActivity(bot_id="iris", activity="hidden"))
        edge.hub.publish("atlas", BotActivity(bot_id="atlas", activity="last"))
        assert (await client.next_json())["activity"] == "last"
        assert b"hidden" not in client.body


@pytest.mark.parametrize("transport", ["http/1.1", "http/1.0", "unix"])
@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, 403),
        ({"origin": OTHER, "sec-fetch-site": "cross-site"}, 200),
        ({"origin": OWN}, 200),
    ],
)
async def test_with_a_cookie_a_foreign_page_is_refused_and_the_own_one_is_not(
    more: dict[str, str], status: int, transport: str, tmp_path: Path
) -> None:
    """Section 2, headers: browsers leave the Origin out on a same-origin GET."""
    async with open_whole_edge(tmp_path) as edge:
        await people_of(edge)
        headers = {"cookie": (await edge.cookie_of("ann"))["cookie"], **more}
        client = await edge.open(transport, headers=headers)
        assert client.status == status
        if status == 403:
            assert (await problem(client))["code"] == "forbidden"
            assert edge.hub.connections() == []


@pytest.mark.parametrize("transport", ALL_WAYS)
async def test_s21_an_allowed_origin_is_named_exactly_and_never_a_star(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        headers = await edge.token_of("ann", Scope.READ)
        for origin in (OTHER, None):
            more = {} if origin is None else {"origin": origin}
            for client in (
                await edge.open(transport, headers={**headers, **more}),
                await edge.open(transport, headers={"authorization": "Bearer wrong", **more}),
                await edge.open(transport, headers={**headers, **more}, method="HEAD"),
            ):
                assert client.headers.get("access-control-allow-origin") == origin
                if origin is not None:
                    assert client.headers["access-control-allow-credentials"] == "true"
                    assert client.headers["vary"] == "Origin"
        asked = {"origin": OTHER, "access-control-request-method": "GET"}
        preflight = await edge.open(transport, headers=asked, method="OPTIONS")
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == OTHER
        assert "last-event-id" in preflight.headers["access-control-allow-headers"]
        foreign = await edge.open(transport, headers={**headers, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize("transport", ALL_WAYS)
async def test_c16_on_a_bots_own_host_there_is_that_bot_only_for_admins_too(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        own = {**await edge.token_of("root", Scope.ADMIN), "host": "atlas.example.org"}
        client = await edge.stream(transport, own)
        assert [bot["botId"] for bot in (await client.next_json())["bots"]] == ["atlas"]
        edge.hub.publish("iris", BotActivity(bot_id="iris", activity="hidden"))
        edge.hub.publish("atlas", BotActivity(bot_id="atlas", activity="shown"))
        assert (await client.next_json())["activity"] == "shown"
        for path, status in (
            ("/api/events?bot=iris", 404),
            ("/api/events/poll?bot=iris&wait=0", 404),
            ("/api/bots/iris", 404),
            ("/api/bots/iris/chat/history", 404),
            ("/api/bots/atlas", 200),
        ):
            assert (await edge.open(transport, path, headers=own)).status == status, path
        search = await edge.open(transport, "/api/bots", headers=own)
        assert [bot["botId"] for bot in json.loads(await search.rest())["items"]] == ["atlas"]


@pytest.mark.parametrize(
    "host", ["bots.example.org", "chat.example.org", "BOTS.example.org:8443", "localhost", "[::1]"]
)
async def test_dashboard_chat_and_loopback_names_carry_the_whole_channel(host: str, tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await people_of(edge)
        client = await edge.stream("http/1.1", {**await edge.token_of("root", Scope.READ), "host": host})
        assert [bot["botId"] for bot in (await client.next_json())["bots"]] == ["atlas", "iris"]


async def test_another_host_is_421(tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await people_of(edge)
        client = await edge.open(
            "http/1.1", headers={**await edge.token_of("root", Scope.READ), "host": "evil.example"}
        )
        assert client.status == 421
        assert (await problem(client))["code"] == "unknown_host"


async def test_the_unix_sockets_peer_is_known_by_its_uid_without_a_token(tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        client = await edge.stream("unix", {})
        assert json.loads((await client.next("hello")).data)["user"] == "local"
        (info,) = edge.hub.connections()
        assert info.address in (f"unix (uid {os.getuid()})", "unix")


@pytest.mark.parametrize("transport", ALL_WAYS)
async def test_c16_a_watch_brings_logs_to_its_stream_and_ends_with_it(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        await edge.house.user("olga", atlas=Grant.OPERATE)
        operate = await edge.house.token("olga", Scope.OPERATE)
        headers = {"authorization": f"Bearer {operate}"}
        client = await edge.stream(transport, headers)
        stream_id = json.loads((await client.next("hello")).data)["streamId"]
        await client.next_json()
        log = BotLog(bot_id="atlas", lines=(LogLine(at=1, text="a line"),))
        edge.hub.publish("atlas", log)
        api = edge.house.client.with_token(operate)
        path = f"/api/streams/{stream_id}/watch"
        assert (await api.put(path, {"logs": ["iris"], "stats": []})).status == 404
        assert (await api.put("/api/streams/s_other/watch", {"logs": ["atlas"], "stats": []})).status == 404
        assert (await api.put(path, {"logs": ["atlas"], "stats": ["atlas"]})).status == 204
        ann = edge.house.client.with_token(await edge.house.token("ann", Scope.OPERATE))
        assert (await ann.put(path, {"logs": ["atlas"], "stats": []})).status == 404
        edge.hub.publish("atlas", log)
        edge.hub.publish("atlas", BotActivity(bot_id="atlas", activity="last"))
        assert [(await client.next_json())["type"] for _ in range(2)] == ["bot-log", "bot-activity"]
        assert edge.hub.watched_bots().stats == {"atlas"}
        await client.close()
        with trio.fail_after(5):
            while edge.hub.watched_bots().logs:  # noqa: ASYNC110 - its end has no event
                await trio.sleep(0.005)
        assert (await api.put(path, {"logs": ["atlas"], "stats": []})).status == 404


async def test_c17_connections_and_metrics_explain_every_stream_and_its_end(tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await people_of(edge)
        root = edge.house.client.with_token(await edge.house.token("root", Scope.ADMIN))
        reader = await edge.token_of("ann", Scope.READ)
        client = await edge.stream("http/1.1", reader, "/api/events?bot=atlas&type=chat-message")
        await client.next("hello")
        (row,) = (await root.get("/api/connections")).json["items"]
        assert row["userId"] == "ann"
        assert row["address"] == "127.0.0.1"
        assert row["ageSeconds"] >= 0 and row["queuedBytes"] == 0
        assert (row["verdict"], row["state"], row["transport"]) == ("fresh", "live", "handed-over")
        assert (row["bots"], row["types"]) == (["atlas"], ["chat-message"])
        await edge.house.services.accounts.remove(SYSTEM, "ann")
        await client.next("bye")
        listed = (await root.get("/api/connections")).json
        assert (listed["items"], listed["opened"], listed["closed"]) == ([], {"fresh": 1}, {"revoked": 1})
        metrics = (await root.get("/metrics")).body.decode()
        assert 'edgebotd_streams_opened_total{kind="fresh"} 1.0' in metrics
        assert 'edgebotd_streams_closed_total{kind="revoked"} 1.0' in metrics
        refused = edge.house.client.with_token(await edge.house.token("root", Scope.READ))
        assert (await refused.get("/api/connections")).status == 403


@pytest.mark.parametrize("transport", ALL_WAYS)
async def test_c17_an_administrator_tails_what_a_user_would_see(
    transport: str, tmp_path: Path, certificate: Files
) -> None:
    async with open_whole_edge(tmp_path, certificate) as edge:
        await people_of(edge)
        admin = await edge.token_of("root", Scope.ADMIN)
        client = await edge.stream(transport, admin, "/api/events?as=ann")
        assert [bot["botId"] for bot in (await client.next_json())["bots"]] == ["atlas"]
        ann = await edge.token_of("ann", Scope.READ)
        assert (await edge.open(transport, "/api/events?as=root", headers=ann)).status == 403
        assert (await edge.open(transport, "/api/events?as=nobody", headers=admin)).status == 404


CURSORS = ["", "A" * 10_240, "x" * 22, "%ff%00", "%F0%9F%98%80"]


@pytest.mark.parametrize("cursor", CURSORS)
async def test_s23_a_poll_with_an_odd_cursor_is_200_with_the_right_verdict(cursor: str, tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await people_of(edge)
        api = edge.house.client.with_token(await edge.house.token("ann", Scope.READ))
        answer = await api.get(f"/api/events/poll?cursor={cursor}&wait=0")
        assert answer.status == 200
        verdict = ("gap", "malformed") if cursor else ("fresh", None)
        assert (answer.json["verdict"], answer.json.get("reason")) == verdict
        followed = await api.get(f"/api/events/poll?cursor={answer.json['cursor']}&wait=0")
        assert (followed.json["verdict"], followed.json["events"]) == ("exact", [])


async def test_a_poll_narrows_as_a_stream_does_and_a_foreign_bot_is_absent(tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await people_of(edge)
        api = edge.house.client.with_token(await edge.house.token("ann", Scope.READ))
        for path in ("/api/events/poll?bot=iris&wait=0", "/api/events/poll?bot=no-such-bot&wait=0"):
            assert (await api.get(path)).status == 404
        root = edge.house.client.with_token(await edge.house.token("root", Scope.READ))
        answer = (await root.get("/api/events/poll?bot=atlas&wait=0")).json
        assert [bot["botId"] for bot in answer["events"][0]["bots"]] == ["atlas"]
        edge.hub.publish("atlas", BotActivity(bot_id="atlas", activity="x"))
        path = f"/api/events/poll?cursor={answer['cursor']}&wait=0&type=chat-message&type=bot:status"
        assert (await root.get(path)).json["events"] == []


async def test_ws_dash_is_gone_and_names_the_stream(tmp_path: Path) -> None:
    async with open_whole_edge(tmp_path) as edge:
        await people_of(edge)
        headers = await edge.token_of("ann", Scope.READ)
        upgrade = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        for more in ({}, upgrade):
            client = await edge.open("http/1.1", "/ws/dash", headers={**headers, **more})
            assert client.status == 410
            assert (await problem(client))["use"] == "/api/events"
