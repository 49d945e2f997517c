"""The chat on a host of its own, and a bot on its own: all of the window is theirs, and nothing else is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect
from typing_extensions import override

from tests.browser.house import DESK, PHONE, Demo, open_tabs, wait_live
from tests.browser.talk import PASSWORD, add_user, composer, replies
from tests.peers.process import Program
from tests.warm import WarmProgram

# Browsers take all names below localhost for this machine.
CHAT, BOT = "chat.localhost", "echo.localhost"


class Configured(Demo):
    """A daemon with a configuration: names of its own for the chat and for a bot."""

    @override
    def _program(self) -> Program:
        self._starts += 1
        configuration = self.folder / "edgebotd.toml"
        configuration.write_text(
            f"""
            [server]
            bind = ["127.0.0.1:{self.port}"]
            socket = "state/edgebotd.sock"
            chat_host = "{CHAT}"
            [storage]
            state_dir = "state"
            [bots.echo]
            kind = "echo"
            host = "{BOT}"
            """
        )
        (self.folder / "state").mkdir(mode=0o700, exist_ok=True)
        return WarmProgram(
            ["--config", configuration, "run"],
            env={**os.environ, "HOME": str(self.folder)},
            log=self.folder / f"run-{self._starts}.log",
        )

    @override
    def start(self) -> None:
        self.program.start()
        self.program.wait_until(lambda: "is ready on" in self.printed, 30, "the daemon")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Demo]:
    demo = Configured(tmp_path)
    try:
        yield demo
    finally:
        demo.stop()


def log_in_at(page: Page, demo: Demo, host: str) -> None:
    page.goto(f"http://{host}:{demo.port}/")
    page.get_by_label("User").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    wait_live(page)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("host", [CHAT, BOT])
def test_the_chat_has_the_whole_window_on_its_own_host(
    browser: Browser, hosts: Demo, host: str, viewport: ViewportSize
) -> None:
    add_user(hosts, "ada", "chat")
    with open_tabs(browser, viewport) as context:
        page = context.new_page()
        log_in_at(page, hosts, host)
        page.get_by_role("link", name="New", exact=True).click()
        composer(page).fill("[[say hello]]")
        page.get_by_role("button", name="Send").click()
        expect(replies(page)).to_contain_text("hello")
        page.reload()
        expect(replies(page)).to_contain_text("hello")
        for part, bottom in ((page.locator(".chat"), 0), (page.locator(".composer"), 24)):
            box = part.bounding_box()
            assert box is not None
            assert box["width"] > viewport["width"] / 2
            assert viewport["height"] - bottom <= box["y"] + box["height"] <= viewport["height"]
        expect(page.locator(".chat")).to_have_count(1)
        expect(page.get_by_role("link", name="Admin")).to_have_count(0)
        page.goto(f"http://{host}:{hosts.port}/bots/echo")
        wait_live(page)
        expect(page.locator(".bot-page")).to_have_count(0)
