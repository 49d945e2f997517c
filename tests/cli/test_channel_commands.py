"""`events` and `chat` against scripted streams."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from edgebotd.cli.client import ApiError, Client, StreamLost
from edgebotd.cli.events import line
from edgebotd.cli.reply import Reply
from edgebotd.cli.tail import Tail
from edgebotd.cli.turn import Turn
from tests.cli.conftest import Command
from tests.cli.daemon import AFTER_SEND, Script, frame, hello, serve

SEND = ("POST", "/api/bots/atlas/chat/send")
HISTORY = ("GET", "/api/bots/atlas/chat/history")
RUN = ("GET", "/api/bots/atlas/runs/r1")
ACCEPTED = (202, {"runId": "r1", "messageId": "m1", "conversationId": "c_1", "state": "started"})


def _event(kind: str, id: str = "", **fields: Any) -> bytes:
    return frame({"type": kind, "botId": "atlas", "conversationId": "c_1", "runId": "r1", **fields}, id=id)


def _delta(offset: int, text: str, id: str = "") -> bytes:
    return _event("chat-delta", id, offset=offset, text=text)


def _status(state: str, **fields: Any) -> bytes:
    return _event("chat-status", state=state, at=1, **fields)


def _message(text: str, state: str = "final", **fields: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": text}]
    return {"runId": "r1", "role": "assistant", "state": state, "parts": parts, **fields}


# chat


def test_a_reply_is_shown_as_it_streams(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    other_run = frame({"type": "chat-delta", "botId": "atlas", "runId": "r9", "offset": 0, "text": "NO"})
    script.streams = [
        hello()
        + AFTER_SEND
        + _delta(0, "Hel")
        + other_run
        + _delta(3, "lo 😀")
        + _delta(8, "!")
        + frame({"type": "chat-message", "botId": "atlas", "message": _message("Hello 😀!")})
        + _status("finished")
    ]
    result = command("chat", "atlas", "hi", "there")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Hello 😀!\n"
    [request] = script.seen(*SEND)
    assert request.body["text"] == "hi there"
    assert len(request.body["idempotencyKey"]) >= 16
    assert script.seen("GET", "/api/events")[0].query["bot"] == ["atlas"]


def test_the_message_is_sent_only_once_the_stream_stands(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.streams = [hello() + AFTER_SEND + _delta(0, "x") + _status("finished")]
    command("chat", "atlas", "hi")
    assert [r.path for r in script.requests[:2]] == ["/api/events", SEND[1]]


def test_a_failed_run_exits_with_one_and_says_why(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.streams = [hello() + AFTER_SEND + _delta(0, "So") + _status("failed", detail="The model is tired.")]
    result = command("chat", "atlas", "hi")
    assert result.exit_code == 1
    assert result.stdout == "So\n"
    assert "The model is tired." in result.stderr


def test_a_stream_that_breaks_in_mid_reply_is_resumed_with_its_cursor(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.answers[RUN] = (200, {"runId": "r1", "state": "streaming"})
    script.streams = [
        hello() + AFTER_SEND + _delta(0, "one ", id="cur1"),
        hello("exact") + _delta(4, "two", id="cur2") + _status("finished"),
    ]
    result = command("chat", "atlas", "hi")
    assert result.stdout == "one two\n"
    assert script.seen("GET", "/api/events")[1].headers["Last-Event-ID"] == "cur1"
    assert len(script.seen(*SEND)) == 1


def test_a_gap_is_mended_from_the_snapshot_or_the_stored_message(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.streams = [
        hello() + AFTER_SEND + _delta(0, "one ", id="a"),
        hello("gap", reason="evicted") + _delta(0, "one two three", id="b"),
        hello("gap", reason="evicted"),
    ]
    # By the third connect the run is over.
    answers = iter([(200, {"state": "streaming"}), (200, {"state": "finished"})])
    script.answers[RUN] = lambda _: next(answers)
    script.answers[HISTORY] = (200, {"items": [_message("one two three four")]})
    result = command("chat", "atlas", "hi")
    assert result.exit_code == 0, result.output
    assert result.stdout == "one two three four\n"
    assert "gap: some events are missing (evicted)" in result.stderr


@pytest.mark.parametrize("verdict", ["gap", "exact"])
@pytest.mark.parametrize(
    ("run", "words", "status"),
    [
        ((200, {"state": "failed", "detail": "It could not be sent."}), "The run failed: It could not be sent.", 1),
        ((200, {"state": "aborted"}), "Stopped.", 1),
        ((200, {"state": "finished"}), "", 0),
        ((404, {"detail": "No such run."}), "The run was interrupted: edgebotd knows nothing of it any more.", 1),
    ],
)
def test_a_run_that_ended_without_a_reply_while_there_was_no_stream_ends_the_command(
    verdict: str, run: tuple[int, dict[str, Any]], words: str, status: int, command: Command, script: Script
) -> None:
    script.answers |= {SEND: ACCEPTED, HISTORY: (200, {"items": [], "next": None}), RUN: run}
    # The one that it ends on breaks as well, for a command that waits on.
    waits_on = hello() + _status("failed", detail="It waits on.")
    script.streams = [hello() + AFTER_SEND + _status("started"), hello(verdict, reason="evicted"), waits_on]
    result = command("chat", "atlas", "hi")
    assert result.exit_code == status, result.output
    assert words in result.stderr.splitlines() if words else "run" not in result.stderr
    assert len(script.streams) == 1


def test_a_text_that_was_replaced_is_shown_anew(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.streams = [hello() + AFTER_SEND + _delta(0, "Wrong") + _delta(0, "Right") + _status("finished")]
    result = command("chat", "atlas", "hi")
    assert result.stdout == "Wrong\nRight\n"
    assert "began its reply anew" in result.stderr


def test_a_bots_words_cannot_play_with_the_terminal(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.streams = [hello() + AFTER_SEND + _delta(0, "a\x1b]0;title\x07b\u202ec\td\n") + _status("finished")]
    assert command("chat", "atlas", "hi").stdout == "a�]0;title�b�c\td\n"


def test_json_is_one_document(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.streams = [hello() + AFTER_SEND + _delta(0, "Hi\x1b") + _status("finished")]
    document = json.loads(command("chat", "atlas", "hi", "--json").stdout)
    assert document["text"] == "Hi\x1b"
    assert document["state"] == "finished"
    assert document["runId"] == "r1"


def test_files_conversation_and_mode_are_sent(command: Command, script: Script, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("abc")
    script.answers[SEND] = ACCEPTED
    script.answers["POST", "/api/bots/atlas/conversations"] = (201, {"id": "c_9"})
    script.streams = [hello() + AFTER_SEND + _status("finished")]
    command("chat", "atlas", "--new", "--interrupt", "--file", str(file), "look")
    body = script.seen(*SEND)[0].body
    assert body["attachments"] == [{"name": "note.txt", "mediaType": "text/plain", "data": "YWJj"}]
    assert body["conversationId"] == "c_9"
    assert body["mode"] == "interrupt"


def test_standard_input_is_the_message_where_it_is_no_terminal(command: Command, script: Script) -> None:
    script.answers[SEND] = ACCEPTED
    script.streams = [hello() + AFTER_SEND + _status("queued") + _delta(0, "ok") + _status("finished")]
    assert command("chat", "atlas", input="piped\ntext\n").stderr == ""
    assert script.seen(*SEND)[0].body["text"] == "piped\ntext"
    assert command("chat", "atlas", input="").exit_code == 2


def test_why_a_message_waits_is_told_once(command: Command, script: Script) -> None:
    script.answers[SEND] = (202, {**ACCEPTED[1], "state": "queued", "detail": "Nothing answers."})
    waiting = _status("queued", detail="Nothing answers.")
    script.streams = [hello() + AFTER_SEND + waiting + waiting + _status("failed", detail="Too late.")]
    result = command("chat", "atlas", "hi")
    assert result.stderr == "The message waits: Nothing answers.\nThe run failed: Too late.\n"


def test_a_refused_message_is_its_sentence(command: Command, script: Script) -> None:
    script.answers[SEND] = (403, {"detail": "This needs the grant 'chat' on the bot.", "code": "forbidden"})
    script.streams = [hello()]
    result = command("chat", "atlas", "hi")
    assert result.exit_code == 1
    assert "grant 'chat'" in result.stderr


class _CtrlC:
    """A screen on which somebody presses Ctrl-C when the first words appear."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def add(self, text: str) -> None:
        raise KeyboardInterrupt

    def begin_anew(self) -> None: ...

    def tell(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.parametrize("state", ["aborted", "stopping"])
def test_ctrl_c_asks_the_bot_to_stop_and_says_what_came_of_it(tmp_path: Path, state: str) -> None:
    script = Script(streams=[hello() + AFTER_SEND + _delta(0, "words")])
    script.answers[SEND] = ACCEPTED
    abort = ("POST", "/api/bots/atlas/chat/abort")
    script.answers[abort] = (200, {"runId": "r1", "state": state, "detail": "It still runs."})
    with serve(tmp_path / "s", script), Client.local(tmp_path / "s") as client:
        screen = _CtrlC()
        ended = Turn(client, "atlas", {"text": "hi"}, screen).run()
    assert script.seen(*abort)[0].body == {"runId": "r1"}
    assert ended.state == state
    assert ended.detail == (None if state == "aborted" else "It still runs.")
    assert "Stopping" in screen.told[0]


# events


class _Enough(Exception):
    """Ends an endless tail."""


def _take(tail: Tail, count: int) -> list[tuple[str, dict[str, Any]]]:
    events = tail.events()
    return [next(events) for _ in range(count)]


def test_the_tail_resumes_after_bye_with_the_pause_that_the_server_asks_for(tmp_path: Path) -> None:
    bye = frame({"reason": "restart"}, event="bye", id="c1", retry=1500)
    script = Script(streams=[hello() + _delta(0, "a", id="c0") + bye, hello("exact") + _delta(1, "b", id="c2")])
    pauses: list[float] = []
    said: list[str] = []
    with serve(tmp_path / "s", script), Client.local(tmp_path / "s") as client:
        tail = Tail(client, on_break=said.append, sleep=pauses.append, bots=("atlas",), types=("chat-delta",))
        kinds = [kind for kind, _ in _take(tail, 5)]
        assert tail.cursor == "c2"
    assert kinds == ["hello", "message", "bye", "hello", "message"]
    assert pauses == [1.5]
    assert said == []
    assert script.requests[1].headers["Last-Event-ID"] == "c1"
    assert script.requests[1].query == {"bot": ["atlas"], "type": ["chat-delta"]}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx2.ConnectError("[Errno 2] No such file or directory"), "edgebotd does not answer"),
        (httpx2.ReadTimeout("timed out"), "no sign of life for 35 s"),
        (httpx2.RemoteProtocolError("peer closed connection (incomplete chunked read)"), "the connection was cut"),
    ],
)
def test_why_a_stream_broke_is_told_in_words(error: httpx2.TransportError, words: str) -> None:
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise error

    http = httpx2.Client(transport=httpx2.MockTransport(fail), base_url="http://localhost")
    with Client(http, "here") as client, pytest.raises(StreamLost) as lost, client.stream("", 35.0):
        pass
    assert str(lost.value) == words


