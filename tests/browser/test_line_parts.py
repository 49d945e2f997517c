"""The parts of the line, each alone in a tab that is not logged in, with a fake of what is around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.house import Demo, open_tabs, stop_clock

_LOAD: Final = (
    "const load = (name) => import("
    "document.querySelector('script[type=module]').src.replace('main.js', `line/${name}.js`));"
)

# A tab that follows, and a leader that is played by the test: it holds the lock, answers pings and notes joins.
_PLAYED: Final = """
    const { Line } = await load("line");
    const name = "edgebotd.line.1";
    await new Promise((held) => navigator.locks.request(name, () => (held(), new Promise(() => {}))));
    const told = [], asked = [];
    const channel = new BroadcastChannel(name);
    let now = { term: 0, seq: 0 };
    const post = (term, seq, message) => channel.postMessage({ ...(now = { term, seq }), ...message });
    channel.onmessage = ({ data }) => {
      if (data.kind === "ping") channel.postMessage({ kind: "pong", ...now });
      else asked.push(data);
    };
    const until = async (ready) => { while (!ready()) await new Promise((go) => setTimeout(go, 10)); };
    const line = new Line({
      hello: (hello) => told.push(`hello ${hello.verdict}`),
      whole: (why) => told.push(`whole ${why}`),
      event: (event) => told.push(`${event.type} ${event.n}`),
      state: () => {}, signedOut: () => {}, doubt: () => {},
    }, null);
    const event = (n, type = "chat-message") => ({ type, n, botId: "b", message: { role: "user" } });
    const frame = (n, id, type) => ({ kind: "frame", frame: { kind: "event", event: event(n, type), id } });
    const prime = (cursor, n) => ({
      kind: "prime",
      prime: {
        to: asked.findLast((one) => one.kind === "join").tab,
        cursor, hello: { verdict: "fresh", user: "ada" }, events: [event(n, "bots-status-update")],
      },
    });
    await until(() => asked.some((one) => one.kind === "join"));
"""

# EventSource, played by the test.
_SOURCES: Final = """
    const { Stream } = await load("stream");
    const sources = [], told = [];
    let cursor = null;
    window.EventSource = class extends EventTarget {
      static CONNECTING = 0; static OPEN = 1; static CLOSED = 2;
      readyState = 1;
      constructor(url) { super(); this.url = url; sources.push(this); }
      close() { this.readyState = 2; }
      say(type, data, lastEventId = "") {
        const event = new MessageEvent(type, { data: JSON.stringify(data), lastEventId });
        this.dispatchEvent(event);
        if (type === "message") this.onmessage(event);
      }
      breaks(readyState = 0) { this.readyState = readyState; this.onerror(); }
    };
    const begin = () => new Stream({
      cursor: () => cursor,
      hello: (hello) => told.push(`hello ${hello.verdict}`),
      event: (event, id) => { told.push(`${event.n} ${id}`); cursor = id ?? cursor; },
      tick: (id) => { told.push(`tick ${id}`); cursor = id; },
      phase: (phase, behind) => told.push(behind ? `${phase} ${behind}` : phase),
      signedOut: () => told.push("signed out"),
    }, false);
    const hello = { verdict: "fresh", heartbeatSeconds: 15 };
"""


@pytest.fixture
def bare(browser: Browser, demo: Demo) -> Iterator[Page]:
    """A tab that shows the login, with its clock in the test's hand."""
    with open_tabs(browser) as context:
        page = context.new_page()
        page.goto(demo.origin)
        page.get_by_label("Password").wait_for()
        yield page


def run(page: Page, *scripts: str) -> Any:
    return page.evaluate(f"async () => {{ {_LOAD} {' '.join(scripts)} }}")


def test_the_trail_knows_what_came_after_an_id(bare: Page) -> None:
    assert run(
        bare,
        """
        const { Trail } = await load("trail");
        const trail = new Trail();
        const found = [trail.at, trail.since(null)];
        for (const id of ["a", "b", "b", "c"]) trail.note(id);
        found.push(trail.at, trail.since("a"), trail.since("c"), trail.since("x"), trail.has("b"));
        for (let n = 0; n < 20_000; n++) trail.note(`n${n}`);
        found.push(trail.since("a"), trail.since("n19000").length);
        trail.restart("z");
        found.push(trail.at, trail.has("n19000"));
        return found;
        """,
    ) == [None, None, "c", ["b", "c"], [], None, True, None, 999, "z", False]


