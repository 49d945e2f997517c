"""Sending while the line is away: kept over a reload, sent in order, once, whichever tab does it."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.house import Demo, open_tabs, sign_in
from tests.browser.talk import (
    asked,
    call_api,
    composer,
    conversation_of,
    evaluate_with,
    leaving,
    open_chat,
    replies,
    send,
)


def texts(page: Page, conversation: str) -> list[str]:
    """Return what people said in a conversation, as the daemon stored it, oldest first."""
    found = call_api(page, "GET", f"/api/bots/echo/chat/history?limit=200&conversationId={conversation}")
    said = [message for message in reversed(found["items"]) if message["role"] == "user"]
    return ["".join(part.get("text", "") for part in message["parts"]) for message in said]


def begin(page: Page, demo: Demo) -> str:
    """Make a conversation and return its id."""
    open_chat(page, demo)
    send(page, "[[say first]]")
    expect(replies(page).locator("footer")).to_have_count(1)
    return conversation_of(page)


def test_what_is_sent_offline_leaves_in_order_when_the_line_is_back(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        conversation = begin(page, demo)
        context.set_offline(True)
        # The first in the same words as what has been said just now.
        words = ["[[say first]]", *(f"[[say {number}]]" for number in range(4))]
        for text in words:
            send(page, text)
        expect(leaving(page)).to_have_count(5)
        expect(leaving(page).first.locator(".turn-state")).to_have_text("will be sent")
        context.set_offline(False)
        expect(leaving(page)).to_have_count(0, timeout=20_000)
        expect(asked(page)).to_have_count(6)
        assert texts(page, conversation)[1:] == words


def test_the_outbox_survives_a_reload_and_two_tabs_send_nothing_twice(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        conversation = begin(page, demo)
        other = context.new_page()
        open_chat(other, demo, f"echo/{conversation}")
        blocked = "**/chat/send"
        context.route(blocked, lambda route: route.abort())
        context.route_web_socket(re.compile("/ws/bots/"), lambda line: line.close())
        for number in range(4):
            send(page, f"[[say {number}]]")
        # Both tabs show what waits.
        expect(leaving(page)).to_have_count(4)
        expect(leaving(other)).to_have_count(4)
        page.reload()
        expect(leaving(page)).to_have_count(4)
        context.unroute(blocked)
        for tab in (page, other):
            tab.evaluate("dispatchEvent(new Event('online'))")
        for tab in (page, other):
            expect(leaving(tab)).to_have_count(0)
            expect(asked(tab)).to_have_count(5)
        assert texts(page, conversation)[1:] == [f"[[say {number}]]" for number in range(4)]


def test_an_answer_that_got_lost_does_not_send_twice(page: Page, demo: Demo) -> None:
    conversation = begin(page, demo)
    lost: list[int] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch().status)
            route.abort()

    page.route("**/chat/send", lose)
    page.context.route_web_socket(re.compile("/ws/bots/"), lambda line: line.close())
    send(page, "[[say once]]")
    expect(replies(page).last).to_contain_text("once")
    expect(leaving(page)).to_have_count(0)
    assert lost == [202]
    assert texts(page, conversation) == ["[[say first]]", "[[say once]]"]
    expect(asked(page)).to_have_count(2)


def test_a_new_conversation_begun_offline_is_one_conversation(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo, "echo/new")
        context.set_offline(True)
        send(page, "[[say a]]")
        send(page, "[[say b]]")
        expect(leaving(page)).to_have_count(2)
        context.set_offline(False)
        conversation = conversation_of(page)
        expect(asked(page)).to_have_count(2)
        assert texts(page, conversation) == ["[[say a]]", "[[say b]]"]
        expect(page.locator(".list .conversation")).to_have_count(1)


def test_files_wait_with_their_message(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        begin(page, demo)
        context.set_offline(True)
        page.locator("input[type=file]").set_input_files(
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"some notes"}
        )
        send(page, "look")
        expect(leaving(page)).to_contain_text("notes.txt")
        context.set_offline(False)
        page.reload()
        expect(replies(page).last).to_contain_text("I got your file notes.txt (text/plain, 10 bytes)")


def test_what_is_refused_says_why_and_can_be_edited_or_discarded(page: Page, demo: Demo) -> None:
    begin(page, demo)
    refusal = '{"title":"Conflict","status":409,"detail":"This key was used.","code":"idempotency_key_used"}'
    page.route(
        "**/chat/send",
        lambda route: route.fulfill(status=409, content_type="application/problem+json", body=refusal),
    )
    send(page, "one that is refused")
    expect(leaving(page).get_by_role("alert")).to_have_text("This key was used.")
    leaving(page).get_by_role("button", name="Edit").click()
    expect(leaving(page)).to_have_count(0)
    expect(composer(page)).to_have_value("one that is refused")
    composer(page).press("Enter")
    expect(leaving(page).get_by_role("alert")).to_be_visible()
    page.unroute("**/chat/send")
    leaving(page).get_by_role("button", name="Send again").click()
    expect(leaving(page)).to_have_count(0)
    expect(asked(page).last).to_contain_text("one that is refused")
    expect(asked(page)).to_have_count(2)


def test_the_websocket_sends_where_a_proxy_refuses_the_post(page: Page, demo: Demo) -> None:
    conversation = begin(page, demo)
    page.route(
        "**/chat/send",
        lambda route: route.fulfill(status=405, content_type="text/html", body="<h1>Not Allowed</h1>"),
    )
    send(page, "[[say by the other way]]")
    expect(replies(page).last).to_contain_text("by the other way")
    expect(leaving(page)).to_have_count(0)
    assert texts(page, conversation)[1:] == ["[[say by the other way]]"]


def test_what_was_tried_a_day_ago_is_not_sent_by_itself(page: Page, demo: Demo) -> None:
    conversation = begin(page, demo)
    page.evaluate(
        """(conversationId) => fetch('/api/me').then((answer) => answer.json()).then(({ userId }) => {
            const at = Date.now() - 21 * 3600 * 1000;
            localStorage.setItem(`edgebotd.outbox.${userId}.old`, JSON.stringify({
                id: "old", owner: userId, order: at, botId: "echo", conversationId,
                group: null, text: "[[say old]]", files: [], at, triedAt: at, refused: null, code: null }));
        })""",
        conversation,
    )
    page.reload()
    expect(leaving(page).get_by_role("alert")).to_contain_text("whether it arrived is not known")
    leaving(page).get_by_role("button", name="Discard").click()
    expect(leaving(page)).to_have_count(0)
    assert texts(page, conversation) == ["[[say first]]"]


def test_keys_are_new_each_time(page: Page) -> None:
    keys = evaluate_with(page, "./chat/outbox.js", "Array.from({ length: 1000 }, it.newKey)")
    assert len(set(keys)) == 1000
    assert all(re.fullmatch("[0-9a-z]{30}", key) for key in keys)
