"""Chat where something else happens meanwhile: what one typed, what is deleted, a daemon that is away, no clipboard."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from tests.browser.house import Demo, open_tabs, sign_in, wait_live
from tests.browser.line import until
from tests.browser.talk import asked, composer, connect_bot, conversation_of, evaluate_with, open_chat, replies, send


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


def test_what_was_typed_comes_back_when_an_edit_has_replaced_it(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say one]]")
    expect(replies(page)).to_contain_text("one")
    composer(page).fill("half a thought")
    asked(page).hover()
    asked(page).get_by_role("button", name="Edit").click()
    expect(composer(page)).to_have_value("[[say one]]")
    page.get_by_role("button", name="Undo").click()
    expect(composer(page)).to_have_value("half a thought")
    page.reload()
    expect(composer(page)).to_have_value("half a thought")


def test_what_another_tab_deletes_is_gone_here_too(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, "[[long 2000]]")
        expect(replies(page)).to_contain_text("word5")
        other = context.new_page()
        open_chat(other, demo, f"echo/{conversation_of(page)}")
        other.get_by_label("More for this conversation").click()
        other.get_by_role("button", name="Delete").click()
        other.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("This conversation is not there any more.")).to_be_visible()
        expect(replies(page)).to_have_count(0)
        expect(asked(page)).to_have_count(0)
        expect(page.get_by_label("More for this conversation")).to_have_count(0)


def test_stopping_with_the_button_leaves_the_focus_where_one_writes(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[long 2000]]")
    expect(replies(page)).to_contain_text("word5")
    page.get_by_role("button", name="Stop").press("Enter")
    expect(replies(page).locator(".turn-state")).to_have_text("stopped")
    expect(composer(page)).to_be_focused()


def test_text_and_code_are_copied_where_the_browser_gives_no_clipboard(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser, permissions=["clipboard-read", "clipboard-write"]) as context:
        page = sign_in(context, demo)
        # As on a page that came by plain HTTP from another machine.
        page.add_init_script(
            "window.clipboard_ = navigator.clipboard;"
            " Object.defineProperty(navigator, 'clipboard', { value: undefined })"
        )
        open_chat(page, demo)
        send(page, "[[say ```sh\nls -la\n```]]")
        expect(replies(page).locator("footer")).to_have_count(1)
        copy = replies(page).locator(".code-copy")
        copy.click()
        expect(copy).to_have_text("Copied")
        expect(copy).to_be_focused()
        assert page.evaluate("window.clipboard_.readText()") == "ls -la"
        asked(page).hover()
        asked(page).locator("footer").get_by_role("button", name="Copy").click()
        expect(page.get_by_text("Copied", exact=True).last).to_be_visible()
        assert page.evaluate("window.clipboard_.readText()") == "[[say ```sh\nls -la\n```]]"


def test_a_tab_that_is_opened_in_mid_reply_has_the_reply_from_its_beginning(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, "[[long 2000]]")
        expect(replies(page)).to_contain_text("word20")
        other = context.new_page()
        held: list[Route] = []
        other.route("**/pages/chat.js", lambda route: held.append(route))
        other.goto(f"{demo.origin}/chat/echo/{conversation_of(page)}")
        wait_live(other)
        until(other, "the snapshot", lambda tab: bool(evaluate_with(tab, "house.js", "it.known.value")))
        # What shows the chat comes after the snapshot, which the first tab has at hand.
        for route in held:
            route.continue_()
        expect(replies(other).locator(".said")).to_have_text(re.compile("^word1 word2 .* word40 "))


def test_a_draft_is_the_same_in_all_tabs_and_its_files_stay_with_it(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        other = context.new_page()
        open_chat(other, demo)
        # Both have the focus where one writes, as each does that was just opened.
        expect(composer(other)).to_be_focused()
        composer(page).fill("[[say typed here]]")
        expect(composer(other)).to_have_value("[[say typed here]]")
        composer(other).press("Enter")
        expect(composer(page)).to_have_value("")
        conversation = conversation_of(other)
        expect(page.locator(".conversation")).to_have_count(1)
        file: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"some notes"}
        page.locator("input[type=file]").set_input_files([file])
        chosen = page.get_by_role("list", name="Files to send")
        page.locator(".conversation").click()
        page.wait_for_url(f"**/{conversation}")
        expect(chosen).to_have_count(0)
        page.get_by_role("link", name="New").click()
        expect(chosen).to_contain_text("notes.txt")


def test_what_is_too_much_is_told_before_it_is_sent(page: Page, demo: Demo) -> None:
    # Dropped beside the composer, where the browser would leave the page for it, before it is known what the bot takes.
    asking: list[Route] = []
    page.route("**/api/bots/echo", lambda route: asking.append(route))
    open_chat(page, demo)
    kept = page.evaluate("""() => {
        const data = new DataTransfer();
        for (const name of ["one", "two", "three"]) data.items.add(new File([new Uint8Array(9e6)], name));
        const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
        return document.querySelector(".lines").dispatchEvent(event);
    }""")
    assert kept is False
    expect(page.get_by_role("list", name="Files to send").get_by_role("listitem")).to_have_count(3)
    for route in asking:
        route.continue_()
    page.unroute("**/api/bots/echo")
    expect(page.get_by_text("The files have 27 MB together; this bot takes 21 MB at most")).to_be_visible()
    expect(page.get_by_role("list", name="Files to send").get_by_role("listitem")).to_have_count(2)
    composer(page).fill("x" * 500_001)
    composer(page).press("Enter")
    expect(page.get_by_text("This has 500001 characters")).to_be_visible()
    expect(asked(page)).to_have_count(0)
    assert len(composer(page).input_value()) == 500_001

    # A bot that is away does not say what it takes: nothing is taken back.
    def away(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"version": None, "attachments": None})

    page.route("**/api/bots/echo", away)
    with page.expect_response("**/api/bots/echo"):
        demo.run("chat", "echo", "[[cut]]")
    expect(page.locator(".conversation")).to_have_count(1)
    expect(page.get_by_role("button", name="Attach files")).to_be_visible()
    expect(page.get_by_role("list", name="Files to send").get_by_role("listitem")).to_have_count(2)


def test_one_types_and_sends_on_while_files_are_being_kept(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    # As on a slow disk: whoever wants to keep files waits until this has ended.
    page.evaluate("""async () => {
        const request = indexedDB.open("edgebotd.chat", 1);
        request.onupgradeneeded = () => request.result.createObjectStore("files");
        await new Promise((done) => (request.onsuccess = done));
        const store = request.result.transaction("files", "readwrite").objectStore("files");
        const hold = () => (store.get("").onsuccess = () => window.over || hold());
        hold();
    }""")
    file: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"some notes"}
    page.locator("input[type=file]").set_input_files([file])
    send(page, "with a file")
    expect(composer(page)).to_have_value("")
    send(page, "[[say after it]]")
    composer(page).fill("half a thought")
    page.evaluate("window.over = true")
    expect(replies(page)).to_have_count(2)
    expect(asked(page).first).to_contain_text("notes.txt")
    expect(replies(page).last).to_contain_text("after it")
    expect(composer(page)).to_have_value("half a thought")
