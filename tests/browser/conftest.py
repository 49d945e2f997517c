"""The browser that all tests of this folder share, and a daemon for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.house import Demo, open_tabs, sign_in
from tests.support import require_or_skip

ARGUMENTS = (
    "--no-sandbox",  # the tests run as root in CI, and only our own page is loaded
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        require_or_skip("no chromium; Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    try:
        yield demo
    finally:
        demo.stop()


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """A tab on a desk, logged in and live."""
    with open_tabs(browser) as context:
        yield sign_in(context, demo)
