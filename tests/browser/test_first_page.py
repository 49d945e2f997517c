"""The first page in a real browser: the link logs in, the live stream shows, a message gets its reply."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import open_page
from tests.peers.process import Program

SEND = """
    const form = document.getElementById("send");
    form.text.value = "hello from the browser";
    form.requestSubmit();
"""
LOGIN_SHOWS = "document.querySelector('#login')?.getClientRects().length > 0"


class Demo:
    """A running demo on a free port, its state in a folder."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "edgebotd", "demo", "--bind", "127.0.0.1:0"]
        self.program = Program([*command, "--state-dir", folder / "state"], env=environment, log=folder / "demo.log")
        self.program.start()
        self.program.wait_until(lambda: "Ctrl-C stops it" in self.printed, 30, "the demo")
        link = re.search(r"(http://\S+)/#code=\S+", self.printed)
        assert link is not None
        self.link, self.origin = link[0], link[1]

    @property
    def printed(self) -> str:
        return self.program.log.read_text()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    try:
        yield demo
    finally:
        demo.program.close()


async def test_the_link_logs_in_and_a_message_gets_its_reply_live(demo: Demo, tmp_path: Path) -> None:
    async with open_page(tmp_path) as page:
        await page.go(demo.link)
        await page.until("document.getElementById('connection')?.textContent.startsWith('live')")
        assert await page.evaluate("location.href") == f"{demo.origin}/", "the code stays in no history"
        assert await page.visible("#house") and not await page.visible("#login")
        await page.until("document.querySelector('#bots .state')?.textContent === 'connected'")
        await page.evaluate(SEND)
        await page.until("/hello from the browser/.test(document.querySelector('#chat .assistant')?.textContent)")
        await page.until("/chat-delta/.test(document.getElementById('events')?.textContent)")
        assert page.complaints == []


async def test_a_used_link_and_a_logout_lead_to_the_login(demo: Demo, tmp_path: Path) -> None:
    async with open_page(tmp_path, 360, 740) as page:
        await page.go(demo.link)
        await page.until("document.getElementById('connection')?.textContent.startsWith('live')")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            "nothing is cut off on a phone"
        )
        await page.evaluate("document.getElementById('logout').click()")
        await page.until(LOGIN_SHOWS)
        assert not await page.visible("#house")
        await page.go(demo.link)
        await page.until(LOGIN_SHOWS)
        assert "used" in await page.evaluate("document.getElementById('message').textContent")
        assert not await page.visible("#house")
