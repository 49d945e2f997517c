"""The list of bots as people see it: unread, the last message, the grant."""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from edgebotd.access import Grant
from edgebotd.bots.requests import LastMessage
from edgebotd.bots.rows import PREVIEW_CHARACTERS, preview
from edgebotd.config import BotSettings
from edgebotd.events import AttachmentPart, ErrorPart, Message, Part, TextPart, ToolCallPart
from tests.bots.house import ADMIN, open_house, user

FILE = AttachmentPart(sha256="0" * 64, name="a.txt", media_type="text/plain", size=1)
TWO = {"one": BotSettings(kind="echo", pace_ms=1), "two": BotSettings(kind="echo", pace_ms=1)}


async def test_a_row_says_what_is_unread_and_what_was_said_last(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_house(tmp_path, bots=TWO) as house:
        ann = user("ann", one=Grant.VIEW)
        [row] = await house.registry.rows(ann)
        assert (row.bot_id, row.name, row.unread, row.last, row.grant) == ("one", "one", 0, None, "view")
        await house.say("[[say secret]]", bot="two")
        said = await house.say("[[say two\n\n  words]]", bot="one")
        [row] = await house.registry.rows(ann)
        assert row.unread == 2, "the question of somebody else, and the answer"
        assert isinstance(row.last, LastMessage)
        assert (row.last.role, row.last.text, row.last.state) == ("assistant", "two words", "final")
        assert row.last.user_id is None
        assert row.last.conversation_id == said.conversation_id
        [answer, _] = (await house.registry.chat.history(ann, "one")).items
        assert answer.seq is not None and row.last.at == answer.created_at
        await house.registry.chat.mark_read(ann, "one", said.conversation_id, answer.seq)
        assert [row.unread for row in await house.registry.rows(ann)] == [0]
        rows = await house.registry.rows(ADMIN)
        assert [(row.bot_id, row.unread, row.grant) for row in rows] == [("one", 1, "operate"), ("two", 1, "operate")]
        assert await house.registry.rows(user("ben")) == []


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ((TextPart(text=" a\n\n\tb  c "), ToolCallPart(tool_call_id="1", name="t"), TextPart(text="d")), "a b c d"),
        ((ErrorPart(message="no"),), "no"),
        ((TextPart(text=""), FILE), "a.txt"),
        ((ToolCallPart(tool_call_id="1", name="t"),), ""),
        ((TextPart(text="x" * PREVIEW_CHARACTERS),), "x" * PREVIEW_CHARACTERS),
        ((TextPart(text="word " * 100),), ("word " * 28).strip() + "…"),
        ((TextPart(text="x" * 5_000_000),), "x" * PREVIEW_CHARACTERS + "…"),
    ],
)
def test_a_preview_is_one_short_line(parts: tuple[Part, ...], line: str) -> None:
    message = Message(
        id="m", bot_id="b", conversation_id="c_" + "a" * 20, run_id="r", role="user", parts=parts, created_at=1
    )
    assert preview(message) == line
