"""The bots' containers in the page, over a real engine: what happens to one in a shell shows at once, and is done from
the page; its log follows, what it uses is drawn, and who may only watch sees how it is and nothing to press.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.axe import violations
from tests.browser.fresh import PASSWORD, Fresh
from tests.browser.house import DESK, PHONE, open_tabs, wait_live
from tests.peers.engine import BOT, PLAIN, DockerEngine
from tests.peers.process import PeerFailed, free_port

SOON_MS = 2000
"""In which the page must show what the engine tells."""

CONFIGURATION = """
[docker]
socket = "{socket}"
crash_limit = 2
"""
A_BOT = """
[bots.{name}]
kind = "openclaw"
name = "{title}"
url = "ws://127.0.0.1:{port}"
token = "nobody-answers"
container = "page-{name}"
"""


class Ship:
    """A daemon with three bots whose containers are the engine's; their gateways answer nobody."""

    def __init__(self, folder: Path, engine: DockerEngine) -> None:
        self.engine = engine
        dead = free_port()
        bots = (A_BOT.format(name=name, title=name.title(), port=dead) for name in ("atlas", "iris", "nova"))
        self.fresh = Fresh(folder, built_in=True, more=CONFIGURATION.format(socket=engine.socket) + "".join(bots))

    def put(self, name: str, image: str = BOT, **body: Any) -> None:
        """Give a bot a container that has just been started, in place of the one before."""
        self.remove(name)
        self.engine.run(f"page-{name}", image, **body)

    def remove(self, name: str) -> None:
        with suppress(PeerFailed):
            self.engine.api("DELETE", f"/containers/page-{name}?force=1")

    def do(self, name: str, what: str) -> None:
        """What somebody does in a shell: start, stop, pause, unpause, kill."""
        self.engine.api("POST", f"/containers/page-{name}/{what}")

    def open(self, context: BrowserContext, path: str, user: str = "ada") -> Page:
        """Open a tab at a path, logged in."""
        page = context.new_page()
        page.goto(self.fresh.origin + path)
        page.get_by_label("User").fill(user)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        wait_live(page)
        return page


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine) -> Iterator[Ship]:
    ship = Ship(tmp_path_factory.mktemp("ship"), engine)
    try:
        for arguments in (["user", "add", "ada", "--admin"], ["user", "add", "bob"]):
            ship.fresh.run(*arguments, text=f"{PASSWORD}\n")
        ship.fresh.run("user", "grant", "bob", "atlas", "view")
        yield ship
    finally:
        ship.fresh.program.close()
        for name in ("atlas", "iris", "nova"):
            ship.remove(name)


@pytest.fixture
def context(browser: Browser, ship: Ship) -> Iterator[BrowserContext]:
    with open_tabs(browser) as context:
        yield context


def row(page: Page, name: str) -> Locator:
    """Return a bot's row on the dashboard."""
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def state(page: Page, name: str) -> Locator:
    return row(page, name).locator(".c-state")


def head(page: Page) -> Locator:
    """Return how the container is, on its own page."""
    return page.locator(".cont-now")


