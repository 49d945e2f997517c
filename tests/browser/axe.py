"""axe-core, the checker of accessibility, from npm; and the pages that it looks at in every theme and on a phone.

A further page is a line in `PAGES`: what leads there, and what says that it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from playwright.sync_api import Page, expect

from tests.browser.house import Demo, wait_live
from tests.peers.install import PeerUnavailable, npm_package
from tests.support import require_or_skip

VERSION: Final = "4.14.1"
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice")


def _nothing(page: Page) -> None:
    """The page as it comes."""


@dataclass(frozen=True)
class Looked:
    """A page to look at: its path, a selector that is there when it is ready, and what to do before looking."""

    path: str
    ready: str
    act: Callable[[Page], None] = _nothing


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("listbox", name="Find anything").get_by_role("option").first).to_be_visible()


def _menu(page: Page) -> None:
    page.get_by_role("button", name="Account and settings").click()
    expect(page.get_by_role("radio", name="Dark")).to_be_visible()


def _keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()


def _removal(page: Page) -> None:
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _conversation(page: Page) -> None:
    """Open the conversation of `TALK`, and all that is folded in it."""
    page.locator("a.conversation").first.click()
    expect(page.locator(".reply table").first).to_be_visible()
    expect(page.locator(".reply pre").first).to_be_visible()
    expect(page.locator(".reply .said-error").first).to_be_visible()
    for card in page.locator("details.tool").all():
        card.locator("summary").click()


def _conversation_menu(page: Page) -> None:
    _conversation(page)
    page.locator(".more-menu summary").click()
    expect(page.locator(".more-menu-items")).to_be_visible()


def _conversation_removal(page: Page) -> None:
    _conversation_menu(page)
    page.locator(".more-menu-items").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _found(text: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.get_by_role("searchbox").fill(text)
        expect(page.locator(".found-list a.hit, .found-list .list-empty").first).to_be_visible()

    return act


TALK: Final = (
    "[[say ## A table\n\n| file | size |\n|---|---:|\n| `a.tar` | 4 GB |\n\n> said before\n\n"
    "```python\nprint('a line that is longer than a phone is wide, so that it scrolls in its box')\n```\n\n"
    "![far](https://example.org/a.png) and [a link](https://example.org/)]]",
    "[[tool weather]] what is it like?",
    "[[error The model is tired]]",
)
"""What to say to the built-in bot for a conversation that has something of everything."""

ADMIN_PARTS: Final = (
    "users",
    "users/admin",
    "tokens",
    "sessions",
    "connections",
    "alerts",
    "operations",
    "images",
    "disk",
    "audit",
    "events",
    "config",
)

PAGES: Final[dict[str, Looked]] = {
    "dashboard": Looked("/", ".bot-row .state"),
    "filtered to nothing": Looked("/", ".bot-row .state", lambda page: page.get_by_role("searchbox").fill("nothing")),
    "palette": Looked("/", ".bot-row .state", _palette),
    "menu": Looked("/", ".bot-row .state", _menu),
    "keys": Looked("/", ".bot-row .state", _keys),
    "add": Looked("/?add", ".dialog[open] .way"),
    "new bot": Looked("/operations/new", ".work h1"),
    "adoption": Looked("/operations/adopt", ".work h1"),
    "no such operation": Looked("/operations/op_0", ".work h1"),
    "connect": Looked("/?connect", ".dialog[open] .input"),
    "bot": Looked("/bots/echo", ".bot-bar"),
    "bot, about": Looked("/bots/echo/about", ".facts"),
    "bot that needs a person": Looked("/bots/gate/about", ".notice"),
    "removal": Looked("/bots/gate/about", ".facts", _removal),
    "no such bot": Looked("/bots/nobody", ".empty"),
    "chat": Looked("/chat", "main h1"),
    "chat with a bot": Looked("/chat/echo", "main h1"),
    "conversation": Looked("/chat/echo", "a.conversation", _conversation),
    "conversation's menu": Looked("/chat/echo", "a.conversation", _conversation_menu),
    "conversation's removal": Looked("/chat/echo", "a.conversation", _conversation_removal),
    "search results": Looked("/chat/echo", "a.conversation", _found("weather")),
    "search without results": Looked("/chat/echo", "a.conversation", _found("zzzz")),
    "no such conversation": Looked("/chat/echo/c_nothere", "main h1"),
    "no such page": Looked("/chat/a/b/c/d", ".centred"),
    "accounts": Looked("/accounts", ".acct .empty"),
    "no such account": Looked("/accounts/none%3Aat-all", ".acct .empty"),
    **{path: Looked(path, ".admin-part h1") for path in ("/admin", "/account")},
    **{f"/admin/{part}": Looked(f"/admin/{part}", ".admin-part h1") for part in ADMIN_PARTS},
}


def go(page: Page, demo: Demo, looked: Looked) -> None:
    """Show a page, ready to be looked at."""
    page.goto(demo.origin + looked.path)
    wait_live(page)
    expect(page.locator(looked.ready).first).to_be_visible()
    looked.act(page)


@cache
def _source() -> str:
    try:
        return (npm_package("axe-core", VERSION) / "axe.min.js").read_text()
    except PeerUnavailable as error:
        require_or_skip(str(error))


def violations(page: Page) -> list[str]:
    """Say in words what of the page as it stands fails; empty where nothing does."""
    page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(
        """async (tags) => {
            // What is animated or fades has its last look first: contrast is that of what stays.
            for (const one of document.getAnimations()) one.finish();
            const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
            const reason = ({ html, failureSummary }) => [html, failureSummary];
            return violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(reason) }));
        }""",
        list(TAGS),
    )
    return [
        f"{one['id']}: {one['help']}: {html[:160]} ({' '.join(why.split())[:300]})"
        for one in found
        for html, why in one["nodes"]
    ]
