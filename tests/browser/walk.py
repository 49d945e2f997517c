"""Walks through a page by Tab alone, as somebody without a mouse does, and says in words what is wrong on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from playwright.sync_api import BrowserContext, Page, expect

# In the page from its first line on, because who listens to clicks says so once only.
_LISTENING: Final = Path(__file__).with_suffix(".js").read_text()


def watch_clicks(context: BrowserContext) -> None:
    """Have the pages of a context remember who listens to clicks; before the first one is opened."""
    context.add_init_script(_LISTENING)


def walk(page: Page) -> list[str]:
    """Press Tab through the page as it stands, or the dialog on it; say what is wrong, nothing where all is well."""
    # What is still to come would come in between.
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    stops: int = page.evaluate("walk.start()")
    assert stops > 0
    for _ in range(stops + 1):
        page.keyboard.press("Tab")
    found: list[Any] = page.evaluate("walk.end()")
    return [str(one) for one in found]
