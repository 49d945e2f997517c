"""Channels over HTTP: administrators see them without their secrets, and test them, which is in the audit."""

from __future__ import annotations

import logging
from ipaddress import ip_network

import pytest
from pydantic import SecretStr

from edgebotd.config import AlertChannelSettings, AlertsSettings, Settings
from edgebotd.outgoing import Outgoing
from edgebotd.store import audit
from tests.receiver import Receiver, open_receiver, status
from tests.web.house import House, open_house

SECRET = "c4nary-0123456789"


def settings(receiver: Receiver) -> Settings:
    channel = AlertChannelSettings(
        kind="webhook", name="Hook", url=SecretStr(f"{receiver.url}/{SECRET}?key={SECRET}"), secret=SecretStr(SECRET)
    )
    phone = AlertChannelSettings(kind="apprise", url=SecretStr(f"tgram://{SECRET}/{SECRET}"), bots=("own",))
    allow = (ip_network("127.0.0.1"),)
    return Settings(alerts=AlertsSettings(allow_networks=allow, channels={"hook": channel, "phone": phone}))


async def acts(house: House) -> list[tuple[str, str]]:
    entries = await house.services.database.read(lambda conn: audit.page(conn, limit=50))
    assert SECRET not in str(entries)
    return [(entry.action, entry.subject) for entry in entries]


async def test_channels_are_shown_and_tested_without_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    # The libraries below tell of URLs; `logs.configure` keeps them quiet, and redacts.
    caplog.set_level(logging.DEBUG, "edgebotd")
    async with open_receiver() as receiver:
        chosen = settings(receiver)
        outgoing = Outgoing(allow=chosen.alerts.allow_networks)
        async with open_house(chosen, outgoing=outgoing) as house:
            await house.user("root", admin=True)
            root = await house.signed_in("root")
            answer = await root.get("/api/alerts/channels")
            hook, phone = answer.json["items"]
            assert hook == {
                "id": "hook",
                "name": "Hook",
                "kind": "webhook",
                "where": receiver.url,
                "minSeverity": "warning",
                "bots": [],
                "quiet": None,
                "timezone": None,
                "criticalPasses": True,
                "quietUntil": None,
                "waiting": 0,
                "held": 0,
                "last": None,
                "error": None,
                "sinceAt": None,
            }
            assert (phone["where"], phone["bots"]) == ("tgram://…", ["own"])
            tested = await root.post("/api/alerts/channels/hook/test", {})
            assert tested.status == 204 and len(receiver.taken) == 1
            receiver.answers.append(status("500 No"))
            failed = await root.post("/api/alerts/channels/hook/test", {})
            assert (failed.status, failed.json["code"]) == (502, "not_delivered")
            gone = await root.post("/api/alerts/channels/none/test", {})
            assert gone.status == 404
            config = await root.get("/api/config")
            figures = await root.get("/metrics")
            for told in (answer, failed, gone, config, figures):
                assert SECRET.encode() not in told.body
            assert SECRET not in caplog.text
            assert [act for act in await acts(house) if act[0] == "alert.test"] == [("alert.test", "hook")] * 2
