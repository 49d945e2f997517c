"""Every message once, whatever breaks: cuts, restarts, replays, other surfaces."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from edgebotd.bots.connector import ConnectorError, Trouble
from edgebotd.bots.echo import EchoPeer
from edgebotd.bots.runs import LiveRun, text_of
from edgebotd.events import BotActivity, ChatStatus, ErrorPart, Message, RunState, ToolCallPart
from edgebotd.protocol.run import (
    Activity,
    Outcome,
    PastMessage,
    RunDelta,
    RunEnded,
    RunEnding,
    RunStatus,
    SessionSeen,
    ToolActivity,
)
from tests.bots.house import ADMIN, House, now, open_house, open_life, open_store

SESSION = "agent:main:main"


def texts(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.role, text_of(message.parts)) for message in messages]


async def test_a_reply_survives_a_cut_in_the_middle(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 300]] [[cut]]")
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        whole = " ".join(f"word{n}" for n in range(1, 301))
        assert texts(await house.messages()) == [("user", "[[long 300]] [[cut]]"), ("assistant", whole)]
        assert house.told.texts[answer.run_id] == whole


async def test_one_call_of_a_tool_is_told_once_though_the_bot_tells_it_in_several_ways(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        deliver = house.registry.get("echo").capture.deliver
        for call in ("one", "two"):
            for phase in ("start", "update"):
                await deliver(RunStatus("r-tool", SESSION, Activity.TOOL, "exec"))
                await deliver(ToolActivity("r-tool", SESSION, call, "exec", phase))
            await deliver(ToolActivity("r-tool", SESSION, call, "exec", "result"))
            await deliver(RunStatus("r-tool", SESSION, Activity.THINKING))
        told = [event.activity for event in house.told.events if isinstance(event, BotActivity)]
        assert told == ["tool", "thinking", "tool", "thinking"]


async def test_a_reply_that_ended_while_the_connection_was_lost_is_found(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 100]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        connector = house.connectors["echo"]
        connector.refuse = ConnectorError(Trouble.RESTARTING, "It restarts.")
        connector.cut()
        await trio.sleep(60)
        assert house.registry.get("echo").status.reason == "restarting"
        connector.refuse = None
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        assert text_of((await house.messages())[1].parts).endswith("word100")


async def test_a_run_that_the_bot_forgot_ends_as_interrupted_with_its_text(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 100]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        connector = house.connectors["echo"]
        connector.peer.restart()
        connector.cut()
        assert await house.told.wait_over(answer.run_id) is RunState.INTERRUPTED
        _, said = await house.messages()
        assert said.state == "interrupted" and text_of(said.parts) == house.told.texts[answer.run_id]
        assert isinstance(said.parts[-1], ErrorPart)
        await house.say("[[say next]]", conversation=answer.conversation_id)


async def test_a_bot_that_never_comes_back_leaves_nothing_streaming(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 100]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        connector = house.connectors["echo"]
        connector.refuse = ConnectorError(Trouble.REFUSED, "Gone.")
        connector.cut()
        assert await house.told.wait_over(answer.run_id, timeout=2000) is RunState.INTERRUPTED


async def test_a_restart_of_the_daemon_in_mid_run_goes_on_with_the_text_so_far(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    peers: dict[str, EchoPeer] = {}
    async with open_store() as (database, hub):
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            running = await house.send("[[long 200]]")
            waits = await house.send("[[say after it]]", conversation=running.conversation_id)
            await house.told.wait_state(running.run_id, RunState.STREAMING)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            assert await house.told.wait_over(running.run_id) is RunState.FINISHED
            assert await house.told.wait_over(waits.run_id) is RunState.FINISHED
            whole = " ".join(f"word{n}" for n in range(1, 201))
            assert [text for role, text in texts(await house.messages()) if role == "assistant"] == [
                whole,
                "after it",
            ]
            assert house.told.texts[running.run_id] == whole
            assert peers["echo"].sent == [running.run_id, waits.run_id]


async def test_a_restart_finds_what_ended_meanwhile_and_interrupts_what_is_unknown(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    peers: dict[str, EchoPeer] = {}
    async with open_store() as (database, hub):
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            ended = await house.send("[[long 50]]", idempotency_key="k")
            await house.told.wait_state(ended.run_id, RunState.STREAMING)
        await trio.sleep(60)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            assert await house.told.wait_over(ended.run_id) is RunState.FINISHED
            again = await house.send("[[long 50]]", idempotency_key="k")
            assert (again.run_id, again.state) == (ended.run_id, RunState.FINISHED)
            lost = await house.send("[[long 50]]")
            await house.told.wait_state(lost.run_id, RunState.STREAMING)
        peers["echo"] = EchoPeer(0.01, now)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            assert await house.told.wait_over(lost.run_id) is RunState.INTERRUPTED
            assert peers["echo"].sent == []


async def test_a_failure_that_only_the_history_tells_says_why(tmp_path: Path, autojump_clock: MockClock) -> None:
    peers: dict[str, EchoPeer] = {}
    async with open_store() as (database, hub):
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            failed = await house.send("[[long 50]] [[error The model is tired]]", idempotency_key="k")
            await house.told.wait_state(failed.run_id, RunState.STREAMING)
        await trio.sleep(60)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            assert await house.told.wait_over(failed.run_id) is RunState.FAILED
            told = [e for e in house.told.events if isinstance(e, ChatStatus) and e.run_id == failed.run_id]
            assert told[-1].detail == "The model is tired"
            again = await house.send("[[long 50]] [[error The model is tired]]", idempotency_key="k")
            assert (again.state, again.detail) == (RunState.FAILED, "The model is tired")


async def test_a_key_and_a_queue_outlive_a_restart_on_a_file(tmp_path: Path) -> None:
    database, peers = tmp_path / "edgebotd.sqlite", {"echo": EchoPeer(0.001, now)}
    away = ConnectorError(Trouble.BAD_CREDENTIALS, "The token is wrong.")
    async with open_store(database) as (opened, hub):
        async with open_life(opened, hub, tmp_path, peers=peers, prepare=lambda c: setattr(c, "refuse", away)) as house:
            waits = await house.send("[[say at last]]", idempotency_key="k")
    async with open_store(database) as (opened, hub), open_life(opened, hub, tmp_path, peers=peers) as house:
        assert await house.told.wait_over(waits.run_id, timeout=20) is RunState.FINISHED
        again = await house.send("[[say at last]]", idempotency_key="k")
        assert again.run_id == waits.run_id and peers["echo"].sent == [waits.run_id]
        assert texts(await house.messages()) == [("user", "[[say at last]]"), ("assistant", "at last")]


async def test_messages_of_other_surfaces_are_filled_in_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    peer = EchoPeer(0.01, now)
    peer.remember(SESSION, "user", "from the phone")
    peer.remember(SESSION, "assistant", "to the phone")
    async with open_house(tmp_path, peers={"echo": peer}) as house:
        await house.until(lambda: bool(house.told.events) and house.registry.get("echo").connected)
        await trio.sleep(1)
        assert texts(await house.messages()) == [("user", "from the phone"), ("assistant", "to the phone")]
        asked, said = await house.messages()
        assert asked.run_id == said.run_id and asked.source == "gateway"
        for _ in range(3):
            house.connectors["echo"].cut()
            peer.remember(SESSION, "user", "again")
            await trio.sleep(60)
        assert Counter(texts(await house.messages())) == {
            ("user", "from the phone"): 1,
            ("assistant", "to the phone"): 1,
            ("user", "again"): 3,
        }
        (row,) = (await house.registry.chat.conversations(ADMIN, "echo")).items
        assert row.conversation.source == "gateway"


async def test_a_reply_has_the_source_of_its_question_however_it_came(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    peers: dict[str, EchoPeer] = {}
    async with open_store() as (database, hub):
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            ours = await house.send("[[long 50]]")
            await house.told.wait_state(ours.run_id, RunState.STREAMING)
            deliver = house.registry.get("echo").capture.deliver
            text = ({"type": "text", "text": "from the phone"},)
            await deliver(PastMessage("phone-1:user", "user", SESSION, text, "phone-1"))
            await deliver(RunDelta("phone-1", SESSION, 0, "to the phone"))
            await deliver(RunEnded("phone-1", SESSION, Outcome.FINISHED, "to the phone"))
        await trio.sleep(60)
        async with open_life(database, hub, tmp_path, peers=peers) as house:
            await house.told.wait_over(ours.run_id)
            found = [(m.run_id, m.role, m.source) for m in await house.messages()]
    assert sorted(found) == sorted(
        (run_id, role, source)
        for run_id, source in ((ours.run_id, "edgebotd"), ("phone-1", "gateway"))
        for role in ("user", "assistant")
    )


async def test_a_run_that_the_gateway_started_is_shown_and_stored(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        deliver = house.registry.get("echo").capture.deliver
        await deliver(RunDelta("cron-1", SESSION, 0, "Good "))
        await deliver(ToolActivity("cron-1", SESSION, "t", "clock", "start", {"zone": "UTC"}))
        await deliver(ToolActivity("cron-1", SESSION, "t", "clock", "result", result="7:00"))
        await deliver(RunDelta("cron-1", SESSION, 5, "morning"))
        await deliver(RunEnded("cron-1", SESSION, Outcome.FINISHED, "Good morning"))
        # The second end of a run, and whatever comes later, is ignored.
        await deliver(RunEnded("cron-1", SESSION, Outcome.FAILED, None, "late"))
        await deliver(RunDelta("cron-1", SESSION, 0, "late"))
        (said,) = await house.messages()
        assert [part.type for part in said.parts] == ["text", "toolCall", "toolResult", "text"]
        assert isinstance(said.parts[1], ToolCallPart) and said.state == "final" and said.source == "gateway"
        assert house.told.states("cron-1") == [RunState.STARTED, RunState.STREAMING, RunState.FINISHED]


async def test_rows_without_a_run_match_what_was_stored_live(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.say("[[say the same words]]")
        key = f"agent:main:edgebotd:{answer.conversation_id}"
        deliver = house.registry.get("echo").capture.deliver
        for role, text in (("user", "[[say the same words]] "), ("assistant", "the same  words")):
            part = {"type": "text", "text": text}
            for _ in range(2):
                await deliver(PastMessage(f"row-{role}", role, key, (part,), None, now()))
        assert len(await house.messages()) == 2
        # The same words a day later are another message.
        part = {"type": "text", "text": "[[say the same words]]"}
        await deliver(PastMessage("row-later", "user", key, (part,), None, now() + 86_400_000))
        assert len(await house.messages()) == 3


async def test_a_run_whose_end_is_not_told_is_settled_from_history(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        house.connectors["echo"].peer.remember(SESSION, "assistant", "Good morning, all", "cron-1")
        deliver = house.registry.get("echo").capture.deliver
        await deliver(RunDelta("cron-1", SESSION, 0, "Good"))
        began = trio.current_time()
        await deliver(RunEnding("cron-1", SESSION))
        assert await house.told.wait_over("cron-1") is RunState.FINISHED
        assert trio.current_time() - began == pytest.approx(5, abs=0.5)
        assert texts(await house.messages()) == [("assistant", "Good morning, all")]


async def test_a_merged_run_has_no_reply_and_its_turn_ends(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 1000]]")
        await house.told.wait_state(answer.run_id, RunState.STARTED)
        key = f"agent:main:edgebotd:{answer.conversation_id}"
        await house.registry.get("echo").capture.deliver(RunEnded(answer.run_id, key, Outcome.MERGED))
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        assert [message.role for message in await house.messages()] == ["user"]


async def test_a_new_session_that_is_seen_gets_its_messages(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        await trio.sleep(1)
        house.connectors["echo"].peer.remember("agent:main:telegram:7", "user", "hi")
        seen = SessionSeen("agent:main:telegram:7", title="Telegram", source="telegram")
        await house.registry.get("echo").capture.deliver(seen)
        await trio.sleep(1)
        assert texts(await house.messages()) == [("user", "hi")]
        (row,) = (await house.registry.chat.conversations(ADMIN, "echo")).items
        assert (row.conversation.title, row.conversation.source) == ("Telegram", "telegram")


async def test_a_deleted_conversation_comes_back_with_what_is_new_only(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.say("[[say old]]")
        await house.registry.chat.delete(ADMIN, "echo", answer.conversation_id)
        house.connectors["echo"].cut()
        await trio.sleep(60)
        assert await house.messages() == []
        key = f"agent:main:edgebotd:{answer.conversation_id}"
        house.connectors["echo"].peer.remember(key, "assistant", "new")
        house.connectors["echo"].cut()
        await trio.sleep(60)
        assert texts(await house.messages()) == [("assistant", "new")]


async def test_half_a_surrogate_pair_of_a_peer_breaks_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        deliver = house.registry.get("echo").capture.deliver
        await deliver(RunDelta("r", SESSION, 0, "a\ud800b"))
        await deliver(RunEnded("r", SESSION, Outcome.FINISHED, "a\ud800b"))
        assert texts(await house.messages()) == [("assistant", "a\ufffdb")]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 40)),
        st.tuples(st.just("sleep"), st.integers(1, 400)),
        st.tuples(st.just("cut"), st.integers(0, 1)),
        st.tuples(st.just("lose ack"), st.just(1)),
        st.tuples(st.just("other"), st.integers(0, 2)),
        st.tuples(st.just("replay"), st.just(0)),
        st.tuples(st.just("restart"), st.integers(0, 400)),
    ),
    max_size=14,
)


@given(steps=STEPS)
@settings(max_examples=60)
def test_whatever_breaks_each_message_is_there_exactly_once(steps: list[tuple[str, int]]) -> None:
    clock = MockClock(autojump_threshold=0)
    trio.run(_break_things, steps, clock=clock)


async def _break_things(steps: list[tuple[str, int]]) -> None:
    peers = {"echo": EchoPeer(0.01, now)}
    expected: Counter[tuple[str, str]] = Counter()
    conversations: list[str] = []
    rest = list(steps)
    with tempfile.TemporaryDirectory() as directory:
        async with open_store() as (database, hub):
            while True:
                async with open_life(database, hub, Path(directory), peers=peers) as house:
                    pause = await _one_life(house, rest, expected, conversations)
                    if pause is None:
                        house.connectors["echo"].lose_acks = 0
                        await _quiet(house)
                        found = await house.messages()
                        assert Counter(texts(found)) == expected
                        assert all(message.state == "final" for message in found)
                        return
                await trio.sleep(pause / 100)


async def _quiet(house: House) -> None:
    bot = house.registry.get("echo")
    await house.until(lambda: bot.connected and not bot.capture.live and not bot.queue.busy)
    await trio.sleep(1)


async def _one_life(
    house: House, rest: list[tuple[str, int]], expected: Counter[tuple[str, str]], conversations: list[str]
) -> int | None:
    connector = house.connectors["echo"]
    while rest:
        step, number = rest.pop(0)
        if step == "restart":
            return number
        if step == "send":
            marker = f"{len(expected)}-{number}"
            words = " ".join(f"{marker}.{n}" for n in range(number))
            answer = await house.send(
                f"[[say {words}]]", conversation=random.Random(number).choice([None, *conversations])
            )
            conversations.append(answer.conversation_id)
            expected["user", f"[[say {words}]]"] += 1
            expected["assistant", words] += 1
        elif step == "sleep":
            await trio.sleep(number / 100)
        elif step == "cut":
            connector.cut()
            if number:
                await trio.lowlevel.checkpoint()
                connector.cut()
        elif step == "lose ack":
            connector.lose_acks += number
        elif step == "other":
            text = f"other {len(expected)}"
            connector.peer.remember(f"{SESSION}:{number}", "user", text)
            connector.cut()
            expected["user", text] += 1
        elif step == "replay":
            bot = house.registry.get("echo")
            for session in connector.peer.sessions(None):
                for past in connector.peer.history(session.session_key).messages:
                    await bot.capture.deliver(past)
    return None


def test_deltas_make_the_text_whatever_their_offsets() -> None:
    run = LiveRun("r", "c", "k")
    assert run.append(0, "Hi 😀") == (0, "Hi 😀")
    assert run.append(5, "!") == (5, "!")
    assert run.append(0, "Hi 😀!") is None
    assert run.append(3, "you") == (3, "you") and run.text == "Hi you"
    assert run.whole
    run.append(100, "later")
    assert not run.whole