def test_the_tail_backs_off_from_a_daemon_that_is_down_and_tells_once(tmp_path: Path) -> None:
    pauses: list[float] = []
    said: list[str] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            raise _Enough

    # Not a real refused connect: httpcore2 leaves its socket to the garbage collector, which is a warning here.
    class Down(Client):
        @override
        def stream(self, *_: Any, **__: Any) -> Any:
            raise StreamLost("connection refused")

    with Down.local(tmp_path / "nobody") as client:
        tail = Tail(client, on_break=said.append, sleep=sleep, rng=random.Random(1))
        with pytest.raises(_Enough):
            _take(tail, 1)
    assert len(said) == 1
    assert all(0.1 <= pause <= 30 for pause in pauses)
    assert max(pauses) > 5


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            {"type": "bots-status-update", "bots": [{"botId": "a", "state": "connected", "activity": "thinking"}]},
            "a connected (thinking)",
        ),
        ({"type": "bots-status-update", "bots": []}, "no bots"),
        (
            {
                "type": "conversation-update",
                "change": "created",
                "conversationId": "c_1",
                "conversation": {"title": "T"},
            },
            "created c_1 T",
        ),
        (
            {"type": "conversation-update", "change": "read", "conversationId": "c_1", "readSeq": 7, "userId": "ada"},
            "read c_1 up to 7 by ada",
        ),
        (
            {"type": "chat-message", "message": {"role": "user", "state": "pending", "parts": []}},
            "user (pending):",
        ),
        ({"type": "job:status", "job": "retention", "state": "waiting", "at": 0}, "retention waiting"),
        ({"type": "new-type", "botId": "a", "x": 1}, '{"x":1}'),
    ],
)
def test_each_event_is_one_telling_line(event: dict[str, Any], words: str) -> None:
    assert line(event).rstrip().endswith(words)
    assert "\n" not in line(event)


