"""Recorded events of real gateways, told in the vocabulary of runs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.openclaw import Event, Response, Runs, classify, parse_frame, parse_hello, parse_history
from edgebotd.protocol.openclaw import runs as runs_module
from edgebotd.protocol.run import (
    Activity,
    Outcome,
    RunDelta,
    RunEnded,
    RunEnding,
    RunEvent,
    RunStatus,
    SessionSeen,
    ToolActivity,
)
from tests.protocol.openclaw_frames import frames, histories, recorded, replay

HELLO = "Hello from the fake model, this is a scripted answer."


def short(event: RunEvent) -> tuple[Any, ...]:
    """Tell an event without the ids, so that a whole turn reads as a table."""
    match event:
        case RunStatus(activity=activity, detail=detail):
            return ("status", activity.value, detail)
        case RunDelta(offset=offset, text=text):
            return ("delta", offset, text)
        case ToolActivity():
            return ("tool", event.phase, event.name, event.arguments, event.result, event.is_error)
        case RunEnding():
            return ("ending",)
        case RunEnded():
            return ("ended", event.outcome.value, event.text, event.error, event.error_kind)
        case _:
            return (type(event).__name__,)


def put_together(events: list[RunEvent], run_id: str) -> str:
    """Apply deltas as a client does, counting UTF-16 code units."""
    units = b""
    for event in events:
        if isinstance(event, RunDelta) and event.run_id == run_id:
            assert event.offset * 2 <= len(units), "a delta beyond what was sent"
            units = units[: event.offset * 2] + event.text.encode("utf-16-le")
    return units.decode("utf-16-le")


PREPARING = [
    ("status", "started", "preparing the workspace"),
    ("status", "started", "preparing the context"),
    ("status", "started", "starting the model"),
]


def test_turn_tells_its_phases_its_text_and_one_end() -> None:
    events = replay("9.6:turn")
    told = [short(event) for event in events]
    assert told[:5] == [*PREPARING, ("status", "streaming", None), ("delta", 0, "Hello")]
    assert told[-2:] == [("ending",), ("ended", "finished", HELLO, None, None)]
    assert {kind for kind, *_ in told[5:-2]} == {"delta"}
    end = events[-1]
    assert isinstance(end, RunEnded) and end.session_key == "agent:main:edgebotd:t1"
    assert put_together(events, end.run_id) == HELLO


def test_tool_turn_is_one_run_with_call_output_and_result() -> None:
    told = [short(event) for event in replay("9.6:tool")]
    calls = [line for line in told if line[0] == "tool"]
    assert calls == [
        ("tool", "start", "exec", {"command": "echo hi"}, None, False),
        ("tool", "update", "exec", None, "hi\n", False),
        ("tool", "result", "exec", None, "hi", False),
    ]
    at = told.index(calls[0])
    assert told[at - 1] == ("status", "tool", "exec")
    assert told[told.index(calls[2]) + 1 :][:2] == [("status", "thinking", None), ("status", "streaming", None)]
    assert told[-1] == (
        "ended",
        "finished",
        "Running a tool.\n\nThe tool finished and this is the closing text.",
        None,
        None,
    )


@pytest.mark.parametrize("scenario", ["9.6:abort", "5.28:abort"])
def test_abort_ends_once_with_the_partial_text_and_late_lifecycle_events_change_nothing(scenario: str) -> None:
    runs = Runs()
    events = replay(scenario, runs)
    ends = [event for event in events if isinstance(event, RunEnded | RunEnding)]
    assert [short(event) for event in ends] == [("ended", "aborted", "tick 0 tick 1 tick 2", None, None)]
    # 2026.5.28 names the session as the client wrote it in this event, canonically in the others.
    assert ends[0].session_key == "agent:main:abort1"
    assert runs.active == {}


def test_failed_turn_of_the_current_version_ends_at_the_first_of_two_errors() -> None:
    received = [frame for frame in frames("9.6:error") if isinstance(frame, Event) and frame.name == "chat"]
    assert [frame.payload["state"] for frame in received].count("error") == 2
    told = [short(event) for event in replay("9.6:error")]
    message = "LLM request failed: provider rejected the request schema or tool payload."
    assert told == [*PREPARING, ("ending",), ("ended", "failed", "", message, "format")]


def test_failed_turn_of_the_older_version_is_settled_from_history() -> None:
    runs = Runs()
    assert [short(event) for event in replay("5.28:error", runs)] == [("status", "started", None), ("ending",)]
    (run_id,) = runs.active
    assert runs.is_ending(run_id)
    (history,) = histories("5.28:error")
    settled = runs.settle(run_id, history)
    assert [short(event) for event in settled] == [("ended", "failed", "", "400 scripted failure 400", "400")]
    assert runs.settle(run_id, history) == []


def test_last_delta_after_the_lifecycle_end_is_kept_but_takes_the_ending_not_back() -> None:
    told = [short(event) for event in replay("5.28:turn")]
    assert told[-2:] == [("ending",), ("ended", "finished", HELLO, None, None)] or told[-3] == ("ending",)
    assert told.count(("ending",)) == 1
    assert [line for line in told if line[0] == "status"] == [
        ("status", "started", None),
        ("status", "streaming", None),
    ]


def test_message_steered_into_a_running_turn_is_merged() -> None:
    events = replay("busy0")
    ends = [event for event in events if isinstance(event, RunEnded)]
    merged, whole = ends
    assert short(merged) == ("ended", "merged", None, None, None)
    assert whole.text is not None and whole.text.endswith("word24\n\nsecond answer here")
    assert merged.run_id != whole.run_id and put_together(events, whole.run_id) == whole.text


def test_followup_is_answered_by_a_run_that_the_gateway_starts() -> None:
    ends = [event for event in replay("busy-followup") if isinstance(event, RunEnded)]
    assert [end.outcome for end in ends] == [Outcome.MERGED, Outcome.FINISHED, Outcome.FINISHED]
    assert len({end.run_id for end in ends}) == 3
    # Its final lacks the agent's id and still lands in the right session.
    assert ends[2].text == "second answer here" and ends[2].session_key == "agent:main:busy-followup"


def test_interrupt_aborts_the_running_turn_and_the_next_runs_under_its_own_id() -> None:
    ends = [event for event in replay("busy-interrupt") if isinstance(event, RunEnded)]
    assert [(end.outcome, end.text) for end in ends] == [
        (Outcome.ABORTED, "word0"),
        (Outcome.FINISHED, "second answer here"),
    ]


def test_broken_model_stream_is_retried_and_the_text_cut_back() -> None:
    events = replay("err3")
    told = [short(event) for event in events]
    retry = told.index(("status", "retrying", "Provider temporarily unavailable. Retrying in 2s (1/8)."))
    assert ("delta", 16, " break") in told[:retry]
    assert told[retry + 1] == ("delta", 0, "")
    assert ("ending",) not in told


def test_run_in_flight_is_taken_up_from_history_and_keeps_the_longer_text() -> None:
    (history,) = histories("reconnect-2")
    run_id = history.in_flight_run_id
    assert run_id is not None and history.is_running(run_id)
    runs = Runs()
    assert [short(event) for event in runs.resume(history)] == [
        ("status", "streaming", None),
        ("delta", 0, "word0 word1 word2 word3 word4"),
    ]
    later = replay("reconnect-2", runs)
    assert short(later[0]) == ("delta", 29, " word5")
    assert runs.resume(history) == [], "it has ended; an old history does not bring it back"

    runs = Runs()
    first = next(frame for frame in frames("reconnect-2") if isinstance(frame, Event) and frame.name == "chat")
    runs.feed(first.name, first.payload)
    assert runs.resume(history) == [], "a delta that came before the history is longer"


def test_run_lost_by_a_killed_gateway_is_settled_as_interrupted() -> None:
    runs = Runs()
    runs.expect("lost", "edgebotd:c_1")
    gone = parse_history({"sessionKey": "edgebotd:c_1", "messages": [], "sessionInfo": {"hasActiveRun": False}})
    busy = parse_history({"sessionKey": "edgebotd:c_1", "messages": [], "sessionInfo": {"hasActiveRun": True}})
    silent = parse_history({"sessionKey": "edgebotd:c_1", "messages": []})
    assert runs.settle("lost", busy) == []
    assert runs.settle("lost", silent) == [], "2026.5.28 does not say what runs"
    copied = copy.deepcopy(runs)
    assert [short(event)[:2] for event in copied.settle("lost", silent, idle=True)] == [("ended", "interrupted")]
    assert [short(event)[:2] for event in runs.settle("lost", gone)] == [("ended", "interrupted")]


def test_run_that_starts_again_after_its_ending_says_so() -> None:
    runs = Runs()

    def lifecycle(phase: str) -> list[tuple[Any, ...]]:
        payload = {"runId": "r", "sessionKey": "main", "stream": "lifecycle", "data": {"phase": phase, "error": "x"}}
        return [short(event) for event in runs.feed("agent", payload)]

    assert lifecycle("start") == [("status", "started", None)]
    assert lifecycle("error") == [("ending",)]
    assert lifecycle("error") == []
    assert lifecycle("start") == [("status", "started", None)]
    assert not runs.is_ending("r")
    bare = runs.feed("chat", {"runId": "r", "sessionKey": "main", "state": "final"})
    assert [short(event) for event in bare] == [("ended", "finished", "", None, None)], "it worked: not merged"


def test_session_events_tell_which_session_to_look_at() -> None:
    seen = [event for event in replay("5.28:subscribed") if isinstance(event, SessionSeen)]
    assert {event.session_key for event in seen} == {"agent:main:sub1"}
    assert all(event.updated_at for event in seen)


def test_offsets_count_utf16_and_half_a_pair_waits_for_its_other_half() -> None:
    runs = Runs()

    def delta(text: str) -> list[tuple[Any, ...]]:
        payload = {"runId": "r", "sessionKey": "main", "state": "delta", "deltaText": text}
        return [short(event) for event in runs.feed("chat", payload) if isinstance(event, RunDelta)]

    assert delta("😀") == [("delta", 0, "😀")]
    assert delta("a\ud83d") == [("delta", 2, "a")]
    assert delta("\ude00!") == [("delta", 3, "😀!")]
    assert delta("\udc00") == [("delta", 6, "\ufffd")]
    assert runs.text("r") == "😀a😀!\ufffd"


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=6)), max_size=12), st.none() | st.text(max_size=8))
def test_deltas_put_together_are_the_text_of_the_end(steps: list[tuple[bool, str]], final: str | None) -> None:
    runs = Runs()
    events: list[RunEvent] = []
    base = {"runId": "r", "sessionKey": "main"}
    for replace, text in steps:
        events += runs.feed("chat", {**base, "state": "delta", "deltaText": text, "replace": replace})
    message = {} if final is None else {"message": {"content": final}}
    events += runs.feed("chat", {**base, "state": "final", **message})
    end = events[-1]
    assert isinstance(end, RunEnded)
    assert put_together(events, "r") == (end.text or "")


def test_memory_is_bounded_and_what_is_given_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "MAX_ACTIVE", 3)
    monkeypatch.setattr(runs_module, "MAX_ENDED", 2)
    runs = Runs()
    told = [short(event) for n in range(4) for event in runs.expect(f"r{n}", "main")]
    assert told == [("ending",)] and list(runs.active) == ["r1", "r2", "r3"]
    for n in range(1, 4):
        runs.feed("chat", {"runId": f"r{n}", "sessionKey": "main", "state": "aborted"})
    assert runs.active == {}
    assert runs.feed("chat", {"runId": "r3", "sessionKey": "main", "state": "delta", "deltaText": "late"}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def mutate(value: Any, path: list[int], replacement: Any) -> Any:
    """Replace one value somewhere inside, found by walking `path`."""
    if not path or not isinstance(value, dict | list) or not value:
        return replacement
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    value[key] = mutate(value[key], path[1:], replacement)
    return value


@given(
    st.lists(
        st.tuples(st.integers(0, len(recorded()) - 1), st.lists(st.integers(0, 40), min_size=1, max_size=7), JSON),
        min_size=1,
        max_size=8,
    )
)
def test_garbage_in_any_field_never_raises(mutations: list[tuple[int, list[int], Any]]) -> None:
    runs = Runs()
    history = parse_history(None)
    for index, path, replacement in mutations:
        original = json.loads(recorded()[index][1])
        frame = parse_frame(json.dumps(mutate(original, path, replacement)))
        if isinstance(frame, Event):
            for event in runs.feed(frame.name, frame.payload):
                str(event).encode()
        elif isinstance(frame, Response):
            classify(frame.error)
            parse_hello(frame.payload)
            history = parse_history(frame.payload)
            runs.resume(history)
    for run_id in runs.active:
        runs.settle(run_id, history, idle=True)


@given(st.text(max_size=40) | st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value)))
def test_what_is_no_frame_is_ignored(text: str | bytes) -> None:
    assert parse_frame(text) is None


def test_statuses_are_of_the_shared_vocabulary() -> None:
    told = {
        event.activity
        for scenario in ("9.6:turn", "9.6:tool", "err3")
        for event in replay(scenario)
        if isinstance(event, RunStatus)
    }
    assert told == set(Activity)


def test_a_reply_with_files_has_more_in_its_history() -> None:
    runs = Runs()
    about = {"runId": "r", "sessionKey": "agent:main:x"}
    assert runs.expect("r", "agent:main:x") == []
    runs.feed("agent", {**about, "stream": "assistant", "data": {"text": "Here", "mediaUrls": ["./out.png"]}})
    ends = runs.feed("chat", {**about, "state": "final", "message": {"role": "assistant", "content": "Here"}})
    assert ends[-1] == RunEnded("r", "agent:main:x", Outcome.FINISHED, "Here", truncated=True)
