"""What administrators look after, what one's own account shows, and that nobody sees more than is granted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.browser.fresh import Fresh, make_admin
from tests.browser.house import Demo, open_tabs, wait_live

PASSWORD = "a long enough password"

PARTS = (
    "",
    "/users",
    "/users/admin",
    "/tokens",
    "/sessions",
    "/connections",
    "/alerts",
    "/audit",
    "/events",
    "/config",
)

SECRET = "4c7f-the-token-of-the-gateway"


@pytest.fixture
def two_bots(demo: Demo) -> Demo:
    """The demo with a second bot, whose name is in no other word of the page."""
    demo.run("bots", "connect", "zebra", "--kind", "echo", "--name", "Zebra")
    return demo


def add_user(demo: Demo, user_id: str, **grants: str) -> None:
    """Add a user with a password and grants."""
    demo.run("user", "add", user_id, text=f"{PASSWORD}\n")
    for bot_id, grant in grants.items():
        demo.run("user", "grant", user_id, bot_id, grant)


def log_in(context: BrowserContext, demo: Demo, user_id: str, path: str = "/") -> Page:
    """Open a tab at a path and log in there."""
    page = context.new_page()
    page.goto(f"{demo.origin}{path}")
    page.get_by_label("User").fill(user_id)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    wait_live(page)
    return page


def part(page: Page, demo: Demo, path: str) -> Locator:
    """Go to a part of the administration, and return what is shown of it."""
    page.goto(f"{demo.origin}{path}")
    wait_live(page)
    found = page.locator(".admin-part")
    expect(found.get_by_role("heading", level=1)).to_be_visible()
    return found


def row(within: Locator, text: str) -> Locator:
    """Return the row of a table that has a text."""
    return within.get_by_role("row").filter(has_text=text)


@pytest.fixture
def ada(browser: Browser, two_bots: Demo) -> Iterator[Page]:
    """A second person in another browser, with a grant on the first bot."""
    add_user(two_bots, "ada", echo="chat")
    with open_tabs(browser) as context:
        yield log_in(context, two_bots, "ada")


@pytest.mark.quiet
def test_a_user_is_made_sees_the_granted_bot_only_and_loses_it_live(
    browser: Browser, two_bots: Demo, page: Page
) -> None:
    users = part(page, two_bots, "/admin/users")
    users.get_by_role("button", name="Add a user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("User id").fill("ada")
    dialog.get_by_label("Name", exact=True).fill("Ada Lovelace")
    dialog.get_by_label("a password that you set now").check()
    dialog.get_by_label("Password", exact=False).last.fill(PASSWORD)
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="Ada Lovelace")).to_be_visible()
    assert page.url.endswith("/admin/users/ada")

    echo = page.get_by_role("radiogroup", name="Echo")
    expect(echo.get_by_label("none")).to_be_checked()
    echo.get_by_label("chat").check(force=True)
    expect(echo.get_by_role("status")).to_have_text("saved")
    with open_tabs(browser) as context:
        other = log_in(context, two_bots, "ada")
        main = other.locator("#main")
        expect(main.get_by_role("link", name="Echo").first).to_be_visible()
        expect(other.get_by_text("Zebra")).to_have_count(0)
        echo.get_by_label("none").check(force=True)
        expect(main.get_by_role("link", name="Echo")).to_have_count(0, timeout=1000)


def test_a_one_time_link_is_shown_once_and_leads_in(browser: Browser, demo: Demo, page: Page) -> None:
    users = part(page, demo, "/admin/users")
    users.get_by_role("button", name="Add a user").click()
    page.get_by_label("User id").fill("cleo")
    page.get_by_label("User id").press("Enter")
    link = page.get_by_label("One-time link", exact=True).get_by_role("textbox")
    expect(link).to_have_value(re.compile("/#code="))
    address = link.input_value()
    page.reload()
    expect(page.get_by_role("heading", name="cleo")).to_be_visible()
    expect(link).to_have_count(0)
    with open_tabs(browser) as context:
        other = context.new_page()
        other.goto(address)
        other.get_by_label("Password").fill(PASSWORD)
        other.keyboard.press("Enter")
        wait_live(other)


def test_a_user_is_renamed_shut_out_let_in_and_removed(demo: Demo, page: Page) -> None:
    add_user(demo, "ada")
    user = part(page, demo, "/admin/users/ada")
    user.get_by_label("Name", exact=True).fill("Countess")
    user.get_by_role("button", name="Rename").click()
    expect(user.get_by_role("heading", level=1)).to_have_text("Countess")
    user.get_by_label("May log in.").uncheck()
    expect(user.locator("header")).to_contain_text("shut out")
    page.get_by_role("button", name="Undo").last.click()
    expect(user.locator("header")).not_to_contain_text("shut out")
    expect(user.get_by_label("May log in.")).to_be_checked()
    user.get_by_role("button", name="Remove user").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What was said with bots stays.")
    dialog.get_by_role("button", name="Remove user").click()
    expect(row(page.locator(".admin-part"), "admin")).to_be_visible()
    expect(row(page.locator(".admin-part"), "Countess")).to_have_count(0)


def test_the_own_role_is_given_up_only_when_asked(demo: Demo, page: Page) -> None:
    user = part(page, demo, "/admin/users/admin")
    flag = user.get_by_label("Administrator: every bot")
    flag.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(flag).to_be_checked()
    flag.click()
    page.get_by_role("dialog").get_by_role("button", name="Do it").click()
    expect(page.get_by_role("status").filter(has_text="last administrator")).to_be_visible()
    expect(flag).to_be_checked()


def test_a_token_is_told_once_and_ends_with_its_revocation(demo: Demo, page: Page) -> None:
    tokens = part(page, demo, "/admin/tokens")
    expect(tokens).to_contain_text("No tokens yet.")
    tokens.get_by_role("button", name="Make a token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What it is for").fill("scrape")
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("alert")).to_have_text("Choose at least one thing that it may do.")
    dialog.get_by_label("read see bots").check()
    dialog.get_by_label("only these").check()
    dialog.get_by_label("Echo").check()
    dialog.get_by_label("Works for").select_option("7")
    dialog.get_by_role("button", name="Make it").click()
    field = tokens.get_by_label("The token", exact=True).get_by_role("textbox")
    expect(field).to_have_value(re.compile("^ebt_"))
    secret = field.input_value()
    expect(row(tokens, "scrape")).to_contain_text("echo")
    headers = f"{{ authorization: 'Bearer {secret}' }}"
    status = f"fetch('/api/me', {{ headers: {headers}, credentials: 'omit' }}).then((answer) => answer.status)"
    assert page.evaluate(status) == 200

    tokens.get_by_role("button", name="I have it").click()
    expect(field).to_have_count(0)
    page.reload()
    expect(row(tokens, "scrape")).to_be_visible()
    assert secret not in page.content()
    tokens.get_by_role("button", name="Revoke scrape").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row(tokens, "scrape")).to_have_count(0)
    assert page.evaluate(status) == 401


def test_connections_counts_the_stream_of_the_tabs(two_bots: Demo, page: Page, ada: Page) -> None:
    connections = part(page, two_bots, "/admin/connections")
    table = connections.get_by_role("table")
    mine = row(table, "ada")
    expect(mine).to_have_count(1)
    expect(mine).to_contain_text("127.0.0.1")
    expect(mine).to_contain_text("fresh")
    ada.close()
    # Nobody asks for it: the page looks again by itself.
    expect(mine).to_have_count(0)
    expect(connections.get_by_role("heading", name="Ended since the start").locator("..")).to_contain_text(
        "the client went"
    )


def test_the_audit_shows_what_was_done_and_is_searched(two_bots: Demo, page: Page) -> None:
    add_user(two_bots, "ada", zebra="view")
    audit = part(page, two_bots, "/admin/audit")
    expect(row(audit, "gave ada view on zebra")).to_be_visible()
    expect(row(audit, "added the user ada")).to_contain_text("local")
    audit.get_by_label("About").select_option(label="grants")
    expect(row(audit, "added the user ada")).to_have_count(0)
    expect(row(audit, "gave ada view on zebra")).to_be_visible()
    audit.get_by_role("combobox", name="Bot").select_option(label="Echo")
    expect(audit).to_contain_text("Nothing is noted of this.")
    page.goto(f"{two_bots.origin}/admin/audit?user=ada")
    expect(row(audit, "added the user ada")).to_be_visible()
    expect(row(audit, "logged in with a one-time link")).to_have_count(0)


def test_the_audit_goes_on_while_one_scrolls(demo: Demo, page: Page) -> None:
    def answer(route: Route) -> None:
        before = int((re.search(r"before=(\d+)", route.request.url) or [0, 1001])[1])
        items: list[dict[str, Any]] = [
            {
                "id": number,
                "at": 1_700_000_000_000 + number * 1000,
                "actor": "ada" if number <= 2 else "bo",
                "actorKind": "session",
                "action": "bot.upgrade.failed" if number == 999 else "later.invented",
                "subject": f"thing-{number}",
                "botId": None,
                "address": None,
                "detail": {},
            }
            for number in range(before - 1, max(0, before - 101), -1)
        ]
        route.fulfill(json={"items": items, "next": str(before - 100) if before > 101 else None})

    page.route("**/api/audit?*", answer)
    audit = part(page, demo, "/admin/audit")
    # An act that this page has no words for is shown as it is.
    expect(row(audit, "later.invented thing-1000")).to_be_visible()
    expect(row(audit, "thing-999: Upgrade, failed")).to_be_visible()
    expect(row(audit, "thing-701")).to_have_count(0)
    for last in (901, 801, 701):
        row(audit, f"thing-{last}").scroll_into_view_if_needed()
        expect(row(audit, f"thing-{last - 1}")).to_be_attached()
    # What a filter hides is passed over, as far as one look goes back.
    page.goto(f"{demo.origin}/admin/audit?user=ada")
    expect(audit.get_by_role("row").filter(has_text="ada")).to_have_count(2)


def test_the_events_come_are_filtered_and_held(two_bots: Demo, page: Page) -> None:
    events = part(page, two_bots, "/admin/events")
    expect(events.locator(".admin-rate canvas")).to_be_visible()
    listed = events.get_by_role("listitem")
    two_bots.run("chat", "zebra", "[[say Stripes]]")
    expect(listed.filter(has_text="bots-status-update").first).to_be_visible()
    message = listed.filter(has_text="chat-message").filter(has_text="Stripes")
    expect(message.first).to_be_visible()
    assert listed.count() <= 1000

    events.get_by_label("Type").select_option("chat-message")
    expect(listed.filter(has_text="bots-status-update")).to_have_count(0)
    events.get_by_label("Contains").fill("no such words")
    expect(events).to_contain_text("passes the filter")
    events.get_by_label("Contains").fill("stripes")
    expect(message.first).to_be_visible()
    message.first.locator("summary").click()
    expect(message.first.locator("pre")).to_contain_text('"type": "chat-message"')

    # Opening one held the list; what comes meanwhile is counted, and shown when one goes on.
    events.get_by_label("Contains").fill("")
    two_bots.run("chat", "zebra", "[[say Hooves]]")
    expect(events.get_by_text(re.compile("more have come"))).to_be_visible()
    expect(listed.filter(has_text="Hooves")).to_have_count(0)
    events.get_by_role("button", name="Go on").click()
    expect(listed.filter(has_text="Hooves").first).to_be_visible()


def test_the_tail_is_bounded_and_counts_by_second(demo: Demo, page: Page) -> None:
    answer = page.evaluate(
        """async () => {
            const script = [...document.scripts].find((one) => one.src.endsWith("/main.js"));
            const { Tail, passes } = await import(new URL("pages/admin/tail.js", script.src));
            const tail = new Tail();
            for (let count = 0; count < 5000; count += 1) tail.add({ type: "t", botId: "b", count }, 1_000_000 + count);
            const [seconds, counts] = tail.rate(1_010_000);
            const [newest] = tail.newest();
            return {
                kept: tail.newest().length, held: tail.entries.length <= 1500, newest: newest.event.count,
                total: tail.total, seconds: seconds.length, last: seconds.at(-1),
                sum: counts.reduce((one, other) => one + other),
                later: tail.rate(2_000_000)[1].every((count) => count === 0),
                passes: [
                    passes(newest, { type: "", bot: "", text: "4999" }),
                    passes(newest, { type: "u", bot: "", text: "" }),
                    passes(newest, { type: "t", bot: "c", text: "" }),
                ],
            };
        }"""
    )
    assert answer == {
        "kept": 1000,
        "held": True,
        "newest": 4999,
        "total": 5000,
        "seconds": 300,
        "last": 1009,
        "sum": 5000,
        "later": True,
        "passes": [True, False, False],
    }


def test_the_configuration_tells_origins_and_no_secret(browser: Browser, tmp_path: Path) -> None:
    gate = f"""
