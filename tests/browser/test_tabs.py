"""One stream for all tabs of a browser, whichever of them holds it."""

from __future__ import annotations

import itertools
import statistics
import time
from collections import Counter

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.house import Demo, open_tabs, sign_in, wait_live
from tests.browser.line import (
    frozen,
    leader,
    leads_again,
    listen,
    renderer,
    replies,
    run,
    say,
    seen,
    since,
    state,
    streams,
    until,
)


def open_tab(context: BrowserContext, demo: Demo) -> Page:
    page = context.new_page()
    page.goto(demo.origin)
    wait_live(page)
    listen(page)
    return page


def three_tabs(context: BrowserContext, demo: Demo) -> list[Page]:
    first = sign_in(context, demo)
    listen(first)
    return [first, open_tab(context, demo), open_tab(context, demo)]


def loaded(context: BrowserContext, demo: Demo) -> tuple[float, Page]:
    """Open one more tab; return how many seconds it took until it was live."""
    page = context.new_page()
    started = time.monotonic()
    page.goto(demo.origin)
    wait_live(page)
    return time.monotonic() - started, page


def spread(context: BrowserContext, demo: Demo, pages: list[Page], text: str) -> float:
    """Say something; return the milliseconds between the first tab that had the reply and the last."""
    say(context, demo, f"[[say {text}]]")
    ats: list[float] = []
    for page in pages:
        until(page, "the reply", lambda page: replies(page)[-1:] == [text])
        told = [one for one in page.evaluate("window.seen") if one["event"]["type"] == "chat-message"]
        ats.append(told[-1]["at"])
    return max(ats) - min(ats)


