"""Long histories: a bounded window, the place that stays, jumps, the line above what is new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from edgebotd.events import Message
from edgebotd.store import conversations
from tests.browser.house import Demo, open_tabs, sign_in
from tests.browser.talk import (
    add_conversation,
    composer,
    conversation_of,
    fill_store,
    id_of,
    open_chat,
    post,
    replies,
    send,
    text_message,
)

MANY = 100_000
HELD = 120


def many(conn: sqlite3.Connection) -> None:
    """Make a conversation of 100,000 messages of different heights."""

    def made() -> Iterator[Message]:
        for number in range(MANY):
            yield text_message(number, f"message number {number}" + "\n\nand more" * (number % 5))

    add_conversation(conn, 1, "A long one", made())


def rows(page: Page) -> Locator:
    """Return the messages that are in the page."""
    return page.locator(".lines-list > article")


def scroll(page: Page, to: str) -> None:
    """Scroll the timeline to an end of what is rendered."""
    page.locator(".lines").evaluate(f"(box) => box.scrollTo(0, {'0' if to == 'top' else 'box.scrollHeight'})")


def first_shown(page: Page) -> int:
    """Return the number of the first message that is rendered."""
    return int((rows(page).first.locator(".said p").first.text_content() or "").rsplit(" ", 1)[1])


def test_100_000_messages_are_scrolled_and_jumped_through_in_a_bounded_page(browser: Browser, demo: Demo) -> None:
    fill_store(demo, many)
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo, f"echo/{id_of(1)}")
        expect(rows(page).last).to_contain_text(f"message number {MANY - 1}")
        expect(page.get_by_role("button", name="Newest")).to_have_count(0)
        seen = first_shown(page)
        for _ in range(12):
            before = seen
            scroll(page, "top")
            # Older ones come above what is looked at.
            expect(page.locator(".lines-list > article").first).not_to_contain_text(f"number {before}")
            seen = first_shown(page)
            assert seen < before
            assert rows(page).count() <= HELD
        assert seen < MANY - 400
        # And forward again, over what was dropped.
        for _ in range(40):
            scroll(page, "bottom")
            assert rows(page).count() <= HELD
            if (rows(page).last.text_content() or "").find(f"number {MANY - 1}") >= 0:
                break
            page.wait_for_timeout(0)
        # A jump by search into the middle.
        page.get_by_label("Search messages and titles").fill('"number 50001"')
        page.locator(".hit").click()
        found = page.locator("article.found")
        expect(found).to_contain_text("message number 50001")
        expect(found).to_be_in_viewport()
        assert rows(page).count() <= HELD
        scroll(page, "bottom")
        expect(page.locator("article", has_text="message number 50060").first).to_be_attached()
        page.get_by_role("button", name="Newest").click()
        expect(rows(page).last).to_contain_text(f"message number {MANY - 1}")
        expect(rows(page).last).to_be_in_viewport()
        send(page, "[[say still here]]")
        expect(replies(page).last).to_contain_text("still here")
        assert rows(page).count() <= HELD


def test_the_place_stays_when_older_messages_come_in(browser: Browser, demo: Demo) -> None:
    def write(conn: sqlite3.Connection) -> None:
        add_conversation(
            conn, 1, "Some", [text_message(n, f"message number {n}" + "\n\nmore" * (n % 4)) for n in range(300)]
        )

    fill_store(demo, write)
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo, f"echo/{id_of(1)}")
        expect(rows(page).last).to_contain_text("message number 299")
        # Hold the older page back until the place is known.
        held: list[Route] = []
        page.route("**/chat/history*before=*", lambda route: held.append(route))
        scroll(page, "top")
        page.wait_for_timeout(0)
        expect(page.get_by_text("Loading older messages…")).to_be_visible()
        where = """(box) => {
            const row = box.querySelector("article");
            return [row.dataset.id, row.getBoundingClientRect().top];
        }"""
        # As it is painted: after the next frame.
        there = """async (box, id) => {
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            return box.querySelector(`[data-id="${id}"]`).getBoundingClientRect().top;
        }"""
        message_id, top = page.locator(".lines").evaluate(where)
        for route in held:
            route.continue_()
        expect(rows(page).first).not_to_have_attribute("data-id", message_id)
        assert abs(page.locator(".lines").evaluate(there, message_id) - top) <= 1


def test_what_comes_while_one_reads_above_is_counted_and_does_not_move_the_page(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[long 700]]")
    conversation = conversation_of(page)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    composer(page).press("Escape")
    expect(replies(page).locator(".turn-state")).to_have_text("stopped")
    for number in range(4):
        post(page, "echo", "\n\n".join(f"line {number}.{n}" for n in range(20)), conversationId=conversation)
        expect(replies(page)).to_have_count(number + 2, timeout=20_000)
    expect(page.locator(".reply").last.locator("footer")).to_have_count(1, timeout=20_000)
    scroll(page, "top")
    expect(page.get_by_role("button", name="Newest")).to_be_visible()
    top = page.locator(".lines").evaluate("(box) => box.scrollTop")
    demo.run("chat", "echo", "--conversation", conversation, "[[say from elsewhere]]")
    button = page.get_by_role("button", name="new message")
    expect(button).to_be_visible()
    assert page.locator(".lines").evaluate("(box) => box.scrollTop") == top
    expect(page.get_by_role("separator")).to_have_text("New")
    button.click()
    expect(replies(page).last).to_be_in_viewport()
    expect(button).to_have_count(0)


def test_one_comes_back_to_the_line_above_what_is_new(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, "[[say read]]")
        expect(replies(page)).to_contain_text("read")
        conversation = conversation_of(page)
        me = page.evaluate("fetch('/api/me').then((answer) => answer.json()).then((me) => me.userId)")
        newest = page.locator("[data-seq]").last.get_attribute("data-seq")
        page.goto(f"{demo.origin}/")
        demo.run("chat", "echo", "--conversation", conversation, "[[say not read]]")

        def back(conn: sqlite3.Connection) -> None:
            conn.execute(
                "UPDATE read_markers SET seq = ? WHERE user_id = ? AND conversation_id = ?", (newest, me, conversation)
            )
            conversations.set_read(conn, me, conversation, int(newest or 0))

        fill_store(demo, back)
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        page.goto(f"{demo.origin}/chat/echo/{conversation}")
        line = page.get_by_role("separator")
        expect(line).to_have_text("New")
        after = page.locator(".new-line ~ article").first
        expect(after).to_contain_text("not read")


def test_what_was_missed_is_read_again_in_place(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say before]]")
    expect(replies(page)).to_contain_text("before")
    conversation = conversation_of(page)
    page.evaluate("document.querySelector('.reply .md').dataset.same = 'yes'")
    # A cursor of another installation: the daemon answers `gap`, and the page reads again what is not in the snapshot.
    demo.stop()
    forget_cursors(demo)
    with page.expect_response("**/chat/history*"):
        demo.restart()
    expect(page.locator(".reply .md")).to_have_attribute("data-same", "yes")
    assert conversation in page.url


def forget_cursors(demo: Demo) -> None:
    """Make every cursor that a client holds worthless, as if it were of another installation."""
    with sqlite3.connect(demo.folder / "state" / "edgebotd.db") as conn:
        conn.execute("UPDATE installation SET cursor_key = randomblob(32)")


@pytest.mark.parametrize("kill", [False, True])
def test_a_restart_of_the_daemon_loses_and_doubles_nothing(page: Page, demo: Demo, kill: bool) -> None:
    open_chat(page, demo)
    send(page, "[[say one]]")
    expect(replies(page)).to_contain_text("one")
    demo.restart(kill=kill)
    page.wait_for_selector("html[data-line=live]")
    send(page, "[[say two]]")
    expect(replies(page)).to_have_count(2)
    expect(replies(page).last).to_contain_text("two")
    page.reload()
    expect(replies(page)).to_have_count(2)
    expect(page.locator(".asked")).to_have_count(2)
