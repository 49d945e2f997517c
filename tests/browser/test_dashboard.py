"""The dashboard and a bot's page: what needs a person, what was said last, quick chat, connecting, removing."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.house import Demo, open_tabs, sign_in, stop_clock, wait_live
from tests.browser.line import until

PASSWORD = "a long enough password"


@contextmanager
def closed_port() -> Iterator[int]:
    """A port where nobody answers, and nobody else will meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def connect(demo: Demo, *names: str) -> None:
    for name in names:
        demo.run("bots", "connect", name.lower(), "--kind", "echo", "--name", name)


def log_in(page: Page, user: str) -> None:
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    wait_live(page)


def test_a_row_tells_state_and_age_and_the_answer_is_written_into_it(page: Page, demo: Demo) -> None:
    echo = row(page, "Echo")
    expect(echo).to_contain_text("connected")
    expect(echo).to_contain_text("Nothing said yet")
    quick = echo.get_by_role("textbox", name="Message Echo")
    quick.fill("[[slow]] [[say one two three four five six seven eight]]")
    quick.press("Enter")
    expect(quick).to_have_value("")
    expect(echo.locator(".tail")).to_contain_text("one two")
    expect(echo).to_contain_text("writing")
    expect(echo.get_by_role("link", name="one two three four five six seven eight")).to_be_visible()
    expect(echo.locator(".tail")).to_have_count(0)
    expect(echo.locator(".count")).to_contain_text("1")
    expect(page).to_have_title("(1) Bots · edgebotd")


def test_who_said_it_is_told_apart(page: Page, demo: Demo) -> None:
    """What somebody else wrote stood there as one's own, and was unread after a reload only."""
    with closed_port() as port:
        demo.run_json("bots", "connect", "far", "--name", "Far", "--url", f"ws://127.0.0.1:{port}")
        page.get_by_role("textbox", name="Message Far").fill("mine")
        page.keyboard.press("Enter")
        expect(row(page, "Far")).to_contain_text("You: mine")
        expect(row(page, "Far").locator(".count")).to_have_count(0)
        demo.run("user", "add", "ada", text=f"{PASSWORD}\n")
        demo.run("user", "grant", "ada", "far", "chat")
        token = demo.run_json("token", "create", "ada", "--name", "one", "--scope", "chat")["token"]
        sent = Request(
            f"{demo.origin}/api/bots/far/chat/send", json.dumps({"text": "theirs", "idempotencyKey": "1"}).encode()
        )
        sent.add_header("authorization", f"Bearer {token}")
        sent.add_header("content-type", "application/json")
        urlopen(sent, timeout=20).close()
        for _ in range(2):
            expect(row(page, "Far")).to_contain_text("ada: theirs")
            expect(row(page, "Far").locator(".count")).to_have_text(re.compile("^1"))
            page.reload()


def test_a_message_that_waits_says_why(page: Page, demo: Demo) -> None:
    with closed_port() as port:
        url = f"http://127.0.0.1:{port}/v1"
        demo.run_json("bots", "connect", "far", "--kind", "openai", "--url", url, "--model", "m")
        far = row(page, "far")
        expect(far).to_contain_text("not connected")
        far.get_by_role("textbox").fill("hello")
        far.get_by_role("textbox").press("Enter")
        expect(page.locator(".toast")).to_be_visible()
        expect(far).to_contain_text("You: hello")


def test_what_is_said_offline_leaves_once_when_the_line_is_back(page: Page, demo: Demo) -> None:
    echo = row(page, "Echo")
    page.wait_for_load_state("networkidle")
    # The answer is lost: the message arrives, and is sent again under the same key.
    sends = "**/chat/send"
    page.route(sends, lambda route: (route.fetch(), route.abort())[1])
    quick = echo.get_by_role("textbox", name="Message Echo")
    quick.fill("[[say once]]")
    quick.press("Enter")
    expect(page.locator(".toast")).to_contain_text("as soon as the daemon can be reached")
    expect(quick).to_have_value("")
    # The outbox may be trying just now.
    page.unroute_all(behavior="wait")
    expect(echo.get_by_role("link", name="once")).to_be_visible()
    expect(page.locator("html[data-line=live]")).to_be_attached()
    page.goto(f"{demo.origin}/chat/echo")
    wait_live(page)
    page.locator("a.conversation").first.click()
    expect(page.locator(".reply")).to_have_text(re.compile("once"))
    expect(page.locator(".asked")).to_have_count(1)


