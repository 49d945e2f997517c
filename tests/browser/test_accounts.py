"""Accounts at model providers as people see them: against a provider of our own, by every way in."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.browser.axe import violations
from tests.browser.fresh import PASSWORD, Fresh
from tests.browser.house import DESK, PHONE, Demo, open_tabs, wait_live
from tests.browser.provider import CODE, Provider, open_provider
from tests.browser.talk import evaluate_with
from tests.browser.walk import walk, watch_clicks
from tests.warm import run_warm

SECRET = "c4nary-0123456789-abcdef"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with open_provider() as provider:
        yield provider


@pytest.fixture
def house(provider: Provider, tmp_path: Path) -> Iterator[Fresh]:
    """A daemon that knows the provider twice: once with a way back of its own."""
    more = provider.settings() + provider.settings("pasted", "Pasted", fixed=True)
    more += f'[accounts.secret_files]\necho = "{tmp_path}/edge-secrets.json"\n'
    fresh = Fresh(tmp_path, built_in=True, more=more)
    try:
        fresh.run("user", "add", "root", "--admin", text=f"{PASSWORD}\n")
        yield fresh
    finally:
        fresh.program.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with open_tabs(browser, viewport=DESK) as context:
        watch_clicks(context)
        yield context


def enter(context: BrowserContext, house: Fresh, user: str = "root", place: str = "/accounts") -> Page:
    page = context.new_page()
    page.goto(house.origin + place)
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    wait_live(page)
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator(".acct-row").filter(has=page.get_by_role("link", name=name, exact=True))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def choose(page: Page, name: str, action: str) -> None:
    """Choose from the menu of an account."""
    page.locator(f'summary[aria-label="More for {name}"]').click()
    page.locator(".more-menu[open]").get_by_role("button", name=action).click()


def begin(page: Page, provider_id: str, name: str, how: str = "In a browser") -> None:
    press(page, "Log in")
    dialog = page.get_by_role("dialog")
    dialog.locator("select[name=provider]").select_option(provider_id)
    dialog.locator("input[name=name]").fill(name)
    dialog.get_by_role("radio", name=how).check()
    dialog.get_by_role("button", name="Begin").click()


def ask_now(page: Page, account: Locator) -> None:
    """Ask how much is used, again and again until the provider's second has passed."""
    for _ in range(100):
        with page.expect_response("**/usage") as answer:
            account.get_by_role("button", name="Ask now").click()
        if answer.value.status == 200:
            return
    raise AssertionError("it may never be asked")


def land(context: BrowserContext, page: Page) -> str:
    """Agree at the provider in a tab of its own, and return the address where it ends."""
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open the provider's page").click()
    tab = opened.value
    tab.wait_for_load_state()
    with_code = tab.url
    tab.close()
    return with_code


def as_of_a_gateway(route: Route) -> None:
    """Answer with logins as if a bot's gateway kept them."""
    answer = route.fetch()
    told = answer.json()
    for item in told["items"]:
        item.update(owner="gateway", place="echo")
    route.fulfill(response=answer, json=told)


def test_without_an_account_it_says_what_to_do_and_a_key_is_never_shown_again(page: Page, demo: Demo) -> None:
    page.get_by_role("link", name="Accounts").click()
    expect(page.get_by_role("heading", level=1, name="Accounts")).to_be_visible()
    expect(page.get_by_text("No account at a model provider yet")).to_be_visible()
    expect(page.get_by_label("An example")).to_contain_text("[providers.example.oauth]")
    assert violations(page) == []
    press(page, "Add a key")
    assert violations(page) == []
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=provider]").fill("anthropic")
    dialog.locator("input[name=name]").fill("work")
    secret = dialog.locator("input[name=secret]")
    expect(secret).to_have_attribute("type", "password")
    secret.fill(SECRET)
    dialog.get_by_role("checkbox", name="Echo").check()
    dialog.get_by_role("button", name="Add").click()
    expect(page.get_by_text("work is added.")).to_be_visible()
    work = row(page, "work")
    expect(work).to_contain_text("ready · does not end by itself")
    expect(work).to_contain_text("Used by Echo")
    expect(work).to_contain_text("the settings say nothing of where to ask this provider")
    expect(work.get_by_role("meter")).to_have_count(0)
    choose(page, "work", "Label and bots")
    page.get_by_role("dialog").locator("input[name=label]").fill("My key")
    press(page, "Save")
    expect(row(page, "My key")).to_be_visible()
    row(page, "My key").get_by_role("link", name="My key").click()
    expect(page.locator(".facts")).to_contain_text("anthropic:work")
    expect(page.locator(".facts")).to_contain_text("stands for the secret")
    page.get_by_role("link", name="Echo").click()
    expect(page.get_by_role("link", name="Account", exact=True)).to_have_attribute("aria-current", "page")
    page.locator(".acct-used-by").get_by_role("link", name="My key").click()
    assert SECRET not in page.content()
    # What a gateway keeps may be labelled, and no more.
    page.route("**/api/profiles", as_of_a_gateway)
    page.reload()
    choose(page, "My key", "Label")
    expect(page.get_by_role("dialog").get_by_role("checkbox")).to_have_count(0)
    press(page, "Cancel")
    expect(page.locator(".acct-acts").get_by_text("Remove")).to_have_count(0)
    page.unroute("**/api/profiles")
    page.reload()
    choose(page, "My key", "Remove")
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("At the provider it goes on to exist")
    expect(asked).to_contain_text("It is used by Echo.")
    asked.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No account at a model provider yet")).to_be_visible()
    assert SECRET not in demo.printed


