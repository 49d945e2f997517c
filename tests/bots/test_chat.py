"""Reading, searching, naming, deleting, exporting, and what plugins say; all of it only with a grant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from trio.testing import MockClock

from edgebotd.access import Grant, Kind, Principal, Scope
from edgebotd.bots.plugin import PluginMessage, Said
from edgebotd.bots.requests import AttachmentIn
from edgebotd.bots.runs import text_of
from edgebotd.config import BotSettings
from edgebotd.errors import Conflict, Forbidden, Invalid, NotFound
from edgebotd.events import (
    AttachmentPart,
    BotActivity,
    ChatMessage,
    ChatStatus,
    CodeSessionEvent,
    ConversationUpdate,
    Message,
    RunState,
    TextPart,
)
from edgebotd.protocol.fields import LAST_MILLISECOND
from tests.bots.house import ADMIN, START_MS, open_house, user

TWO = {"one": BotSettings(kind="echo", pace_ms=1), "two": BotSettings(kind="echo", pace_ms=1)}


def plugin(name: str = "plugin", **grants: Grant) -> Principal:
    """A token that may publish."""
    scopes = frozenset({Scope.PUBLISH})
    bots = frozenset(grants)
    return Principal(Kind.TOKEN, "ann", "Ann", "t-1", grants=grants, scopes=scopes, bots=bots, token_name=name)


async def test_history_comes_in_pages_newest_first(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        for number in range(5):
            await house.say(f"[[say {number}]]")
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await house.registry.chat.history(user(echo=Grant.VIEW), "echo", before=cursor, limit=3)
            seen += [text_of(message.parts) for message in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert seen == [text for n in (4, 3, 2, 1, 0) for text in (str(n), f"[[say {n}]]")]
        with pytest.raises(Invalid):
            await house.registry.chat.history(ADMIN, "echo", before="x")


async def test_a_window_is_around_a_message_and_leads_on_in_both_directions(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path) as house:
        chat, ann = house.registry.chat, user(echo=Grant.VIEW)
        first = await house.say("[[say 0]]")
        conversation = first.conversation_id
        for number in range(1, 8):
            await house.say(f"[[say {number}]]", conversation=conversation)
            await house.say("elsewhere")  # another conversation of the bot: not in the window
        told = (await chat.history(ann, "echo", conversation_id=conversation, limit=200)).items
        assert len(told) == 16
        for limit in (1, 2, 3, 5, 50):
            for place, middle in enumerate(told):
                window = await chat.window(ann, "echo", message_id=middle.id, limit=limit)
                begin = max(0, place - limit // 2)
                assert window.items == told[begin : place + limit - limit // 2], (place, limit)
                assert (window.newer is None) == (begin == 0)
                assert (window.next is None) == (place + limit - limit // 2 >= 16)
        # From a window in the middle to both ends, by its own cursors.
        middle = told[9]
        window = await chat.window(ann, "echo", message_id=middle.id, limit=3)
        seen, newer, older = list(window.items), window.newer, window.next
        while newer is not None:
            page = await chat.window(ann, "echo", conversation_id=conversation, newer=newer, limit=4)
            seen, newer = [*page.items, *seen], page.newer
        while older is not None:
            more = await chat.history(ann, "echo", conversation_id=conversation, before=older, limit=4)
            seen, older = [*seen, *more.items], more.next
        assert tuple(seen) == told


async def test_a_window_is_told_by_a_message_or_by_a_place_and_only_where_one_may_read(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path, bots=TWO) as house:
        chat, ann = house.registry.chat, user(one=Grant.VIEW)
        mine, other = await house.say("[[say a]]", bot="one"), await house.say("[[say b]]", bot="two")
        here = mine.conversation_id
        cases: tuple[dict[str, Any], ...] = (
            {}, {"message_id": mine.message_id, "newer": "1", "conversation_id": here}, {"newer": "1"},
            {"message_id": mine.message_id, "conversation_id": here}, {"conversation_id": here},
            {"conversation_id": here, "newer": "x"}, {"message_id": mine.message_id, "newer": "1"},
        )  # fmt: skip
        for wrong in cases:
            with pytest.raises(Invalid):
                await chat.window(ann, "one", **wrong)
        cases = (
            {"message_id": other.message_id}, {"message_id": "m_none"},
            {"conversation_id": other.conversation_id, "newer": "0"},
        )  # fmt: skip
        for absent in cases:
            with pytest.raises(NotFound):
                await chat.window(ann, "one", **absent)
        with pytest.raises(NotFound):
            await chat.window(ann, "two", message_id=other.message_id)
        await chat.delete(ADMIN, "one", here)
        with pytest.raises(NotFound):
            await chat.window(ann, "one", message_id=mine.message_id)


async def test_search_finds_only_in_bots_that_are_granted(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, bots=TWO) as house:
        await house.say("[[say penguin]]", bot="one")
        await house.say("[[say penguin]]", bot="two")
        chat = house.registry.chat
        ann = user(one=Grant.VIEW)
        assert {hit.message.bot_id for hit in (await chat.search(ADMIN, "penguin")).items} == {"one", "two"}
        assert {hit.message.bot_id for hit in (await chat.search(ann, "penguin")).items} == {"one"}
        assert (await chat.search(ann, "penguin", bots=("two",))).items == ()
        assert (await chat.search(user(), "penguin")).items == ()
        first = await chat.search(ADMIN, "penguin", limit=3)
        rest = await chat.search(ADMIN, "penguin", before=first.next, limit=3)
        assert len(first.items) == 3 and len(rest.items) == 1 and rest.next is None


async def test_conversations_are_made_named_read_and_deleted(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        chat, ann, bob = house.registry.chat, user("ann", echo=Grant.CHAT), user("bob", echo=Grant.VIEW)
        made = await chat.create(ann, "echo", "Plans")
        await house.say("[[say done]]", who=ann, conversation=made.id)
        (row,) = (await chat.conversations(ann, "echo")).items
        assert (row.conversation.title, row.unread) == ("Plans", 1)
        await chat.mark_read(ann, "echo", made.id, 10**9)
        (row,) = (await chat.conversations(ann, "echo")).items
        assert row.unread == 0 and row.last is not None and row.read_seq == row.last.seq
        with pytest.raises(Forbidden):
            await chat.rename(bob, "echo", made.id, "Mine")
        assert (await chat.rename(ann, "echo", made.id, "Ours")).title == "Ours"
        await chat.delete(ann, "echo", made.id)
        assert (await chat.conversations(ann, "echo")).items == ()
        with pytest.raises(NotFound):
            await chat.history(ann, "echo", conversation_id=made.id)
        changes = [event.change for event in house.told.events if isinstance(event, ConversationUpdate)]
        assert changes == ["created", "read", "renamed", "deleted"]


async def test_a_conversation_of_another_bot_is_absent(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, bots=TWO) as house:
        chat, ann = house.registry.chat, user(one=Grant.CHAT)
        theirs = await chat.create(ADMIN, "two", None)
        for bot_id in ("one", "two"):
            with pytest.raises(NotFound):
                await chat.rename(ann, bot_id, theirs.id, "x")
            with pytest.raises(NotFound):
                await chat.history(ann, bot_id, conversation_id=theirs.id)
            with pytest.raises(NotFound):
                await house.send("x", bot=bot_id, who=ann, conversation=theirs.id)


async def test_a_conversation_is_exported_as_markdown_and_json(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path) as house:
        answer = await house.say("[[say It rains.]] [[tool weather]]")
        export = house.registry.chat.export
        markdown = await export(user(echo=Grant.VIEW), "echo", answer.conversation_id, "markdown")
        assert "It rains" in markdown.text.replace("\n", " ") and "*Tool weather*" in markdown.text
        document = json.loads((await export(ADMIN, "echo", answer.conversation_id, "json")).text)
        assert [message["role"] for message in document["messages"]] == ["user", "assistant"]


async def test_the_last_time_that_a_plugin_can_tell_can_be_exported_and_paged(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(tmp_path, bots=TWO) as house:
        chat = house.registry.chat
        for key in ("one", "two"):
            told: dict[str, Any] = {"id": key, "role": "user", "parts": [], "createdAt": LAST_MILLISECOND}
            body = {"botId": "one", "sessionKey": key, "message": told}
            await chat.publish(plugin(one=Grant.VIEW), "one", PluginMessage.model_validate(body))
        first = await chat.conversations(ADMIN, "one", limit=1)
        second = await chat.conversations(ADMIN, "one", limit=1, before=first.next)
        for (row,) in (first.items, second.items):
            assert "9999-12-31 23:59" in (await chat.export(ADMIN, "one", row.conversation.id, "markdown")).text
        told["createdAt"] = LAST_MILLISECOND + 1
        with pytest.raises(ValidationError):
            PluginMessage.model_validate(body)


async def test_a_plugin_says_what_its_bot_does(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, bots=TWO) as house:
        publish = house.registry.chat.publish
        await publish(plugin(one=Grant.VIEW), "one", BotActivity(bot_id="one", activity="dreaming"))
        await publish(plugin(one=Grant.VIEW), "one", CodeSessionEvent(bot_id="one", session_id="s", kind="note"))
        assert [event.type for event in house.told.events[-2:]] == ["bot-activity", "code-session:event"]
        assert house.registry.get("one").summary().activity == "dreaming"
        with pytest.raises(NotFound):
            await publish(plugin(one=Grant.VIEW), "two", BotActivity(bot_id="two", activity="x"))
        with pytest.raises(Forbidden):
            await publish(ADMIN, "one", BotActivity(bot_id="one", activity="x"))
        with pytest.raises(Invalid):
            await publish(plugin(one=Grant.VIEW), "one", BotActivity(bot_id="two", activity="x"))
        status = ChatStatus(
            bot_id="one", conversation_id="c_" + "0" * 20, run_id="r", state=RunState.FINISHED, at=START_MS
        )
        with pytest.raises(Invalid):
            await publish(plugin(one=Grant.VIEW), "one", status)


async def test_a_plugins_message_is_stored_once_under_its_id(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, bots=TWO) as house:
        chat = house.registry.chat
        conversation = await chat.create(ADMIN, "one", None)

        def said(text: str, bot: str = "one", run: str = "r-1") -> ChatMessage:
            message = Message(
                id="p-1",
                bot_id=bot,
                conversation_id=conversation.id,
                run_id=run,
                role="assistant",
                parts=(TextPart(text=text),),
                user_id="root",
                created_at=START_MS,
            )
            return ChatMessage(bot_id=bot, conversation_id=conversation.id, message=message)

        for text in ("draft", "draft", "whole"):
            answer = await chat.publish(plugin("phone", one=Grant.VIEW), "one", said(text))
            assert answer.message_id == "p-1"
        (stored,) = await house.messages("one")
        assert (text_of(stored.parts), stored.source, stored.user_id) == ("whole", "plugin:phone", None)
        with pytest.raises(NotFound):
            await chat.publish(plugin(two=Grant.VIEW), "two", said("x", "two"))
        other = await chat.create(ADMIN, "one", None)
        with pytest.raises(Conflict):
            moved = said("x", run="r-2").message.model_copy(update={"conversation_id": other.id})
            event = ChatMessage(bot_id="one", conversation_id=other.id, message=moved)
            await chat.publish(plugin(one=Grant.VIEW), "one", event)


def text_file(media_type: str) -> AttachmentIn:
    return AttachmentIn.model_validate({"name": "a", "mediaType": media_type, "data": "PGI+"})


async def test_one_file_in_two_bots_has_in_each_the_type_it_was_sent_with_there(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    # Stored once: what others called the same bytes tells nothing here, and changes nothing.
    async with open_house(tmp_path, bots=TWO) as house:
        await house.say("x", bot="one", attachments=(text_file("text/html"),))
        await house.say("x", bot="two", attachments=(text_file("text/plain"),))
        (part,) = [p for m in await house.messages("one") for p in m.parts if isinstance(p, AttachmentPart)]
        served = await house.registry.chat.attachment(user(two=Grant.VIEW), part.sha256)
        assert served.media_type == "text/plain; charset=utf-8"
        served = await house.registry.chat.attachment(user(one=Grant.VIEW), part.sha256)
        assert served.media_type == "application/octet-stream"


async def test_a_plugin_names_files_of_its_own_bot_only(tmp_path: Path, autojump_clock: MockClock) -> None:
    # A bot without memory is sent the files of earlier messages: naming a hash must not fetch another bot's file.
    async with open_house(tmp_path, bots=TWO) as house:
        chat = house.registry.chat
        await house.say("x", bot="two", attachments=(text_file("image/png"),))
        (part,) = [p for m in await house.messages("two") for p in m.parts if isinstance(p, AttachmentPart)]

        async def say(bot: str, key: str) -> None:
            said = Said(id=f"p-{key}", role="assistant", parts=(part,))
            told = PluginMessage(bot_id=bot, session_key="agent:main:main", message=said)
            await chat.publish(plugin(one=Grant.VIEW, two=Grant.VIEW), bot, told)

        with pytest.raises(Invalid):
            await say("one", "1")
        assert await house.messages("one") == []
        await say("two", "2")
        assert "p-2" in [message.id for message in await house.messages("two")]
        with pytest.raises(NotFound):
            await chat.attachment(user(one=Grant.VIEW), part.sha256)
