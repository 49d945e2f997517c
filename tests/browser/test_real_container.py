"""A real OpenClaw gateway in a container, from the wizard to its removal, and one that ran before, adopted.

No answer is made up here: what the page promises is what happens.
"""

from __future__ import annotations

import dataclasses
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.fresh import PASSWORD, Fresh
from tests.browser.house import open_tabs, wait_live
from tests.browser.inside import containers, gateway_config, open_inside
from tests.browser.talk import replies, send
from tests.peers.engine import DockerEngine
from tests.peers.install import CURRENT, PeerUnavailable
from tests.peers.model import FakeModel, running_model
from tests.peers.openclaw_image import PORT, STATE, openclaw_image, provide, reference
from tests.peers.test_adopt import NAME as THEIRS
from tests.peers.test_adopt import configuration
from tests.support import require_or_skip

GATEWAY_MS = 240_000
"""A gateway's start and a turn on it take their time on two cores."""
NEXT = reference("next")
"""The same again by another name: fetched and put in place like another version, at no cost."""


@pytest.fixture(scope="module")
def model(engine: DockerEngine) -> Iterator[FakeModel]:
    try:
        provide(engine)
    except PeerUnavailable as error:
        require_or_skip(str(error))
    whole = openclaw_image()
    labels = {**whole.config["Labels"], "edgebotd.release": "next"}
    engine.publish(dataclasses.replace(whole, tag=NEXT, config={**whole.config, "Labels": labels}))
    with running_model(delay=0.02, engine=engine) as running:
        yield running


@pytest.fixture
def fresh(breakable_engine: DockerEngine, model: FakeModel, tmp_path: Path) -> Iterator[Fresh]:
    with open_inside(tmp_path, breakable_engine) as fresh:
        yield fresh


def enter(page: Page, fresh: Fresh) -> None:
    page.goto(fresh.origin)
    page.get_by_label("User").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    wait_live(page)


def step(page: Page, name: str) -> Locator:
    return page.locator(".work-step", has=page.get_by_role("heading", name=name, exact=True))


def verdict(page: Page, words: str) -> None:
    """Wait until an operation has ended so."""
    expect(page.locator(".work-verdict").get_by_role("status")).to_have_text(words, timeout=GATEWAY_MS)


def go_on(page: Page, words: str) -> None:
    """Send what the bot says after."""
    send(page, f"[[say {words}]]")
    expect(replies(page).last).to_contain_text(words, timeout=GATEWAY_MS)


def kept_messages(fresh: Fresh) -> int:
    """Return how many messages the store has."""
    with closing(sqlite3.connect(f"file:{fresh.socket.parent}/state/edgebotd.db?mode=ro", uri=True)) as conn:
        return int(conn.execute("SELECT count(*) FROM messages").fetchone()[0])


def state(page: Page) -> Locator:
    return page.locator(".cont-now")


