"""A real browser: Chromium (or Chrome) without a window, told what to do by the DevTools protocol.

Source: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import trio
import trio_websocket

from tests.peers.process import Program
from tests.support import require_or_skip

ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",  # the tests run as root in CI, and only our own page is loaded
    "--disable-gpu",
    "--no-first-run",
    "--remote-debugging-port=0",
)
_START_SECONDS: Final = 60
_ANSWER_BYTES: Final = 32 * 1024 * 1024
_LOOK_SECONDS: Final = 0.05


class Page:
    """One tab. From `open_page`, which closes it."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._answers: dict[int, dict[str, Any]] = {}
        self._answered = trio.Event()
        self._count = 0
        self.complaints: list[str] = []
        """Uncaught errors, and what the browser itself reports as an error: refused resources, a violated CSP."""

    async def listen(self) -> None:
        """Read what the browser tells, until cancelled."""
        while True:
            message = json.loads(await self._socket.get_message())
            if "id" in message:
                self._answers[message["id"]] = message
                self._answered.set()
                self._answered = trio.Event()
            elif message["method"] == "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.complaints.append(details.get("exception", details).get("description", details["text"]))
            elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"]["text"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._count += 1
        number = self._count
        await self._socket.send_message(json.dumps({"id": number, "method": method, "params": parameters}))
        with trio.fail_after(_START_SECONDS):
            while number not in self._answers:
                await self._answered.wait()
        answer = self._answers.pop(number)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def go(self, url: str) -> None:
        """Open an address; a document of its own each time, also where only the fragment differs."""
        await self.call("Page.navigate", url="about:blank")
        await self.call("Page.navigate", url=url)

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression, a promise's too."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str, timeout: float = 20) -> Any:
        """Wait until an expression is true, and return its value."""
        with trio.move_on_after(timeout):
            while True:
                if value := await self.evaluate(script):
                    return value
                await trio.sleep(_LOOK_SECONDS)
        shown = await self.evaluate("document.body.innerText")
        raise AssertionError(f"{script} did not come true; the page shows:\n{shown}\n{self.complaints}")

    async def visible(self, selector: str) -> bool:
        """Whether an element is there for the eye: it takes up room."""
        return bool(await self.evaluate(f"document.querySelector({selector!r})?.getClientRects().length > 0"))


@asynccontextmanager
async def open_page(folder: Path, width: int = 1200, height: int = 800) -> AsyncIterator[Page]:
    """Start a browser with an empty profile below `folder`, and yield its tab; end it on leaving."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        require_or_skip("no chromium; Debian: apt-get install chromium")
    profile = folder / "profile"
    browser = Program(
        [program, *ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"],
        env=dict(os.environ),
        log=folder / "chromium.log",
    )
    browser.start()
    try:
        address = trio.Path(profile / "DevToolsActivePort")
        with trio.fail_after(_START_SECONDS):
            while not (await address.exists() and (await address.read_text()).count("\n")):
                assert browser.running, browser.last_lines()
                await trio.sleep(_LOOK_SECONDS)
        port = int((await address.read_text()).split("\n")[0])
        async with httpx2.AsyncClient() as client:
            targets = (await client.get(f"http://127.0.0.1:{port}/json")).json()
        url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
        async with trio_websocket.open_websocket_url(url, max_message_size=_ANSWER_BYTES) as socket:
            async with trio.open_nursery() as nursery:
                page = Page(socket)
                nursery.start_soon(page.listen, name="browser")
                for domain in ("Runtime", "Log", "Page"):
                    await page.call(f"{domain}.enable")
                yield page
                nursery.cancel_scope.cancel()
    finally:
        browser.close(grace=5)
