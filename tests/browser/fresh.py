"""A daemon that nobody has set up yet, and its first minute: what the tests of first runs share."""

from __future__ import annotations

import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.house import wait_live
from tests.peers.process import Program, free_port
from tests.warm import WarmProgram, run_warm

PASSWORD = "correct horse battery"


class Fresh:
    """A daemon that nobody has set up yet, and the link that `init` printed."""

    def __init__(
        self, folder: Path, *, built_in: bool, more: str = "", port: int = 0, enter: Sequence[str] = ()
    ) -> None:
        """Start it.

        Args:
            more: written to the end of its configuration.
            enter: the command in front of it, to run it in another network, where `port` leads to.
        """
        self.built_in = built_in
        self.origin = f"http://127.0.0.1:{port or free_port()}"
        environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        self.socket = folder / "socket"
        socket = ["--socket", str(self.socket)]
        config = folder / "config.toml"
        init = [*socket, "init", "--config", str(config), "--state-dir", str(folder / "state")]
        ended = run_warm(init, env=environment)
        link = re.search(r"http://\S+(/#code=\S+)", ended.stdout)
        assert link is not None, ended.stdout + ended.stderr
        self.link = self.origin + link[1]
        text = config.read_text().replace('"127.0.0.1:8787"', f'"{self.origin.removeprefix("http://")}"')
        config.write_text((text if built_in else text.replace('[bots.echo]\nkind = "echo"\n', "")) + more)
        run = [*socket, "run", "--config", str(config)]
        log = folder / "run.log"
        cold = [*enter, sys.executable, "-m", "edgebotd", *run]
        self.program = Program(cold, env=environment, log=log) if enter else WarmProgram(run, env=environment, log=log)
        self.program.start()
        self.program.wait_until(self._answers, 30, "the daemon")

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Run a command of edgebotd's against this daemon and return what it prints."""
        ended = run_warm(["--socket", str(self.socket), *arguments], env=os.environ, text=text)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.origin}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


def make_admin(page: Page, fresh: Fresh) -> None:
    """Go by the link and make the administrator, with one mistake on the way; ends where a first bot is asked for."""
    page.goto(fresh.link)
    expect(page.get_by_role("heading", name="Make the administrator")).to_be_visible()
    expect(page).to_have_title("Make the administrator · edgebotd")
    assert page.url == f"{fresh.origin}/"
    assert violations(page) == []
    page.get_by_label("User id").fill("ada")
    page.get_by_label("Password").fill("too short")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", name="Make the administrator")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your first bot")).to_be_visible()
    wait_live(page)
    assert violations(page) == []
