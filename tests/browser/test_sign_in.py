"""Getting in: the link that works once, the login, the way out."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser.house import PHONE, Demo, open_tabs, sign_in, wait_live


def test_the_link_logs_in_and_leaves_no_code_in_the_address(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        assert page.url == f"{demo.origin}/"
        expect(page.get_by_role("link", name="echo").first).to_be_visible()


def test_a_used_link_and_a_logout_lead_to_the_login(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser, PHONE) as context:
        page = sign_in(context, demo)
        page.evaluate("fetch('/api/logout', { method: 'POST' })")
        page.goto("about:blank")
        page.goto(demo.link)
        expect(page.get_by_role("alert")).to_contain_text("used")
        expect(page.get_by_label("Password")).to_be_visible()


def test_one_logs_in_where_one_was(browser: Browser, demo: Demo) -> None:
    demo.run("user", "add", "ada", text="a long enough password\n")
    demo.run("user", "grant", "ada", "echo", "chat")
    with open_tabs(browser) as context:
        page = context.new_page()
        page.goto(f"{demo.origin}/bots/echo")
        page.get_by_label("User").fill("ada")
        page.get_by_label("Password").fill("wrong password")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).not_to_be_empty()
        page.get_by_label("Password").fill("a long enough password")
        page.keyboard.press("Enter")
        wait_live(page)
        assert page.url == f"{demo.origin}/bots/echo"
