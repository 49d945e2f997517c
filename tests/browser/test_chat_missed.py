"""What a conversation does when something was missed, or does not come: one keeps the place, and gets all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.house import Demo, open_tabs, sign_in, wait_live
from tests.browser.line import until
from tests.browser.talk import (
    add_conversation,
    conversation_of,
    evaluate_with,
    fill_store,
    id_of,
    open_chat,
    replies,
    send,
    text_message,
)
from tests.browser.test_chat_history import forget_cursors, rows, scroll
from tests.browser.wire import open_wire


def several(conn: sqlite3.Connection) -> None:
    """Make a conversation of 300 messages, each of another day, so that every second row is a day."""
    add_conversation(conn, 2, "Another", [text_message(0, "elsewhere", conversation=2)])
    add_conversation(conn, 1, "Some", [text_message(n, f"message number {n}", minutes=-1500) for n in range(300)])


@pytest.fixture(scope="module")
def reader(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Demo]]:
    """A tab at a daemon with that conversation, in which nothing is written."""
    demo = Demo(tmp_path_factory.mktemp("read"))
    try:
        fill_store(demo, several)
        with open_tabs(browser) as context:
            yield sign_in(context, demo), demo
    finally:
        demo.stop()


def open_behind(context: BrowserContext, demo: Demo, origin: str) -> Page:
    """Log in by another address of the same daemon."""
    page = context.new_page()
    page.goto(demo.link.replace(demo.origin, origin))
    wait_live(page)
    return page


def begin_anew(demo: Demo) -> None:
    """Restart the daemon so that nobody's cursor is worth anything: each page is told a gap."""
    demo.stop()
    forget_cursors(demo)
    demo.restart()


def test_a_reply_whose_end_was_missed_stays_in_sight_until_it_is_read(browser: Browser, demo: Demo) -> None:
    with open_wire(demo.port) as wire, open_tabs(browser) as context:
        page = open_behind(context, demo, wire.origin)
        page.goto(f"{wire.origin}/chat/echo")
        send(page, "[[long 60]]")
        conversation = conversation_of(page)
        expect(replies(page).locator(".md")).to_contain_text("word5")
        wire.cut(joined=False)
        address = f"{demo.origin}/api/bots/echo/chat/history?conversationId={conversation}"
        until(page, "its end", lambda _: len(context.request.get(address).json()["items"]) == 2)
        page.evaluate("""() => {
            window.gone = 0;
            const count = (changes) => changes.forEach(({ removedNodes }) => (window.gone += removedNodes.length));
            new MutationObserver(count).observe(document.querySelector(".lines-list"), { childList: true });
        }""")
        begin_anew(demo)
        with page.expect_response("**/chat/history*"):
            wire.cut(joined=True)
        expect(replies(page).locator(".md")).to_contain_text("word60")
        expect(replies(page).locator("footer")).to_have_count(1)
        assert page.evaluate("window.gone") == 0


def test_who_reads_in_the_middle_stays_there_and_who_was_elsewhere_misses_nothing(browser: Browser, demo: Demo) -> None:
    fill_store(demo, several)
    with open_wire(demo.port) as wire, open_tabs(browser) as context:
        page = open_behind(context, demo, wire.origin)
        page.goto(f"{wire.origin}/chat/echo/{id_of(1)}?m=m-1-100")
        wait_live(page)
        expect(page.locator("article.found")).to_be_in_viewport()
        with page.expect_response("**/chat/window*"):
            begin_anew(demo)
        expect(page.locator("article.found")).to_be_in_viewport()
        wait_live(page)
        # The same while another page is shown.
        page.locator(".newest").click()
        expect(rows(page).last).to_contain_text("number 299")
        page.get_by_role("link", name="Bots").click()
        expect(page.locator(".lines")).to_have_count(0)
        wire.cut(joined=False)
        demo.run("chat", "echo", "--conversation", id_of(1), "[[say meanwhile]]")
        begin_anew(demo)
        wire.cut(joined=True)
        wait_live(page)
        page.go_back()
        expect(rows(page).last).to_contain_text("meanwhile")


def test_what_does_not_come_is_asked_for_once_and_again_when_the_line_is_back(reader: tuple[Page, Demo]) -> None:
    page, demo = reader
    open_chat(page, demo, f"echo/{id_of(1)}")
    expect(rows(page).last).to_contain_text("number 299")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/chat/history" in request.url else None)
    page.context.set_offline(True)
    scroll(page, "top")
    stopped = page.locator(".more.failed")
    expect(stopped).to_contain_text("can't be reached")
    stopped.get_by_role("button").click()
    until(page, "the second try", lambda _: len(asked) == 2)
    expect(stopped).to_be_visible()
    first = rows(page).first.get_attribute("data-id")
    assert len(asked) == 2
    page.context.set_offline(False)
    expect(rows(page).first).not_to_have_attribute("data-id", first or "")
    expect(stopped).to_have_count(0)


def test_the_same_hit_leads_to_its_message_again(reader: tuple[Page, Demo]) -> None:
    page, demo = reader
    open_chat(page, demo, f"echo/{id_of(1)}")
    page.get_by_label("Search messages and titles").fill('"number 100"')
    for _ in range(2):
        page.locator(".hit").click()
        expect(page.locator("article.found")).to_be_in_viewport()
        scroll(page, "top")
        expect(page.locator("article.found")).not_to_be_in_viewport()
    page.locator(".newest").click()
    expect(rows(page).last).to_contain_text("number 299")
    # The address does not lead back to it.
    page.wait_for_url(f"**/{id_of(1)}")
    # Nor one to a message that is not there, or in another conversation, away from this one.
    for message_id in ("m-1-300", "m-2-0", "%00"):
        open_chat(page, demo, f"echo/{id_of(1)}?m={message_id}")
        expect(rows(page).last).to_contain_text("number 299")


def test_what_a_snapshot_tells_again_takes_no_tool_away(reader: tuple[Page, Demo]) -> None:
    body = """argument.map((again) => {
        const run = new it.Run("r", "echo", "c");
        run.append(0, "ab");
        run.beginTool("look");
        run.append(2, "cd");
        run.append(0, again);
        return run.segments.map((one) => (one.kind === "text" ? one.blocks.text : "*"));
    })"""
    told = evaluate_with(reader[0], "chat/runs.js", body, ["abcdef", "abcd", "abx", "ab"])
    assert told == [["ab", "*", "cdef"], ["ab", "*", "cd"], ["abx"], ["ab"]]


def test_what_leaves_to_many_others_does_not_cut_the_one_that_is_shown_off(reader: tuple[Page, Demo]) -> None:
    body = """(() => {
        const shown = it.timelineOf("echo", "c_shown");
        for (const other of "123456789") {
            it.note({ botId: "echo", conversationId: `c_${other}`, runId: `r_${other}`, role: "user", parts: [] });
        }
        return it.timelineOf("echo", "c_shown") === shown;
    })()"""
    assert evaluate_with(reader[0], "chat/timeline.js", body) is True
