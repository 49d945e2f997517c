"""A container's log: its last lines, a file of them, and what comes, told to those who watch; no secret in any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from edgebotd.docker import log_follow, logs
from edgebotd.docker.errors import EngineError, Trouble
from edgebotd.docker.log_follow import Seen
from edgebotd.docker.logs import Wanted
from edgebotd.docker.redact import redact_shapes
from edgebotd.errors import Problem
from edgebotd.protocol.docker.containers import Container
from edgebotd.protocol.docker.streams import OutputLine
from tests.bots.house import now
from tests.docker.scout import NAME, open_scout
from tests.docker.screen import Screen, open_screen

DOWN = EngineError(Trouble.DOWN, "Nothing answers.")


async def test_the_last_lines_are_read_narrowed_and_bounded(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        for number in range(10):
            scout.engine.say(scout.container, f"Line {number}", "stderr" if number % 2 else "stdout")
            await trio.sleep(1)
        read = scout.docker.logs.read
        assert [line.text for line in await read("scout", 3, Wanted())] == ["Line 7", "Line 8", "Line 9"]
        assert [line.text for line in await read("scout", 2, Wanted(stream="stdout"))] == ["Line 6", "Line 8"]
        assert [line.text for line in await read("scout", 9, Wanted(contains="LINE 4"))] == ["Line 4"]
        since_at = now() - 1500
        (last,) = await read("scout", 9, Wanted(since_at=since_at))
        assert (last.text, last.stream, last.at >= since_at) == ("Line 9", "stderr", True)


async def test_a_container_that_writes_faster_than_it_is_read_is_read_to_an_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "DOWNLOAD_LINES", 50)
    monkeypatch.setattr(logs, "LOOKED_AT", 50)
    async with open_scout() as scout:
        for number in range(60):
            scout.engine.say(scout.container, f"Line {number}", at=1_800_000_000_000 + number)

        async def never_ending(
            _container: Container, take: Callable[[OutputLine], None], *, tail: int, pace: Any, **_: Any
        ) -> None:
            for line in scout.container.output[-tail:]:
                take(line)
            while True:
                await trio.sleep(0.01)
                take(OutputLine("stdout", "since then", 1_900_000_000_000))
                await pace()

        monkeypatch.setattr(scout.engine, "logs", never_ending)
        with trio.fail_after(5):
            assert [line.text for line in await scout.docker.logs.read("scout", 2, Wanted())] == ["Line 58", "Line 59"]
            (found,) = await scout.docker.logs.read("scout", 2, Wanted(contains="line 33"))
            file = b"".join([piece async for piece in await scout.docker.logs.download("scout", Wanted())]).decode()
        assert found.text == "Line 33"
        assert file.startswith("2027-01-15T08:00:00.010Z stdout Line 10\n") and file.endswith("Line 59\n")


async def test_secrets_are_out_before_anything_is_looked_for(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.container.body["Env"] = ["MY_API_KEY=quite-secret", "TZ=Europe/Berlin", "PIN=1234"]
        scout.engine.say(scout.container, "key quite-secret in Europe/Berlin 1234")
        (line,) = await scout.docker.logs.read("scout", 5, Wanted())
        assert line.text == "key [redacted] in Europe/Berlin 1234"
        assert not await scout.docker.logs.read("scout", 5, Wanted(contains="quite-s"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        # As node's and pino's own writers colour an object.
        ("{ password: \x1b[32m'correct-horse'\x1b[39m }", "{ password: '[redacted]' }"),
        ('\x1b[35m"token"\x1b[39m: \x1b[32m"correct-horse"\x1b[39m', '"token": "[redacted]"'),
        ("\x1b]8;;https://x\x07a link\x1b]8;;\x07 and \x1b[1;31mred\x1b[0m", "a link and red"),
    ],
)
async def test_colours_hide_no_secret(autojump_clock: MockClock, text: str, left: str) -> None:
    async with open_scout() as scout:
        scout.engine.say(scout.container, text)
        (line,) = await scout.docker.logs.read("scout", 5, Wanted())
        assert line.text == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ('{"authorization": "Basic dXNlcjpwYXNz"}', '{"authorization": "Basic [redacted]"}'),
        ("using sk-proj-abcdefghijklmnop now", "using [redacted] now"),
        ("https://user:hunter22@example.org/x", "https://user:[redacted]@example.org/x"),
        ("GET /?token=abcdef123&x=1", "GET /?token=[redacted]&x=1"),
        ('api_key="0123456789"', 'api_key="[redacted]"'),
        ("bot 123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA up", "bot [redacted] up"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "[redacted]"),
        ("ghp_abcdefghijklmnopqrstuv", "[redacted]"),
        ("glpat-abcdefghijklmnopqrstuv", "[redacted]"),
        ("sk_live_abcdefghijklmnop", "[redacted]"),
        ("ASIAABCDEFGHIJKLMNOP", "[redacted]"),
        # No secrets.
        ("total_tokens: 123456, max_token: 4096", "total_tokens: 123456, max_token: 4096"),
        ("http://127.0.0.1:18789/ is up", "http://127.0.0.1:18789/ is up"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, left: str) -> None:
    assert redact_shapes(text) == left


async def test_a_log_comes_as_a_file_piece_by_piece(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        for number in range(3):
            scout.engine.say(scout.container, f"token: secret-{number}", at=1_800_000_000_000 + number)
        pieces = [piece async for piece in await scout.docker.logs.download("scout", Wanted())]
        assert len(pieces) == 3
        assert b"".join(pieces).decode().splitlines()[2] == "2027-01-15T08:00:00.002Z stdout token: [redacted]"


async def test_a_file_is_cut_where_it_would_be_too_large(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "DOWNLOAD_BYTES", 1000)
    async with open_scout() as scout:
        for _ in range(100):
            scout.engine.say(scout.container, "x" * 100)
        text = b"".join([piece async for piece in await scout.docker.logs.download("scout", Wanted())]).decode()
        assert 1000 < len(text) < 1300
        assert text.endswith("edgebotd: cut here. Ask for later lines with 'since'.\n")


async def test_downloads_end_with_those_who_take_them(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        scout.engine.say(scout.container, "one")
        scout.engine.say(scout.container, "two")
        files: list[Any] = [await scout.docker.logs.download("scout", Wanted()) for _ in range(8)]
        with pytest.raises(Problem) as refused:
            await scout.docker.logs.download("scout", Wanted())
        assert refused.value.status == 429
        await anext(files[0])
        await files[0].aclose()
        await wait_all_tasks_blocked()
        files.append(await scout.docker.logs.download("scout", Wanted()))
        # Nobody takes anything.
        await trio.sleep(logs.STALLED_SECONDS + 1)
        for _ in range(8):
            files.append(await scout.docker.logs.download("scout", Wanted()))


async def test_a_file_says_where_the_engine_went_away(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:

        async def broken(*_: Any, **__: Any) -> None:
            raise DOWN

        monkeypatch.setattr(scout.engine, "logs", broken)
        (piece,) = [piece async for piece in await scout.docker.logs.download("scout", Wanted())]
        assert piece == b"edgebotd: the rest could not be read: Nothing answers.\n"


async def test_without_a_container_there_is_no_log(autojump_clock: MockClock) -> None:
    async with open_scout() as scout:
        with pytest.raises(Problem, match="No container"):
            await scout.docker.logs.read("other", 5, Wanted())
        del scout.engine.all[scout.container.id]
        with pytest.raises(EngineError, match="No such container"):
            await scout.docker.logs.read("scout", 5, Wanted())


async def test_lines_are_told_while_somebody_watches(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scout() as scout:
        screen = Screen(scout.hub, monkeypatch)
        scout.engine.say(scout.container, "before")
        await trio.sleep(10)
        screen.watch("scout")
        await trio.sleep(1)
        scout.engine.say(scout.container, "watched, token=abcdefgh", "stderr")
        await trio.sleep(1)
        screen.watch()
        await trio.sleep(1)
        scout.engine.say(scout.container, "after")
        await trio.sleep(1)
        (event,) = screen.events
        assert [(line.text, line.stream) for line in event.lines] == [("watched, token=[redacted]", "stderr")]
        assert scout.engine.calls.count(f"logs {NAME} follow") == 1


async def test_following_goes_on_over_restarts_without_a_line_twice_or_lost(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_screen(monkeypatch) as (scout, screen):
        said = []

        def say(text: str) -> None:
            said.append(text)
            scout.engine.say(scout.container, text)

        for life in range(3):
            for number in range(5):
                say(f"life {life} line {number}")
                say("the same")
                await trio.sleep(0.05)
            # Its last words come with its end.
            say(f"bye {life}")
            await scout.engine.stop(NAME, 10)
            say(f"late {life}")
            await trio.sleep([0.0, 5.0, 60.0][life])
            scout.engine.begin(scout.container)
            await trio.sleep(1)
        assert screen.texts == said


async def test_following_goes_on_when_the_engine_is_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_screen(monkeypatch) as (scout, screen):
        scout.engine.say(scout.container, "one")
        await trio.sleep(1)
        scout.engine.go_away(DOWN)
        await trio.sleep(30)
        scout.engine.say(scout.container, "two")
        scout.engine.down = None
        await trio.sleep(30)
        assert screen.texts == ["one", "two"]


async def test_a_flood_is_told_ten_times_a_second_with_what_was_left_out(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_screen(monkeypatch) as (scout, screen):
        for number in range(10_000):
            scout.engine.say(scout.container, f"{number}")
        await trio.sleep(10)
        assert len(screen.texts) == log_follow.HELD_LINES
        assert screen.texts[-1] == "9999"
        assert [event.missed for event in screen.events if event.missed] == [10_000 - log_follow.HELD_LINES]
        assert all(later - earlier >= 0.1 - 1e-6 for earlier, later in zip(screen.at, screen.at[1:], strict=False))


async def test_long_lines_are_cut_and_many_are_told_in_several_events(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_screen(monkeypatch) as (scout, screen):
        for _ in range(20):
            scout.engine.say(scout.container, "x" * 60_000)
        await trio.sleep(5)
        assert {len(text) for text in screen.texts} == {log_follow.LINE_CHARACTERS}
        assert [len(event.lines) for event in screen.events] == [8, 8, 4]


def test_what_was_taken_is_known_again_by_time_stream_and_text() -> None:
    seen = Seen(1000)
    lines = [OutputLine("stdout", "a", 5000), OutputLine("stderr", "a", 5000), OutputLine("stdout", "a", 5000)]
    assert [seen.is_new(line) for line in lines] == [True] * 3
    assert seen.reopen() == 3000
    again = [*lines, OutputLine("stdout", "a", 5000), OutputLine("stdout", "b", 5000)]
    assert [seen.is_new(line) for line in again] == [False, False, False, True, True]
    # A flood is not remembered whole: what has gone from the memory is not read again.
    for _ in range(log_follow.REMEMBERED + 1):
        seen.is_new(OutputLine("stdout", "x", 6000))
    assert seen.reopen() == 6000
