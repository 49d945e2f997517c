"""Channels of alerts as an administrator sees them: what they get, whether it arrives, and the test button."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from typing_extensions import override

from tests.browser.fresh import Fresh, make_admin
from tests.browser.house import DESK, Demo, open_tabs, wait_live

SECRET = "c4nary-0123456789"


@dataclass
class Hook:
    """A receiver in a thread; answers with `status`."""

    status: int = 200
    came: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield hook
        server.shutdown()
        thread.join()


CHANNELS = """
[alerts]
allow_networks = "127.0.0.1"

[alerts.channels.hook]
kind = "webhook"
name = "My hook"
url = "http://127.0.0.1:{port}/{secret}"

[alerts.channels.phone]
kind = "ntfy"
url = "https://localhost:1/{secret}"
min_severity = "critical"
bots = ["echo"]
quiet = "22:00-07:00"
timezone = "Europe/Berlin"
"""


@pytest.fixture
def told(hook: Hook, tmp_path: Path) -> Iterator[Fresh]:
    """A daemon with two channels: one to the hook, one to where nobody answers."""
    fresh = Fresh(tmp_path, built_in=True, more=CHANNELS.format(port=hook.port, secret=SECRET))
    try:
        yield fresh
    finally:
        fresh.program.close()


def open_alerts(page: Page, demo: Demo | Fresh) -> None:
    page.goto(f"{demo.origin}/admin/alerts")
    wait_live(page)
    expect(page.get_by_role("heading", level=1, name="Alerts")).to_be_visible()


def test_channels_are_shown_and_tested(browser: Browser, told: Fresh, hook: Hook) -> None:
    with open_tabs(browser, viewport=DESK) as context:
        page = context.new_page()
        make_admin(page, told)
        open_alerts(page, told)
        mine = page.get_by_role("row").filter(has_text="My hook")
        expect(mine).to_contain_text(f"Webhook to http://127.0.0.1:{hook.port}")
        expect(mine).to_contain_text("warnings and critical")
        expect(mine).to_contain_text("nothing yet")
        phone = page.get_by_role("row").filter(has_text="phone")
        expect(phone).to_contain_text("ntfy at https://localhost:1")
        expect(phone).to_contain_text("critical only")
        expect(phone).to_contain_text("22:00–07:00 Europe/Berlin")
        expect(phone).to_contain_text("critical ones pass")
        page.get_by_role("button", name="Test My hook").click()
        expect(page.get_by_text("The test has arrived at My hook.")).to_be_visible()
        assert [one["event"] for one in hook.came] == ["test"]
        hook.status = 503
        page.get_by_role("button", name="Test My hook").click()
        expect(page.get_by_text("127.0.0.1 answers with the status 503.")).to_be_visible()
        page.get_by_role("button", name="Test phone").click()
        expect(page.get_by_text("localhost takes no connection")).to_be_visible()
        assert SECRET not in page.content()
    hook.status = 200
    told.run("alerts", "test", "hook")
    assert [one["event"] for one in hook.came] == ["test"] * 3
    listed = told.run("alerts", "channels")
    assert f"http://127.0.0.1:{hook.port}" in listed
    assert told.run("alerts", "list", "--json") == ""
    assert SECRET not in listed + (told.program.log.read_text())


def test_without_channels_it_says_how_to_have_one(page: Page, demo: Demo) -> None:
    open_alerts(page, demo)
    expect(page.get_by_text("Alerts are sent nowhere yet.")).to_be_visible()
    expect(page.locator(".admin-part pre")).to_contain_text("[alerts.channels.phone]")