def test_a_snapshot_folds_as_the_servers_does(bare: Page) -> None:
    assert run(
        bare,
        """
        const { Snapshot } = await load("snapshot");
        const snapshot = new Snapshot();
        const run = (runId, more) => ({ botId: "b", conversationId: "c", runId, ...more });
        const status = (runId, state) => run(runId, { type: "chat-status", state });
        const delta = (runId, offset, text) => run(runId, { type: "chat-delta", offset, text });
        const message = (role, runId, state) => (
          run(undefined, { type: "chat-message", message: { role, runId, state } })
        );
        for (const event of [
          status("1", "started"), delta("1", 0, "Hi \\u{1f600}"), delta("1", 5, "!"), delta("1", 3, "there"),
          status("2", "started"), delta("2", 0, "x"), status("2", "finished"),
          status("3", "queued"), message("user", "3", "pending"),
          status("4", "started"), message("assistant", "4", "interrupted"),
          ...[["a", 1], ["b", 2], ["a", 3]].map(([job, n]) => ({ type: "job:status", job, n })),
          { type: "bot-activity", botId: "b" },
        ]) snapshot.fold(event);
        const value = (event) => event.n ?? event.text ?? event.state;
        const text = snapshot.events().map((event) => [event.type, event.job ?? event.runId, value(event)]);
        snapshot.clear();
        return [text, snapshot.events().length];
        """,
    ) == [
        [
            ["job:status", "a", 3],
            ["job:status", "b", 2],
            ["chat-status", "1", "started"],
            ["chat-delta", "1", "Hi there"],
            ["chat-status", "3", "queued"],
        ],
        0,
    ]


def test_a_joining_tab_gets_what_came_before_it_was_primed_once(bare: Page) -> None:
    told = run(
        bare,
        _PLAYED,
        """
        post(7, 5, frame(1, "a"));
        post(7, 6, frame(2, "b", "bots-status-update"));
        post(7, 6, prime("b", 3));
        post(7, 7, frame(4, "c"));
        await until(() => told.length >= 5);
        return [told, line.cursor];
        """,
    )
    assert told == [["hello fresh", "chat-message 1", "bots-status-update 3", "whole null", "chat-message 4"], "c"]


def test_what_a_new_leader_brings_again_is_dropped(bare: Page) -> None:
    told = run(
        bare,
        _PLAYED,
        """
        post(7, 0, prime("a", 0));
        post(7, 1, frame(1, "b"));
        post(7, 2, frame(2, "c"));
        await until(() => told.length === 5);
        // It knew less, and resumes where it was.
        post(8, 0, { kind: "lead", cursor: "a" });
        post(7, 3, frame(9, "of a leader that is none any more"));
        post(8, 1, { kind: "frame", frame: { kind: "hello", hello: { verdict: "exact", user: "ada" } } });
        post(8, 2, frame(1, "b"));
        post(8, 3, frame(2, "c"));
        post(8, 4, frame(3, "d"));
        await until(() => told.length >= 7);
        return [told.slice(5), line.cursor, asked.filter((one) => one.kind === "join").length];
        """,
    )
    assert told == [["hello exact", "chat-message 3"], "d", 1]


@pytest.mark.parametrize(
    "missed",
    [
        pytest.param('post(7, 3, frame(2, "c"));', id="a frame within a term"),
        pytest.param('post(7, 3, { kind: "pong" });', id="the newest frame"),
        pytest.param('post(8, 0, { kind: "lead", cursor: "never seen here" });', id="what a new leader had"),
        pytest.param('post(8, 4, { kind: "pong" });', id="that there is a new leader"),
    ],
)
def test_a_tab_that_missed_something_is_told_so_once_it_is_right_again(bare: Page, missed: str) -> None:
    told = run(
        bare,
        _PLAYED,
        f"""
        post(7, 0, prime("a", 0));
        post(7, 1, frame(1, "b"));
        await until(() => told.length === 4);
        asked.length = 0;
        {missed}
        await until(() => asked.some((one) => one.kind === "join"));
        post(now.term, now.seq, prime("d", 5));
        post(now.term, now.seq + 1, frame(6, "e"));
        await until(() => told.at(-1) === "chat-message 6");
        return told.slice(4).filter((one) => one !== "chat-message 2");
        """,
    )
    assert told == ["hello gap", "bots-status-update 5", "whole missed", "chat-message 6"]


def test_ids_count_for_their_own_frame_and_are_passed_on_when_it_is_built_anew(bare: Page) -> None:
    assert run(
        bare,
        _SOURCES,
        """
        const stream = begin();
        sources[0].say("hello", hello);
        sources[0].say("message", { n: 1 });
        sources[0].say("message", { n: 2 }, "a");
        sources[0].say("message", { n: 3 }, "a");
        sources[0].say("hb", null, "b");
        stream.renew();
        sources[1].say("hello", { ...hello, verdict: "exact" });
        sources[1].say("bye", { reason: "age" }, "c");
        stream.close();
        const text = told.join(", ").replaceAll(", live, hello", " live hello").split(", ");
        return [text, sources.map((source) => source.url), sources.map((source) => source.readyState)];
        """,
    ) == [
        ["connecting live hello fresh", "1 null", "2 a", "3 null", "tick b", "connecting live hello exact", "tick c"],
        ["/api/events", "/api/events?lastEventId=b"],
        [2, 2],
    ]


