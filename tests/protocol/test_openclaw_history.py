"""History of real gateways, folded into messages."""

from __future__ import annotations

from typing import Any

import pytest

from edgebotd.protocol.openclaw import Response, busy_sessions, parse_history, parse_sessions
from edgebotd.protocol.run import Outcome, PastMessage
from tests.protocol.openclaw_frames import frames, histories


def only(scenario: str) -> list[PastMessage]:
    (history,) = histories(scenario)
    return list(history.messages)


def row(role: str, content: Any, seq: int, **fields: Any) -> dict[str, Any]:
    return {
        "role": role,
        "content": content,
        "__openclaw": {"id": f"row{seq}", "seq": seq, **fields.pop("meta", {})},
        **fields,
    }


def test_turn_is_a_users_message_and_a_reply_of_the_same_run() -> None:
    for scenario in ("9.6:turn", "5.28:turn"):
        user, reply = only(scenario)
        assert (user.role, reply.role) == ("user", "assistant")
        assert user.run_id == reply.run_id is not None
        assert user.session_key == reply.session_key == "agent:main:edgebotd:t1"
        assert user.parts == ({"type": "text", "text": "Hello there"},)
        assert reply.parts == ({"type": "text", "text": "Hello from the fake model, this is a scripted answer."},)
        assert reply.outcome is Outcome.FINISHED and not reply.truncated and not user.internal
        assert user.created_at is not None and reply.created_at is not None and user.created_at <= reply.created_at


def test_tool_rows_of_one_run_fold_into_one_message_in_order() -> None:
    _user, reply = only("9.6:tool")
    assert [part["type"] for part in reply.parts] == ["text", "toolCall", "toolResult", "text"]
    call, result = reply.parts[1], reply.parts[2]
    assert call["name"] == "exec" and call["arguments"] == {"command": "echo hi"}
    assert result == {
        "type": "toolResult",
        "toolCallId": call["toolCallId"],
        "name": "exec",
        "result": "hi",
        "isError": False,
    }
    # 2026.5.28 keeps the call's row without the call, and names no run in the bot's rows.
    user, older = only("5.28:tool")
    assert [part["type"] for part in older.parts] == ["text", "toolCall", "toolResult", "text"]
    assert older.parts[1]["name"] == "exec" and "arguments" not in older.parts[1]
    assert older.run_id == user.run_id


def test_answer_to_a_command_belongs_to_its_run() -> None:
    user, reply = only("9.6:status")
    assert user.run_id == reply.run_id is not None


@pytest.mark.parametrize("scenario", ["9.6:abort", "5.28:abort"])
def test_aborted_partial_is_marked(scenario: str) -> None:
    _user, reply = only(scenario)
    assert reply.outcome is Outcome.ABORTED
    assert [part["text"].strip() for part in reply.parts] == ["tick 0 tick 1 tick 2"]


@pytest.mark.parametrize(
    ("scenario", "message", "code"),
    [
        ("9.6:error", "LLM request failed (request format rejected, HTTP 400).", None),
        ("5.28:error", "400 scripted failure 400", "400"),
    ],
)
def test_failed_turn_has_an_error_part(scenario: str, message: str, code: str | None) -> None:
    _user, reply = only(scenario)
    assert reply.outcome is Outcome.FAILED
    assert reply.parts == ({"type": "error", "message": message, "code": code},)


def test_cut_text_is_noticed_and_the_marker_is_no_text() -> None:
    (history,) = histories("9.6:truncated")
    user, _reply = history.messages
    assert user.truncated and history.truncated_row_ids == (user.key,)
    assert "truncated" not in user.parts[0]["text"]


def test_steered_message_is_merged_and_its_answer_stays_in_the_first_run() -> None:
    (history,) = histories("busy0")
    first, reply, second = history.messages
    assert second.outcome is Outcome.MERGED and second.run_id is not None and history.was_merged(second.run_id)
    assert [part["text"].split()[0] for part in reply.parts] == ["word0", "second"]
    assert reply.run_id == first.run_id


def test_run_in_flight_is_told_with_its_text() -> None:
    (history,) = histories("reconnect-2")
    assert history.in_flight_text == "word0 word1 word2 word3 word4"
    assert history.has_active_run and history.tells_activity and history.in_flight_run_id is not None
    assert history.is_running(history.in_flight_run_id) and not history.is_running("another")


def test_older_history_says_nothing_of_what_runs() -> None:
    (history,) = histories("5.28:turn")
    assert not history.tells_activity and not history.has_active_run and history.complete