def test_a_bot_is_made_talked_with_stopped_made_anew_upgraded_started_and_taken_away(
    browser: Browser, fresh: Fresh, model: FakeModel, breakable_engine: DockerEngine
) -> None:
    with open_tabs(browser) as context:
        page = context.new_page()
        enter(page, fresh)
        page.goto(f"{fresh.origin}/operations/new")
        wait_live(page)
        page.get_by_label("Name", exact=True).fill("Claw")
        for words in ("Environment", "Advanced"):
            page.locator("summary", has_text=words).click()
        page.get_by_role("button", name="Add a variable").click()
        page.get_by_label("Variable's name").fill("FAKE_KEY")
        page.get_by_label("Kind of value").select_option("secret")
        page.get_by_label("Secret's name").select_option("fake")
        page.get_by_label("The gateway's configuration").fill(gateway_config(model))
        page.get_by_role("button", name="Make the bot").click()
        expect(page).to_have_url(re.compile("/operations/op_"))
        place = page.url
        expect(step(page, "Start it")).to_contain_text("It runs, on port", timeout=GATEWAY_MS)
        page.reload()
        expect(step(page, "Start it")).to_contain_text("It runs, on port")
        # The line of a step that began after the reload: told, not read.
        expect(step(page, "First hello")).to_contain_text(f"Connected: OpenClaw {CURRENT}.", timeout=GATEWAY_MS)
        verdict(page, "The bot is there, and has said hello.")
        assert page.url == place
        page.get_by_role("link", name="Open the chat").click()
        expect(page).to_have_url(re.compile("/chat/claw"))
        go_on(page, "in a box")

        page.goto(f"{fresh.origin}/bots/claw/container")
        expect(state(page)).to_contain_text("running")
        page.get_by_role("button", name="Stop…").click()
        page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        expect(state(page)).to_contain_text("stopping")
        expect(state(page)).to_contain_text("stopped", timeout=GATEWAY_MS)
        # To a stopped one it is done without a start of a gateway; the one that follows shows that all of it was right.
        before = containers(breakable_engine)["edgebotd-claw"]["Id"]
        page.get_by_role("button", name="Recreate…").click()
        page.get_by_role("dialog").get_by_role("button", name="Recreate").click()
        verdict(page, "The bot has a new container.")
        assert containers(breakable_engine)["edgebotd-claw"]["Id"] != before

        page.get_by_role("link", name="About the bot").click()
        page.get_by_role("link", name="Container").click()
        page.get_by_role("button", name="Upgrade…").click()
        page.get_by_label("New image").fill(NEXT)
        page.get_by_role("dialog").get_by_role("button", name="Upgrade").click()
        verdict(page, "The bot has its new image.")
        expect(step(page, "Try it")).to_contain_text("Left out, as it was stopped.")
        page.goto(f"{fresh.origin}/bots/claw/container")
        expect(page.locator(".facts")).to_contain_text(NEXT)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text("Claw is being started")).to_be_visible()
        page.goto(f"{fresh.origin}/chat/claw")
        page.locator("a.conversation").first.click()
        expect(page.get_by_text("is not connected")).to_have_count(0, timeout=GATEWAY_MS)
        go_on(page, "the same bot")
        expect(replies(page).first).to_contain_text("in a box")

        page.goto(f"{fresh.origin}/bots/claw/about")
        page.get_by_role("button", name="Remove").click()
        removal = page.get_by_role("dialog", name="Remove Claw?")
        removal.get_by_label("its memory and files").uncheck()
        removal.get_by_role("button", name="Remove").click()
        verdict(page, "The bot is removed.")
        assert containers(breakable_engine) == {}
        assert kept_messages(fresh) == 4


@pytest.mark.heavy  # a minute; tests/peers/test_adopt.py goes the same way without the page
def test_a_gateway_that_ran_before_is_listed_adopted_talked_with_and_taken_over(
    browser: Browser, fresh: Fresh, model: FakeModel, breakable_engine: DockerEngine
) -> None:
    engine = breakable_engine
    host = {"PortBindings": {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}, "Binds": [f"claw:{STATE}"]}
    engine.run(THEIRS, reference(), start=False, HostConfig=host)
    path = f"/containers/{THEIRS}/archive?path={STATE}"
    engine.api("PUT", path, content=configuration(model), content_type="application/x-tar")
    engine.api("POST", f"/containers/{THEIRS}/start")
    with open_tabs(browser) as context:
        page = context.new_page()
        enter(page, fresh)
        page.goto(f"{fresh.origin}/?add")
        page.get_by_role("link", name="Adopt a gateway").click()
        theirs = page.get_by_role("listitem").filter(has_text=THEIRS)
        expect(theirs).to_contain_text("does not answer yet")
        expect(theirs.locator("span.ok")).to_have_text("answers", timeout=GATEWAY_MS)
        theirs.locator("summary").click()
        theirs.get_by_role("button", name="Adopt").click()
        dialog = page.get_by_role("dialog", name=f"Adopt {THEIRS}")
        dialog.get_by_label("Name").fill("Claw")
        dialog.get_by_role("button", name="Adopt").click()
        expect(page).to_have_url(re.compile("/operations/op_"))
        verdict(page, "The gateway is adopted, and has said hello.")
        page.get_by_role("link", name="Open the chat").click()
        go_on(page, "as before")
        page.goto(f"{fresh.origin}/operations/adopt")
        expect(theirs).to_contain_text("It is a bot here already: Claw")
        theirs.get_by_role("link", name="Claw").click()
        page.get_by_role("link", name="Container").click()
        expect(state(page)).to_contain_text("running")
        expect(page.locator(".facts")).to_contain_text("it was adopted")
        page.get_by_role("button", name="Take over…").click()
        dialog = page.get_by_role("dialog", name="Take over Claw's container?")
        dialog.get_by_label("That is fine").check()
        dialog.get_by_role("button", name="Take over").click()
        expect(page.get_by_role("button", name="Recreate…")).to_be_visible()
