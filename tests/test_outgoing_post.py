"""What is sent: only to the open internet and to what the operator allows, to the address that was looked at."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import ip_network

import pytest

from edgebotd.outgoing import Outgoing, Posted, Refused, resolve
from edgebotd.protocol.addresses import is_within
from tests.outside import HANG, PUBLIC, Outside, answer, open_outside, redirect
from tests.receiver import open_receiver, status

LOOPBACK = (ip_network("127.0.0.0/8"),)
HOOK = "https://images.example/hook/c4nary-s3cret?token=s3cret"


async def post(outside: Outside, url: str = HOOK, *, allow: bool = False) -> Posted:
    outgoing = Outgoing(outside.network, LOOPBACK if allow else ())
    return await outgoing.post(url, b"{}", headers={"Content-Type": "application/json"})


async def refused(outside: Outside, url: str = HOOK, *, allow: bool = False) -> str:
    with pytest.raises(Refused) as caught:
        await post(outside, url, allow=allow)
    assert "s3cret" not in str(caught.value) and caught.value.detail.endswith(".")
    return caught.value.code


async def test_it_posts_to_the_checked_address_by_the_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "edgebotd")
    async with open_outside() as outside:
        outside.answers["/hook/c4nary-s3cret?token=s3cret"] = answer(b"")
        assert await post(outside) == Posted(200)
        assert "host: images.example" in outside.asked[0].lower().split("\r\n")
        assert outside.placed == [PUBLIC]
        outside.answers["/hook/c4nary-s3cret?token=s3cret"] = answer(b"", "Retry-After: 7", status="429 No")
        assert await post(outside) == Posted(429, 7)
        outside.answers["/hook/c4nary-s3cret?token=s3cret"] = answer(
            b"", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", status="503 No"
        )
        assert await post(outside) == Posted(503)
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "url", ["", "//images.example/", "ftp://images.example/", "https://", "https://a:s3cret@images.example/"]
)
async def test_words_that_are_no_such_address(url: str) -> None:
    async with open_outside() as outside:
        assert await refused(outside, url) == "bad_url"
        assert outside.placed == []


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "::", "127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"],
)
async def test_a_name_that_leads_inside(address: str) -> None:
    async with open_outside() as outside:
        for names in ([address], [PUBLIC, address]):
            outside.names["images.example"] = [names]
            assert await refused(outside) == "not_public"
        assert outside.placed == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_this_machine_by_any_name(scheme: str, host: str) -> None:
    async with open_receiver() as receiver:
        with pytest.raises(Refused) as caught:
            await Outgoing().post(f"{scheme}://{host}:{receiver.port}/", b"", headers={})
        assert caught.value.code == "not_public"
        assert receiver.taken == []


async def test_a_name_that_leads_elsewhere_when_it_is_connected_to() -> None:
    async with open_outside() as outside:
        outside.names["images.example"] = [[PUBLIC], ["127.0.0.1"]]
        outside.answers["/hook/c4nary-s3cret?token=s3cret"] = answer(b"")
        assert (await post(outside)).status == 200
        assert outside.placed == [PUBLIC]
        assert await refused(outside) == "not_public"


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data/", "/again", "https://other.example/"])
async def test_no_redirect_is_followed(location: str) -> None:
    async with open_outside() as outside:
        outside.answers["/hook/c4nary-s3cret?token=s3cret"] = redirect(location)
        assert await refused(outside) == "redirected"
        assert len(outside.placed) == 1


async def test_http_is_for_allowed_addresses_only() -> None:
    async with open_outside() as outside, open_receiver() as receiver:
        assert await refused(outside, "http://images.example/") == "plain"
        outside.names["home.example"] = [["127.0.0.1"]]
        home = replace(outside.network, place=lambda address, port: (address, port))
        url = f"http://home.example:{receiver.port}/hook?token=s3cret"
        assert await Outgoing(home, LOOPBACK).post(url, b"{}", headers={}) == Posted(200)
        (taken,) = receiver.taken
        assert (taken.method, taken.path, taken.body) == ("POST", "/hook?token=s3cret", b"{}")
        assert taken.headers["host"] == f"home.example:{receiver.port}"
        # Beside one that is not allowed it is not asked by http, and what is not public not at all.
        outside.names["home.example"] = [["127.0.0.1", PUBLIC]]
        assert await refused(outside, url, allow=True) == "plain"
        outside.names["home.example"] = [["127.0.0.1", "10.0.0.1"]]
        assert await refused(outside, url, allow=True) == "not_public"
        outside.names["home.example"] = [["::ffff:127.0.0.1"]]
        assert await refused(outside, url, allow=True) == "not_public"
        assert len(receiver.taken) == 1
        receiver.answers.append(status("302 Found", "Location: http://127.0.0.1/"))
        with pytest.raises(Refused, match="leads on"):
            await Outgoing(replace(home, resolve=resolve), LOOPBACK).post(receiver.url, b"", headers={})


async def test_a_server_that_is_slow_or_speaks_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_outside() as outside:
        outside.answers["/hook/c4nary-s3cret?token=s3cret"] = b"SSH-2.0-x\r\n\r\n"
        assert await refused(outside) == "broken_off"
        monkeypatch.setattr("edgebotd.outgoing.SECONDS", 0.2)
        outside.answers["/hook/c4nary-s3cret?token=s3cret"] = HANG
        assert await refused(outside) == "too_slow"


@pytest.mark.parametrize(
    ("address", "network", "within"),
    [
        ("192.168.1.7", "192.168.1.0/24", True),
        ("192.168.2.7", "192.168.1.0/24", False),
        ("::ffff:192.168.1.7", "192.168.1.0/24", False),
        ("::ffff:192.168.1.7", "::ffff:0:0/96", False),
        ("fd00::7", "fd00::/64", True),
        ("fd00::7%lo", "fd00::/64", False),
        ("fd00::7", "192.168.1.0/24", False),
        ("localhost", "127.0.0.0/8", False),
        ("127.1", "127.0.0.0/8", False),
        ("", "0.0.0.0/0", False),
    ],
)
def test_what_is_of_a_network(address: str, network: str, *, within: bool) -> None:
    assert is_within(address, (ip_network(network),)) is within
