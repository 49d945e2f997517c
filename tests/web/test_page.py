"""The page's files: named by their hash, compressed once, fetched together, and nothing else below their folder."""

from __future__ import annotations

import gzip
import json
import posixpath
import re
import struct
from html.parser import HTMLParser
from typing import Any

import pytest
from trio.testing import MockClock
from typing_extensions import override

from edgebotd.errors import NotFound
from edgebotd.web.routes.page import DIRECTORY, ENTRY, MEDIA_TYPES, Files, imports_of, read_files
from tests.ui.icons import ICONS
from tests.web.house import open_house

FIRST_LOAD_BYTES = 150_000


class Links(HTMLParser):
    """What the page asks for, in order, and what it must not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.inline: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link":
            self.found.append((given["rel"], given["href"]))
        elif tag == "script" and "src" in given:
            self.found.append((given.get("type", "script"), given["src"]))
        elif tag in ("script", "style"):
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]


def links_of(files: Files) -> Links:
    links = Links()
    links.feed(files.index.data.decode())
    return links


def made(**modules: str) -> Files:
    index = "<script src='/ui/{version}/main.js' type=module></script><!-- modules -->"
    named = {name.replace("__", "/") + ".js": source.encode() for name, source in modules.items()}
    return Files({"index.html": index.encode(), **named})


def preloaded(files: Files) -> set[str]:
    prefix = f"/ui/{files.version}/"
    found = [address for kind, address in links_of(files).found if kind == "modulepreload"]
    assert len(set(found)) == len(found) and all(address.startswith(prefix) for address in found)
    return {address.removeprefix(prefix) for address in found}


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ('import { a, b as c } from "./a.js";\nimport "./b.js";', ["./a.js", "./b.js"]),
        ("import d, * as e from '../c.js'", ["../c.js"]),
        ('import {\n  a,\n  $b, // why\n} from "./d.js";', ["./d.js"]),
        ('export * from "./e.js";\nexport { default as x } from "./f.js";', ["./e.js", "./f.js"]),
        ('var a=1;import{b as c}from"./g.js";export{c}from"./h.js";', ["./g.js", "./h.js"]),
        ('  const x = () => import("./lazy.js");\n  import("./lazier.js");\n', []),
        ('export function load() {\n  return import("./lazy.js");\n}\nexport const path = "./x.js";', []),
        ('/** @typedef {import("./types.js").T} T */\nimport bare from "elsewhere";', []),
    ],
)
def test_static_imports_are_told_from_those_that_wait(source: str, imported: list[str]) -> None:
    assert imports_of(source) == imported


def test_what_the_entry_imports_is_fetched_with_it_and_nothing_else() -> None:
    files = made(
        main='import { a } from "./parts/a.js";\nconst later = () => import("./later.js");',
        parts__a='import "../b.js";\nimport "./missing.js";',
        b='import "./main.js";\nimport "./parts/a.js";',  # a cycle
        later='import "./latest.js";',
        latest="",
        alone="",
    )
    assert preloaded(files) == {"main.js", "parts/a.js", "b.js"}


def test_the_pages_own_first_modules_are_the_ones_that_are_named() -> None:
    # Another way to the same: whatever is written after `from` or `import` and is no call, line by line.
    seen, waiting = {ENTRY}, [ENTRY]
    while waiting:
        name = waiting.pop()
        source = re.sub(r"^\s*(//|\*|/\*).*$", "", (DIRECTORY / name).read_text(), flags=re.M)
        for path in re.findall(r"""\b(?:from|import)\s*["'](\.[^"']+)["']""", source):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            assert (DIRECTORY / target).is_file(), f"{name} imports {path}, which is not there"
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    assert preloaded(read_files()) == seen


async def test_below_the_hash_a_file_is_for_good_and_beside_it_asked_for_again(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        version = read_files().version
        hashed = await house.client.get(f"/ui/{version}/main.js")
        assert hashed.header("cache-control") == "public, max-age=31536000, immutable"
        plain = await house.client.get("/ui/main.js")
        assert (plain.header("cache-control"), plain.body) == ("no-cache", hashed.body)
        assert (await house.client.get("/")).header("cache-control") == "no-cache"
        for path in (
            f"/ui/{version}",
            f"/ui/{version}/",
            f"/ui/{'0' * 16}/main.js",
            f"/ui/{version}/{version}/main.js",
        ):
            assert (await house.client.get(path)).status == 404, path


def test_any_change_of_a_file_is_another_address_for_all() -> None:
    one, other, renamed = made(main="1", a="2"), made(main="1", a="3"), made(main="1", b="2")
    assert len({one.version, other.version, renamed.version}) == 3
    assert made(main="1", a="2").version == one.version


@pytest.mark.parametrize("path", ["/", "/ui/main.js", "/ui/style/base.css", "/ui/icon.svg", "/ui/app.webmanifest"])
async def test_a_file_is_compressed_for_who_takes_it(autojump_clock: MockClock, path: str) -> None:
    async with open_house() as house:
        plain = await house.client.get(path)
        assert plain.header("content-encoding") is None
        for accepted in ("gzip", "br, GZIP;q=0.5", "deflate,gzip"):
            packed = await house.client.get(path, accept_encoding=accepted)
            assert packed.header("content-encoding") == "gzip" and gzip.decompress(packed.body) == plain.body
            assert len(packed.body) < len(plain.body)
            assert packed.header("etag") == plain.header("etag") and packed.header("vary") == "Accept-Encoding"
        for refused in ("gzip;q=0", "gzip; q=0.0", "br", "identity", "xgzip"):
            assert (await house.client.get(path, accept_encoding=refused)).body == plain.body, refused


async def test_a_picture_is_not_compressed_twice(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        answer = await house.client.get("/ui/icon-192.png", accept_encoding="gzip")
        assert (answer.header("content-type"), answer.header("content-encoding")) == ("image/png", None)


@pytest.mark.parametrize("path", ["/", "/bots/atlas", "/ui/main.js", "/ui/icon-192.png"])
async def test_what_is_known_already_is_not_sent_again(autojump_clock: MockClock, path: str) -> None:
    async with open_house() as house:
        tag = (await house.client.get(path)).header("etag") or ""
        # A proxy that compressed on its own has made it weak; others may be asked about too.
        for known in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
            again = await house.client.get(path, if_none_match=known, accept_encoding="gzip")
            assert (again.status, again.body, again.header("etag")) == (304, b"", tag)
            assert again.header("cache-control")
        for other in ('"other"', "", f"{tag}x"):
            assert (await house.client.get(path, if_none_match=other)).status == 200


async def test_the_first_load_is_small(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        index = await house.client.get("/", accept_encoding="gzip")
        sizes = {"/": len(index.body)}
        for kind, address in links_of(read_files()).found:
            if kind in ("script", "module", "modulepreload", "stylesheet"):
                answer = await house.client.get(address, accept_encoding="gzip")
                assert answer.status == 200, address
                sizes[address] = len(answer.body)
        assert len(sizes) > 10
        assert sum(sizes.values()) < FIRST_LOAD_BYTES, sorted(sizes.items(), key=lambda pair: -pair[1])[:10]


async def test_every_file_below_the_folder_is_served_or_known_not_to_be(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        files = read_files()
        for path in DIRECTORY.rglob("*"):
            if not path.is_file():
                continue
            name = path.relative_to(DIRECTORY).as_posix()
            answer = await house.client.get(f"/ui/{files.version}/{name}")
            if path.suffix in MEDIA_TYPES:
                assert (answer.status, answer.header("content-type")) == (200, MEDIA_TYPES[path.suffix]), name
                assert answer.body == path.read_bytes()
            else:
                assert answer.status == 404, name
                assert path.name.startswith("LICENSE") or name.endswith((".d.ts", ".json")), name
        with pytest.raises(NotFound):
            files.get("../app.py")


async def test_the_page_says_itself_where_things_may_come_from(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        page = await house.client.get("/chat/atlas")
        rules = dict(
            rule.strip().partition(" ")[::2] for rule in (page.header("content-security-policy") or "").split(";")
        )
        assert rules["default-src"] == "'self'"
        assert rules["img-src"] == "'self' blob:"
        assert not {"script-src", "style-src", "connect-src"} & rules.keys(), "all as default-src says"
        assert "unsafe" not in str(rules) and "http" not in str(rules)
        assert page.header("x-content-type-options") == "nosniff"
        links = links_of(read_files())
        assert not links.inline
        assert all(address.startswith("/ui/") for _, address in links.found)


async def test_the_page_is_at_its_own_paths_only(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.user("ann")
        ann = await house.signed_in("ann")
        index = (await house.client.get("/")).body
        for path in (
            "/chat",
            "/chat/atlas",
            "/bots/x",
            "/bots/x/activity",
            "/admin",
            "/admin/users",
            "/account",
            "/accounts/a%3Ab",
        ):
            for client in (house.client, ann):
                answer = await client.get(path)
                assert (answer.status, answer.body) == (200, index), path
        for path in ("/nothing", "/chats", "/account/x", "/index.html", "/favicon.ico"):
            assert (await ann.get(path)).status == 404, path
            assert (await house.client.get(path)).status == 401, "unknown paths tell nothing without a credential"


async def test_a_browser_gets_the_page_where_there_is_nothing_and_a_program_json(autojump_clock: MockClock) -> None:
    words = "text/html,application/xhtml+xml,*/*;q=0.8"
    async with open_house() as house:
        await house.user("ann")
        ann = await house.signed_in("ann")
        index = (await house.client.get("/")).body
        for client in (house.client, ann):
            answer = await client.get("/nothing", accept=words)
            assert (answer.status, answer.body) == (404, index)
            assert answer.header("content-type") == "text/html; charset=utf-8"
            assert answer.header("cache-control") == "no-store"
            assert "default-src 'self'" in (answer.header("content-security-policy") or "")
            packed = await client.get("/account/x", accept=words, accept_encoding="gzip")
            assert (packed.status, gzip.decompress(packed.body)) == (404, index)
            for path in ("/api/nothing", "/ui/nothing.js", "/ws/nothing"):
                answer = await client.get(path, accept=words)
                assert answer.header("content-type") == "application/problem+json", path
            posted = await client.request("POST", "/nothing", headers={"accept": words})
            assert posted.header("content-type") == "application/problem+json"
        assert (await ann.get("/nothing", accept="*/*")).code == "not_found"


def size_of_png(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


async def test_the_page_can_be_installed(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        found = dict(links_of(read_files()).found)
        answer = await house.client.get(found["manifest"])
        assert answer.header("content-type") == "application/manifest+json"
        manifest: dict[str, Any] = json.loads(answer.body)
        assert {"id", "name", "short_name", "start_url", "scope", "display", "theme_color"} <= manifest.keys()
        shown = [manifest["start_url"], *(one["url"] for one in manifest["shortcuts"])]
        assert [(await house.client.get(path)).status for path in shown] == [200] * len(shown)
        purposes = set()
        for icon in manifest["icons"]:
            picture = await house.client.get(icon["src"])
            assert (picture.status, picture.header("content-type")) == (200, icon["type"])
            if icon["type"] == "image/png":
                assert icon["sizes"] == "{}x{}".format(*size_of_png(picture.body))
            purposes.add((icon["sizes"], icon.get("purpose", "any")))
        assert {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")} <= purposes
        assert found["apple-touch-icon"] == "/ui/apple-touch-icon.png"
        for name, wanted in ICONS.items():
            data = (DIRECTORY / name).read_bytes()
            assert size_of_png(data) == (wanted.size, wanted.size)
            assert len(data) < 20_000, name