def test_a_first_message_offline_is_kept_too(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        page = sign_in(context, demo)
        # What keeps it is fetched before it is wanted, once the browser rests.
        until(page, "the outbox", lambda _: any(url.endswith("/chat/outbox.js") for url in asked))
        page.wait_for_load_state("networkidle")
        context.set_offline(True)
        quick = row(page, "Echo").get_by_role("textbox", name="Message Echo")
        quick.fill("[[say from afar]]")
        quick.press("Enter")
        expect(page.locator(".toast")).to_contain_text("as soon as the daemon can be reached")
        context.set_offline(False)
        expect(row(page, "Echo").get_by_role("link", name="from afar")).to_be_visible()


def test_typing_filters_and_the_order_is_chosen_and_kept(page: Page, demo: Demo) -> None:
    connect(demo, "Zoe", "Ada")
    names = page.locator("[data-row]")
    expect(names).to_have_text(["Ada", "Echo", "Zoe"])
    page.get_by_role("searchbox", name="Filter bots").fill("zo connected")
    expect(names).to_have_text(["Zoe"])
    page.get_by_role("searchbox", name="Filter bots").fill("nobody")
    expect(page.get_by_text("0 bots fit")).to_be_visible()
    page.keyboard.press("Escape")
    row(page, "Zoe").get_by_role("textbox").fill("[[say Hi!]]")
    page.keyboard.press("Enter")
    expect(row(page, "Zoe")).to_contain_text("Hi!")
    page.get_by_label("Order").select_option("Last used first")
    expect(names).to_have_text(["Zoe", "Ada", "Echo"])
    page.reload()
    expect(page.get_by_label("Order")).to_have_value("used")


def test_a_favourite_stands_first_and_stays_one(page: Page, demo: Demo) -> None:
    connect(demo, "Zoe")
    names = page.locator("[data-row]")
    expect(names).to_have_text(["Echo", "Zoe"])
    star = page.get_by_role("button", name="Favourite: Zoe")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(names).to_have_text(["Zoe", "Echo"])
    page.reload()
    expect(names).to_have_text(["Zoe", "Echo"])


@pytest.fixture
def broken(demo: Demo) -> str:
    """A bot that needs a person: what answers at its URL refuses the credentials."""
    answer = demo.run_json("bots", "connect", "gate", "--url", f"ws://127.0.0.1:{demo.port}/ws/bots/echo")
    reason: str = answer["bot"]["summary"]["detail"]
    return reason


def test_what_needs_a_person_comes_first_and_says_what_to_do(page: Page, demo: Demo, broken: str) -> None:
    needs = page.get_by_role("region", name="What needs a person")
    expect(needs).to_contain_text("1 needs you")
    expect(needs).to_contain_text(broken)
    expect(page.locator("[data-row]").nth(1)).to_have_text("gate")
    # The filter's list is the one below it, and Esc leaves the field of a row.
    page.keyboard.press("/")
    page.keyboard.type("echo")
    page.keyboard.press("ArrowDown")
    expect(row(page, "Echo").get_by_role("link", name="Echo")).to_be_focused()
    page.keyboard.press("m")
    expect(row(page, "Echo").get_by_role("textbox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(row(page, "Echo").get_by_role("link", name="Echo")).to_be_focused()
    needs.get_by_role("button", name="Try again").click()
    expect(page.locator(".toast")).to_contain_text("Trying gate again")
    needs.get_by_role("link", name="Settings").click()
    expect(page.get_by_role("button", name="Edit")).to_be_visible()


def test_who_only_watches_sees_the_trouble_and_no_button(browser: Browser, demo: Demo, broken: str) -> None:
    demo.run("user", "add", "ada", text=f"{PASSWORD}\n")
    demo.run("user", "grant", "ada", "gate", "view")
    with open_tabs(browser) as context:
        page = context.new_page()
        page.goto(demo.origin)
        log_in(page, "ada")
        needs = page.get_by_role("region", name="What needs a person")
        expect(needs).to_contain_text("Somebody who operates this bot can mend it.")
        expect(needs.get_by_role("button")).to_have_count(0)
        expect(row(page, "gate")).to_contain_text("You may only watch")
        expect(page.get_by_text("Echo")).to_have_count(0)
        expect(page.get_by_role("link", name="Add a bot")).to_have_count(0)
        # A grant that comes meanwhile shows without a reload.
        demo.run("user", "grant", "ada", "echo", "chat")
        expect(row(page, "Echo").get_by_role("textbox")).to_be_visible()


def test_a_person_without_bots_is_told_whom_to_ask(browser: Browser, demo: Demo) -> None:
    demo.run("user", "add", "ada", text=f"{PASSWORD}\n")
    with open_tabs(browser) as context:
        page = context.new_page()
        page.goto(demo.origin)
        log_in(page, "ada")
        expect(page.get_by_role("main")).to_contain_text("No bot is shared with you yet")


def test_the_dialog_connects_a_bot_and_leads_to_its_chat(page: Page, demo: Demo) -> None:
    page.get_by_role("link", name="Add a bot").click()
    page.get_by_role("dialog", name="Add a bot").get_by_role("link", name="Connect a bot").click()
    dialog = page.get_by_role("dialog", name="Connect a bot")
    dialog.get_by_role("radio", name="Built-in").check()
    dialog.get_by_label("Name").fill("Écho Zwei!")
    expect(dialog.get_by_label("Id")).to_have_value("echo-zwei")
    dialog.get_by_role("button", name="Connect").click()
    expect(dialog).to_contain_text("Connected to 'Écho Zwei!'")
    dialog.get_by_role("button", name="Open the chat").click()
    expect(page).to_have_url(f"{demo.origin}/chat/echo-zwei")


def test_the_dialog_says_in_words_what_is_wrong(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.origin}/?connect")
    dialog = page.get_by_role("dialog", name="Connect a bot")
    dialog.get_by_label("Name").fill("echo")
    dialog.get_by_label("URL").fill("http://127.0.0.1:1")
    dialog.get_by_role("button", name="Connect").click()
    expect(dialog.get_by_role("alert")).to_contain_text("ws://")
    with closed_port() as port:
        dialog.get_by_label("Id").fill("far")
        dialog.get_by_label("URL").fill(f"ws://127.0.0.1:{port}")
        dialog.get_by_role("button", name="Connect").click()
        expect(dialog.get_by_role("status")).to_contain_text("Nothing answers at")
        dialog.get_by_role("button", name="Close").click()
        expect(row(page, "echo").last).to_contain_text("not connected")
        assert page.url == f"{demo.origin}/"


def test_a_bot_that_waits_for_pairing_shows_the_command_and_is_tried_again(page: Page, demo: Demo) -> None:
    """The gateway is made up here: what a real one answers is tests/peers' business."""
    command = "openclaw devices approve 4711"
    summary = {
        "botId": "atlas", "name": "Atlas", "kind": "openclaw", "state": "error", "reason": "needs_pairing",
        "detail": "The gateway wants this device to be approved.", "source": "connection", "sinceAt": 0,
        "activity": "idle",
    }  # fmt: skip
    answer = {"ok": False, "message": "…", "bot": {"summary": summary, "extra": {"command": command}}}
    tried: list[str] = []

    def retry(route: Route) -> None:
        tried.append(route.request.url)
        route.fulfill(status=204)

    page.route("**/api/bots/connect", lambda route: route.fulfill(status=201, json=answer))
    page.route("**/api/bots/atlas/retry", retry)
    page.goto(f"{demo.origin}/?connect")
    dialog = page.get_by_role("dialog", name="Connect a bot")
    dialog.get_by_label("Name").fill("Atlas")
    dialog.get_by_label("URL").fill("ws://127.0.0.1:1")
    stop_clock(page)
    dialog.get_by_role("button", name="Connect").click()
    expect(dialog).to_contain_text("wants this device to be approved")
    expect(dialog.locator("code")).to_have_text(command)
    page.clock.run_for(11_000)
    expect(dialog).to_contain_text("tried again every 5 seconds")
    assert len(tried) == 2


def test_a_bot_is_renamed_and_removed_and_its_history_is_said_to_stay(page: Page, demo: Demo) -> None:
    connect(demo, "Zoe")
    page.goto(f"{demo.origin}/bots/zoe/about")
    expect(page.get_by_text("takes none").or_(page.get_by_text("up to"))).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Zoë")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Zoë", level=1)).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog", name="Remove Zoë?")
    expect(dialog).to_contain_text("Its messages stay")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Zoë", level=1)).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(page).to_have_url(f"{demo.origin}/")
    expect(page.locator("[data-row]")).to_have_text(["Echo"])


def test_a_bot_of_the_settings_file_is_not_changed_here(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.origin}/bots/echo/about")
    expect(page.get_by_text("the settings file, and is changed there only")).to_be_visible()
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)
    page.get_by_role("link", name="Chat", exact=True).last.click()
    expect(page).to_have_url(f"{demo.origin}/bots/echo")