def test_one_logs_in_sees_how_much_is_used_and_logs_in_again(
    house: Fresh, provider: Provider, context: BrowserContext
) -> None:
    page = enter(context, house)
    begin(page, "example", "work")
    assert violations(page) == []
    land(context, page)
    expect(page.get_by_text("Logged in as example:work.")).to_be_visible()
    work = row(page, "work")
    expect(work).to_contain_text("fresh · next refresh")
    hours = work.get_by_role("meter", name="5 hours")
    expect(hours).to_have_attribute("aria-valuenow", "62")
    expect(hours).to_have_attribute(
        "aria-valuetext", re.compile(r"^62 %, 70 % of its time has passed, starts anew .+ in 1 h")
    )
    assert violations(page) == [] and walk(page) == []
    provider.windows["five"] = (78.0, 5400.0)
    ask_now(page, work)
    expect(hours).to_have_attribute("aria-valuenow", "78")
    provider.usage_status = 429
    ask_now(page, work)
    expect(page.get_by_text("The provider was asked too often; the login itself is well.").first).to_be_visible()
    work.get_by_role("button", name="Ask now").click()
    expect(page.get_by_text("It may be asked again in 1").first).to_be_visible()
    # From elsewhere, without this tab doing anything.
    house.run("accounts", "label", "example:work", "Team")
    expect(row(page, "Team")).to_be_visible()
    house.run("accounts", "label", "example:work")
    house.run("accounts", "add", "example:key", text=f"{SECRET}\n")
    expect(row(page, "key")).to_be_visible()
    house.run("accounts", "bots", "example:key", "echo")
    expect(row(page, "key")).to_contain_text("Used by echo")
    house.run("accounts", "remove", "example:key", "--yes")
    expect(row(page, "key")).to_have_count(0)
    provider.token_status = 400
    refresh = ["--socket", str(house.socket), "accounts", "refresh", "example:work"]
    assert run_warm(refresh, env=os.environ).returncode == 1
    expect(work).to_contain_text("needs login")
    expect(work).to_contain_text("It is not asked until somebody logs in again.")
    expect(hours).to_have_attribute("aria-valuetext", re.compile("^78 %, last known figure"))
    expect(work.get_by_role("button", name="Ask now")).to_have_count(0)
    page.goto(house.origin)
    page.locator(".need").filter(has_text="example:work").get_by_role("link", name="Look").click()
    expect(page.get_by_role("heading", level=1, name="work")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Accounts").click()
    provider.token_status = provider.usage_status = 200
    work.get_by_role("button", name="Log in again").click()
    press(page, "Begin")
    land(context, page)
    expect(work).to_contain_text("fresh · next refresh")
    work.get_by_role("link", name="work", exact=True).click()
    expect(page.locator(".acct-canvas canvas").first).to_be_visible()
    expect(page.locator(".acct-chart").filter(has_text="5 hours")).to_contain_text("78 % all the time")
    assert violations(page) == [] and walk(page) == []
    for kind in ("at-1-aaa", "rt-1-rrr"):
        assert kind not in page.content() and kind not in house.program.log.read_text()


def test_a_page_says_who_has_an_account_and_lets_agents_in(house: Fresh, context: BrowserContext) -> None:
    house.run("accounts", "add", "example:work", "--bot", "echo", text=f"{SECRET}\n")
    page = enter(context, house, place="/accounts/example%3Awork")
    echo = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="echo"))
    expect(echo).to_contain_text("does not have it yet")
    expect(echo).to_contain_text("The gateway is not connected. The file is written, and read at its start.")
    expect(page.get_by_text("A coding agent can fetch the token that is good now")).to_be_visible()
    press(page, "Allow an agent")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Whose it is")).to_have_value("root")
    assert violations(page) == []
    dialog.get_by_label("What it is for").fill("agent on atlas")
    dialog.get_by_role("button", name="Make a token").click()
    secret = page.get_by_role("textbox", name="The token").input_value()
    assert violations(page) == [] and walk(page) == []
    env = {**os.environ, "EDGEBOTD_TOKEN": secret}
    fetched = run_warm(["--socket", str(house.socket), "token", "example:work"], env=env)
    assert fetched.stdout == f"{SECRET}\n"
    page.reload()
    agent = page.get_by_role("listitem").filter(has_text="agent on atlas")
    expect(agent).to_contain_text("root")
    expect(agent).to_contain_text("last used now · until")
    assert secret not in page.content()
    agent.get_by_role("button", name="Revoke agent on atlas").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("gets no more tokens of this account")
    asked.get_by_role("button", name="Revoke").click()
    expect(agent).to_have_count(0)
    assert run_warm(["--socket", str(house.socket), "token", "example:work"], env=env).returncode != 0


