"""The way out: only to the open internet, by whatever name, over whatever redirect, and never for long or much."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.outgoing import Outgoing, Refused, resolve, source_of
from edgebotd.protocol.addresses import is_near, is_public
from tests.outside import HANG, PNG, PUBLIC, Outside, answer, open_outside, redirect

PRIVATE = (
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",  # a cloud's metadata
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # another's
    "169.254.169.254",  # most clouds'
    "172.16.0.1",
    "192.0.0.192",  # another's
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::93.184.215.14",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d70e",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",  # Teredo
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:5db8:d70e::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # a cloud's metadata
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2606:4700::1%lo",
    "localhost",
    "",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_open_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e"])
def test_what_is_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses())
def test_nothing_public_is_private_by_the_library(address: IPv4Address | IPv6Address) -> None:
    assert not (is_public(str(address)) and address.is_private)


@pytest.mark.parametrize(
    ("address", "source", "near"),
    [
        ("93.184.215.14", "93.184.215.14", True),
        ("93.184.215.14", "93.184.215.15", False),
        ("2a02:8106:1:2::1", "2a02:8106:1:2:aaaa:bbbb:cccc:dddd", True),
        ("2a02:8106:1:3::1", "2a02:8106:1:2:aaaa:bbbb:cccc:dddd", False),
    ],
)
def test_this_machine_and_what_is_beside_it_is_near(address: str, source: str, *, near: bool) -> None:
    assert is_near(address, source) is near


async def test_names_and_ways_are_the_systems_own() -> None:
    assert await resolve("127.0.0.1") == ["127.0.0.1"]
    # Every spelling that the system takes for an address ends as the address that is looked at.
    for odd in ("127.1", "0x7f.1", "2130706433", "0177.0.0.1"):
        assert await resolve(odd) == ["127.0.0.1"]
    assert source_of("127.0.0.1") == "127.0.0.1"
    assert source_of("127.0.0.9") == "127.0.0.9" or source_of("127.0.0.9") == "127.0.0.1"


async def get(outside: Outside, url: str = "https://images.example/cat.png?token=s3cret", most: int = 1000) -> bytes:
    return await Outgoing(outside.network).get(url, accept="image/png", most=most)


async def refused(outside: Outside, url: str = "https://images.example/cat.png?token=s3cret", most: int = 1000) -> str:
    with pytest.raises(Refused) as caught:
        await get(outside, url, most)
    assert "s3cret" not in caught.value.detail
    assert caught.value.detail.endswith(".")
    assert 400 <= caught.value.status <= 504
    return caught.value.code


async def test_it_asks_the_checked_address_by_the_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "edgebotd")
    async with open_outside() as outside:
        outside.answers["/cat.png?token=s3cret"] = answer(PNG)
        assert await get(outside) == PNG
        (head,) = outside.asked
        lines = head.lower().split("\r\n")
        assert "host: images.example" in lines
        assert not any(line.startswith(("cookie", "authorization", "referer", "origin")) for line in lines)
        assert "edgebotd" not in head and "python" not in head.lower() and "httpx" not in head
        assert outside.placed == [PUBLIC]
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cat.png",
        "//images.example/cat.png",
        "http://images.example/cat.png",
        "ftp://images.example/",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://",
        "https:///cat.png",
        "https://ada@images.example/",
        "https://ada:s3cret@images.example/",
        "https://images.example:8443/",
        "https://images.example:80/",
        "https://[::1",
        "https://images.example:x/",
        "https://a b/",
        "https://" + "x" * 70_000 + "/",
    ],
)
async def test_words_that_are_no_such_address(url: str) -> None:
    async with open_outside() as outside:
        assert await refused(outside, url) == "bad_url"
        assert outside.placed == []


@pytest.mark.parametrize("address", [one for one in PRIVATE if one and one != "localhost"])
async def test_a_name_or_an_address_that_leads_inside(address: str) -> None:
    async with open_outside() as outside:
        outside.names["images.example"] = [[address]]
        assert await refused(outside) == "not_public"
        # Hidden between good ones too.
        outside.names["images.example"] = [[PUBLIC, address]]
        assert await refused(outside) == "not_public"
        assert outside.placed == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:7f00:1]"])
async def test_an_address_in_the_place_of_a_name(host: str) -> None:
    async with open_outside() as outside:
        real = replace(outside.network, resolve=resolve)
        with pytest.raises(Refused) as caught:
            await Outgoing(real).get(f"https://{host}/", accept="*/*", most=10)
        assert caught.value.code in ("not_public", "bad_url")
        assert outside.placed == []


async def test_this_machine_by_its_public_address() -> None:
    async with open_outside() as outside:
        outside.source = PUBLIC
        assert await refused(outside) == "not_public"
        outside.source = None
        assert await refused(outside) == "unreachable"
        assert outside.placed == []


async def test_a_name_that_leads_elsewhere_when_it_is_asked_again() -> None:
    async with open_outside() as outside:
        outside.names["images.example"] = [[PUBLIC], ["127.0.0.1"]]
        outside.answers["/cat.png?token=s3cret"] = answer(PNG)
        assert await get(outside) == PNG
        assert outside.placed == [PUBLIC]
        # Each redirect is a new question, and its answer is looked at again.
        outside.names["images.example"] = [[PUBLIC], ["127.0.0.1"]]
        outside.answers["/cat.png?token=s3cret"] = redirect("/again")
        assert await refused(outside) == "not_public"
        assert outside.placed == [PUBLIC, PUBLIC]


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://images.example/", "bad_url"),
        ("https://ada:s3cret@images.example/", "bad_url"),
        ("https://images.example:8443/", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("https://[", "bad_url"),
        ("https://inside.example/", "not_public"),
        ("https://no.example/", "unknown_name"),
        ("/", "too_many_redirects"),
    ],
)
async def test_a_redirect_to_where_nobody_may_go(location: str, code: str) -> None:
    async with open_outside() as outside:
        outside.names["inside.example"] = [["127.0.0.1"]]
        outside.answers |= {"/cat.png?token=s3cret": redirect(location), "/": redirect("/")}
        assert await refused(outside) == code
        assert len(outside.placed) == (4 if code == "too_many_redirects" else 1)


async def test_redirects_are_followed_without_cookies() -> None:
    async with open_outside() as outside:
        outside.answers |= {
            "/cat.png?token=s3cret": redirect("//other.example/a"),
            "/a": redirect("b"),
            "/b": redirect("https://images.example/c"),
            "/c": answer(PNG),
        }
        assert await get(outside) == PNG
        assert len(outside.asked) == 4
        assert not any("cookie" in head.lower() for head in outside.asked)


async def test_a_body_that_is_too_large() -> None:
    async with open_outside() as outside:
        endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n"
        outside.answers["/cat.png?token=s3cret"] = answer(b"x" * 1001)
        assert await refused(outside) == "too_large"
        outside.answers["/cat.png?token=s3cret"] = endless + b"1\r\nx\r\n" + HANG
        assert await refused(outside) == "too_large"
        outside.answers["/cat.png?token=s3cret"] = endless + b"0\r\n\r\n"
        assert len(await get(outside)) == 1000


async def test_nothing_is_unpacked() -> None:
    async with open_outside() as outside:
        packed = b"\x1f\x8b\x08 it says"
        outside.answers["/cat.png?token=s3cret"] = answer(packed, "Content-Encoding: gzip")
        assert await get(outside) == packed


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"])
async def test_a_server_that_is_slow(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr("edgebotd.outgoing.SECONDS", 0.2)
    async with open_outside() as outside:
        outside.answers["/cat.png?token=s3cret"] = begun + HANG
        assert await refused(outside) == "too_slow"


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"])
async def test_what_is_no_http(said: bytes) -> None:
    async with open_outside() as outside:
        outside.answers["/cat.png?token=s3cret"] = said
        assert await refused(outside) == "broken_off"


async def test_a_status_that_is_no_success() -> None:
    async with open_outside() as outside:
        assert await refused(outside) == "refused_there"
        outside.answers["/cat.png?token=s3cret"] = answer(b"", status="304 Not Modified")
        assert await refused(outside) == "refused_there"


async def test_a_certificate_of_another_name_or_of_nobody() -> None:
    async with open_outside() as outside:
        outside.names["stranger.example"] = [[PUBLIC]]
        assert await refused(outside, "https://stranger.example/") == "bad_certificate"
        assert await refused(outside, f"https://{PUBLIC}/") == "unknown_name"
        outside.names[PUBLIC] = [[PUBLIC]]
        assert await refused(outside, f"https://{PUBLIC}/") == "bad_certificate"
        assert outside.asked == []


async def test_another_address_is_tried_where_one_takes_no_connection() -> None:
    async with open_outside() as outside:
        outside.answers["/cat.png?token=s3cret"] = answer(PNG)
        outside.names["images.example"] = [["1.1.1.1", PUBLIC]]
        network = outside.network

        def place(address: str, port: int) -> tuple[str, int]:
            return ("127.0.0.1", 1) if address == "1.1.1.1" else network.place(address, port)

        outgoing = Outgoing(replace(network, place=place))
        assert await outgoing.get("https://images.example/cat.png?token=s3cret", accept="*/*", most=1000) == PNG
        outside.names["images.example"] = [["1.1.1.1"]]
        with pytest.raises(Refused, match="takes no connection"):
            await outgoing.get("https://images.example/cat.png?token=s3cret", accept="*/*", most=1000)


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with open_outside() as outside:
        outside.answers["/cat.png?token=s3cret"] = answer(PNG)
        assert await get(outside) == PNG


async def test_it_can_be_cancelled_anywhere() -> None:
    async with open_outside() as outside:
        outside.answers["/cat.png?token=s3cret"] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1" + HANG
        async with trio.open_nursery() as nursery:
            nursery.start_soon(get, outside)
            await outside.wait_asked(1)
            nursery.cancel_scope.cancel()
        outside.answers["/cat.png?token=s3cret"] = answer(PNG)
        assert await get(outside) == PNG