def test_resumed_session_has_an_internal_row_and_a_run_that_we_did_not_start() -> None:
    text = "[System] Your previous turn was interrupted by a gateway restart."
    rows = [
        row("user", "go", 1, idempotencyKey="ours:user"),
        row("assistant", [{"type": "text", "text": "half"}], 2, stopReason="toolUse", meta={"runId": "ours"}),
        row("user", text, 3, provenance={"kind": "internal_system"}),
        row("assistant", "done", 4, meta={"runId": "theirs"}),
    ]
    messages = parse_history({"sessionKey": "main", "messages": rows}).messages
    assert [(m.run_id, m.role, m.internal, m.outcome) for m in messages] == [
        ("ours", "user", False, Outcome.FINISHED),
        ("ours", "assistant", False, Outcome.INTERRUPTED),
        (None, "user", True, Outcome.FINISHED),
        ("theirs", "assistant", False, Outcome.FINISHED),
    ]


def test_what_follows_a_reset_answers_nothing_before_it() -> None:
    rows = [
        row("user", "go", 1, idempotencyKey="r1:user"),
        row("system", "", 2, meta={"kind": "reset"}),
        row("assistant", "Good morning", 3),
        row("assistant", "It is cold", 4),
    ]
    messages = parse_history({"sessionKey": "main", "messages": rows}).messages
    assert [(m.key, m.run_id, len(m.parts)) for m in messages] == [("row1", "r1", 1), ("row3", None, 2)]


def test_envelope_and_internal_context_are_no_text_of_the_user() -> None:
    context = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nwhatever\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"
    text = f"[Mon 2026-11-23 21:20 UTC] hello\n{context}"
    (user,) = parse_history({"messages": [row("user", text, 1)]}).messages
    assert user.parts == ({"type": "text", "text": "hello"},)
    (user,) = parse_history({"messages": [row("user", "[Monday] hello", 1)]}).messages
    assert user.parts == ({"type": "text", "text": "[Monday] hello"},)


def test_sessions_list_tells_sessions_pages_and_which_are_busy() -> None:
    listing = next(
        frame.payload
        for frame in frames("5.28:subscribed")
        if isinstance(frame, Response) and isinstance(frame.payload, dict) and "sessions" in frame.payload
    )
    sessions, following = parse_sessions(listing)
    assert following == 5 and len(sessions) == 5 and sessions[0].session_key == "agent:main:sub1"
    assert busy_sessions(listing) == frozenset()
    # As 2026.5.28 tells it of a session at work.
    assert busy_sessions({"sessions": [{"key": "Live", "status": "running", "hasActiveRun": False}]}) == {
        "agent:main:live"
    }


def test_what_an_agent_sent_along_is_a_file_to_be_fetched() -> None:
    url = "/api/chat/media/outgoing/agent%3Amain%3Ax/1/full"
    image = {
        "type": "image",
        "artifactId": "a-1",
        "url": url,
        "alt": "out.png",
        "mimeType": "image/png",
        "sizeBytes": 69,
    }
    other = {"type": "attachment", "attachment": {"url": url, "label": "out.txt", "mimeType": "text/plain"}}
    content = [{"type": "text", "text": "Here"}, image, other, {"type": "image", "source": {"data": "..."}}]
    row = {"role": "assistant", "content": content, "__openclaw": {"id": "1", "runId": "r"}}
    (message,) = parse_history({"sessionKey": "x", "messages": [row]}).messages
    assert message.parts == (
        {"type": "text", "text": "Here"},
        {"type": "file", "name": "out.png", "mediaType": "image/png", "size": 69, "reference": "a-1", "url": url},
        {"type": "file", "name": "out.txt", "mediaType": "text/plain", "size": None, "reference": None, "url": url},
    )


def test_a_reply_with_files_that_is_written_twice_is_told_once() -> None:
    asked = {"role": "user", "content": "draw", "idempotencyKey": "r:user", "__openclaw": {"id": "1"}}
    first = {"role": "assistant", "content": [{"type": "text", "text": "Here\nMEDIA:./out.png"}], "id": "2"}
    key = "r:assistant-media"
    image = {"type": "image", "url": "/api/x", "alt": "out.png", "mimeType": "image/png"}
    text = {"type": "text", "text": "Here"}
    again = {"role": "assistant", "content": [text, image], "id": "3", "idempotencyKey": key}
    _asked, reply = parse_history({"sessionKey": "x", "messages": [asked, first, again]}).messages
    assert [part.get("text", part["type"]) for part in reply.parts] == ["Here", "file"]


def test_a_tool_result_without_its_call_gets_one() -> None:
    result = {"role": "toolResult", "toolCallId": "t-1", "toolName": "exec", "content": "hi", "id": "2"}
    rows = [{"role": "assistant", "content": "Running", "stopReason": "toolUse", "id": "1"}, result]
    (message,) = parse_history({"sessionKey": "x", "messages": rows}).messages
    assert [part["type"] for part in message.parts] == ["text", "toolCall", "toolResult"]
    assert message.parts[1] == {"type": "toolCall", "toolCallId": "t-1", "name": "exec"}