def test_it_stays_away_as_long_as_the_daemon_says(bare: Page) -> None:
    stop_clock(bare)
    run(
        bare,
        _SOURCES,
        """
        Object.assign(window, { sources, told, stream: begin() });
        sources[0].say("busy", { reason: "full" });
        sources[0].breaks();
        """,
    )
    bare.clock.run_for(50_000)
    # EventSource comes back by itself, after the time in `retry:` that scripts are not shown.
    assert bare.evaluate("[sources.length, told]") == [1, ["connecting", "busy"]]
    bare.clock.run_for(11_000)
    assert bare.evaluate("sources.length") == 2
    bare.evaluate("sources[1].say('hello', { verdict: 'fresh' })")
    assert bare.evaluate("[told.slice(2), stream.close()][0]") == ["live", "hello fresh"]


def test_failures_are_tried_again_later_each_time_and_at_once_when_somebody_looks(bare: Page) -> None:
    stop_clock(bare)
    run(bare, _SOURCES, "Object.assign(window, { sources, told, stream: begin() }); sources[0].breaks();")
    # The first time EventSource's own attempt is waited for.
    assert bare.evaluate("[sources.length, sources[0].readyState]") == [1, 0]
    bare.evaluate("sources[0].breaks()")
    assert bare.evaluate("[sources.length, sources[0].readyState]") == [1, 2]
    waits = []
    for number in range(1, 7):
        waited = 0
        while bare.evaluate("sources.length") == number:
            bare.clock.run_for(500)
            waited += 500
        waits.append(waited)
        bare.evaluate("sources.at(-1).breaks()")
    assert waits[0] <= 2500
    assert max(waits) <= 30_500
    assert waits[-1] > 10_000
    bare.clock.run_for(1500)
    bare.evaluate("stream.check(true)")
    assert bare.evaluate("sources.length") == 8
    bare.evaluate("stream.close()")
    bare.clock.run_for(60_000)
    assert bare.evaluate("sources.length") == 8


def test_heartbeats_that_are_missing_twice_lead_to_polling(bare: Page) -> None:
    stop_clock(bare)
    run(
        bare,
        _SOURCES,
        """
        Object.assign(window, { sources, told, stream: begin() });
        window.asked = [];
        const answer = JSON.stringify({ verdict: "exact", cursor: "p", events: [] });
        window.fetch = async (url) => (window.asked.push(url), new Response(answer));
        sources[0].say("hello", { verdict: "fresh", heartbeatSeconds: 2 });
        """,
    )
    bare.clock.run_for(4500)
    assert bare.evaluate("sources.length") == 1
    bare.clock.run_for(1000)
    assert bare.evaluate("sources.length") == 2
    # A heartbeat in time says that nothing is held back: the count begins anew.
    bare.evaluate("sources[1].say('hello', { verdict: 'exact', heartbeatSeconds: 2 }), sources[1].say('hb', null, 'h')")
    for _ in range(2):
        bare.clock.run_for(5500)
        bare.evaluate("sources.at(-1).say('hello', { verdict: 'exact', heartbeatSeconds: 2 })")
    assert bare.evaluate("sources.length") == 3
    bare.clock.run_for(100)
    assert bare.evaluate("[asked[0], told.filter((one) => one === 'polling').length]") == [
        "/api/events/poll?cursor=h&wait=0",
        1,
    ]
    # The daemon is full when it answers at once with nothing: no hurry then.
    bare.clock.run_for(1000)
    assert bare.evaluate("[asked.length, stream.close()][0]") < 4


def test_a_stream_that_is_refused_asks_whether_anybody_is_signed_in(bare: Page) -> None:
    told = run(
        bare,
        _SOURCES,
        """
        const stream = begin();
        sources[0].breaks(2);
        while (!told.includes("signed out")) await new Promise((go) => setTimeout(go, 10));
        window.fetch = async () => new Response("bad gateway", { status: 502 });
        const other = begin();
        sources[1].breaks(2);
        while (sources.length < 3) await new Promise((go) => setTimeout(go, 10));
        other.close(); stream.close();
        return told;
        """,
    )
    assert told == ["connecting", "connecting", "signed out"] + ["connecting"] * 4


def test_a_burst_of_missed_events_is_counted_and_ends(bare: Page) -> None:
    stop_clock(bare)
    run(
        bare,
        """
        const { Burst } = await load("burst");
        window.told = [];
        window.burst = new Burst((behind) => told.push(behind));
        burst.start();
        for (let n = 0; n < 30; n++) burst.count();
        """,
    )
    assert bare.evaluate("told") == [20]
    bare.clock.run_for(250)
    bare.evaluate("for (let n = 0; n < 30; n++) burst.count()")
    bare.clock.run_for(250)
    # A reply that streams is no burst.
    bare.evaluate("for (let n = 0; n < 5; n++) burst.count()")
    bare.clock.run_for(250)
    assert bare.evaluate("told") == [20, 30, 60, 0]
    bare.evaluate("for (let n = 0; n < 100; n++) burst.count()")
    assert bare.evaluate("told") == [20, 30, 60, 0]
