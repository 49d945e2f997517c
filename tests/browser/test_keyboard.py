"""Tab reaches everything on every page, shows where it is, and leaves it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import PAGES, Looked, go
from tests.browser.house import DESK, PHONE, Demo, open_tabs
from tests.browser.keyed import open_tab
from tests.browser.talk import PASSWORD
from tests.browser.walk import walk, watch_clicks

# Of these another one says the same of the keyboard.
SKIPPED = {
    "filtered to nothing",
    "search without results",
    "no such conversation",
    "conversation's removal",
    "/admin/users/admin",
}


def _press(name: str) -> Callable[[Page], None]:
    """Press a button, from which a dialog comes."""

    def act(page: Page) -> None:
        page.locator("main").get_by_role("button", name=name, exact=True).press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()

    return act


WALKED = {name: looked for name, looked in PAGES.items() if name not in SKIPPED} | {
    "grants": Looked("/admin/users/ada", ".admin-grant"),
    "adding a user": Looked("/admin/users", ".admin-rows", _press("Add a user")),
    "making a token": Looked("/admin/tokens", ".admin-rows", _press("Make a token")),
    "adding a key": Looked("/accounts", ".acct .empty", _press("Add a key")),
    "importing accounts": Looked("/accounts", ".acct .empty", _press("Import")),
    "editing a bot": Looked("/bots/gate/about", ".facts", _press("Edit")),
}
ON_A_PHONE = ("dashboard", "conversation", "/admin", "/admin/tokens")


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


@pytest.mark.parametrize("looked", WALKED.values(), ids=WALKED)
def test_tab_reaches_everything_and_shows_where_it_is(tab: Page, house: Demo, looked: Looked) -> None:
    tab.set_viewport_size(DESK)
    go(tab, house, looked)
    assert walk(tab) == []


@pytest.mark.parametrize("name", ON_A_PHONE)
def test_tab_reaches_everything_on_a_phone_too(tab: Page, house: Demo, name: str) -> None:
    tab.set_viewport_size(PHONE)
    go(tab, house, PAGES[name])
    assert walk(tab) == []


def test_the_door_and_the_wizard_are_walked_through(browser: Browser, tab: Page, house: Demo) -> None:
    with open_tabs(browser) as context:
        watch_clicks(context)
        page = context.new_page()
        page.goto(house.origin)
        expect(page.get_by_label("User")).to_be_focused()
        assert walk(page) == []
        page.get_by_label("User").press_sequentially("ada")
        page.keyboard.press("Tab")
        page.keyboard.type("not the password")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).not_to_be_empty()
        expect(page.locator(":focus")).to_have_count(1)
    # A daemon that nobody has set up says so to whoever comes with its link; of the rest this one is as good.
    problem = {"status": 409, "code": "setup_incomplete", "title": "Conflict", "detail": "Choose a password."}
    tab.set_viewport_size(DESK)
    tab.route(
        "**/api/setup", lambda route: route.fulfill(status=409, content_type="application/problem+json", json=problem)
    )
    tab.goto("about:blank")
    tab.goto(f"{house.origin}/#code=abc")
    expect(tab.get_by_label("User id")).to_be_focused()
    assert walk(tab) == []
    tab.unroute("**/api/setup")
    tab.route("**/api/setup", lambda route: route.fulfill(status=204))
    tab.get_by_label("User id").press_sequentially("eve")
    tab.get_by_label("Password").press_sequentially(PASSWORD)
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Your first bot")).to_be_visible()
    expect(tab.get_by_role("main")).to_be_focused()
    assert walk(tab) == []
    tab.get_by_role("button", name="Connect a bot").press("Enter")
    expect(tab.get_by_label("Name", exact=True)).to_be_focused()
    assert walk(tab) == []
    tab.unroute("**/api/setup")
