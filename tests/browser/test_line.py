"""The line of a tab through all that happens to a connection: nothing lost, nothing twice, and it says how it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.browser.house import Demo, open_tabs, sign_in, wait_live
from tests.browser.line import leader, leads_again, listen, replies, run, say, seen, state, streams, until
from tests.browser.wire import Wire, open_wire
from tests.peers.process import free_port
from tests.support import require_or_skip
from tests.web.test_stream_nginx import CONFIGURATION


def behind(demo: Demo, origin: str, context: BrowserContext) -> Page:
    """Log in by another address of the same daemon."""
    page = context.new_page()
    page.goto(demo.link.replace(demo.origin, origin))
    return page


def phases(page: Page) -> list[str]:
    return [one["phase"] for one in page.evaluate("window.states")]


def until_last(page: Page, text: str) -> None:
    until(page, f"the reply {text}", lambda page: replies(page)[-1:] == [text])


def once_each(page: Page) -> None:
    """No journalled event came twice."""
    told = Counter(json.dumps(event, sort_keys=True) for event in seen(page) if event["type"] == "chat-message")
    assert told.most_common(1)[0][1] == 1


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_daemon_that_starts_again_is_caught_up_with(browser: Browser, demo: Demo, *, kill: bool) -> None:
    with open_tabs(browser) as context:
        page = sign_in(context, demo)
        listen(page)
        other = context.new_page()
        other.goto(demo.origin)
        wait_live(other)
        listen(other)
        for word in ("one", "two"):
            say(context, demo, f"[[say {word}]]")
        until(page, "two replies", lambda _: len(replies(page)) == 2)
        conversation = say(context, demo, "[[long 2000]]")
        until(
            page,
            "a reply on its way",
            lambda _: any(
                event["type"] == "chat-delta" and event["conversationId"] == conversation for event in seen(page)
            ),
        )
        demo.restart(kill=kill)
        say(context, demo, "[[say three]]")
        for tab in (page, other):
            # How much is left of the reply that was cut is the daemon's affair; the history tells it.
            until(tab, "the replies", lambda tab: "three" in replies(tab), 40)
            # More than one where the machine stalls: then the other tab has taken the lead, and resumed as exactly.
            assert {hello["verdict"] for hello in seen(tab, "hello")} == {"exact"}
            assert seen(tab, "gap") == []
            once_each(tab)
        history = context.request.get(f"{demo.origin}/api/bots/echo/chat/history?limit=100").json()["items"]
        for tab in (page, other):
            told = {event["message"]["id"] for event in seen(tab) if event["type"] == "chat-message"}
            assert {message["id"] for message in history} == told
        cut = [message["role"] for message in history if message["conversationId"] == conversation]
        assert cut == ["assistant", "user"]
        until(page, "one stream", lambda _: streams(demo) == 1)


def test_a_network_that_goes_and_comes(browser: Browser, demo: Demo) -> None:
    with open_wire(demo.port) as wire, open_tabs(browser) as context:
        page = behind(demo, wire.origin, context)
        wait_live(page)
        listen(page)
        wire.cut(joined=False)
        until(page, "the break", lambda _: state(page)["phase"] == "connecting")
        context.set_offline(True)
        until(page, "the browser's word", lambda _: state(page)["phase"] == "offline")
        for number in range(40):
            demo_say(demo, number)
        wire.cut(joined=True)
        context.set_offline(False)
        until(page, "all that was missed", lambda _: len(replies(page)) == 40)
        until(page, "the line", lambda _: state(page)["phase"] == "live")
        assert seen(page, "hello")[-1]["verdict"] == "exact"
        assert seen(page, "gap") == []
        once_each(page)
        # Caught up on in one go, so that it was said.
        caught = [one["behind"] for one in page.evaluate("window.states") if one["phase"] == "catching-up"]
        assert caught and max(caught) >= 20


def demo_say(demo: Demo, number: int) -> None:
    """Have the bot say a number, past the browser; it has answered when this returns."""
    demo.run("chat", "echo", f"[[say {number}]]")


def test_a_wire_that_goes_silent_is_noticed_by_the_clock(browser: Browser, demo: Demo) -> None:
    with open_wire(demo.port) as wire, open_tabs(browser) as context:
        context.clock.install()
        page = behind(demo, wire.origin, context)
        wait_live(page)
        listen(page)
        before = run(page, "return socket.streamId")
        # Two hours in which no timer ran: the first that does finds the stream too old.
        context.clock.fast_forward(2 * 60 * 60 * 1000)
        until(page, "another stream", lambda _: run(page, "return socket.streamId") not in (before, None))
        until(page, "the line", lambda _: state(page)["phase"] == "live")
        assert seen(page, "hello")[-1]["verdict"] == "exact"
        assert "polling" not in phases(page)
        say_behind(context, demo, wire, "[[say one]]")
        until(page, "the reply", lambda _: replies(page) == ["one"])


def say_behind(context: BrowserContext, demo: Demo, wire: Wire, text: str) -> None:
    answer = context.request.post(
        f"{wire.origin}/api/bots/echo/chat/send",
        data={"text": text, "idempotencyKey": f"{time.monotonic_ns()}"},
        headers={"Origin": wire.origin},
    )
    assert answer.ok, answer.text()


def test_where_a_stream_is_held_back_it_polls_and_says_so(browser: Browser, demo: Demo) -> None:
    with open_wire(demo.port) as wire, open_tabs(browser) as context:
        wire.holding = True
        context.clock.install()
        page = behind(demo, wire.origin, context)
        until(page, "the page", lambda _: page.get_by_role("status").count() > 0)
        listen(page)
        assert state(page)["phase"] == "connecting"
        for _ in range(2):
            context.clock.run_for(10_000)
        page.wait_for_selector("html[data-line=polling]")
        expect(page.get_by_role("status").first).to_contain_text("Polling")
        expect(page.get_by_role("link", name="echo").first).to_be_visible()
        say_behind(context, demo, wire, "[[say one]]")
        until(page, "the reply", lambda _: replies(page) == ["one"])
        # Another tab shares what is polled.
        other = context.new_page()
        other.goto(wire.origin)
        other.wait_for_selector("html[data-line=polling]")
        listen(other)
        say_behind(context, demo, wire, "[[say two]]")
        for tab in (page, other):
            until(tab, "the reply", lambda tab: replies(tab)[-1:] == ["two"])
        # Alone, because tabs whose clock is turned miss each other.
        other.close()
        leads_again([page], "polling")
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request) if request.resource_type == "eventsource" else None)
        # Some minutes later it asks whether streams pass again, and goes on polling when they do not.
        for word in ("three", "four", "five"):
            context.clock.run_for(25_000)
            say_behind(context, demo, wire, f"[[say {word}]]")
            until_last(page, word)
        assert state(page)["phase"] == "polling"
        assert len(asked) == 1
        wire.holding = False
        page.evaluate("dispatchEvent(new Event('online'))")
        wait_live(page)
        say_behind(context, demo, wire, "[[say six]]")
        until(page, "the reply", lambda _: replies(page)[-1:] == ["six"])
        once_each(page)
        assert replies(page) == ["one", "two", "three", "four", "five", "six"]
        assert streams(demo) == 1


@contextmanager
def nginx_before(demo: Demo, directory: Path) -> Iterator[str]:
    """Run Debian's nginx with its defaults in front of a daemon; gives its origin."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin")
    if program is None:
        require_or_skip("nginx (apt-get install nginx-light)")
    port = free_port()
    text = CONFIGURATION.format(dir=directory, port=demo.port)
    # The daemon answers to the names that it knows, with any port.
    text = text.replace(f"unix:{directory}/nginx.sock", f"127.0.0.1:{port}")
    text = text.replace("proxy_pass", "proxy_set_header Host $http_host; proxy_pass")
    path = directory / "nginx.conf"
    path.write_text(text)
    server = subprocess.Popen([program, "-c", path, "-e", directory / "error.log"], stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.quiet
def test_behind_default_nginx_everything_comes_at_once(browser: Browser, demo: Demo, tmp_path: Path) -> None:
    with nginx_before(demo, tmp_path) as origin, open_tabs(browser) as context:
        page = context.new_page()
        until(page, "nginx", lambda _: (tmp_path / "nginx.pid").exists())
        page.goto(demo.link.replace(demo.origin, origin))
        wait_live(page)
        listen(page)
        demo_say(demo, 1)
        until(page, "the reply", lambda _: replies(page) == ["1"])
        final = next(
            one for one in page.evaluate("window.seen") if one["event"].get("message", {}).get("role") == "assistant"
        )
        assert final["at"] - final["event"]["message"]["createdAt"] < 2000
        # And not by polling. What an earlier test left to be caught up on may still come.
        wait_live(page)


def test_a_user_who_is_removed_is_asked_to_log_in(browser: Browser, demo: Demo) -> None:
    demo.run("user", "add", "ada", text="a long enough password\n")
    demo.run("user", "grant", "ada", "echo", "chat")
    with open_tabs(browser) as context:
        pages = [context.new_page(), context.new_page()]
        pages[0].goto(f"{demo.origin}/bots/echo")
        pages[0].get_by_label("User").fill("ada")
        pages[0].get_by_label("Password").fill("a long enough password")
        pages[0].keyboard.press("Enter")
        wait_live(pages[0])
        pages[1].goto(f"{demo.origin}/chat")
        wait_live(pages[1])
        demo.run("user", "remove", "ada")
        for page in pages:
            expect(page.get_by_label("Password")).to_be_visible()
            assert state(page)["phase"] == "signed-out"
        assert pages[1].url == f"{demo.origin}/chat/echo", "the only bot's chat, where one was"
        assert streams(demo) == 0


def test_a_gap_is_told_when_the_state_is_right_again(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        pages = [sign_in(context, demo), context.new_page()]
        pages[1].goto(demo.origin)
        wait_live(pages[1])
        for page in pages:
            listen(page)
        forged = re.compile(r"lastEventId=[^&]+")
        context.route(forged, lambda route: route.continue_(url=forged.sub("lastEventId=forged", route.request.url)))
        say(context, demo, "[[say one]]")
        for page in pages:
            until(page, "the reply", lambda page: replies(page) == ["one"])
            page.evaluate("window.seen = []")
        leader(pages).evaluate("dispatchEvent(new Event('online'))")
        for page in pages:
            until(page, "the gap", lambda page: seen(page, "gap") != [])
            assert [gap["reason"] for gap in seen(page, "gap")] == ["malformed"]
            order = [one["on"] if one["on"] != "*" else one["event"]["type"] for one in page.evaluate("window.seen")]
            assert order[0] == "hello"
            assert "bots-status-update" in order[: order.index("gap")]
        assert streams(demo) == 1


def test_another_user_in_another_tab_takes_the_whole_browser_along(browser: Browser, demo: Demo) -> None:
    demo.run("user", "add", "ada", text="a long enough password\n")
    demo.run("user", "grant", "ada", "echo", "chat")
    with open_tabs(browser) as context:
        first = sign_in(context, demo)
        second = context.new_page()
        second.goto(demo.origin)
        wait_live(second)
        answer = context.request.post(
            f"{demo.origin}/api/login",
            data={"userId": "ada", "password": "a long enough password"},
            headers={"Origin": demo.origin},
        )
        assert answer.ok
        second.reload()
        for page in (first, second):
            expect(page.get_by_role("banner")).to_contain_text("ada")
            wait_live(page)
        assert [stream["userId"] for stream in demo.run_json("connections")["items"]] == ["ada"]


def test_nothing_in_an_address_makes_a_request_leave_the_origin(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        asked: list[str] = []

        def note(request: Request) -> None:
            asked.append(request.url)

        page = sign_in(context, demo)
        context.on("request", note)
        evil = "evil.example"
        for address in (
            f"/?gatewayUrl=wss://{evil}&token=x",
            f"/?api=//{evil}/&base=https://{evil}&lastEventId=x&url=https://{evil}/api/events",
            f"/chat/..%2f..%2f%2f{evil}?next=//{evil}",
            f"/#gatewayUrl=wss://{evil}",
            f"/#//{evil}/api/events",
            f"/bots/%2f%2f{evil}%2fapi",
        ):
            page.goto(demo.origin + address)
            wait_live(page)
        assert asked
        assert [url for url in asked if not url.startswith((demo.origin + "/", "data:", "blob:"))] == []


def test_stop_ends_all_and_start_begins_anew(page: Page, demo: Demo) -> None:
    listen(page)
    run(page, "socket.stop(); socket.stop();")
    assert state(page)["phase"] == "idle"
    assert run(page, "return [socket.cursor, socket.streamId]") == [None, None]
    until(page, "the end of the stream", lambda _: streams(demo) == 0)
    assert "edgebotd.line.1" not in run(page, "return (await navigator.locks.query()).held.map((lock) => lock.name)")
    run(page, "socket.start(); socket.start();")
    wait_live(page)
    # Whose handlers lived through it are told that they missed something.
    until(page, "the gap", lambda _: [gap["reason"] for gap in seen(page, "gap")] == ["stopped"])
    assert seen(page, "hello")[-1]["verdict"] == "fresh"
    assert streams(demo) == 1