[bots.gate]
kind = "openclaw"
url = "ws://127.0.0.1:9"
token = "{SECRET}"
"""
    fresh = Fresh(tmp_path, built_in=True, more=gate)
    try:
        with open_tabs(browser) as context:
            page = context.new_page()
            make_admin(page, fresh)
            with page.expect_response("**/api/config") as answer:
                page.goto(f"{fresh.origin}/admin/config")
            assert SECRET not in answer.value.text()
            config = page.locator(".admin-part")
            expect(row(config, "server.bind")).to_contain_text(fresh.origin.removeprefix("http://"))
            expect(row(config, "server.bind")).to_contain_text("file")
            token = config.get_by_role("row").filter(has=page.get_by_text("bots.gate.token", exact=True))
            expect(token).to_contain_text("set, not shown")
            expect(row(config, "bots.gate.url")).to_contain_text("ws://127.0.0.1:9")
            expect(row(config, "channel.heartbeat_seconds")).to_contain_text("default")
            config.get_by_label("Only what is not the default").check()
            expect(row(config, "channel.heartbeat_seconds")).to_have_count(0)
            config.get_by_label("Filter").fill("listen")
            expect(token).to_have_count(0)
            expect(row(config, "server.bind")).to_be_visible()
            config.get_by_label("Filter").fill("nothing like it")
            expect(config).to_contain_text("No setting passes the filter.")
            assert SECRET not in page.content()
    finally:
        fresh.program.close()


def test_what_fails_says_so_and_is_tried_again(demo: Demo, page: Page) -> None:
    page.route("**/api/users", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    page.goto(f"{demo.origin}/admin/users")
    failed = page.locator(".admin-part").get_by_role("alert")
    expect(failed).to_contain_text("Something before the daemon answered instead of it (HTTP 502).")
    page.unroute("**/api/users")
    failed.get_by_role("button", name="Try again").click()
    expect(row(page.locator(".admin-part"), "admin")).to_be_visible()


def test_a_table_is_sorted_by_its_head(demo: Demo, page: Page) -> None:
    add_user(demo, "zoe")
    demo.run("token", "create", "zoe", "--name", "one", "--scope", "read")
    users = part(page, demo, "/admin/users")
    first = users.get_by_role("row").nth(1)
    expect(first).to_contain_text("admin")
    users.get_by_role("button", name="Tokens").press("Enter")
    expect(users.get_by_role("columnheader", name="Tokens")).to_have_attribute("aria-sort", "descending")
    expect(first).to_contain_text("zoe")
    users.get_by_role("button", name="Tokens").press("Enter")
    expect(first).to_contain_text("admin")


def test_many_users_are_filtered(demo: Demo, page: Page) -> None:
    add = """async () => {
        const headers = { "content-type": "application/json" };
        for (let n = 0; n < 12; n += 1) {
            const body = JSON.stringify({ id: `user-${n}`, name: `Number ${n}` });
            if (!(await fetch("/api/users", { method: "POST", headers, body })).ok) return false;
        }
        return true;
    }"""
    assert page.evaluate(add)
    users = part(page, demo, "/admin/users")
    expect(row(users, "user-11")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("number 11")
    expect(users.get_by_role("row")).to_have_count(2)
    users.get_by_label("Filter").fill("nobody at all")
    expect(users.get_by_text("Nothing passes the filter.")).to_be_visible()


def test_a_plain_user_has_an_account_and_no_administration(two_bots: Demo, ada: Page) -> None:
    expect(ada.get_by_role("link", name="Admin", exact=True)).to_have_count(0)
    for path in ("/admin", "/admin/users", "/admin/events"):
        ada.goto(f"{two_bots.origin}{path}")
        wait_live(ada)
        expect(ada.get_by_role("heading", name="This is for administrators")).to_be_visible()
        expect(ada.locator(".admin-menu")).to_have_count(0)
    ada.get_by_role("link", name="To my account").click()
    account = ada.locator(".admin-part")
    expect(account).to_contain_text("Echo: chat")
    expect(account.get_by_role("table", name="Sessions")).to_contain_text("this one")


def test_the_own_password_changes_and_other_sessions_end(browser: Browser, two_bots: Demo, ada: Page) -> None:
    account = part(ada, two_bots, "/account")
    with open_tabs(browser) as context:
        other = log_in(context, two_bots, "ada", "/account")
        sessions = other.get_by_role("table", name="Sessions")
        expect(sessions.get_by_role("row")).to_have_count(3)
        account.get_by_label("Current password").fill("something else entirely")
        account.get_by_label("New password").fill("an even longer password")
        account.get_by_role("button", name="Change password").click()
        expect(account.get_by_role("alert").first).to_contain_text("current password is wrong")
        account.get_by_label("Current password").fill(PASSWORD)
        account.get_by_role("button", name="Change password").click()
        expect(ada.get_by_text("Your password is changed")).to_be_visible()
        expect(account.get_by_role("table", name="Sessions").get_by_role("row")).to_have_count(2)
        expect(other.locator("html[data-line=live]")).to_have_count(0)


def test_own_other_sessions_and_tokens_are_ended_by_oneself(browser: Browser, two_bots: Demo, ada: Page) -> None:
    with open_tabs(browser) as context:
        other = log_in(context, two_bots, "ada")
        account = part(ada, two_bots, "/account")
        account.get_by_role("button", name="End all others").click()
        expect(account.get_by_role("table", name="Sessions").get_by_role("row")).to_have_count(2)
        expect(other.locator("html[data-line=live]")).to_have_count(0)
    account.get_by_role("button", name="Make a token").click()
    dialog = ada.get_by_role("dialog")
    expect(dialog.get_by_label("admin everything")).to_have_count(0)
    expect(dialog.get_by_label("Acts as")).to_have_count(0)
    dialog.get_by_label("What it is for").fill("mine")
    dialog.get_by_label("chat write to bots").check()
    dialog.get_by_role("button", name="Make it").click()
    expect(account.get_by_label("The token", exact=True).get_by_role("textbox")).to_have_value(re.compile("^ebt_"))
    expect(row(account, "mine")).to_be_visible()


def test_two_users_see_nothing_of_each_others_bots(browser: Browser, two_bots: Demo) -> None:
    two_bots.run("bots", "connect", "heron", "--kind", "echo", "--name", "Heron")
    add_user(two_bots, "ada", heron="chat")
    add_user(two_bots, "bo", zebra="operate")
    with open_tabs(browser) as one, open_tabs(browser) as other:
        people = [(log_in(one, two_bots, "ada"), "heron", "zebra"), (log_in(other, two_bots, "bo"), "zebra", "heron")]
        for page, own, _ in people:
            expect(page.locator("#main").get_by_role("link", name=own).first).to_be_visible()
            page.evaluate(
                """async (own) => {
                    const script = [...document.scripts].find((one) => one.src.endsWith("/main.js"));
                    const { socket } = await import(new URL("socket.js", script.src));
                    window.heard = "";
                    socket.on("*", (event) => {
                        window.heard += JSON.stringify(event).toLowerCase();
                        if (window.heard.includes(`from ${own}`)) document.documentElement.dataset.heard = "own";
                    });
                }""",
                own,
            )
        # Last the first one's, so that what the other must not hear has passed by then.
        for bot_id in ("heron", "zebra", "heron"):
            two_bots.run("chat", bot_id, f"[[say From {bot_id}!]]")
        for page, _, hidden in people:
            page.wait_for_selector("html[data-heard=own]")
            assert hidden not in page.evaluate("window.heard")
            for path in ("/", "/chat", "/account", f"/bots/{hidden}", f"/chat/{hidden}"):
                page.goto(f"{two_bots.origin}{path}")
                wait_live(page)
                expect(page.locator("#main > *").first).to_be_attached()
                text = page.evaluate("document.body.innerText.toLowerCase()")
                # What was typed into the address is all that may be said of the other bot.
                assert f"from {hidden}" not in text, path
                assert hidden not in text or hidden in path, path


@pytest.mark.parametrize("width", [360, 768, 970, 1280])
def test_no_part_is_wider_than_its_page(browser: Browser, demo: Demo, width: int) -> None:
    """In German, whose words are the longer ones."""
    add_user(demo, "a" * 32, echo="chat")
    demo.run("token", "create", "a" * 32, "--name", "a name without any space " + "x" * 70, "--scope", "read")
    with open_tabs(browser, {"width": width, "height": 800}, locale="de-DE") as context:
        page = context.new_page()
        page.goto(demo.link)
        wait_live(page)
        for path in [*(f"/admin{name}" for name in PARTS), f"/admin/users/{'a' * 32}", "/account"]:
            found = part(page, demo, path)
            expect(found.locator("[aria-busy]")).to_have_count(0)
            # Of the part itself: what stands around it is somebody else's to hold.
            wide = page.evaluate(
                """() => {
                    const end = (one) => one.getBoundingClientRect().right;
                    const edge = end(document.querySelector(".admin")) + 1;
                    return [...document.querySelectorAll(".admin-part, .admin-part *")]
                        .filter((one) => !one.closest("pre, .uplot, .visually-hidden") && end(one) > edge)
                        .map((one) => one.outerHTML.slice(0, 80));
                }"""
            )
            assert wide == [], path
