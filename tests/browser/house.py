"""What browser tests stand on: a running daemon with its built-in bot, and tabs of a real Chromium that look at it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize

from tests.peers.process import Program, free_port
from tests.warm import WarmProgram, run_warm

DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}


class Demo:
    """A running `edgebotd demo`, its state in a folder, on a port that stays the same over a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self._starts = 0
        self.program = self._program()
        self.start()

    def _program(self) -> Program:
        self._starts += 1
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "PYTHONUNBUFFERED": "1",
        }
        command = ["demo", "--bind", f"127.0.0.1:{self.port}", "--state-dir", str(self.folder / "state")]
        return WarmProgram(command, env=environment, log=self.folder / f"demo-{self._starts}.log")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.program.start()
        self.program.wait_until(lambda: "Ctrl-C stops it" in self.printed, 30, "the demo")

    def restart(self, *, kill: bool = False) -> None:
        """Stop it in order, or kill it, and start it again on the same state."""
        self.stop(kill=kill)
        self.program = self._program()
        self.start()

    def stop(self, *, kill: bool = False) -> None:
        """Stop it in order, or kill it."""
        if kill:
            self.program.kill()
        else:
            self.program.close()

    @property
    def printed(self) -> str:
        """What it said since its last start."""
        return self.program.log.read_text()

    @property
    def link(self) -> str:
        """The link that logs in, once; of the last start."""
        link = re.search(r"http://\S+/#code=\S+", self.printed)
        assert link is not None
        return link[0]

    def run(self, *arguments: str, text: str | None = None, code: int = 0) -> str:
        """Run a command of edgebotd's against this daemon, which ends with `code`, and return what it prints."""
        socket = self.folder / "state" / "edgebotd.sock"
        ended = run_warm(["--socket", str(socket), *arguments], env=os.environ, text=text)
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout

    def run_json(self, *arguments: str) -> Any:
        """Run a command with `--json` and return its answer."""
        return json.loads(self.run(*arguments, "--json"))


class Watched:
    """What went wrong on the tabs of a context: uncaught errors, and what the browser itself calls an error."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        # That the line breaks when a test breaks it is no fault of the page.
        if message.type == "error" and not re.search("ERR_|Failed to load resource", message.text):
            self.complaints.append(message.text)


@contextmanager
def open_tabs(browser: Browser, viewport: ViewportSize = DESK, **options: Any) -> Iterator[BrowserContext]:
    """Open a profile of its own; its tabs share storage, locks and channels. Fails with what they complained of."""
    context = browser.new_context(viewport=viewport, **options)
    context.set_default_timeout(20_000)
    watched = Watched(context)
    try:
        yield context
        assert watched.complaints == []
    finally:
        context.close()


def sign_in(context: BrowserContext, demo: Demo) -> Page:
    """Open a tab that has logged in by the demo's link, and wait until it is live."""
    page = context.new_page()
    page.goto(demo.link)
    wait_live(page)
    return page


def wait_live(page: Page) -> None:
    """Wait until a tab's line is live."""
    # A selector, because the page's policy lets nobody evaluate a script in it, Playwright's waiting included.
    page.wait_for_selector("html[data-line=live]")


def stop_clock(page: Page) -> None:
    """Have a tab's clock go on by `run_for` alone. An installed one goes on by itself too, while a test is slow."""
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
