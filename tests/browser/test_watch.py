"""What the tabs of a browser watch together on the one stream that they share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response

from tests.browser.house import Demo, open_tabs, sign_in, stop_clock, wait_live
from tests.browser.line import leader, leads_again, run, until
from tests.browser.talk import add_user, connect_bot, evaluate_with, log_in


class Asked:
    """Notes what streams are asked to watch: the stream, what, and how that was answered."""

    def __init__(self, context: BrowserContext) -> None:
        self.all: list[tuple[str, dict[str, list[str]], int]] = []
        context.on("response", self._look)

    def _look(self, response: Response) -> None:
        request = response.request
        if request.url.endswith("/watch"):
            self.all.append((request.url.split("/")[-2], json.loads(request.post_data or ""), response.status))

    def until(self, page: Page, logs: list[str], stats: list[str]) -> str:
        """Wait until this is what was asked for last; return the stream."""
        wanted = {"logs": logs, "stats": stats}
        until(page, f"{wanted}", lambda _: [one[1:] for one in self.all[-1:]] == [(wanted, 204)])
        return self.all[-1][0]


def watch(page: Page, name: str, **bots: list[str]) -> None:
    run(page, "window[argument[0]] = socket.watch(argument[1])", [name, bots])


def another(context: BrowserContext, demo: Demo) -> Page:
    page = context.new_page()
    page.goto(demo.origin)
    wait_live(page)
    return page


def stream_id(page: Page) -> Any:
    return run(page, "return socket.streamId")


def test_the_stream_watches_what_any_tab_does(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        asked = Asked(context)
        first = sign_in(context, demo)
        connect_bot(first, "nova")
        second, third = another(context, demo), another(context, demo)
        watch(second, "one", logs=["echo"], stats=["nova"])
        assert asked.until(first, ["echo"], ["nova"]) == stream_id(first)
        watch(first, "one", stats=["echo"])
        asked.until(first, ["echo"], ["echo", "nova"])
        # What is watched already is not asked for again.
        watch(third, "one", logs=["echo"])
        watch(third, "two", logs=["nova"])
        asked.until(first, ["echo", "nova"], ["echo", "nova"])
        assert len(asked.all) == 3
        run(third, "window.two(); window.two();")
        asked.until(first, ["echo"], ["echo", "nova"])
        second.close()
        asked.until(first, ["echo"], ["echo"])
        run(third, "window.one()")
        asked.until(first, [], ["echo"])
        run(first, "window.one()")
        asked.until(first, [], [])
        assert {stream for stream, _, _ in asked.all} == {stream_id(first)}


def test_each_new_stream_is_asked_again(browser: Browser, demo: Demo) -> None:
    with open_tabs(browser) as context:
        asked = Asked(context)
        pages = [sign_in(context, demo), another(context, demo), another(context, demo)]
        for page in pages:
            watch(page, "one", logs=["echo"])
        before = asked.until(pages[0], ["echo"], [])
        demo.restart()
        until(pages[0], "the new stream", lambda _: asked.all[-1][0] != before and asked.all[-1][2] == 204)
        again = asked.until(pages[0], ["echo"], [])
        # Another tab takes the lead, and knows what the others want.
        gone = leader(pages)
        pages.remove(gone)
        run(pages[0], "window.one()")
        watch(pages[0], "one", stats=["echo"])
        asked.until(pages[1], ["echo"], ["echo"])
        gone.close()
        leads_again(pages)
        until(pages[0], "the next stream", lambda _: asked.all[-1][0] not in (before, again))
        # What one does not know at first it is told.
        assert asked.until(pages[0], ["echo"], ["echo"]) == stream_id(pages[0])
        # It holds over a stop too.
        for page in pages:
            run(page, "socket.stop()")
        run(pages[0], "socket.start()")
        wait_live(pages[0])
        asked.until(pages[0], [], ["echo"])


def test_a_bot_that_may_not_be_watched_keeps_nothing_from_the_others(browser: Browser, demo: Demo) -> None:
    add_user(demo, "ada", "operate")
    demo.run("bots", "connect", "nova", "--kind", "echo")
    demo.run("user", "grant", "ada", "nova", "view")
    with open_tabs(browser) as context:
        page = log_in(context, demo, "ada")
        asked = Asked(context)
        watch(page, "one", logs=["echo", "nova"], stats=["echo", "hidden", "nova"])
        asked.until(page, ["echo"], ["echo", "nova"])


@pytest.mark.parametrize("failures", [0, 2])
def test_requests_follow_each_other_and_the_last_word_counts(page: Page, failures: int) -> None:
    stop_clock(page)
    told = evaluate_with(
        page,
        "./line/shares.js",
        """(async () => {
            const asked = [], told = [], waiting = [];
            let failing = argument;
            window.fetch = async (url, { body }) => {
                asked.push(`${url.split("/").at(-2)} ${body}`);
                await new Promise((go) => waiting.push(go));
                if (failing-- > 0) throw new TypeError("no network");
                return new Response(null, { status: 204 });
            };
            const shares = new it.Shares((share) => told.push(share.logs.join()));
            window.shares = shares;
            const turn = async () => {
                waiting.splice(0).forEach((go) => go());
                for (let n = 0; n < 20; n += 1) await null;
            };
            window.turn = turn;
            window.asked = asked;
            shares.want({ logs: ["a"], stats: [] });
            shares.lead("s1");
            shares.heard("t", { logs: ["b"], stats: [] });
            shares.heard("u", { logs: [], stats: ["c"] });
            await turn();
            return [asked.length, told];
        })()""",
        failures,
    )
    assert told[1] == ["a"]
    first = 's1 {"logs":["a"],"stats":[]}'
    last = 's1 {"logs":["a","b"],"stats":["c"]}'
    asked = page.evaluate("asked")
    if failures == 0:
        assert asked == [first, last]
    else:
        assert asked == [first]
        page.clock.run_for(6000)
        assert page.evaluate("asked") == [first, last]
        page.evaluate("turn()")
        page.clock.run_for(6000)
        assert page.evaluate("asked") == [first, last, last]
    page.evaluate("turn()")
    # A tab that says nothing any more is taken for gone; one's own share is said again.
    page.clock.run_for(100_000)
    page.evaluate("[turn(), shares.heard('u', { logs: [], stats: ['c'] })][0]")
    page.clock.run_for(100_000)
    page.evaluate("turn()")
    assert page.evaluate("asked.at(-1)") == 's1 {"logs":["a"],"stats":["c"]}'