@pytest.mark.quiet
def test_twelve_tabs_over_http1_share_one_stream(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        pages = [sign_in(context, demo)]
        listen(pages[0])
        pages += [open_tab(context, demo) for _ in range(10)]
        opened = sorted((loaded(context, demo) for _ in range(3)), key=lambda one: one[0])
        took, page = opened[1]
        assert took < 1, "the median of three"
        listen(page)
        pages.append(page)
        spreads = [spread(context, demo, pages, f"Hi {count}!") for count in range(5)]
        assert statistics.median(spreads) < 200, spreads
        assert [state(page)["leads"] for page in pages].count(True) == 1
        assert streams(demo) == 1


def test_a_new_tab_knows_what_runs_and_hears_the_rest_once(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        first = sign_in(context, demo)
        listen(first)
        say(context, demo, "[[long 60]]")
        until(first, "the first words", lambda _: any(event["type"] == "chat-delta" for event in seen(first)))
        second = context.new_page()
        second.goto(demo.origin)
        wait_live(second)
        listen(second)
        until(second, "the reply", lambda _: len(replies(second)) == 1)
        # Its first delta is the text so far or goes on from what it was primed with; the rest follows without a hole.
        deltas = [event for event in seen(second) if event["type"] == "chat-delta"]
        for before, after in itertools.pairwise(deltas):
            assert after["offset"] == before["offset"] + len(before["text"])
        assert seen(second, "gap") == []


@pytest.mark.quiet
def test_a_tab_that_leads_is_closed(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        pages = three_tabs(context, demo)
        first = leader(pages)
        others = [page for page in pages if page is not first]
        say(context, demo, "[[say one]]")
        closed = time.time()
        first.close()
        say(context, demo, "[[say two]]")
        second = leads_again(others)
        assert since(second, closed, "live") < 2
        say(context, demo, "[[say three]]")
        for page in others:
            until(page, "all replies", lambda page: replies(page)[-1:] == ["three"])
            assert replies(page) == ["one", "two", "three"]
            assert seen(page, "gap") == []
        assert [hello["verdict"] for hello in seen(second, "hello")][-1] == "exact"
        assert streams(demo) == 1


def stop_running(page: Page, how: str) -> None:
    """Have a tab run no script for some seconds, its lock kept.

    To the others this is the same, whether the tab was told before (as `freeze` tells it) or not.
    """
    page.evaluate(
        """(how) => void setTimeout(() => {
          const end = Date.now() + 5000;
          if (how === "frozen") document.dispatchEvent(new Event("freeze"));
          queueMicrotask(() => { while (Date.now() < end); });
          if (how === "frozen") setTimeout(() => document.dispatchEvent(new Event("resume")));
        })""",
        how,
    )


@pytest.mark.quiet
@pytest.mark.parametrize("how", ["frozen", "hung"])
def test_another_tab_leads_within_two_seconds(browser: Browser, demo: Demo, how: str) -> None:
    with open_tabs(browser) as context:
        pages = three_tabs(context, demo)
        took = []
        for _ in range(3):
            first = leader(pages)
            stopped = time.time()
            stop_running(first, how)
            second = leads_again([page for page in pages if page is not first])
            took.append(since(second, stopped, "live"))
            until(first, "its place", lambda page: not state(page)["leads"])
        # The contract says 2 s for each; a stall of a loaded machine may hit one.
        assert sorted(took)[-2] < 2


@pytest.mark.parametrize("how", ["frozen", "hung"])
def test_a_tab_that_leads_stops_running(browser: Browser, demo: Demo, how: str) -> None:
    with open_tabs(browser) as context:
        pages = three_tabs(context, demo)
        first = leader(pages)
        others = [page for page in pages if page is not first]
        say(context, demo, "[[say one]]")
        until(first, "the reply", lambda _: replies(first) == ["one"])
        stop_running(first, how)
        say(context, demo, "[[say two]]")
        leads_again(others)
        say(context, demo, "[[say three]]")
        for page in others:
            until(page, "all replies", lambda page: replies(page)[-1:] == ["three"])
        until(first, "its own replies", lambda _: replies(first)[-1:] == ["three"])
        for page in pages:
            assert replies(page) == ["one", "two", "three"]
        until(first, "its place", lambda _: not state(first)["leads"])
        assert streams(demo) == 1
        say(context, demo, "[[say four]]")
        for page in pages:
            until(page, "the last reply", lambda page: replies(page)[-1:] == ["four"])
            counted = Counter(replies(page))
            assert counted == dict.fromkeys(["one", "two", "three", "four"], 1)


@pytest.mark.quiet
def test_a_tab_that_leads_is_frozen_for_good_and_thaws(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        pages = three_tabs(context, demo)
        processes = {page: renderer(page) for page in pages}
        assert len(set(processes.values())) == 3
        took: list[float] = []
        said: list[str] = []

        def told(number: int, word: str, tabs: list[Page]) -> None:
            said.append(f"{word} {number}")
            say(context, demo, f"[[say {said[-1]}]]")
            for page in tabs:
                until(page, "the reply", lambda page: replies(page)[-1:] == said[-1:])

        for number in range(3):
            first = leader(pages)
            others = [page for page in pages if page is not first]
            told(number, "before", pages)
            with frozen(processes[first]):
                stopped = time.time()
                second = leads_again(others)
                took.append(since(second, stopped, "live"))
                told(number, "meanwhile", others)
            until(first, "what it slept through", lambda page: replies(page)[-1:] == said[-1:])
            until(first, "its place", lambda page: not state(page)["leads"])
            until(first, "one stream", lambda _: streams(demo) == 1)
            leads_again(pages)
            told(number, "after", pages)
        for page in pages:
            assert replies(page) == said
            assert seen(page, "gap") == []
        # The contract says 2 s for each; a stall of a loaded machine may hit one.
        assert sorted(took)[-2] < 2


@pytest.mark.quiet
def test_without_locks_tabs_still_share_one_stream(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        # As on plain HTTP by another name than localhost: Web Locks are for secure contexts.
        context.add_init_script("delete Navigator.prototype.locks")
        pages = three_tabs(context, demo)
        assert run(pages[0], "return typeof navigator.locks") == "undefined"
        assert streams(demo) == 1
        first = leader(pages)
        others = [page for page in pages if page is not first]
        closed = time.time()
        first.close()
        second = leads_again(others)
        assert since(second, closed, "live") < 2
        say(context, demo, "[[say one]]")
        for page in others:
            until(page, "the reply", lambda page: replies(page) == ["one"])
        assert streams(demo) == 1


def test_a_logout_in_one_tab_is_one_in_all(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        pages = three_tabs(context, demo)
        pages[1].evaluate("fetch('/api/logout', { method: 'POST' }).then(() => null)")
        for page in pages:
            until(page, "the login", lambda page: state(page)["phase"] == "signed-out")
            page.get_by_label("Password").wait_for()
