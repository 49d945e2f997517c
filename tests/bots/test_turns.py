"""Turns from the send to the stored reply, on the built-in peer, the real hub and the real store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from edgebotd.access import Grant
from edgebotd.bots.connector import ConnectorError, Feature, Hello, Outgoing, Trouble
from edgebotd.bots.echo import EchoPeer
from edgebotd.bots.requests import AbortRequest, AttachmentIn
from edgebotd.bots.runs import text_of
from edgebotd.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from edgebotd.events import (
    AttachmentPart,
    ChatMessage,
    ChatStatus,
    ConversationUpdate,
    ErrorPart,
    RunState,
    ToolCallPart,
    ToolResultPart,
)
from edgebotd.store import turns
from edgebotd.store.turns import Turn
from tests.bots.house import ADMIN, now, open_house, user


async def test_a_turn_streams_ends_once_and_is_stored_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        answer = await house.send("Hello there")
        assert answer.state is RunState.STARTED
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        asked, said = await house.messages()
        assert (asked.role, text_of(asked.parts), asked.state, asked.id) == (
            "user",
            "Hello there",
            "final",
            answer.message_id,
        )
        assert (said.role, said.state, said.run_id) == ("assistant", "final", answer.run_id)
        assert "Hello there" in text_of(said.parts)
        assert house.told.texts[answer.run_id] == text_of(said.parts)
        assert house.told.states(answer.run_id) == [
            RunState.QUEUED,
            RunState.STARTED,
            RunState.STREAMING,
            RunState.FINISHED,
        ]
        updates = [event for event in house.told.events if isinstance(event, ConversationUpdate)]
        assert [event.change for event in updates] == ["created"]
        # The reply is stored before its end is told.
        stored = next(
            i for i, e in enumerate(house.told.events) if isinstance(e, ChatMessage) and e.message.id == said.id
        )
        ended = next(
            i for i, e in enumerate(house.told.events) if isinstance(e, ChatStatus) and e.state is RunState.FINISHED
        )
        assert stored < ended


async def test_tools_stand_between_the_texts_in_which_they_were_called(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.say("[[say one two three four]] [[tool weather]]")
        _, said = await house.messages()
        assert [part.type for part in said.parts] == ["text", "toolCall", "toolResult", "text"]
        _, call, result, _ = said.parts
        assert isinstance(call, ToolCallPart) and call.name == "weather" and call.arguments
        assert isinstance(result, ToolResultPart) and result.result


async def test_a_failed_run_keeps_its_text_and_says_why(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 10]] [[error The model is tired]]")
        assert await house.told.wait_over(answer.run_id) is RunState.FAILED
        _, said = await house.messages()
        assert said.state == "failed" and text_of(said.parts).startswith("word1")
        assert said.parts[-1] == ErrorPart(message="The model is tired")


async def test_turns_of_one_conversation_go_one_at_a_time_in_order(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        first = await house.send("[[long 50]] first")
        others = [await house.send(f"[[say answer {n}]]", conversation=first.conversation_id) for n in range(5)]
        assert {other.state for other in others} == {RunState.QUEUED}
        elsewhere = await house.send("[[say at once]]")
        await house.told.wait_over(elsewhere.run_id)
        assert RunState.FINISHED not in house.told.states(first.run_id)
        for other in others:
            await house.told.wait_over(other.run_id)
        ends = [e.run_id for e in house.told.events if isinstance(e, ChatStatus) and e.state is RunState.FINISHED]
        assert [run for run in ends if run != elsewhere.run_id] == [a.run_id for a in [first, *others]]
        assert house.connectors["echo"].peer.sent == [
            first.run_id,
            elsewhere.run_id,
            *[other.run_id for other in others],
        ]


async def test_interrupt_stops_what_runs_and_goes_before_what_waits(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        first = await house.send("[[long 500]]")
        c = first.conversation_id
        waits = await house.send("[[say waits]]", conversation=c)
        await house.told.wait_state(first.run_id, RunState.STREAMING)
        now_ = await house.send("[[say now]]", conversation=c, mode="interrupt")
        assert await house.told.wait_over(first.run_id) is RunState.ABORTED
        assert await house.told.wait_over(waits.run_id) is RunState.FINISHED
        assert house.connectors["echo"].peer.sent == [first.run_id, now_.run_id, waits.run_id]


async def test_the_same_key_gets_the_same_answer_and_other_content_a_conflict(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    database, peers = tmp_path / "db.sqlite", dict[str, EchoPeer]()
    async with open_house(tmp_path, peers=peers) as house:
        first = await house.send("once", idempotency_key="k")
        again = await house.send("once", idempotency_key="k")
        assert (again.run_id, again.message_id, again.conversation_id) == (
            first.run_id,
            first.message_id,
            first.conversation_id,
        )
        with pytest.raises(Conflict):
            await house.send("twice", idempotency_key="k")
        other = await house.send("twice", idempotency_key="k", who=user(echo=Grant.CHAT))
        assert other.run_id != first.run_id
        await house.told.wait_over(other.run_id)
        assert len(await house.messages()) == 4
        # A day later the key is free again.
        autojump_clock.jump(86_401)
        assert (await house.send("twice", idempotency_key="k")).run_id != first.run_id
    assert not database.exists()


async def test_two_sends_with_one_key_at_the_same_moment_run_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answers = []

        async def send() -> None:
            answers.append(await house.send("once", idempotency_key="k"))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(send)
        assert len({answer.run_id for answer in answers}) == 1
        await house.told.wait_over(answers[0].run_id)
        assert len(house.connectors["echo"].peer.sent) == 1


async def test_an_asker_who_hangs_up_leaves_no_turn_behind(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        with trio.move_on_after(0) as scope:
            await house.send("[[say still answered]]")
        assert scope.cancelled_caught
        await house.told.wait(lambda e: isinstance(e, ChatStatus) and e.state is RunState.FINISHED)
        assert [text_of(m.parts) for m in await house.messages()][1] == "still answered"


async def test_a_message_waits_for_its_bot_and_says_why(tmp_path: Path, autojump_clock: MockClock) -> None:
    away = ConnectorError(Trouble.REFUSED, "Nothing answers at the address.")
    async with open_house(tmp_path, prepare=lambda c: setattr(c, "refuse", away)) as house:
        await house.registry.get("echo").wait_verdict(5)
        answer = await house.send("[[say back]]")
        assert answer.state is RunState.QUEUED and answer.detail == "Nothing answers at the address."
        (asked,) = await house.messages()
        assert asked.state == "pending"
        house.connectors["echo"].refuse = None
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        assert [m.state for m in await house.messages()] == ["final", "final"]


async def test_a_message_that_waited_too_long_fails(tmp_path: Path, autojump_clock: MockClock) -> None:
    away = ConnectorError(Trouble.BAD_CREDENTIALS, "The token is wrong.")
    async with open_house(tmp_path, prepare=lambda c: setattr(c, "refuse", away)) as house:
        began = trio.current_time()
        answer = await house.send("hello")
        assert await house.told.wait_over(answer.run_id, timeout=2000) is RunState.FAILED
        assert 899 <= trio.current_time() - began <= 901
        (asked,) = await house.messages()
        assert asked.state == "failed"
        assert house.connectors["echo"].peer.sent == []


async def test_abort_of_what_waits_ends_it_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        first = await house.send("[[long 100]]")
        waits = await house.send("[[say never]]", conversation=first.conversation_id)
        ended = await house.registry.turns.abort(ADMIN, "echo", AbortRequest(run_id=waits.run_id))
        assert ended.state is RunState.ABORTED
        await house.told.wait_over(first.run_id)
        assert house.connectors["echo"].peer.sent == [first.run_id]
        assert [m.state for m in await house.messages() if m.run_id == waits.run_id] == ["aborted"]


async def test_abort_of_what_waits_for_its_bot_ends_it_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    away = ConnectorError(Trouble.REFUSED, "Nothing answers.")
    async with open_house(tmp_path, prepare=lambda c: setattr(c, "refuse", away)) as house:
        waits = await house.send("hello")
        ended = await house.registry.turns.abort(ADMIN, "echo", AbortRequest(conversation_id=waits.conversation_id))
        assert (ended.run_id, ended.state) == (waits.run_id, RunState.ABORTED)


async def test_abort_of_a_running_reply_keeps_what_was_said(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.send("[[long 500]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        ended = await house.registry.turns.abort(user(echo=Grant.CHAT), "echo", AbortRequest(run_id=answer.run_id))
        assert ended.state is RunState.ABORTED
        assert house.told.states(answer.run_id)[-2:] == [RunState.STOPPING, RunState.ABORTED]
        _, said = await house.messages()
        assert said.state == "aborted" and text_of(said.parts) == house.told.texts[answer.run_id]


async def test_abort_that_the_bot_does_not_obey_says_still_running(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        connector = house.connectors["echo"]
        answer = await house.send("[[long 1500]]")
        await house.told.wait_state(answer.run_id, RunState.STREAMING)

        async def deaf(session_key: str, run_id: str) -> bool:
            await trio.lowlevel.checkpoint()
            return True

        connector.abort = deaf  # type: ignore[method-assign]  # a gateway that says yes and goes on
        began = trio.current_time()
        ended = await house.registry.turns.abort(ADMIN, "echo", AbortRequest(run_id=answer.run_id))
        assert ended.state is RunState.STOPPING and trio.current_time() - began == pytest.approx(10)
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED


async def test_abort_of_nothing_is_told(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        done = await house.say("[[say x]]")
        ended = await house.registry.turns.abort(ADMIN, "echo", AbortRequest(run_id=done.run_id))
        assert ended.state is RunState.FINISHED
        with pytest.raises(NotFound):
            await house.registry.turns.abort(ADMIN, "echo", AbortRequest(run_id="r_unknown"))
        with pytest.raises(Invalid):
            await house.registry.turns.abort(ADMIN, "echo", AbortRequest(conversation_id=done.conversation_id))


async def test_who_missed_an_end_can_ask_for_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        viewer = user(echo=Grant.VIEW)
        run = house.registry.turns.run
        answer = await house.send("[[long 500]]")
        waits = await house.send("x", conversation=answer.conversation_id)
        assert (await run(viewer, "echo", waits.run_id)).state is RunState.QUEUED
        await house.told.wait_state(answer.run_id, RunState.STREAMING)
        assert (await run(viewer, "echo", answer.run_id)).state is RunState.STREAMING
        await house.told.wait_over(answer.run_id)
        assert (await run(viewer, "echo", answer.run_id)).state is RunState.FINISHED
        failed = await house.say("[[error The model is tired]]")
        ended = await run(viewer, "echo", failed.run_id)
        assert (ended.state, ended.detail) == (RunState.FAILED, "The model is tired")
        for who, run_id in ((viewer, "r_unknown"), (user(other=Grant.OPERATE), answer.run_id)):
            with pytest.raises(NotFound):
                await run(who, "echo", run_id)


async def test_a_lost_answer_is_sent_again_and_runs_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        house.connectors["echo"].lose_acks = 1
        answer = await house.send("[[say only once]]")
        assert await house.told.wait_over(answer.run_id) is RunState.FINISHED
        assert house.connectors["echo"].peer.sent == [answer.run_id, answer.run_id]
        assert [text_of(m.parts) for m in await house.messages()] == ["[[say only once]]", "only once"]


async def test_a_turn_that_the_bot_rejects_fails_with_its_words(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()

        async def reject(turn: object) -> None:
            await trio.lowlevel.checkpoint()
            raise ConnectorError(Trouble.REJECTED, "No such agent.")

        house.connectors["echo"].send = reject  # type: ignore[method-assign, assignment]
        answer = await house.send("hello")
        assert await house.told.wait_over(answer.run_id) is RunState.FAILED
        assert (await house.messages())[-1].parts == (ErrorPart(message="No such agent.", code="not_sent"),)


async def test_a_bug_in_one_turn_ends_that_turn_only(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        connector = house.connectors["echo"]
        good = connector.send

        async def bug(turn: object) -> None:
            await trio.lowlevel.checkpoint()
            raise ZeroDivisionError

        connector.send = bug  # type: ignore[method-assign, assignment]
        answer = await house.send("hello")
        assert await house.told.wait_over(answer.run_id) is RunState.FAILED
        connector.send = good  # type: ignore[method-assign]
        await house.say("[[say well]]")
        assert "ZeroDivisionError" in caplog.text


async def test_what_may_not_be_sent_is_told_before(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        for text in ("", "  \n", "a\0b"):
            with pytest.raises(Invalid):
                await house.send(text)
        with pytest.raises(Forbidden):
            await house.send("x", who=user(echo=Grant.VIEW))
        with pytest.raises(NotFound):
            await house.send("x", who=user(other=Grant.CHAT))
        with pytest.raises(NotFound):
            await house.send("x", conversation="c_" + "0" * 20)
        big = AttachmentIn(name="big.png", media_type="image/png", data=b"")
        big = big.model_copy(update={"data": bytes(5 * 1024 * 1024 + 1)})
        with pytest.raises(Problem) as refused:
            await house.send("look", attachments=(big,))
        assert refused.value.status == 413 and "5.0 MiB" in refused.value.detail
        assert await house.messages() == []


async def test_files_that_are_too_large_together_are_told_before(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        bot = house.registry.get("echo")
        assert bot.hello is not None and bot.hello.attachments is not None
        rules = house.registry.detail("echo").attachments
        assert rules is not None and rules.max_total_bytes >= rules.max_bytes
        bot.hello = replace(bot.hello, attachments=replace(bot.hello.attachments, max_total_bytes=2000))
        rules = house.registry.detail("echo").attachments
        assert rules is not None and rules.max_total_bytes == 2000
        file = AttachmentIn.model_validate({"name": "a.bin", "mediaType": "application/x", "data": ""})
        fits, too_large = (file.model_copy(update={"data": bytes(size)}) for size in (1000, 1001))
        with pytest.raises(Problem) as refused:
            await house.send("look", attachments=(fits, too_large))
        assert refused.value.status == 413 and "2001 bytes together" in refused.value.detail
        assert await house.messages() == []
        await house.say("look", attachments=(fits, fits))


async def test_a_file_reaches_the_bot_and_those_who_may_see_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        file = AttachmentIn.model_validate({"name": "../a<b>.html", "mediaType": "text/html", "data": "PGI+"})
        answer = await house.say("", attachments=(file,))
        asked, said = await house.messages()
        (part,) = asked.parts
        assert isinstance(part, AttachmentPart) and (part.name, part.size) == ("a<b>.html", 3)
        assert "**a<b>.html** (text/html, 3 bytes)" in text_of(said.parts)
        served = await house.registry.chat.attachment(user(echo=Grant.VIEW), part.sha256)
        assert served.data == b"<b>" and served.media_type == "application/octet-stream"
        assert served.disposition == "attachment; filename=\"a_b_.html\"; filename*=UTF-8''a%3Cb%3E.html"
        with pytest.raises(NotFound):
            await house.registry.chat.attachment(user(other=Grant.OPERATE), part.sha256)
        assert answer.message_id == asked.id


async def test_too_many_waiting_messages_are_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    away = ConnectorError(Trouble.REFUSED, "Nothing answers.")
    async with open_house(tmp_path, prepare=lambda c: setattr(c, "refuse", away)) as house:
        first = await house.send("0")
        for number in range(99):
            await house.send(str(number), conversation=first.conversation_id)
        with pytest.raises(Problem) as refused:
            await house.send("one too many", conversation=first.conversation_id)
        assert refused.value.status == 429 and now() > 0


async def test_a_peer_without_memory_is_told_what_was_said_and_in_which_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        first = await house.send("[[say one]]")
        c = first.conversation_id
        # Both are stored before the reply to the first one.
        second, stopped = [await house.send(text, conversation=c) for text in ("[[say two]]", "[[say never]]")]
        await house.registry.turns.abort(ADMIN, "echo", AbortRequest(run_id=stopped.run_id))
        await house.told.wait_over(second.run_id)
        third = await house.say("[[say three]]", conversation=c)
        hello = Hello("1", frozenset({Feature.CONTEXT}))

        async def told_for(run_id: str) -> list[str]:
            turn = await house.database.read(lambda conn: turns.get(conn, run_id))
            assert turn is not None
            return [said.text for said in (await house.registry.turns.compose(turn, "key", hello)).context]

        assert await told_for(third.run_id) == ["[[say one]]", "one", "[[say two]]", "two"]


async def test_a_peer_without_memory_is_told_the_reply_that_came_while_the_message_waited(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        await house.connected()
        composed: list[list[str]] = []
        compose = house.registry.turns.compose
        hello = Hello("1", frozenset({Feature.CONTEXT}))

        async def watched(turn: Turn, key: str, _hello: Hello) -> Outgoing:
            outgoing = await compose(turn, key, hello)
            composed.append([said.text for said in outgoing.context])
            return outgoing

        house.registry.get("echo").queue.compose = watched
        first = await house.send("[[say one]]")
        texts = ("[[say two]]", "[[say three]]")
        for answer in [await house.send(text, conversation=first.conversation_id) for text in texts]:
            await house.told.wait_over(answer.run_id)
        assert composed == [
            [],
            ["[[say one]]", "one"],
            ["[[say one]]", "one", "[[say two]]", "two"],
        ]
