"""From `edgebotd init` to the first reply, as a person goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.axe import violations
from tests.browser.fresh import Fresh, make_admin
from tests.browser.house import PHONE, open_tabs, wait_live


@pytest.fixture(params=[True, False], ids=["with the built-in bot", "without a bot"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fresh]:
    fresh = Fresh(tmp_path, built_in=request.param)
    try:
        yield fresh
    finally:
        fresh.program.close()


def test_the_link_leads_to_the_first_reply_and_then_to_the_house(browser: Browser, fresh: Fresh) -> None:
    with open_tabs(browser) as context:
        page = context.new_page()
        make_admin(page, fresh)
        page.get_by_role("button", name="Start with the built-in bot").click()
        expect(page).to_have_url(f"{fresh.origin}/chat/echo/new")
        page.get_by_role("link", name="Bots").click()
        quick = page.get_by_role("textbox", name=re.compile("Message echo", re.I))
        quick.fill("[[say Good morning, Ada]]")
        quick.press("Enter")
        expect(page.get_by_role("link", name="Good morning, Ada")).to_be_visible()
        page.reload()
        wait_live(page)
        expect(page.get_by_role("heading", name="Bots")).to_be_visible()


def test_a_bot_that_does_not_answer_does_not_stop_the_first_run(browser: Browser, fresh: Fresh) -> None:
    with open_tabs(browser, PHONE) as context:
        page = context.new_page()
        make_admin(page, fresh)
        page.get_by_role("button", name="Connect a bot").click()
        assert violations(page) == []
        page.get_by_label("Name").fill("Atlas")
        page.get_by_label("URL").fill("ws://127.0.0.1:9")
        page.get_by_label("Token").fill("secret")
        page.get_by_role("button", name="Connect").click()
        expect(page.get_by_text("Nothing answers at")).to_be_visible()
        page.get_by_role("button", name="Open the chat").click()
        expect(page).to_have_url(f"{fresh.origin}/chat/atlas/new")
        # On a phone too one can write at once.
        expect(page.get_by_role("textbox", name="Message Atlas")).to_be_visible()


def test_the_bot_can_wait_and_an_empty_house_teaches_the_next_step(browser: Browser, fresh: Fresh) -> None:
    with open_tabs(browser) as context:
        page = context.new_page()
        make_admin(page, fresh)
        page.get_by_role("button", name="Later").click()
        if fresh.built_in:
            expect(page.locator("[data-row]")).to_have_count(1)
        else:
            expect(page.get_by_role("main")).to_contain_text("No bot yet")
            assert violations(page) == []
            page.get_by_role("link", name="Add a bot").click()
            # Where there is no container engine, the dialog says so and offers the rest.
            expect(page.get_by_role("dialog", name="Add a bot")).to_contain_text("No container engine was found")
            page.get_by_role("link", name="Connect a bot").click()
            expect(page.get_by_role("dialog", name="Connect a bot")).to_be_visible()


def test_a_used_setup_link_says_what_to_do(browser: Browser, fresh: Fresh) -> None:
    with open_tabs(browser) as context:
        page = context.new_page()
        make_admin(page, fresh)
    with open_tabs(browser) as context:
        page = context.new_page()
        page.goto(fresh.link)
        expect(page.get_by_role("alert")).to_contain_text("edgebotd user passwd")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_where_there_is_a_container_engine_the_first_bot_can_be_made(browser: Browser, fresh: Fresh) -> None:
    with open_tabs(browser) as context:
        page = context.new_page()
        make_admin(page, fresh)
        way = page.get_by_role("button", name="Make a new bot")
        expect(way).to_have_count(0)
        source = page.locator('script[type="module"]').get_attribute("src")
        assert source is not None
        engine = {"engine": {"state": "up", "sinceAt": 0}, "containers": [], "pulls": []}
        page.evaluate(
            "async ([path, told]) => ((await import(path)).docker.value = told)",
            [source.replace("main.js", "docker.js"), engine],
        )
        way.click()
        expect(page).to_have_url(f"{fresh.origin}/operations/new")
        expect(page.get_by_role("heading", name="New bot")).to_be_visible()