def test_the_foot_tells_of_the_daemon_and_its_jobs(page: Page) -> None:
    foot = page.get_by_role("contentinfo").or_(page.locator("footer"))
    expect(foot).to_contain_text("1 live stream")
    expect(foot).to_contain_text("jobs are well")
    expect(foot.get_by_title("retention")).to_be_visible()


def test_text_that_is_written_is_folded_by_its_offset(page: Page, demo: Demo) -> None:
    """A retry replaces text; another run's text does not mix in; only the end is kept."""
    base = page.evaluate("document.querySelector('script[type=module]').src.replace('main.js', 'talk.js')")
    script = """async ([module, deltas]) => {
        const { folded } = await import(module);
        const conversationId = "c";
        const fold = (before, [runId, offset, text]) => folded(before, { runId, conversationId, offset, text });
        return deltas.reduce(fold, null);
    }"""
    assert (
        page.evaluate(script, [base, [["r", 0, "one "], ["r", 4, "two"], ["s", 0, "x"], ["r", 4, "2"]]])["tail"]
        == "one 2"
    )
    long = page.evaluate(script, [base, [["r", 0, "x" * 300], ["r", 300, "end"]]])
    assert (len(long["tail"]), long["tail"][-4:], long["end"]) == (200, "xend", 303)
    assert page.evaluate(script, [base, [["r", 0, "x" * 300], ["r", 0, "again"]]])["tail"] == "again"
    # Joined in the middle, after a snapshot that was cut: what was before is not known, what follows is right.
    assert page.evaluate(script, [base, [["r", 50, "late"]]])["tail"] == "late"


