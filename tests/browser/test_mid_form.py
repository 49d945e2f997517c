"""A session that ends in the middle of something: who logs in again goes on, another person finds nothing of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.house import Demo, open_tabs, wait_live
from tests.browser.talk import PASSWORD, composer, log_in


def end_session(page: Page) -> None:
    page.evaluate("fetch('/api/logout', { method: 'POST' }).then(() => null)")
    expect(page.locator("#sign-in")).to_be_visible()


def sign_in_again(page: Page, user_id: str) -> None:
    form = page.locator("#sign-in")
    expect(form.get_by_label("User")).to_be_focused()
    form.get_by_label("User").fill(user_id)
    form.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(form).to_have_count(0)
    wait_live(page)


@pytest.fixture
def ada(browser: Browser, demo: Demo) -> Iterator[Page]:
    for user_id in ("ada", "ben"):
        demo.run("user", "add", user_id, "--admin", text=f"{PASSWORD}\n")
    with open_tabs(browser) as context:
        yield log_in(context, demo, "ada", "/admin/users")


def test_a_dialog_is_there_as_it_was(ada: Page, demo: Demo) -> None:
    ada.get_by_role("button", name="Add a user").click()
    dialog = ada.get_by_role("dialog")
    dialog.get_by_label("User id").fill("cid")
    dialog.get_by_label("Name").fill("Cid")
    dialog.get_by_role("checkbox").check()
    end_session(ada)
    expect(dialog).to_have_count(0)
    expect(ada.get_by_role("main")).to_have_count(1)
    # Nothing below the login can be reached.
    assert ada.evaluate("document.activeElement?.closest('.house')") is None
    sign_in_again(ada, "ada")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("User id")).to_have_value("cid")
    expect(dialog.get_by_label("Name")).to_have_value("Cid")
    expect(dialog.get_by_role("checkbox")).to_be_focused()
    dialog.get_by_role("button", name="Add").click()
    ada.wait_for_url("**/admin/users/cid")
    assert "cid" in demo.run("user", "list")
    # The page is as live as before.
    ada.get_by_role("link", name="Bots").click()
    expect(ada.get_by_role("link", name="echo").first).to_be_visible()


def test_another_person_finds_nothing_of_it(ada: Page, demo: Demo) -> None:
    ada.goto(f"{demo.origin}/?connect")
    dialog = ada.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Nova")
    dialog.get_by_label("URL").fill("ws://nova.example:18789")
    end_session(ada)
    sign_in_again(ada, "ada")
    expect(dialog.get_by_label("Name")).to_have_value("Nova")
    expect(dialog.get_by_label("URL")).to_have_value("ws://nova.example:18789")
    ada.evaluate("window.kept = true")
    end_session(ada)
    sign_in_again(ada, "ben")
    assert ada.evaluate("window.kept") is None
    expect(dialog.get_by_label("Name")).to_have_value("")
    expect(dialog.get_by_label("URL")).to_have_value("")


def test_a_message_is_there_as_it_was_typed(ada: Page, demo: Demo) -> None:
    ada.goto(f"{demo.origin}/chat/echo/new")
    composer(ada).fill("half a sen")
    end_session(ada)
    expect(composer(ada)).to_be_hidden()
    sign_in_again(ada, "ada")
    expect(composer(ada)).to_have_value("half a sen")
    expect(composer(ada)).to_be_focused()
    composer(ada).press("Enter")
    expect(ada.locator(".reply")).to_be_visible()


def test_the_palette_makes_way_for_the_login(ada: Page) -> None:
    ada.keyboard.press("Control+k")
    palette = ada.get_by_role("dialog", name="Find anything")
    field = palette.get_by_role("combobox")
    field.fill("ech")
    end_session(ada)
    expect(palette).to_have_count(0)
    sign_in_again(ada, "ada")
    expect(field).to_have_value("ech")
    expect(field).to_be_focused()


def test_a_login_in_one_tab_is_one_in_the_others(ada: Page, demo: Demo) -> None:
    other = ada.context.new_page()
    other.goto(f"{demo.origin}/chat/echo/new")
    wait_live(other)
    composer(other).fill("half a sen")
    end_session(ada)
    expect(other.locator("#sign-in")).to_be_visible()
    sign_in_again(ada, "ada")
    expect(other.locator("#sign-in")).to_have_count(0)
    wait_live(other)
    expect(composer(other)).to_have_value("half a sen")
    other.evaluate("window.kept = true")
    end_session(ada)
    expect(other.locator("#sign-in")).to_be_visible()
    sign_in_again(ada, "ben")
    # What somebody else had typed is taken away there too.
    expect(composer(other)).to_have_value("")
    assert other.evaluate("window.kept") is None
