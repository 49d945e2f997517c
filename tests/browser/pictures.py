"""The pictures in docs/pictures: `python -m tests.browser.pictures` takes them anew of a house that it makes up.

Looked at by people, so nothing tests them; run it after the page's look has changed, and look at them.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from edgebotd.events import Conversation, Message, TextPart
from edgebotd.store import conversations, messages
from tests.browser.conftest import ARGUMENTS
from tests.browser.fresh import PASSWORD, Fresh
from tests.browser.house import DESK, PHONE, Demo, wait_live
from tests.browser.provider import HOUR, Provider, open_provider
from tests.browser.talk import fill_store, id_of

FOLDER = Path(__file__).parent.parent.parent / "docs" / "pictures"
REPLY = """The backup ran, and two files were skipped:

| file | why |
|---|---|
| `photos/2019/raw.tar` | larger than the 4 GB that you allow |
| `.cache/models` | listed in *exclude* |

The rest took 3 min 12 s. To look at it yourself:

```bash
restic snapshots --latest 3
restic check --read-data-subset=5%
```
"""


TALKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("iris", "Train to Turin", ("When does my train leave?", "At 9:14 from platform 3. It is on time.")),
    ("nova", "Reading list", ("Anything new?", "Three papers match your list; the first is worth your evening.")),
    ("atlas", "Disk is filling up", ("What takes the space?", "`/srv/media`, 412 GB. The rest is below 20 GB.")),
    ("atlas", "Nightly backup", ("How did the backup go?", REPLY)),
)


def furnish(demo: Demo) -> None:
    """Connect some bots and have things said to them."""
    for bot_id, name in (("atlas", "Atlas"), ("iris", "Iris"), ("nova", "Nova")):
        demo.run("bots", "connect", bot_id, "--kind", "echo", "--name", name)
    demo.run_json("bots", "connect", "vega", "--name", "Vega", "--url", f"ws://127.0.0.1:{demo.port}/ws/bots/echo")
    demo.run("user", "add", "ada", text="a long enough password\n")
    for bot_id in ("atlas", "iris"):
        demo.run("user", "grant", "ada", bot_id, "chat")
    fill_store(demo, _talk)


def _talk(conn: sqlite3.Connection) -> None:
    now = int(time.time() * 1000)
    for number, (bot_id, title, said) in enumerate(TALKS):
        at = now - (len(TALKS) - number) * 17 * 60_000
        known = id_of(number)
        conversation = Conversation(id=known, bot_id=bot_id, title=title, created_at=at, updated_at=at)
        conversations.insert(conn, conversation, f"agent:main:edgebotd:{known}")
        for place, text in enumerate(said):
            message = Message(
                id=f"m-{number}-{place}",
                bot_id=bot_id,
                conversation_id=known,
                run_id=f"r-{number}",
                role="assistant" if place else "user",
                parts=(TextPart(text=text),),
                created_at=at + place * 4_000,
                user_id=None if place else "admin",
            )
            messages.put(conn, message)


def signed_in(browser: Browser, demo: Demo, *, phone: bool, dark: bool) -> Page:
    """Open a tab of an administrator's."""
    context = browser.new_context(
        viewport=PHONE if phone else DESK,
        color_scheme="dark" if dark else "light",
        device_scale_factor=2 if phone else 1,
        has_touch=phone,
        is_mobile=phone,
    )
    page = context.new_page()
    page.goto(demo.link)
    wait_live(page)
    return page


def take(page: Page, demo: Demo, path: str, ready: str, name: str) -> None:
    """Show a page and take its picture once it rests."""
    page.goto(demo.origin + path)
    wait_live(page)
    page.wait_for_selector(ready)
    page.wait_for_timeout(500)
    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


def furnish_accounts(fresh: Fresh, providers: dict[str, Provider]) -> None:
    """Log in at some providers, and add a key; one of them tells nothing of its use at present."""
    fresh.run("user", "add", "admin", "--admin", text=f"{PASSWORD}\n")
    for bot_id, name in (("atlas", "Atlas"), ("iris", "Iris")):
        fresh.run("bots", "connect", bot_id, "--kind", "echo", "--name", name)
    for provider_id, bot_id in (("anthropic", "atlas"), ("openai", "iris"), ("gemini", "iris")):
        providers[provider_id].agreed = True
        fresh.run("accounts", "login", provider_id, "--name", "work", "--device")
        fresh.run("accounts", "bots", f"{provider_id}:work", bot_id)
    fresh.run("accounts", "add", "openrouter:spare", text="a-key-that-is-none-and-long-enough\n")


def take_accounts(playwright: Playwright, program: str) -> None:
    """Take the picture of the accounts."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        providers = {name: stack.enter_context(open_provider()) for name in ("anthropic", "openai", "gemini")}
        providers["anthropic"].windows = {"five": (92.0, 1.2 * HOUR), "week": (48.0, 60 * HOUR)}
        providers["gemini"].usage_status = 429
        names = {"anthropic": "Anthropic", "openai": "OpenAI", "gemini": "Google"}
        more = "".join(providers[one].settings(one, name) for one, name in names.items())
        fresh = Fresh(Path(folder), built_in=False, more=more)
        stack.callback(fresh.program.close)
        furnish_accounts(fresh, providers)
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        stack.callback(browser.close)
        page = browser.new_context(viewport={"width": 1280, "height": 560}, color_scheme="light").new_page()
        page.goto(f"{fresh.origin}/accounts")
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.locator(".acct-window").nth(3).wait_for()
        page.wait_for_timeout(500)
        page.screenshot(path=FOLDER / "accounts-light.png", animations="disabled")


def main() -> int:
    """Take all pictures."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.stderr.write("no chromium; Debian: apt-get install chromium\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for phone, dark in ((False, False), (False, True), (True, False)):
        kind = "phone" if phone else "dark" if dark else "light"
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            demo = Demo(Path(folder))
            browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
            try:
                furnish(demo)
                page = signed_in(browser, demo, phone=phone, dark=dark)
                take(page, demo, "/", "[data-row]", f"dashboard-{kind}")
                page.goto(f"{demo.origin}/chat/atlas")
                page.locator("a.conversation").first.click()
                place = re.sub(r"^https?://[^/]+", "", page.url)
                take(page, demo, place, ".reply", f"chat-{kind}")
                if kind == "light":
                    take(page, demo, "/admin/users", ".admin-part h1", f"users-{kind}")
            finally:
                browser.close()
                demo.stop()
    with sync_playwright() as playwright:
        take_accounts(playwright, program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
