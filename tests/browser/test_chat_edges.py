"""Chat where something else happens meanwhile: what one typed, what is deleted, a daemon that is away, no clipboard."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.house import Demo, wait_live
from tests.browser.talk import connect_bot, open_chat, replies, send


def test_what_could_not_be_loaded_comes_by_itself_when_the_daemon_is_back(page: Page, demo: Demo) -> None:
    connect_bot(page, "other")
    open_chat(page, demo)
    send(page, "[[say here]]")
    expect(replies(page)).to_contain_text("here")
    conversations = page.get_by_role("navigation", name="Conversations")
    demo.stop()
    page.get_by_role("link", name="All bots").click()
    page.get_by_role("link", name="other").click()
    expect(conversations.get_by_role("alert")).to_contain_text("can't be reached")
    demo.restart()
    wait_live(page)
    expect(conversations.get_by_role("alert")).to_have_count(0)
    expect(conversations).to_contain_text("No conversation yet")
