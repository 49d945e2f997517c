"""What a mouse does is done with keys, and the focus is never lost: in tables, grants, dialogs, lists and menus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.house import DESK, PHONE, Demo, open_tabs, wait_live
from tests.browser.keyed import add_token, open_tab, show
from tests.browser.talk import call_api, composer, log_in, post


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder: Path = tmp_path_factory.mktemp("keys")
    demo = Demo(folder)
    try:
        yield demo
    finally:
        demo.stop()


@pytest.fixture(scope="module")
def tab(browser: Browser, house: Demo) -> Iterator[Page]:
    with open_tab(browser, house) as page:
        yield page


@pytest.fixture
def desk(tab: Page) -> Page:
    """The tab, on a desk."""
    tab.set_viewport_size(DESK)
    return tab


def row(page: Page, text: str) -> Locator:
    """Return the row of a table that has a text."""
    return page.locator("main").get_by_role("row").filter(has_text=text)


def test_grants_are_given_with_the_arrows_and_only_what_one_rests_at_is_stored(desk: Page, house: Demo) -> None:
    show(desk, house, "/admin/users/ada")
    asked: list[tuple[str, str]] = []

    def note(route: Route) -> None:
        asked.append((route.request.method, route.request.url.rpartition("/")[2]))
        route.continue_()

    desk.route("**/grants/*", note)
    # How long one rests is ours to say: a machine that is at something else takes its time between two keys.
    desk.evaluate(
        """() => {
            const real = window.setTimeout;
            window.setTimeout = (call, ms, ...more) => {
                if (ms !== 500) return real(call, ms, ...more);
                window.rest = call;
                return 0;
            };
        }"""
    )
    # To the first of the bots, then from bot to bot.
    for name in ("Echo", "gate", "Heron"):
        desk.keyboard.press("j")
        expect(desk.get_by_role("radiogroup", name=name).locator("input:checked")).to_be_focused()
    heron = desk.get_by_role("radiogroup", name="Heron")
    for choice in ("view", "chat", "operate"):
        desk.keyboard.press("ArrowRight")
        expect(heron.get_by_label(choice)).to_be_checked()
        expect(heron.get_by_label(choice)).to_be_focused()
    desk.keyboard.press("j")
    expect(heron.get_by_role("status")).to_have_text("saved")
    ibis = desk.get_by_role("radiogroup", name="Ibis")
    expect(ibis.get_by_label("none")).to_be_focused()
    desk.keyboard.press("ArrowRight")
    expect(ibis.get_by_label("view")).to_be_checked()
    assert asked == [("PUT", "heron")]
    desk.evaluate("rest()")
    expect(ibis.get_by_role("status")).to_have_text("saved")
    expect(ibis.get_by_label("view")).to_be_focused()
    assert asked == [("PUT", "heron"), ("PUT", "ibis")]
    desk.unroute("**/grants/*")
    users = call_api(desk, "GET", "/api/users")["items"]
    grants = next(user["grants"] for user in users if user["id"] == "ada")
    assert grants == {"echo": "view", "heron": "operate", "ibis": "view"}


def test_rows_of_a_table_are_walked_and_lead_on(desk: Page, house: Demo) -> None:
    show(desk, house, "/admin/users")
    desk.keyboard.press("j")
    expect(row(desk, "ada").get_by_role("link")).to_be_focused()
    desk.keyboard.press("j")
    expect(row(desk, "admin").get_by_role("link")).to_be_focused()
    desk.keyboard.press("k")
    desk.keyboard.press("Enter")
    expect(desk).to_have_url(f"{house.origin}/admin/users/ada")
    # The link is gone, and the page that came instead begins where one is.
    expect(desk.get_by_role("main")).to_be_focused()

    show(desk, house, "/admin/audit")
    rows = desk.get_by_role("table", name="Audit").locator("tbody tr")
    desk.keyboard.press("j")
    desk.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    desk.keyboard.press("k")
    expect(rows.nth(0)).to_be_focused()

    show(desk, house, "/admin/events")
    post(desk, "echo", "[[say Hi!]]")
    event = desk.locator("summary[data-row]")
    expect(event.filter(has_text="Hi!").first).to_be_visible()
    desk.keyboard.press("j")
    desk.keyboard.press("Enter")
    expect(desk.locator(".admin-event[open], .admin-event details[open]")).to_have_count(1)
    desk.keyboard.press("Space")
    expect(desk.locator(".admin-event details[open]")).to_have_count(0)


def test_the_audit_goes_on_below_the_last_row(desk: Page, house: Demo) -> None:
    entry: dict[str, Any] = {
        "actor": "ada",
        "actorKind": "session",
        "action": "login",
        "subject": "ada",
        "botId": None,
        "address": None,
        "detail": {},
    }

    def answer(route: Route) -> None:
        asked = re.search(r"before=(\d+)", route.request.url)
        before = int(asked[1]) if asked else 201
        items = [
            {"id": number, "at": 1_750_000_000_000 + number, **entry} for number in range(before - 1, before - 101, -1)
        ]
        route.fulfill(json={"items": items, "next": str(before - 100) if before > 101 else None})

    desk.route("**/api/audit*", answer)
    desk.goto(f"{house.origin}/admin/audit")
    wait_live(desk)
    rows = desk.get_by_role("table", name="Audit").locator("tbody tr")
    expect(rows).to_have_count(100)
    rows.nth(98).focus()
    desk.keyboard.press("j")
    expect(rows).to_have_count(200)
    desk.unroute("**/api/audit*")


def test_a_dialog_gives_the_focus_back_however_it_is_closed(desk: Page, house: Demo) -> None:
    show(desk, house, "/admin/users")
    add = desk.get_by_role("button", name="Add a user")
    for close in ("Escape", "Cancel"):
        add.press("Enter")
        expect(desk.get_by_label("User id")).to_be_focused()
        if close == "Escape":
            desk.keyboard.press(close)
        else:
            desk.get_by_role("button", name=close).press("Enter")
        expect(desk.get_by_role("dialog")).to_have_count(0)
        expect(add).to_be_focused()
    desk.keyboard.press("?")
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("dialog")).to_have_count(0)
    expect(add).to_be_focused()
    desk.keyboard.press("Control+k")
    desk.keyboard.type("theme light")
    desk.keyboard.press("Enter")
    expect(add).to_be_focused()
    desk.keyboard.press("Control+k")
    desk.keyboard.type("sessions")
    expect(desk.get_by_role("option", selected=True)).to_have_count(1)
    desk.keyboard.press("Escape")
    expect(add).to_be_focused()


def test_a_menu_closes_behind_one_and_its_dialog_leads_back_to_it(desk: Page, house: Demo) -> None:
    show(desk, house, "/")
    me = desk.get_by_role("button", name="Account and settings")
    me.press("Enter")
    dark = desk.get_by_role("radio", name="Dark")
    expect(dark).to_be_visible()
    while (
        desk.get_by_role("group", name="Account and settings").locator(":focus").count()
        or me.and_(desk.locator(":focus")).count()
    ):
        desk.keyboard.press("Tab")
    expect(dark).to_be_hidden()
    me.press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Escape")
    expect(dark).to_be_hidden()
    expect(me).to_be_focused()

    show(desk, house, "/chat/echo")
    expect(composer(desk)).to_be_focused()
    # There is nothing to leave but the field itself.
    desk.keyboard.press("Escape")
    first = desk.locator("a.conversation").first
    expect(first).to_be_focused()
    desk.keyboard.press("Enter")
    expect(desk.locator(".reply").first).to_be_visible()
    more = desk.locator(".more-menu summary")
    more.press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("dialog", name="Rename").get_by_role("textbox")).to_be_focused()
    desk.keyboard.press("Escape")
    expect(more).to_be_focused()
    desk.keyboard.press("m")
    expect(composer(desk)).to_be_focused()


def test_where_a_row_is_taken_away_the_next_one_has_the_focus(desk: Page, house: Demo) -> None:
    show(desk, house, "/admin/tokens?user=ada")
    names = desk.locator("tbody tr td:first-child")
    expect(names).to_have_count(3)
    first, second, third = names.all_inner_texts()
    desk.get_by_role("button", name=f"Revoke {first}").press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(names).to_have_count(2)
    expect(desk.get_by_role("button", name=f"Revoke {second}")).to_be_focused()
    desk.get_by_role("button", name=f"Revoke {third}").press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(names).to_have_count(1)
    expect(desk.get_by_role("button", name=f"Revoke {second}")).to_be_focused()
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(names).to_have_count(0)
    expect(desk.get_by_role("main")).to_be_focused()


def test_a_row_that_moves_and_a_button_that_waits_keep_the_focus(desk: Page, house: Demo) -> None:
    show(desk, house, "/")
    star = row(desk, "Zebra").locator(".c-star button")
    star.press("Enter")
    expect(desk.locator("main .bot-row:not(.bot-head)").first).to_contain_text("Zebra")
    expect(star).to_be_focused()
    desk.keyboard.press("Enter")
    expect(desk.locator("main .bot-row:not(.bot-head)").first).not_to_contain_text("Zebra")
    expect(star).to_be_focused()

    show(desk, house, "/account")
    desk.get_by_label("Current password").fill("something else entirely")
    desk.get_by_label("New password").fill("an even longer password")
    change = desk.get_by_role("button", name="Change password")
    change.press("Enter")
    expect(desk.get_by_role("alert").first).not_to_be_empty()
    expect(change).to_be_focused()


def test_what_was_just_done_is_undone_with_a_key(desk: Page, house: Demo) -> None:
    show(desk, house, "/admin/users/ada")
    enabled = desk.get_by_label("May log in.")
    enabled.press("Space")
    expect(desk.get_by_text("ada is shut out.")).to_be_visible()
    expect(enabled).not_to_be_checked()
    desk.keyboard.press("z")
    expect(enabled).to_be_checked()
    expect(desk.get_by_text("Undone.")).to_be_visible()


def test_a_field_that_filters_leads_into_its_list(desk: Page, house: Demo) -> None:
    for number in range(11):
        add_token(desk, f"many-{number}", "admin")
    show(desk, house, "/admin/tokens?user=admin")
    desk.keyboard.press("/")
    expect(desk.get_by_label("Filter")).to_be_focused()
    desk.keyboard.type("nothing like it")
    expect(desk.get_by_text("Nothing passes the filter.")).to_be_visible()
    desk.get_by_label("Filter").fill("many-10 chat")
    expect(desk.locator("tbody tr")).to_have_count(1)
    desk.keyboard.press("ArrowDown")
    expect(row(desk, "many-10")).to_be_focused()
    desk.keyboard.press("/")
    desk.keyboard.press("Escape")
    expect(desk.locator("tbody tr")).to_have_count(11)
    expect(row(desk, "many-10")).to_be_focused()


def test_many_bots_are_filtered_in_the_grants(desk: Page, house: Demo) -> None:
    bots = [
        {
            "botId": f"bot-{n}",
            "name": f"Number {n}",
            "kind": "echo",
            "state": "connected",
            "source": "connection",
            "sinceAt": 0,
            "activity": "idle",
        }
        for n in range(12)
    ]
    show(desk, house, "/admin/users/ada")
    desk.evaluate(
        """async (bots) => {
            const main = document.querySelector('script[type="module"]').src;
            const house = await import(new URL("./house.js", main).href);
            house.bots.value = new Map(bots.map((bot) => [bot.botId, bot]));
        }""",
        bots,
    )
    groups = desk.get_by_role("radiogroup")
    expect(desk.get_by_role("radiogroup", name="Number 11")).to_be_visible()
    desk.keyboard.press("/")
    desk.keyboard.type("number 11")
    expect(groups).to_have_count(1)
    desk.keyboard.press("ArrowDown")
    expect(groups.locator("input:checked")).to_be_focused()


def test_the_heads_that_sort_are_large_enough_for_a_finger(tab: Page, house: Demo) -> None:
    tab.set_viewport_size(PHONE)
    for part in ("users", "tokens", "sessions", "connections"):
        show(tab, house, f"/admin/{part}")
        heads = tab.locator(".admin-sort")
        expect(heads.first).to_be_visible()
        for head in heads.all():
            box = head.bounding_box()
            assert box is not None and box["width"] >= 44 and box["height"] >= 44, (part, head.inner_text(), box)


def test_whoever_may_only_view_is_not_offered_to_send_again(browser: Browser, tab: Page, house: Demo) -> None:
    with open_tabs(browser) as context:
        page = log_in(context, house, "ada")
        page.evaluate(
            """() => {
                // Written while it was still allowed.
                const entry = { id: "late", owner: "ada", order: 1, botId: "echo", conversationId: null, group: "late",
                    text: "May I?", files: [], at: Date.now(), triedAt: null, refused: null, code: null };
                localStorage.setItem("edgebotd.outbox.ada.late", JSON.stringify(entry));
            }"""
        )
        page.reload()
        wait_live(page)
        refused = page.locator(".leaving")
        expect(refused.get_by_role("alert")).to_be_visible()
        expect(refused.get_by_role("button")).to_have_count(1)
        refused.get_by_role("button", name="Discard").press("Enter")
        expect(refused).to_have_count(0)


def test_users_show_when_they_were_last_seen(desk: Page, house: Demo) -> None:
    show(desk, house, "/admin/users")
    expect(desk.get_by_role("columnheader", name="Last seen")).to_be_visible()
    expect(row(desk, "admin")).to_contain_text("now")


def test_a_bot_leads_to_what_the_audit_says_of_it(desk: Page, house: Demo) -> None:
    show(desk, house, "/bots/ibis/about")
    desk.get_by_role("link", name="What happened").press("Enter")
    expect(desk).to_have_url(f"{house.origin}/admin/audit?bot=ibis")
    expect(desk.get_by_role("combobox", name="Bot")).to_have_value("ibis")
    expect(row(desk, "connected ibis")).to_be_visible()
    expect(row(desk, "heron")).to_have_count(0)
    # One that is gone by now is named all the same.
    show(desk, house, "/admin/audit?bot=gone")
    expect(desk.get_by_role("combobox", name="Bot")).to_have_value("gone")


def test_the_way_to_the_newest_does_not_go_from_under_the_focus(tab: Page, house: Demo) -> None:
    """It goes once the end is seen, which a browser tells a moment after the key that led on to it."""
    tab.set_viewport_size(PHONE)
    show(tab, house, "/chat/echo")
    tab.locator("a.conversation").filter(has_text="tired").click()
    expect(tab.locator(".reply .said-error").first).to_be_visible()
    newest = tab.get_by_role("button", name="Newest")
    lines = tab.locator(".lines")
    for leave, reached in (("Tab", "Attach files"), ("Shift+Tab", "Try again")):
        lines.evaluate("(box) => { box.scrollTop = 0; }")
        expect(newest).to_be_visible()
        tab.locator(".lines button.act").last.evaluate("(one) => one.focus({ preventScroll: true })")
        tab.keyboard.press("Tab")
        expect(newest).to_be_focused()
        lines.evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
        # Told in the next frame, drawn in the one after it at the latest.
        tab.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
        )
        expect(newest).to_be_focused()
        tab.keyboard.press(leave)
        expect(tab.get_by_role("button", name=reached).last).to_be_focused()
        expect(newest).to_have_count(0)
    lines.evaluate("(box) => { box.scrollTop = 0; }")
    newest.press("Enter")
    expect(lines).to_be_focused()
    expect(newest).to_have_count(0)


def test_a_reply_that_ends_leaves_the_focus_with_what_one_writes(desk: Page, house: Demo) -> None:
    sent = post(desk, "echo", "[[slow]]")
    show(desk, house, f"/chat/echo/{sent['conversationId']}")
    stop = desk.get_by_role("button", name="Stop")
    stop.focus()
    call_api(desk, "POST", "/api/bots/echo/chat/abort", {"runId": sent["runId"]})
    expect(stop).to_have_count(0)
    expect(composer(desk)).to_be_focused()