def test_an_address_is_pasted_and_a_wrong_one_is_told(house: Fresh, context: BrowserContext) -> None:
    page = enter(context, house)
    begin(page, "pasted", "far")
    field = page.get_by_label("Address that the browser ended at")
    field.fill("https://back.invalid/done?code=x&state=another")
    press(page, "Finish")
    expect(page.get_by_role("alert").filter(has_text="belongs to another login")).to_be_visible()
    address = page.get_by_role("link", name="Open the provider's page").get_attribute("href")
    assert address is not None
    state = re.search(r"[?&]state=([^&]+)", address)
    assert state is not None
    field.fill(f"https://back.invalid/done?code=c0de&state={state[1]}")
    press(page, "Finish")
    expect(row(page, "far")).to_contain_text("fresh")


def test_a_code_is_typed_at_the_provider(house: Fresh, provider: Provider, context: BrowserContext) -> None:
    page = enter(context, house)
    begin(page, "example", "phone", "With a code")
    expect(page.get_by_role("dialog")).to_contain_text(CODE)
    assert violations(page) == []
    provider.agreed = True
    expect(row(page, "phone")).to_contain_text("fresh")


def test_what_cannot_be_told_is_no_zero(house: Fresh, provider: Provider, context: BrowserContext) -> None:
    provider.usage_status = 429
    page = enter(context, house)
    begin(page, "example", "work")
    land(context, page)
    work = row(page, "work")
    expect(work).to_contain_text("No figures yet. The provider was asked too often")
    expect(work.get_by_role("meter")).to_have_count(0)
    assert "0 %" not in work.inner_text()
    page.goto(house.origin)
    expect(page.get_by_role("link", name="figures of 1 account are not renewed")).to_be_visible()


def test_an_import_says_what_it_means_first(house: Fresh, context: BrowserContext) -> None:
    page = enter(context, house)
    press(page, "Import")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").select_option("claude")
    dialog.get_by_role("radio", name="Pasted").check()
    login = {"accessToken": SECRET, "refreshToken": f"{SECRET}-r", "expiresAt": 4_000_000_000_000}
    dialog.locator("textarea").fill(json.dumps({"claudeAiOauth": login}))
    dialog.get_by_role("button", name="Look").click()
    expect(dialog.get_by_role("checkbox")).to_be_checked()
    assert violations(page) == []
    # Who watches a file needs its place.
    expect(dialog.get_by_role("radio")).to_have_count(1)
    dialog.get_by_role("radio", name="edgebotd").check()
    expect(dialog).to_contain_text("Log out in the other program afterwards.")
    dialog.get_by_role("button", name="Import").click()
    expect(dialog).to_contain_text("Log out in Claude Code")
    press(page, "Close")
    expect(page.locator(".acct-row")).to_have_count(1)
    assert SECRET not in page.content() and SECRET not in house.program.log.read_text()


