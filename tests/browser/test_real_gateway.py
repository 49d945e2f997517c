"""The page with a real OpenClaw gateway behind it: from the setup link to the first reply, tools, stopping, a kill."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.fresh import Fresh, make_admin
from tests.browser.house import open_tabs, wait_live
from tests.browser.talk import asked, composer, replies, send
from tests.peers.gateways import Gateways
from tests.peers.install import CURRENT
from tests.peers.openclaw import Gateway

GATEWAY_MS = 120_000
"""A gateway's start and a turn on it take their time on two cores."""


@pytest.fixture(scope="module")
def gateways() -> Iterator[Gateways]:
    """Those of this file: a gateway that is killed here resumes what ran, and would in other tests too."""
    running = Gateways()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def gateway(gateways: Gateways) -> Gateway:
    return gateways.breakable(CURRENT)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fresh]:
    fresh = Fresh(tmp_path, built_in=False)
    try:
        yield fresh
    finally:
        fresh.program.close()


def connect(page: Page, gateway: Gateway) -> None:
    page.get_by_role("button", name="Connect a bot").click()
    page.get_by_label("Name").fill("Atlas")
    page.get_by_label("URL").fill(gateway.url)
    page.get_by_label("Token").fill(gateway.token)
    page.get_by_role("button", name="Connect").click()
    page.get_by_role("button", name="Open the chat").click(timeout=GATEWAY_MS)


def test_from_the_setup_link_to_a_reply_a_tool_a_stop_and_a_kill(
    browser: Browser, fresh: Fresh, gateway: Gateway
) -> None:
    with open_tabs(browser) as context:
        page = context.new_page()
        make_admin(page, fresh)
        connect(page, gateway)
        expect(page).to_have_url(re.compile("/chat/atlas"))
        expect(composer(page)).to_be_enabled()
        send(page, "[[say Good morning from a real gateway]]")
        expect(replies(page)).to_have_text(re.compile("Good morning from a real gateway"), timeout=GATEWAY_MS)

        send(page, "please [[tool echo from-the-tool]]")
        expect(replies(page).nth(1).locator(".tool")).to_contain_text("exec", timeout=GATEWAY_MS)

        send(page, "[[slow]]")
        expect(replies(page).nth(2)).to_contain_text("tick 1", timeout=GATEWAY_MS)
        page.get_by_role("button", name="Stop").click()
        expect(replies(page).nth(2).locator(".turn-state")).to_have_text("stopped", timeout=GATEWAY_MS)

        send(page, "[[slow]] again")
        expect(replies(page).nth(3)).to_contain_text("tick 1", timeout=GATEWAY_MS)
        gateway.kill()
        gateway.restart()
        gateway.wait_ready()
        # What became of the run, only the gateway knows: it is settled once that answers again.
        expect(page.get_by_role("button", name="Stop")).to_have_count(0, timeout=GATEWAY_MS)
        expect(page.get_by_text("is not connected")).to_have_count(0, timeout=GATEWAY_MS)

        page.reload()
        wait_live(page)
        expect(asked(page).first).to_contain_text("[[say Good morning from a real gateway]]")
        expect(replies(page).first).to_contain_text("Good morning from a real gateway")
        for count, text in ((1, "please [[tool"), (2, "[[slow]]")):
            expect(asked(page).filter(has_text=text)).to_have_count(count)
