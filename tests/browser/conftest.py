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
# Nobody types into the address bar, and the two pages for what it would suggest cost 0.7 s of a core for each context.
UNUSED = "WebUIOmniboxPopup,WebUIOmniboxAimPopup"
# Chromium reads the last such list only, and Playwright has one of its own.
WRAPPER = """#!/bin/sh
for argument; do
    shift
    case $argument in --disable-features=*) argument=$argument,{unused} ;; esac
    set -- "$@" "$argument"
done
exec {program} "$@"
"""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        require_or_skip("no chromium; Debian: apt-get install chromium")
    wrapper = tmp_path_factory.mktemp("browser") / "chromium"
    wrapper.write_text(WRAPPER.format(unused=UNUSED, program=program))
    wrapper.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=wrapper, args=list(ARGUMENTS))
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