def test_whoever_sees_a_bot_sees_what_is_left_for_it_and_nothing_else(
    house: Fresh, provider: Provider, context: BrowserContext
) -> None:
    page = enter(context, house)
    begin(page, "example", "work")
    land(context, page)
    choose(page, "work", "Label and bots")
    page.get_by_role("dialog").get_by_role("checkbox", name="echo").check()
    press(page, "Save")
    expect(row(page, "work")).to_contain_text("Used by echo")
    provider.windows["five"] = (93.0, 5400.0)
    ask_now(page, row(page, "work"))
    expect(row(page, "work").get_by_role("meter", name="5 hours")).to_have_attribute("aria-valuenow", "93")
    house.run("user", "add", "eve", text=f"{PASSWORD}\n")
    house.run("user", "grant", "eve", "echo", "view")
    page.close()
    context.clear_cookies()
    page = enter(context, house, "eve", "/")
    mine = page.locator(".bot-row").filter(has_text="echo")
    expect(mine).to_contain_text("example:work: 5 hours 93 % used")
    assert violations(page) == [] and walk(page) == []
    provider.token_status = 400
    refresh = ["--socket", str(house.socket), "accounts", "refresh", "example:work"]
    assert run_warm(refresh, env=os.environ).returncode == 1
    mine.get_by_role("link", name="example:work: its login is not well").click()
    mine = page.locator(".acct-used-by")
    expect(mine).to_contain_text("Example")
    expect(mine).to_contain_text("needs login")
    expect(mine.get_by_role("meter", name="7 days")).to_have_attribute("aria-valuenow", "31")
    expect(mine.get_by_role("link")).to_have_count(0)
    expect(mine.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("link", name="Accounts")).to_have_count(0)
    page.goto(f"{house.origin}/accounts")
    expect(page.get_by_role("heading", name="This is for administrators")).to_be_visible()


def test_it_fits_on_a_phone_and_says_that_it_is_offline(house: Fresh, browser: Browser) -> None:
    house.run("accounts", "add", "example:work", text=f"{SECRET}\n")
    with open_tabs(browser, viewport=PHONE, has_touch=True) as context:
        page = enter(context, house)
        expect(row(page, "work").get_by_role("meter").first).to_be_visible()
        for place in ("/accounts", "/accounts/example%3Awork"):
            page.goto(house.origin + place)
            wait_live(page)
            expect(page.get_by_role("meter").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert violations(page) == []
        context.set_offline(True)
        page.get_by_role("radio", name="1 day").check()
        expect(page.get_by_text("The daemon can't be reached").first).to_be_visible()


def test_curves_have_holes_where_nobody_could_ask(page: Page) -> None:
    hour = 3_600_000
    points = [{"at": at * hour, "usedPercent": at, "resetsAt": None} for at in (2, 3, 9)]
    times, values = evaluate_with(page, "accounts/history.js", "it.columnsOf(argument, 0, 36e6)", points)
    assert values == [None, 2, 3, None, 9, None]
    assert times[0] == 0 and times[-1] == 36_000 and times == sorted(times)


def test_words_say_no_more_than_is_known(page: Page) -> None:
    now = int(time.time() * 1000)
    hour = 3_600_000
    well = {"type": "oauth", "owner": "edgebotd", "state": "fresh", "expired": False, "expiresAt": None, "nextAt": None}

    def state(**one: object) -> str:
        return str(evaluate_with(page, "accounts/words.js", "it.stateWords(argument).text", {**well, **one}))

    assert state() == state(expiresAt=now + hour) == "fresh"
    assert state(expiresAt=now + 60_000) == "expiring"
    assert state(expiresAt=now - 10_000) == state(expired=True) == "has run out"
    assert state(state="static", type="api_key") == "ready"
    assert state(state="backoff", expiresAt=now - 10_000) == "backing off"
    assert state(owner="external", expiresAt=now + 60_000) == "watched"
    assert state(owner="gateway", state="needs_login") == "needs login"

    def pace(**one: object) -> object:
        window = {"id": "five", "label": "5 hours", "usedPercent": 62, "resetsAt": None, "runsOutAt": None, **one}
        return evaluate_with(page, "accounts/words.js", "it.paceWords(argument)?.text ?? null", window)

    assert pace() is None
    assert pace(resetsAt=now + hour) is None
    assert pace(resetsAt=now + hour, windowSeconds=5 * 3600) == "80 % of its time has passed"
    assert str(pace(resetsAt=now + hour, runsOutAt=now + hour // 2)).startswith("runs out at ")
    assert pace(resetsAt=now + hour, usedPercent=104) == "used up"
    assert pace(resetsAt=now - 10_000, usedPercent=104, runsOutAt=now - 20_000) is None, "it is of the window before"