def test_what_a_shell_does_shows_at_once(context: BrowserContext, ship: Ship) -> None:
    ship.put("atlas")
    page = ship.open(context, "/")
    expect(state(page, "Atlas")).to_contain_text("not connected")
    for act, words in (("pause", "paused"), ("unpause", "not connected"), ("stop", "stopped")):
        ship.do("atlas", act)
        expect(state(page, "Atlas")).to_contain_text(words, timeout=SOON_MS)
    ship.do("atlas", "start")
    expect(state(page, "Atlas")).not_to_contain_text("stopped", timeout=SOON_MS)
    ship.engine.shell("page-atlas", "rm /tmp/healthy")
    expect(state(page, "Atlas")).to_contain_text("unhealthy")
    page.get_by_role("searchbox").fill("unhealthy")
    expect(page.locator(".bot-row [data-row]")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    ship.remove("atlas")
    expect(state(page, "Atlas")).to_contain_text("container gone", timeout=SOON_MS)
    expect(page.locator(".needs")).to_contain_text("no container named page-atlas")


def test_it_is_stopped_and_started_from_the_list(context: BrowserContext, ship: Ship) -> None:
    ship.put("atlas")
    page = ship.open(context, "/")
    page.get_by_role("searchbox").fill("atlas")
    more = page.get_by_label("More for Atlas")
    more.focus()
    page.keyboard.press("Enter")
    expect(row(page, "Atlas").get_by_role("button", name="Restart…")).to_be_visible()
    assert violations(page) == []
    row(page, "Atlas").get_by_role("button", name="Stop…").click()
    dialog = page.get_by_role("dialog", name="Stop Atlas?")
    expect(dialog).to_contain_text("Kept are its conversations")
    expect(dialog.get_by_role("radio", name="Let it finish")).to_be_checked()
    assert violations(page) == []
    dialog.get_by_role("button", name="Stop").click()
    expect(state(page, "Atlas")).to_contain_text("stopped")
    expect(dialog).to_have_count(0)
    expect(more).to_be_focused()
    more.click()
    row(page, "Atlas").get_by_role("button", name="Start").click()
    expect(page.locator(".toast").last).to_contain_text("Atlas is being started")
    expect(state(page, "Atlas")).to_contain_text("not connected")


def test_a_stop_that_takes_its_time_says_so_and_can_be_quicker(context: BrowserContext, ship: Ship) -> None:
    ship.put("atlas", Env=["IGNORE_TERM=1"])
    page = ship.open(context, "/bots/atlas/container")
    expect(head(page)).to_contain_text("running, healthy")
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("dialog").get_by_role("radio", name="Stop it first").check()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(head(page)).to_contain_text("stopping")
    expect(page.locator(".going")).to_contain_text("It waits for it to end")
    # Asked twice not to wait: it is killed.
    for _ in range(2):
        page.get_by_role("button", name="Stop…").click()
        again = page.get_by_role("dialog", name="Atlas is being stopped")
        again.get_by_role("radio", name="Do not wait").check()
        again.get_by_role("button", name="Stop").click()
        expect(again).to_have_count(0)
    expect(head(page)).to_contain_text("ended, code 137")
    expect(page.locator(".going")).to_have_count(0)
    page.get_by_role("button", name="Start").click()
    expect(head(page)).to_contain_text("running")


def test_the_log_follows_until_somebody_reads(context: BrowserContext, ship: Ship) -> None:
    ship.put("atlas", Env=["TICK=0.1"])
    page = ship.open(context, "/bots/atlas/container")
    log = page.get_by_role("region", name="Log of Atlas")
    expect(log.get_by_text("bot: tick 40", exact=True)).to_be_attached()
    lines = log.locator(".log-text").all_inner_texts()
    ticks = [line for line in lines if re.fullmatch(r"bot: tick \d+", line)]
    # What was read and what was told are one: no line twice, none missing.
    assert ticks == [f"bot: tick {number}" for number in range(1, len(ticks) + 1)]
    bad = log.locator(".log-bad").last
    expect(bad).to_contain_text("bot: warn")
    expect(bad.get_by_title("error output")).to_have_text("err")
    assert log.evaluate("(box) => box.scrollHeight - box.scrollTop - box.clientHeight") < 24

    log.hover()
    page.mouse.wheel(0, -300)
    newer = page.get_by_role("button", name=re.compile("new lines"))
    expect(newer).to_be_visible()
    before = log.locator(".log-line").count()
    expect(newer).to_contain_text(re.compile(r"[1-9]\d new lines"))
    assert log.locator(".log-line").count() == before
    newer.click()
    expect(newer).to_have_count(0)
    assert log.evaluate("(box) => box.scrollHeight - box.scrollTop - box.clientHeight") < 24

    page.get_by_label("Which lines").select_option("stderr")
    expect(log).not_to_contain_text("tick")
    page.get_by_role("searchbox", name="Filter lines").fill("WARN 3")
    expect(log.locator(".log-text").first).to_have_text("bot: warn 3")
    expect(page.locator(".logs")).to_contain_text(re.compile(r"\d+ lines?"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    text = download.value.path().read_text()
    assert download.value.suggested_filename == "atlas.log"
    assert " stderr bot: warn 3\n" in text
    assert "tick" not in text
    # A break of the line loses nothing.
    page.get_by_role("searchbox", name="Filter lines").fill("")
    page.get_by_label("Which lines").select_option("all")
    context.set_offline(True)
    context.set_offline(False)
    expect(log.get_by_text(f"bot: tick {len(ticks) + 70}", exact=True)).to_be_attached()
    lines = log.locator(".log-text").all_inner_texts()
    ticks = [line for line in lines if re.fullmatch(r"bot: tick \d+", line)]
    assert ticks == [f"bot: tick {number}" for number in range(1, len(ticks) + 1)]


def test_what_it_uses_is_drawn_and_said(context: BrowserContext, ship: Ship) -> None:
    ship.put("atlas", HostConfig={"Memory": 64 << 20})
    page = ship.open(context, "/bots/atlas/container")
    memory = page.locator(".use").filter(has=page.get_by_role("heading", name="Memory"))
    expect(memory).to_contain_text("of 67.1 MB")
    expect(memory.get_by_role("img", name=re.compile(r"Memory, last 2 minutes: .+ on average"))).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("67.1 MB memory")
    expect(page.locator(".facts")).to_contain_text("the settings file names it")


def test_out_of_memory_and_a_loop_of_crashes_are_told_in_words(context: BrowserContext, ship: Ship) -> None:
    ship.put("nova", PLAIN, Env=["EAT_MEM=64"], HostConfig={"Memory": 16 << 20, "MemorySwap": 16 << 20})
    ship.put("iris", PLAIN, Env=["EXIT_AFTER=1", "EXIT_CODE=3"], HostConfig={"RestartPolicy": {"Name": "always"}})
    page = ship.open(context, "/")
    expect(state(page, "Nova")).to_contain_text("out of memory")
    needs = page.get_by_role("region", name="What needs a person")
    expect(needs).to_contain_text(re.compile(r"Iris ended by itself \d+ times"))
    # A tab that comes later knows it too.
    page.reload()
    wait_live(page)
    expect(needs).to_contain_text(re.compile(r"Iris ended by itself \d+ times"))
    needs.get_by_role("link", name="Look at it").click()
    expect(page).to_have_url(re.compile("/bots/iris/container"))
    crash = page.locator(".crash").first
    expect(crash).to_contain_text("It ended with exit code 3.")
    crash.locator("summary").click()
    expect(crash.get_by_role("region")).to_contain_text("bot: exiting 3")
    assert violations(page) == []
    page.goto(f"{ship.fresh.origin}/bots/nova/container")
    expect(head(page)).to_contain_text("out of memory")
    expect(page.locator(".cont-why")).to_have_text("It needed more memory than it may have, and was killed.")
    ship.remove("iris")


def test_who_may_only_watch_sees_how_it_is_and_nothing_to_press(context: BrowserContext, ship: Ship) -> None:
    ship.put("atlas")
    page = ship.open(context, "/", "bob")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.get_by_label("More for Atlas")).to_have_count(0)
    expect(page.locator("footer")).not_to_contain_text("Docker")
    page.goto(f"{ship.fresh.origin}/bots/atlas/container")
    expect(head(page)).to_contain_text("running")
    expect(page.get_by_role("img", name=re.compile("Memory, last 2 minutes: .+ on average"))).to_be_visible()
    assert page.get_by_role("main").get_by_role("button").all_inner_texts() == []
    expect(page.locator(".log, .crash")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_its_page(browser: Browser, ship: Ship, scheme: Any) -> None:
    ship.put("atlas")
    with open_tabs(browser, DESK, color_scheme=scheme) as context:
        page = ship.open(context, "/bots/atlas/container")
        for viewport in (DESK, PHONE):
            page.set_viewport_size(viewport)
            expect(page.locator(".log-bad").first).to_be_attached()
            expect(page.locator(".sparkline").first).to_be_attached()
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


def test_an_engine_that_goes_away_leaves_its_bots_unknown(
    context: BrowserContext, ship: Ship, breakable_engine: DockerEngine
) -> None:
    ship.put("atlas")
    page = ship.open(context, "/")
    expect(page.locator("footer")).to_contain_text("Docker")
    expect(state(page, "Atlas")).to_contain_text("not connected")
    breakable_engine.kill()
    expect(state(page, "Atlas")).to_contain_text("unknown, engine stopped", timeout=SOON_MS)
    expect(page.locator(".needs")).to_contain_text("Container engine")
    expect(page.locator("footer")).to_contain_text("Docker down")
    breakable_engine.start()
    expect(state(page, "Atlas")).not_to_contain_text("unknown")
    expect(page.locator(".needs")).not_to_contain_text("Container engine")


def test_lines_are_kept_in_order_and_bounded(context: BrowserContext, ship: Ship) -> None:
    page = ship.open(context, "/")
    base = page.evaluate("document.querySelector('script[type=module]').src.replace('main.js', '')")
    found = page.evaluate(
        """async (base) => {
            const { LogTail, chunks, passing, LIMIT } = await import(base + "container/log-tail.js");
            const { pathOf, range } = await import(base + "parts/sparkline.js");
            const line = (at, text, stream = "stdout") => ({ at, stream, text });
            const tail = new LogTail();
            tail.add([line(5, "told"), line(6, "\\u001b[31mred\\u001b[0m", "stderr")]);
            const red = line(6, "\\u001b[31mred\\u001b[0m", "stderr");
            tail.merge([line(1, "old"), line(5, "told"), line(5, "told"), red, line(7, "before")]);
            // Read before it was told.
            tail.add([line(7, "before")]);
            tail.add([line(7, "after")], 3);
            const texts = tail.lines.map(({ text, missed }) => missed ?? text);
            const bad = passing(tail.lines, { text: " RED", stderr: true }).map(({ text }) => text);
            const many = new LogTail();
            for (let index = 0; index < 60; index += 1) {
                many.add(Array.from({ length: 100 }, (_, number) => line(index, `${index} ${number}`)));
            }
            const parts = chunks(many.lines);
            const frame = { from: 0, until: 120, most: 10 };
            const points = [0, 5, 10, 100].map((at) => ({ at, value: at === 5 ? null : at / 10 }));
            return {
                texts, bad, limit: LIMIT, kept: many.lines.length, cut: many.cut, first: many.lines[0].text,
                parts: parts.length, path: pathOf(points, frame), range: range(points), none: range([]),
            };
        }""",
        base,
    )
    assert found["texts"] == ["old", "told", "told", "red", "before", 3, "after"]
    assert found["bad"] == ["red"]
    assert (found["kept"], found["cut"], found["first"]) == (found["limit"], True, "10 0")
    assert found["parts"] in (50, 51)
    # A hole where nothing was measured, and where too much time has passed: three pieces.
    assert found["path"].count("M") == 3
    assert found["range"] == {"least": 0, "most": 10, "average": pytest.approx(11 / 3)}
    assert found["none"] is None
