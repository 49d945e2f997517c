"""Chat: sending, streaming, stopping, files, conversations, several tabs and people."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.browser.house import PHONE, Demo, open_tabs, sign_in
from tests.browser.talk import (
    add_user,
    asked,
    composer,
    connect_bot,
    conversation_of,
    count_frames,
    evaluate_with,
    frames_of,
    leaving,
    log_in,
    open_chat,
    post,
    replies,
    send,
)

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def test_a_first_message_makes_a_conversation_and_is_answered(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say Hello **world**!]]")
    expect(replies(page).locator("strong", has_text="world")).to_be_visible()
    expect(asked(page)).to_have_count(1)
    expect(leaving(page)).to_have_count(0)
    conversation_of(page)
    expect(page.get_by_role("navigation", name="Conversations").get_by_role("link", name="Hello")).to_be_visible()
    page.reload()
    expect(replies(page)).to_contain_text("Hello world!")
    expect(asked(page)).to_have_count(1)


def test_a_long_reply_comes_whole_when_the_tab_was_switched(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, "[[long 150]]")
        expect(replies(page)).to_contain_text("word9")
        other = context.new_page()
        open_chat(other, demo, f"echo/{conversation_of(page)}")
        other.bring_to_front()
        expect(replies(other)).to_contain_text("word150", timeout=30_000)
        page.bring_to_front()
        whole = " ".join(f"word{number}" for number in range(1, 151))
        for tab in (page, other):
            expect(replies(tab)).to_have_count(1)
            expect(replies(tab).locator(".said")).to_have_text(whole)


@pytest.mark.parametrize("shape", ["blocks", "one paragraph", "one fence"])
def test_100_kb_are_streamed_without_parsing_or_painting_too_much(page: Page, demo: Demo, shape: str) -> None:
    pieces = [f"piece-{number}-{'x' * 30}-**bold**" for number in range(2200)]
    if shape == "blocks":
        text = "\n\n".join(" ".join(pieces[start : start + 25]) for start in range(0, len(pieces), 25))
    else:
        text = " ".join(pieces) if shape == "one paragraph" else "```text\n" + "\n".join(pieces) + "\n```"
    assert len(text) > 100_000
    connect_bot(page, "fast", pace_ms=1)
    open_chat(page, demo, "fast")
    count_frames(page)
    before = evaluate_with(page, "./chat/counts.js", "{ ...it.counts }")
    post(page, "fast", f"[[say {text}]]")
    page.locator(".conversation").click()
    expect(replies(page).locator("footer")).to_have_count(1, timeout=60_000)
    expect(replies(page)).to_contain_text("piece-2199")
    after = evaluate_with(page, "./chat/counts.js", "{ ...it.counts }")
    used = {name: after[name] - before[name] for name in before}
    assert used["deltas"] > 20
    assert used["painted"] <= min(used["deltas"], frames_of(page))
    # What was sent is one more text, parsed once. Open blocks are parsed when grown by a quarter, a fence never.
    assert used["parsedUnits"] < (7 if shape == "one paragraph" else 4) * len(text)
    said = replies(page).locator(".said")
    expect(said.locator("p" if shape != "one fence" else "pre")).to_have_count(88 if shape == "blocks" else 1)
    assert (said.text_content() or "").count("piece-") == 2200


def test_the_nodes_of_a_reply_stay_when_it_ends(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[tool weather]] a message that is said again")
    expect(replies(page).locator(".md").first).to_be_visible()
    page.evaluate("document.querySelector('.reply .md').dataset.same = 'yes'")
    expect(replies(page).locator("footer")).to_have_count(1)
    expect(replies(page).locator(".md").first).to_have_attribute("data-same", "yes")


def test_stopping_says_so_until_it_has_ended_from_a_second_tab_too(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, "[[long 2000]]")
        expect(replies(page)).to_contain_text("word5")
        other = context.new_page()
        open_chat(other, demo, f"echo/{conversation_of(page)}")
        expect(replies(other)).to_contain_text("word5")
        # Hold the answer of the abort back, so that "stopping" has to be seen.
        other.get_by_role("button", name="Stop").click()
        for tab in (page, other):
            expect(replies(tab).locator(".turn-state")).to_have_text("stopped")
            expect(tab.get_by_role("button", name="Stop")).to_have_count(0)
            expect(composer(tab)).to_be_enabled()


def test_the_stop_button_says_stopping_while_the_bot_has_not_ended(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    page.route("**/chat/abort", lambda route: None)
    send(page, "[[long 2000]]")
    expect(replies(page)).to_contain_text("word5")
    composer(page).press("Escape")
    expect(page.get_by_role("button", name="stopping")).to_be_disabled()
    expect(replies(page).locator(".pulse")).to_have_text("stopping")


def test_a_waiting_message_can_be_cancelled(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[long 2000]]")
    expect(replies(page)).to_contain_text("word5")
    send(page, "[[say second]]")
    second = asked(page).filter(has_text="second")
    expect(second.locator(".turn-state")).to_contain_text("being answered")
    second.hover()
    second.get_by_role("button", name="Cancel").click()
    expect(second.locator(".turn-state")).to_have_text("stopped")
    composer(page).press("Escape")
    expect(replies(page).locator(".turn-state")).to_have_text("stopped")
    expect(replies(page)).to_have_count(1)


def test_tools_and_errors_are_shown(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[tool weather]] what is it like?")
    card = replies(page).locator("details.tool")
    expect(card.locator("summary")).to_contain_text("weather")
    card.locator("summary").click()
    expect(card).to_contain_text("The built-in bot's weather always works.")
    send(page, "[[error The model is tired]]")
    failed = replies(page).last
    expect(failed.locator(".said-error")).to_have_text("The model is tired")
    expect(failed.locator(".turn-state")).to_have_text("failed")
    failed.hover()
    failed.get_by_role("button", name="Try again").click()
    expect(asked(page)).to_have_count(3)
    expect(replies(page)).to_have_count(3)


def test_edit_and_arrow_up_prefill_a_new_turn(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say one]]")
    expect(replies(page)).to_contain_text("one")
    composer(page).press("ArrowUp")
    expect(composer(page)).to_have_value("[[say one]]")
    send(page, "[[say two]]")
    expect(replies(page)).to_have_count(2)
    first = asked(page).first
    first.hover()
    first.get_by_role("button", name="Edit").click()
    expect(composer(page)).to_have_value("[[say one]]")
    expect(asked(page)).to_have_count(2)


def test_files_are_checked_shown_and_sent(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    chosen_files: list[FilePayload] = [
        {"name": "dot.png", "mimeType": "image/png", "buffer": PNG},
        {"name": "big.png", "mimeType": "image/png", "buffer": b"x" * (5 * 1024 * 1024 + 1)},
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"some notes"},
    ]
    page.locator("input[type=file]").set_input_files(chosen_files)
    expect(page.get_by_text("this bot takes 5.2 MB at most")).to_be_visible()
    chosen = page.get_by_role("list", name="Files to send").get_by_role("listitem")
    expect(chosen).to_have_count(2)
    preview = chosen.locator("img")
    assert (preview.get_attribute("src") or "").startswith("blob:")
    send(page, "look")
    expect(replies(page)).to_contain_text("I got your file dot.png")
    expect(chosen).to_have_count(0)
    picture = asked(page).locator("a.picture img")
    expect(picture).to_have_attribute("alt", "dot.png")
    assert re.fullmatch(r"/api/attachments/[0-9a-f]{64}", picture.get_attribute("src") or "")
    expect(asked(page).get_by_role("link", name="notes.txt")).to_have_attribute("download", "notes.txt")


def test_files_can_be_pasted_and_dropped(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    for kind in ("paste", "drop"):
        page.evaluate(
            """(kind) => {
                const data = new DataTransfer();
                data.items.add(new File(["x"], `${kind}.txt`, { type: "text/plain" }));
                const area = document.querySelector(".composer textarea");
                const how = { bubbles: true, cancelable: true };
                area.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, ...how })
                    : new DragEvent("drop", { dataTransfer: data, ...how }));
            }""",
            kind,
        )
        expect(page.get_by_role("list", name="Files to send")).to_contain_text(f"{kind}.txt")
    # Two before the page is drawn again.
    page.evaluate("""() => {
        for (const name of ["third.txt", "fourth.txt"]) {
            const data = new DataTransfer();
            data.items.add(new File(["x"], name, { type: "text/plain" }));
            document.querySelector(".lines").dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }
    }""")
    expect(page.get_by_role("list", name="Files to send").get_by_role("listitem")).to_have_text(
        [re.compile(name) for name in ("paste", "drop", "third", "fourth")]
    )


def test_conversations_are_renamed_exported_and_deleted(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say something to keep]]")
    expect(replies(page)).to_contain_text("something to keep")
    conversation_of(page)
    page.get_by_label("More for this conversation").click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Title", exact=True).fill("Plans for spring")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Plans for spring")).to_be_visible()
    expect(page.get_by_role("link", name="Plans for spring")).to_be_visible()
    for kind, name in (("Markdown", ".md"), ("JSON", ".json")):
        page.get_by_label("More for this conversation").click()
        with page.expect_download() as download:
            page.get_by_role("link", name=f"Export as {kind}").click()
        assert download.value.suggested_filename.endswith(name)
        text = download.value.path().read_text()
        assert "something to keep" in text
        if kind == "JSON":
            assert json.loads(text)["conversation"]["title"] == "Plans for spring"
    page.get_by_label("More for this conversation").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="Plans for spring")).to_have_count(0)
    page.wait_for_url(f"{demo.origin}/chat/echo")


def test_unread_is_counted_and_reading_reaches_the_other_tab(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, "[[say first]]")
        expect(replies(page)).to_contain_text("first")
        conversation = conversation_of(page)
        other = context.new_page()
        open_chat(other, demo)
        page.goto(f"{demo.origin}/chat/echo")
        demo.run("chat", "echo", "--conversation", conversation, "[[say second]]")
        expect(other.locator(".unread")).to_contain_text("unread")
        expect(page.locator(".unread")).to_contain_text("unread")
        page.locator(".conversation").click()
        expect(replies(page).last).to_contain_text("second")
        expect(other.locator(".unread")).to_have_count(0)


def test_drafts_stay_with_their_conversation(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say first]]")
    conversation = conversation_of(page)
    composer(page).fill("not yet")
    page.goto(f"{demo.origin}/chat/echo")
    expect(composer(page)).to_have_value("")
    page.locator(".conversation").click()
    page.wait_for_url(f"**/{conversation}")
    expect(composer(page)).to_have_value("not yet")


def test_who_may_only_look_is_told_why_nothing_can_be_written(browser: Browser, demo: Demo) -> None:
    demo.run("chat", "echo", "[[say for all to see]]")
    add_user(demo, "ada", "view")
    add_user(demo, "bert", "chat")
    with open_tabs(browser) as context:
        page = log_in(context, demo, "ada")
        page.locator(".conversation").click()
        expect(replies(page)).to_contain_text("for all to see")
        expect(composer(page)).to_have_count(0)
        expect(page.get_by_text("You may read what is said with Echo, not write.")).to_be_visible()
        expect(page.get_by_role("link", name="New")).to_have_count(0)
        with open_tabs(browser) as second:
            bert = log_in(second, demo, "bert")
            bert.locator(".conversation").click()
            send(bert, "[[say from bert]]")
            expect(replies(page).last).to_contain_text("from bert")
            expect(asked(page).last.locator("header strong")).to_have_text("bert")
            bert.get_by_label("More for this conversation").click()
            expect(bert.get_by_role("button", name="Delete")).to_have_count(0)
            expect(bert.get_by_role("button", name="Rename")).to_be_visible()


def test_alt_arrows_lead_through_the_conversations(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    for word in ("one", "two"):
        page.goto(f"{demo.origin}/chat/echo/new")
        send(page, f"[[say {word}]]")
        expect(replies(page)).to_contain_text(word)
        conversation_of(page)
    page.keyboard.press("Alt+ArrowDown")
    expect(replies(page)).to_have_text(re.compile("one"))
    page.keyboard.press("Alt+ArrowUp")
    expect(replies(page)).to_have_text(re.compile("two"))


def test_the_composer_grows_to_eight_lines(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    one = composer(page).bounding_box()
    composer(page).press("Shift+Enter")
    composer(page).fill("\n".join(str(number) for number in range(30)))
    many = composer(page).bounding_box()
    assert one is not None and many is not None
    assert one["height"] + 6.5 * 24 < many["height"] <= one["height"] + 7.5 * 24


def test_on_a_phone_list_and_conversation_are_two_screens(browser: Browser, demo: Demo) -> None:
    add_user(demo, "ada", "chat")
    with open_tabs(browser, PHONE, has_touch=True, is_mobile=True) as context:
        page = log_in(context, demo, "ada")
        conversations = page.get_by_role("navigation", name="Conversations")
        expect(conversations).to_be_visible()
        expect(composer(page)).to_be_hidden()
        page.get_by_role("link", name="New").tap()
        expect(conversations).to_be_hidden()
        composer(page).fill("[[say from afar]]")
        composer(page).press("Enter")
        # There, Enter is the newline key.
        expect(composer(page)).to_have_value("[[say from afar]]\n")
        composer(page).press("Control+Enter")
        expect(replies(page)).to_contain_text("from afar")
        assert page.evaluate(
            "[...document.querySelectorAll('.chat, .talk, .lines')].every((one) => one.scrollWidth <= one.clientWidth)"
        )
        cell = "a_rather_long_cell_that_does_not_break"
        table = f"| a | b | c |\n|---|---|---|\n| {cell} | {cell} | {cell} |"
        composer(page).fill(f"[[say ```js\nconst long = '{'x' * 200}';\n```\n\n{table}]]")
        composer(page).press("Control+Enter")
        expect(replies(page).last.locator("table")).to_be_visible()
        right = "(place) => document.querySelector(place).getBoundingClientRect().right"
        assert max(page.evaluate(right, place) for place in (".lines-list", ".composer")) <= page.evaluate(
            right, ".chat"
        )
        for target in page.locator(".talk button:visible, .talk a:visible").all():
            box = target.bounding_box()
            assert box is not None and min(box["width"], box["height"]) >= 44
        page.get_by_label("To the conversations").tap()
        expect(conversations).to_be_visible()


def test_a_finished_reply_is_read_out_once(page: Page, demo: Demo) -> None:
    open_chat(page, demo)
    send(page, "[[say first]]")
    conversation_of(page)
    expect(replies(page)).to_contain_text("first")
    send(page, "[[say Hello to all]]")
    expect(page.locator(".talk [aria-live=polite]")).to_have_text("Echo: Hello to all")


def test_a_reply_and_a_need_are_told_only_when_no_tab_is_seen_and_leave_was_given(browser: Browser, demo: Demo) -> None:
    told = """(() => {
        window.told = [];
        window.Notification = class {
            static permission = "granted";
            static async requestPermission() { return "granted"; }
            constructor(title, options) { window.told.push([title, options.body]); } close() {} };
        Object.defineProperty(document, "hidden", { get: () => window.unseen === true });
    })()"""
    with open_tabs(browser) as context:
        context.add_init_script(told)
        page = sign_in(context, demo)
        open_chat(page, demo)
        send(page, "[[say first]]")
        expect(replies(page)).to_contain_text("first")
        conversation = conversation_of(page)
        page.get_by_role("button", name="Account and settings").click()
        page.get_by_label("Tell me when a reply is ready").check()
        page.keyboard.press("Escape")
        demo.run("chat", "echo", "--conversation", conversation, "[[say seen]]")
        expect(replies(page).last).to_contain_text("seen")
        page.evaluate("window.unseen = true; document.dispatchEvent(new Event('visibilitychange'))")
        demo.run("chat", "echo", "--conversation", conversation, "[[say unseen]]")
        expect(replies(page).last).to_contain_text("unseen")
        wait_told = """(count) => new Promise((done) => {
            const look = () => window.told.length >= count ? done() : setTimeout(look, 20);
            look();
        })"""
        page.evaluate(wait_told, 1)
        demo.run_json("bots", "connect", "gate", "--url", f"ws://127.0.0.1:{demo.port}/ws/bots/echo")
        page.evaluate(wait_told, 2)
        reply, need = page.evaluate("window.told")
        assert reply == ["Echo", "unseen"]
        assert need[0] == "gate" and "401" in need[1]