def test_a_gap_is_told(tmp_path: Path) -> None:
    script = Script(streams=[hello("gap", reason="evicted")])
    said: list[str] = []
    with serve(tmp_path / "s", script), Client.local(tmp_path / "s") as client:
        _take(Tail(client, on_break=said.append), 1)
    assert said == ["gap: some events are missing (evicted); what follows is the state now."]


def test_c17_events_as_a_user_asks_for_what_that_user_sees(script: Script, tmp_path: Path) -> None:
    script.streams = [hello() + _delta(0, "x", id="a")]
    socket = tmp_path / "daemon.sock"
    with serve(socket, script), Client.local(socket) as client:
        _take(Tail(client, on_break=lambda _: None, bots=("atlas",), types=("chat-delta",), as_user="ann"), 1)
    assert script.seen("GET", "/api/events")[0].query == {"as": ["ann"], "bot": ["atlas"], "type": ["chat-delta"]}


def test_a_refused_tail_ends(command: Command, script: Script, tmp_path: Path) -> None:
    class Refusing(Client):
        @override
        def stream(self, *_: Any, **__: Any) -> Any:
            raise ApiError(403, "forbidden", "This needs an administrator.", {})

    with Refusing.local(tmp_path / "nobody") as client, pytest.raises(ApiError):
        _take(Tail(client, on_break=lambda _: None), 1)