def test_a_lone_tab_of_a_sleeping_house_loads_again(browser: Browser, demo: Demo) -> None:
    """The dashboard is right after the daemon was away, without a reload by hand."""
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        demo.restart(kill=True)
        wait_live(page)
        demo.run("chat", "echo", "[[say After the restart]]")
        expect(row(page, "Echo")).to_contain_text("After the restart")


def test_favourites_of_two_devices_do_not_undo_each_other(browser: Browser, demo: Demo) -> None:
    connect(demo, "Zoe")
    demo.run("user", "add", "ada", text=f"{PASSWORD}\n")
    for bot_id in ("echo", "zoe"):
        demo.run("user", "grant", "ada", bot_id, "chat")
    with open_tabs(browser) as one, open_tabs(browser) as other:
        pages = [context.new_page() for context in (one, other)]
        for page in pages:
            page.goto(demo.origin)
            log_in(page, "ada")
            expect(row(page, "Zoe")).to_be_visible()
        for page, name in zip(pages, ("Echo", "Zoe"), strict=True):
            with page.expect_response(lambda answer: answer.request.method == "PUT"):
                page.get_by_role("button", name=f"Favourite: {name}").click()
        expect(pages[1].locator(".c-star [aria-pressed=true]")).to_have_count(2)
        pages[0].reload()
        expect(pages[0].locator(".c-star [aria-pressed=true]")).to_have_count(2)


def test_a_state_is_a_word_with_an_age_at_any_width(browser: Browser, demo: Demo) -> None:
    with closed_port() as port, open_tabs(browser, locale="de-DE") as context:
        demo.run_json("bots", "connect", "gone", "--name", "Gone", "--url", f"ws://127.0.0.1:{port}")
        page = sign_in(context, demo)
        state = row(page, "Gone").locator(".state > span")
        expect(state).to_contain_text("nicht verbunden")
        for width in (360, 700, 1101, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            assert state.evaluate("(it) => it.scrollWidth <= it.clientWidth"), width
