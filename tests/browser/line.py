"""What the tests of the line look through: what a tab's handlers were called with, and what its line says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import BrowserContext, CDPSession, Page

from tests.browser.house import Demo

SOCKET: Final = (
    "const { socket } = await import("
    "document.querySelector('script[type=module]').src.replace('main.js', 'socket.js'));"
)


def run(page: Page, script: str, argument: Any = None) -> Any:
    """Run a script in a tab, with its `socket` at hand."""
    return page.evaluate(f"async (argument) => {{ {SOCKET} {script} }}", argument)


def listen(page: Page) -> None:
    """Note from now on what a tab's handlers are called with, and when."""
    run(
        page,
        """
        window.seen = [];
        window.states = [];
        const now = () => performance.timeOrigin + performance.now();
        socket.state.subscribe((state) => window.states.push({ at: now(), ...state }));
        for (const type of ["*", "hello", "gap"]) {
          socket.on(type, (event) => window.seen.push({ on: type, at: now(), event }));
        }
        """,
    )


def seen(page: Page, on: str = "*") -> list[Any]:
    """Return what the handlers of a type were called with."""
    return [one["event"] for one in page.evaluate("window.seen") if one["on"] == on]


def replies(page: Page) -> list[str]:
    """Return the texts of the bot's messages that a tab was told of, in order."""
    return [
        "".join(part.get("text", "") for part in event["message"]["parts"])
        for event in seen(page)
        if event["type"] == "chat-message" and event["message"]["role"] == "assistant"
    ]


def state(page: Page) -> Any:
    """Return what a tab's line is at."""
    return run(page, "return socket.state.value")


def say(context: BrowserContext, demo: Demo, text: str, conversation: str | None = None) -> str:
    """Have the bot say a text; return the conversation."""
    body = {"text": text, "idempotencyKey": f"{time.monotonic_ns()}", "conversationId": conversation}
    answer = context.request.post(
        f"{demo.origin}/api/bots/echo/chat/send",
        data={name: value for name, value in body.items() if value is not None},
        headers={"Origin": demo.origin},
    )
    assert answer.ok, answer.text()
    return str(answer.json()["conversationId"])


def until(page: Page, what: str, ready: Callable[[Page], bool], seconds: float = 20) -> None:
    """Wait until something is so; the browser's events are taken meanwhile."""
    deadline = time.monotonic() + seconds
    while not ready(page):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        page.wait_for_timeout(50)


def leader(pages: list[Page]) -> Page:
    """Return the tab that holds the stream."""
    (page,) = [page for page in pages if state(page)["leads"]]
    return page


def since(page: Page, moment: float, phase: str) -> float:
    """Return how many seconds after a moment of `time.time()` a tab held a stream and was in a phase."""
    found = (one["at"] for one in page.evaluate("window.states") if one["leads"] and one["phase"] == phase)
    return next(float(at) / 1000 - moment for at in found if at / 1000 >= moment)


def leads_again(pages: list[Page], phase: str = "live") -> Page:
    """Wait until one of these tabs holds the line, in a phase; return it."""

    found: list[Page] = []

    def one_leads(_: Page) -> bool:
        # Kept as it was seen: a moment later its phase may be another one again.
        found[:] = [page for page in pages if (now := state(page))["leads"] and now["phase"] == phase]
        return len(found) == 1

    until(pages[0], "another leader", one_leads, 15)
    return found[0]


def streams(demo: Demo) -> int:
    """Return how many streams the daemon counts."""
    return len(demo.run_json("connections")["items"])


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a tab's process, as a frozen tab is: it keeps its lock and its stream, and runs nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def renderer(page: Page) -> int:
    """Return the id of the process that a tab has for itself: the one that spends what the tab does.

    The browser does not tell it. In small pieces, so that a tab that leads answers the others in between.
    """
    browser = page.context.browser
    assert browser is not None
    session = browser.new_browser_cdp_session()
    try:
        spent = dict.fromkeys(_renderers(session), 0.0)
        while True:
            before = _renderers(session)
            page.evaluate("() => { for (let n = 0, x = 1; n < 1e7; n++) x = (x * 16807) % 2147483647; }")
            for pid, seconds in _renderers(session).items():
                if pid in spent and pid in before:
                    spent[pid] += seconds - before[pid]
            *others, most = sorted(spent, key=lambda pid: spent[pid])
            if spent[most] > 0.2 and all(spent[pid] < spent[most] / 4 for pid in others):
                return most
    finally:
        session.detach()


def _renderers(session: CDPSession) -> dict[int, float]:
    """Return the browser's renderer processes, and how many seconds of a core each has had."""
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return {one["id"]: one["cpuTime"] for one in told if one["type"] == "renderer"}
