"""Images from elsewhere: who may have one fetched, what is given back, and what is not."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from edgebotd.access import Grant, Scope
from edgebotd.outgoing import Outgoing
from edgebotd.web.remote_image import AT_ONCE, RemoteImages, media_type_of
from tests.outside import HANG, PNG, answer, open_outside, redirect
from tests.web.house import open_house

PATH = "/api/bots/own/remote-image"
URL = "https://images.example/cat.png?token=s3cret"

IMAGES = {
    PNG: "image/png",
    b"\xff\xd8\xff\xe0\0\x10JFIF": "image/jpeg",
    b"GIF89a\1\0\1\0": "image/gif",
    b"GIF87a\1\0\1\0": "image/gif",
    b"RIFF\x1a\0\0\0WEBPVP8L": "image/webp",
    b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf": "image/avif",
    b"\0\0\0\x18ftypmif1\0\0\0\0mif1avis": "image/avif",
}
OTHERS = (
    b"",
    b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
    b"<?xml version='1.0'?><svg/>",
    b"<!doctype html>",
    b"\x89PNG",
    b"RIFF\x1a\0\0\0WAVEfmt ",
    b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    b"\0\0\0\x10ftypmp42avif",  # the version, which is no brand
    b"\0\0\0\x10ftypmp42\0\0\0\0avif",  # behind the box
    b"\xff\xff\xff\xffftyp" + b"\0" * 400 + b"avif",
    b"BM\0\0",
    b"\x1f\x8b\x08",
    b" GIF89a",
)


def test_types_are_told_by_how_the_bytes_begin() -> None:
    assert {data: media_type_of(data) for data in IMAGES} == IMAGES
    assert [data for data in OTHERS if media_type_of(data) is not None] == []


async def test_an_image_is_fetched_and_given_as_what_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "edgebotd")
    async with open_outside() as outside, open_house(images=RemoteImages(Outgoing(outside.network))) as house:
        await house.user("ann", own=Grant.VIEW)
        ann = await house.signed_in("ann")
        outside.answers |= {"/cat.png?token=s3cret": redirect("/real"), "/real": answer(PNG, "Content-Type: text/html")}
        given = await ann.post(PATH, {"url": URL})
        assert (given.status, given.body, given.header("content-type")) == (200, PNG, "image/png")
        assert given.header("content-security-policy") == "default-src 'none'; sandbox"
        assert given.header("x-content-type-options") == "nosniff"
        assert given.header("cache-control") == "no-store"
        outside.answers["/real"] = answer(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "Content-Type: image/svg+xml")
        refused = await ann.post(PATH, {"url": URL})
        assert (refused.status, refused.code) == (502, "not_an_image")
        outside.names["images.example"] = [["169.254.169.254"]]
        refused = await ann.post(PATH, {"url": URL})
        assert (refused.status, refused.code) == (400, "not_public")
        assert "169.254" not in refused.json["detail"]
        assert (await ann.get("/api/me")).json["remoteImages"] is True
    assert "s3cret" not in caplog.text and "images.example" not in caplog.text


async def test_who_may_have_one_fetched() -> None:
    async with open_outside() as outside, open_house(images=RemoteImages(Outgoing(outside.network))) as house:
        outside.answers["/cat.png?token=s3cret"] = answer(PNG)
        await house.user("ann", own=Grant.VIEW)
        await house.user("root", admin=True)
        ann, root = await house.signed_in("ann"), await house.signed_in("root")
        body = {"url": URL}
        assert (await house.client.post(PATH, body)).status == 401
        assert (await ann.post("/api/bots/other/remote-image", body)).status == 404
        assert (await root.post("/api/bots/absent/remote-image", body)).status == 404
        # From a page of elsewhere, or as such a page can send it without asking.
        assert (await ann.request("POST", PATH, body, headers={"origin": "https://evil.example"})).status == 403
        foreign = await ann.request("POST", PATH, body, headers={"content-type": "text/plain"})
        assert (foreign.status, foreign.code) == (400, "unsupported_media_type")
        assert (await ann.post(PATH, {"url": "https://images.example/" + "x" * 5000})).status == 400
        assert outside.asked == []
        token = house.client.with_token(await house.token("ann", Scope.READ))
        assert (await token.post(PATH, body)).status == 200


async def test_a_few_at_once_for_each_person() -> None:
    async with open_outside() as outside, open_house(images=RemoteImages(Outgoing(outside.network))) as house:
        for user_id in ("ann", "ben"):
            await house.user(user_id, own=Grant.VIEW)
        ann, ben = await house.signed_in("ann"), await house.signed_in("ben")
        outside.answers |= {"/slow": HANG, "/cat.png": answer(PNG)}
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(ann.post, PATH, {"url": "https://images.example/slow"})
            await outside.wait_asked(AT_ONCE)
            full = await ann.post(PATH, {"url": "https://images.example/cat.png"})
            assert (full.status, full.code, full.header("retry-after")) == (429, "too_many_images", "2")
            assert (await ben.post(PATH, {"url": "https://images.example/cat.png"})).status == 200
            nursery.cancel_scope.cancel()
        assert (await ann.post(PATH, {"url": "https://images.example/cat.png"})).status == 200


async def test_where_it_is_turned_off(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann", own=Grant.VIEW)
        ann = await house.signed_in("ann")
        refused = await ann.post(PATH, {"url": URL})
        assert (refused.status, refused.code) == (403, "remote_images_off")
        assert (await ann.get("/api/me")).json["remoteImages"] is False
