"""Images from elsewhere: not loaded until somebody wants to see one, and then by the daemon, never by the browser."""

from __future__ import annotations

import base64
import json
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, Route, ViewportSize, expect

from tests.browser.house import DESK, PHONE, Demo, open_tabs, sign_in
from tests.browser.talk import open_chat, replies, send

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
CAT: Final = "https://images.example/cat.png?size=2"


class Elsewhere:
    """Plays what the daemon would fetch, and notes what the browser itself asks for."""

    def __init__(self, context: BrowserContext, demo: Demo) -> None:
        self.wanted: list[str] = []
        self.foreign: list[str] = []
        self.answer: bytes = PNG
        self._origin = demo.origin
        context.route("**/api/bots/*/remote-image", self._give)
        context.on("request", self._look)

    def _look(self, request: Request) -> None:
        if not request.url.startswith((self._origin + "/", "blob:")):
            self.foreign.append(request.url)

    def _give(self, route: Route) -> None:
        assert route.request.method == "POST"
        self.wanted.append(json.loads(route.request.post_data or "")["url"])
        route.fulfill(body=self.answer, content_type="image/png")


def said(page: Page, text: str) -> Locator:
    """Have the bot say a text; return where it says it."""
    count = replies(page).count()
    send(page, f"[[say {text}]]")
    expect(replies(page).locator("footer")).to_have_count(count + 1)
    return replies(page).nth(count).locator(".said")


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_click_shows_the_image_in_place(browser: Browser, demo: Demo, viewport: ViewportSize) -> None:
    with open_tabs(browser, viewport) as context:
        elsewhere = Elsewhere(context, demo)
        page = sign_in(context, demo)
        open_chat(page, demo, "echo/new")
        reply = said(page, f"Look: ![a cat]({CAT}) and again ![]({CAT})")
        buttons = reply.get_by_role("button", name="Show image from images.example")
        expect(buttons).to_have_count(2)
        assert elsewhere.wanted == []
        buttons.first.focus()
        page.keyboard.press("Enter")
        image = reply.get_by_role("img", name="a cat")
        expect(image).to_be_visible()
        expect(reply.get_by_role("img", name="From images.example")).to_be_visible()
        assert image.evaluate("(image) => image.src").startswith("blob:")
        original = reply.get_by_role("link", name="Open the original").first
        expect(original).to_have_attribute("href", CAT)
        expect(original).to_have_attribute("rel", "noopener noreferrer")
        # Who pressed the key goes on from where the button was.
        expect(original).to_be_focused()
        expect(reply.locator(".image-from").first).to_contain_text("From images.example")
        # Drawn anew it is there at once.
        page.locator("a.brand").dispatch_event("click")
        expect(image).to_have_count(0)
        page.evaluate("history.back()")
        expect(image).to_be_visible()
        assert elsewhere.wanted == [CAT]
        assert elsewhere.foreign == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_does_not_come_says_why_and_where_it_is(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        open_chat(page, demo)
        reply = said(page, "![inside](https://127.0.0.1/cat.png)")
        button = reply.get_by_role("button", name="Show image from 127.0.0.1")
        button.click()
        expect(reply.get_by_role("alert")).to_contain_text("not of the open internet")
        original = reply.get_by_role("link", name="Open the original")
        expect(original).to_have_attribute("href", "https://127.0.0.1/cat.png")
        expect(button).to_be_focused()
        elsewhere = Elsewhere(context, demo)
        elsewhere.answer = b"no image"
        reply = said(page, "![broken](https://images.example/broken.png)")
        reply.get_by_role("button", name="Show image").click()
        expect(reply.get_by_role("alert")).to_contain_text("can't be shown")
        elsewhere.answer = PNG
        reply.get_by_role("button", name="Show image").click()
        expect(reply.get_by_role("img", name="broken")).to_be_visible()
        # What nobody fetches, over plain HTTP, is a link from the beginning.
        reply = said(page, "![old](http://images.example/old.png)")
        link = reply.get_by_role("link", name="Open image from images.example")
        expect(link).to_have_attribute("href", "http://images.example/old.png")
        assert elsewhere.foreign == []


def test_where_it_is_turned_off_there_is_a_link(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:

        def turned_off(route: Route) -> None:
            me = route.fetch()
            route.fulfill(response=me, json={**me.json(), "remoteImages": False})

        context.route("**/api/me", turned_off)
        page = sign_in(context, demo)
        open_chat(page, demo)
        reply = said(page, f"![a cat]({CAT})")
        link = reply.get_by_role("link", name="Open image from images.example")
        expect(link).to_have_attribute("href", CAT)
        expect(link).to_have_attribute("target", "_blank")
        expect(reply).to_contain_text("a cat")
        expect(reply.get_by_role("button")).to_have_count(0)
