"""axe finds nothing on any page, in both themes, on a desk and on a phone. The pages are listed in `axe.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.axe import PAGES, TALK, Looked, go, violations
from tests.browser.house import DESK, PHONE, Demo, open_tabs, sign_in

Scheme = Literal["light", "dark"]
Views = tuple[tuple[ViewportSize, Scheme], ...]
# Each theme and each size on every page, each time; the other pairs of them with the run of everything.
VIEWS: Views = ((DESK, "light"), (PHONE, "dark"))
OTHERS: Views = ((DESK, "dark"), (PHONE, "light"))


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A daemon with something of everything: a bot that works, one that needs a person, words in both directions."""
    folder: Path = tmp_path_factory.mktemp("populated")
    demo = Demo(folder)
    try:
        demo.run_json("bots", "connect", "gate", "--url", f"ws://127.0.0.1:{demo.port}/ws/bots/echo")
        demo.run("bots", "connect", "arab", "--kind", "echo", "--name", "مساعد البحث")
        first, *rest = TALK
        same = ("--conversation", demo.run_json("chat", "echo", first)["conversationId"])
        for text in rest:
            demo.run("chat", *same, "echo", text, code=1 if "[[error" in text else 0)
        demo.run("chat", "arab", "[[say مرحبا بالعالم]]")
        yield demo
    finally:
        demo.stop()


@pytest.fixture(scope="module")
def tab(browser: Browser, populated: Demo) -> Iterator[Page]:
    with open_tabs(browser) as context:
        yield sign_in(context, populated)


@pytest.mark.parametrize("views", [VIEWS, pytest.param(OTHERS, marks=pytest.mark.heavy)], ids=["", "others"])
@pytest.mark.parametrize("looked", PAGES.values(), ids=PAGES)
def test_axe_finds_nothing(tab: Page, populated: Demo, looked: Looked, views: Views) -> None:
    found: dict[str, list[str]] = {}
    for viewport, scheme in views:
        tab.set_viewport_size(viewport)
        tab.emulate_media(color_scheme=scheme)
        go(tab, populated, looked)
        if complaints := violations(tab):
            found[f"{viewport['width']} {scheme}"] = complaints
    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_at_the_door(browser: Browser, populated: Demo, scheme: Scheme) -> None:
    """The login, a wrong password, and what a link for a new password asks."""
    populated.run("user", "add", f"ada-{scheme}", "--link")
    with open_tabs(browser, PHONE, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(populated.origin)
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert violations(page) == []
        page.get_by_label("User").fill("nobody")
        page.get_by_label("Password").fill("wrong password")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).not_to_be_empty()
        assert violations(page) == []
        link = populated.run_json("user", "passwd", f"ada-{scheme}", "--link")["link"]
        page.goto("about:blank")
        page.goto(link)
        expect(page.get_by_role("heading", name="Choose a password")).to_be_visible()
        assert violations(page) == []
