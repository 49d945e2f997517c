"""What goes over the wire, to a real server: signed, as documented, and no secret anywhere else."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
import trio
from pydantic import SecretStr

from edgebotd import logs
from edgebotd.alerting.apprise import Apprise
from edgebotd.alerting.apprise_child import Guard
from edgebotd.alerting.house import keep_out_of_logs
from edgebotd.alerting.message import Message
from edgebotd.alerting.senders import NotDelivered, Ntfy, Webhook
from edgebotd.config import AlertChannelSettings
from edgebotd.events import Alert
from edgebotd.outgoing import Outgoing
from tests.receiver import HANG, Receiver, open_receiver, status

LOOPBACK = (ip_network("127.0.0.0/8"),)
CANARY = "c4nary-0123456789"
NOW = 1_800_000_000_000
ALERT = Alert(
    alert_id="bot:atlas:down",
    bot_id="atlas",
    severity="critical",
    state="open",
    title="Ätlas is away",
    detail="So.",
    at=NOW,
)
MESSAGE = Message("17", "open", "critical", "Ätlas is away", "So.", NOW, (ALERT,), "https://bots.example/bots/atlas")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


def webhook(receiver: Receiver, secret: str | None = CANARY) -> Webhook:
    key = None if secret is None else SecretStr(secret)
    return Webhook(Outgoing(allow=LOOPBACK), SecretStr(f"{receiver.url}/hook/{CANARY}"), key, lambda: NOW)


async def refused(sending: Webhook | Ntfy | Apprise) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        await sending.send(MESSAGE)
    assert CANARY not in str(caught.value) and CANARY not in repr(caught.value)
    return caught.value


async def test_a_webhook_gets_signed_json(receiver: Receiver) -> None:
    await webhook(receiver).send(MESSAGE)
    (taken,) = receiver.taken
    assert (taken.method, taken.path) == ("POST", f"/hook/{CANARY}")
    assert json.loads(taken.body) == {
        "version": 1,
        "id": "17",
        "event": "alert.open",
        "severity": "critical",
        "title": "Ätlas is away",
        "text": "So.",
        "at": NOW,
        "url": "https://bots.example/bots/atlas",
        "alerts": [
            {
                "alertId": "bot:atlas:down",
                "botId": "atlas",
                "severity": "critical",
                "state": "open",
                "title": "Ätlas is away",
                "detail": "So.",
                "at": NOW,
            }
        ],
    }
    headers = taken.headers
    assert headers["content-type"] == "application/json" and headers["edgebotd-event"] == "alert.open"
    assert headers["edgebotd-delivery"] == "17" and headers["edgebotd-timestamp"] == str(NOW // 1000)
    wanted = hmac.new(CANARY.encode(), f"{NOW // 1000}.".encode() + taken.body, hashlib.sha256).hexdigest()
    assert headers["edgebotd-signature"] == f"v1={wanted}"
    await webhook(receiver, None).send(MESSAGE)
    assert "edgebotd-signature" not in receiver.taken[1].headers


async def test_what_a_receiver_does_wrong(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.answers.extend([status("503 Busy", "Retry-After: 9"), status("400 Bad"), status("302 No", "Location: /x")])
    busy = await refused(webhook(receiver))
    assert (busy.detail, busy.final, busy.retry_after) == ("127.0.0.1 answers with the status 503.", False, 9)
    assert (await refused(webhook(receiver))).final
    assert "leads on to another address" in (await refused(webhook(receiver))).detail
    receiver.answers.extend([status("403 No"), status("404 No")])
    assert (await refused(webhook(receiver))).detail.endswith("403. Look at the url and the secret of the channel.")
    assert (await refused(webhook(receiver))).detail.endswith("404. Look at the url of the channel.")
    receiver.answers.append(b"SSH-2.0-x\r\n\r\n")
    assert "no HTTP" in (await refused(webhook(receiver))).detail
    closed = replace(receiver, port=1)
    assert "takes no connection" in (await refused(webhook(closed))).detail
    monkeypatch.setattr("edgebotd.outgoing.SECONDS", 0.3)
    receiver.answers.append(HANG)
    assert "did not answer" in (await refused(webhook(receiver))).detail


async def test_ntfy_gets_a_topic_a_priority_tags_and_where_to_click(receiver: Receiver) -> None:
    ntfy = Ntfy(Outgoing(allow=LOOPBACK), SecretStr(f"{receiver.url}/topic-{CANARY}"), SecretStr("tk_" + CANARY))
    await ntfy.send(MESSAGE)
    mended = replace(MESSAGE, kind="resolved", text="ä" * 5000, url=None)
    await ntfy.send(mended)
    first, second = receiver.taken
    assert first.path == "/" and first.headers["authorization"] == f"Bearer tk_{CANARY}"
    assert json.loads(first.body) == {
        "topic": f"topic-{CANARY}",
        "title": "Ätlas is away",
        "message": "So.",
        "priority": 5,
        "tags": ["rotating_light"],
        "click": "https://bots.example/bots/atlas",
    }
    body = json.loads(second.body)
    assert (body["priority"], body["tags"]) == (3, ["white_check_mark"]) and "click" not in body
    assert body["message"] == "ä" * 1750


# Apprise, in its process


async def test_a_webhook_is_kept_from_this_machine_and_says_how_it_may(receiver: Receiver) -> None:
    url = SecretStr(f"https://127.0.0.1:{receiver.port}/{CANARY}")
    error = await refused(Webhook(Outgoing(), url, None, lambda: NOW))
    assert "not of the open internet" in error.detail and "alerts.allow_networks" in error.detail
    assert receiver.taken == []


def apprise(url: str, *, allow: bool, seconds: float = 60) -> Apprise:
    return Apprise(SecretStr(url), LOOPBACK if allow else (), trio.CapacityLimiter(1), seconds)


async def test_apprise_sends_where_it_may(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    await apprise(f"json://127.0.0.1:{receiver.port}/{CANARY}", allow=True).send(MESSAGE)
    (taken,) = receiver.taken
    body = json.loads(taken.body)
    assert taken.path == f"/{CANARY}" and body["title"] == "Ätlas is away" and body["type"] == "failure"
    assert "https://bots.example/bots/atlas" in body["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1"])
async def test_apprise_is_kept_from_this_machine(receiver: Receiver, host: str) -> None:
    pytest.importorskip("apprise")
    error = await refused(apprise(f"json://{host}:{receiver.port}/{CANARY}", allow=False))
    # Some of these are no URL to Apprise.
    no_url = host in ("127.1", "[::ffff:127.0.0.1]") and "does not know" in error.detail
    assert no_url or "not of the open internet" in error.detail
    assert receiver.taken == []


async def test_apprise_does_not_follow_a_redirect_inside(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    receiver.answers.append(status("307 Elsewhere", "Location: http://169.254.169.254/latest/meta-data/"))
    error = await refused(apprise(f"json://127.0.0.1:{receiver.port}/{CANARY}?redirect=yes", allow=True))
    assert "169.254" not in error.detail and len(receiver.taken) == 1


async def test_what_apprise_does_not_know_refuses_or_takes_too_long(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    assert "does not know" in (await refused(apprise(f"nonsense://{CANARY}", allow=True))).detail
    url = f"json://127.0.0.1:{receiver.port}/{CANARY}"
    receiver.answers.append(status("500 No"))
    assert "did not take" in (await refused(apprise(url, allow=True))).detail
    receiver.answers.append(HANG)
    async with trio.open_nursery() as nursery:
        slow = apprise(url, allow=True)

        async def send() -> None:
            await slow.send(MESSAGE)

        nursery.start_soon(send)
        await receiver.wait_taken(2)
        # Whoever waits for it may go: the process goes too.
        nursery.cancel_scope.cancel()
    assert "did not answer within" in (await refused(apprise(url, allow=True, seconds=0.01))).detail


class Sock:
    def __init__(self, family: int) -> None:
        self.family = family


@pytest.mark.parametrize(
    "address",
    [
        ("127.0.0.1", 80),
        ("localhost", 80),
        ("", 80),
        ("0.0.0.0", 80),
        ("169.254.169.254", 80),
        ("::ffff:127.0.0.1", 80, 0, 0),
        ("fe80::1", 80, 0, 2),
        ("2606:4700::1", 80, 0, 2),
        "/run/docker.sock",
        b"\0abstract",
    ],
)
def test_the_guard_refuses_what_is_not_of_the_open_internet(address: object) -> None:
    for event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        guard = Guard(())
        family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        with pytest.raises(PermissionError):
            guard(event, (Sock(family), address))
        assert guard.refused
        # From then on everything is refused.
        with pytest.raises(PermissionError):
            guard(event, (Sock(socket.AF_INET), ("93.184.215.14", 443)))


def test_the_guard_lets_pass_what_is_public_or_allowed_and_starts_nothing() -> None:
    guard = Guard(LOOPBACK)
    guard("socket.connect", (Sock(socket.AF_INET), ("127.0.0.1", 80)))
    guard("socket.connect", (Sock(socket.AF_INET), ("93.184.215.14", 443)))
    guard("socket.sendmsg", (Sock(socket.AF_INET), None))
    guard("open", ("/etc/hostname", "r", 0))
    with pytest.raises(PermissionError):
        guard("subprocess.Popen", ("sh", ["sh"], None, None))
    assert not guard.refused


def test_no_log_has_a_channels_url_or_its_pieces() -> None:
    hook = f"https://hooks.example/services/{CANARY}-a?key={CANARY}-b"
    chat = f"tgram://{CANARY}-c:{CANARY}-d@{CANARY}-e/{CANARY}-f"
    for kind, url, pieces in (("webhook", hook, "ab"), ("apprise", chat, "cdef")):
        channel = AlertChannelSettings.model_validate({"kind": kind, "url": url})
        keep_out_of_logs(channel)
        for text in (url, f"failed: {url!r}", *(f"x {CANARY}-{piece} y" for piece in pieces)):
            assert CANARY not in logs.redact(text)
        assert CANARY not in repr(channel) and CANARY not in str(channel)
    assert logs.redact("https://hooks.example answers") == "https://hooks.example answers"
