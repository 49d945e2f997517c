"""What the tests of the keyboard walk through: a daemon with something of everything, for a whole file of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import TALK
from tests.browser.house import Demo, open_tabs, sign_in, wait_live
from tests.browser.talk import PASSWORD, call_api, connect_bot, post
from tests.browser.walk import watch_clicks

BOTS = ("heron", "ibis", "zebra")


@contextmanager
def open_tab(browser: Browser, house: Demo) -> Iterator[Page]:
    """Open an administrator's tab: several bots, one of which needs a person, a conversation, a person with tokens."""
    with open_tabs(browser) as context:
        watch_clicks(context)
        page = sign_in(context, house)
        for bot_id in BOTS:
            connect_bot(page, bot_id, name=bot_id.title())
        gate = {"kind": "openclaw", "id": "gate", "url": f"ws://127.0.0.1:{house.port}/ws/bots/echo", "token": "none"}
        call_api(page, "POST", "/api/bots/connect", gate)
        call_api(page, "POST", "/api/users", {"id": "ada", "name": None, "admin": False, "password": PASSWORD})
        call_api(page, "PUT", "/api/users/ada/grants/echo", {"grant": "view"})
        for name in ("one", "two", "three"):
            add_token(page, name, "ada")
        conversation_id = None
        for text in TALK:
            conversation_id = post(page, "echo", text, conversationId=conversation_id)["conversationId"]
        yield page


def add_token(page: Page, name: str, user_id: str) -> None:
    """Make a token of a user."""
    token = {"name": name, "scopes": ["chat"], "bots": None, "userId": user_id, "expiresAt": None}
    call_api(page, "POST", "/api/tokens", token)


def show(page: Page, house: Demo, path: str) -> None:
    """Go to a page, and wait until it is there."""
    page.goto(house.origin + path)
    wait_live(page)
    expect(page.locator("main h1, main .bot-row").first).to_be_attached()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