# The reply's text


def _chunks(text: str, cuts: list[int]) -> Iterator[str]:
    last = 0
    for cut in sorted({min(cut, len(text)) for cut in cuts} | {len(text)}):
        yield text[last:cut]
        last = cut


@given(st.text(max_size=30), st.lists(st.integers(0, 30)), st.integers(0, 5))
def test_deltas_give_the_text_however_it_is_cut_and_repeated(text: str, cuts: list[int], back: int) -> None:
    reply, shown, offset = Reply(), "", 0
    for piece in _chunks(text, cuts):
        new, anew = reply.delta(offset, piece)
        assert not anew
        shown += new
        offset += len(piece.encode("utf-16-le")) // 2
    assert shown == reply.text == text
    # A snapshot says it again from the start, an overlap from somewhere: nothing is shown twice.
    assert reply.delta(0, text) == ("", False)
    assert reply.delta(len(text[: -back or None].encode("utf-16-le")) // 2, text[len(text[: -back or None]) :]) == (
        "",
        False,
    )
    assert reply.text == text


def test_a_missed_piece_is_noticed_and_mended_by_the_whole() -> None:
    reply = Reply()
    reply.delta(0, "one")
    assert reply.delta(9, "three") == ("", False)
    assert not reply.complete
    assert reply.replace("one two three") == (" two three", False)
