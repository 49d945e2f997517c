"""Messages are stored once, and the index of words says what they say."""

import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebotd.errors import Conflict, NotFound
from edgebotd.events import AttachmentPart, Message, TextPart, ToolCallPart
from edgebotd.store import attachments, conversations, indexing, messages, search
from tests.store.made import conversation_id, furnished, index_text, message


def texts(found: list[Message]) -> list[str]:
    return [part.text for one in found for part in one.parts if isinstance(part, TextPart)]


def test_a_message_comes_back_as_it_was_stored_with_its_seq(conn: sqlite3.Connection) -> None:
    parts = (TextPart(text="see"), ToolCallPart(tool_call_id="1", name="ls", arguments={"a": None, "b": [1]}))
    made = message("", "r1", user_id="ada").model_copy(update={"parts": parts})
    put = messages.put(conn, made)
    assert put.change == "created"
    assert put.message == made.model_copy(update={"seq": 1})
    assert messages.get(conn, "anna", made.id) == put.message
    assert messages.by_run(conn, "anna", "r1") == [put.message]


def test_the_same_again_changes_nothing(conn: sqlite3.Connection) -> None:
    first = messages.put(conn, message("hello", "r1"))
    again = messages.put(conn, message("hello", "r1", message_id="other-id", created_at=2000))
    assert again == messages.Put(first.message, None)


def test_other_content_is_an_edit_that_keeps_place_and_id(conn: sqlite3.Connection) -> None:
    first = messages.put(conn, message("hello", "r1")).message
    messages.put(conn, message("later", "r2"))
    edited = messages.put(conn, message("hello there", "r1", message_id="other-id"), now=5000)
    assert edited.change == "edited"
    assert edited.message == first.model_copy(update={"parts": (TextPart(text="hello there"),), "edited_at": 5000})
    assert messages.get(conn, "anna", first.id) == edited.message


def test_a_changed_state_is_an_edit(conn: sqlite3.Connection) -> None:
    messages.put(conn, message("hello", "r1").model_copy(update={"state": "pending"}))
    assert messages.put(conn, message("hello", "r1")).change == "edited"
    assert messages.put(conn, message("hello", "r1")).change is None


def test_a_known_id_in_the_same_conversation_is_the_same_message(conn: sqlite3.Connection) -> None:
    messages.put(conn, message("hello", "r1", message_id="plugin-1"))
    put = messages.put(conn, message("hello, all", "r2", message_id="plugin-1"))
    assert put.change == "edited"
    assert put.message.run_id == "r1"


def test_an_id_of_another_message_is_refused_but_other_bots_may_use_it(conn: sqlite3.Connection) -> None:
    messages.put(conn, message("hello", "r1", message_id="m"))
    with pytest.raises(Conflict):
        messages.put(conn, message("hello", "r2", message_id="m", number=1))
    with pytest.raises(Conflict):
        messages.put(conn, message("hello", "r2", message_id="m", role="assistant"))
    assert messages.put(conn, message("hello", "r2", message_id="m", bot_id="bert")).change == "created"


def test_an_unknown_conversation_or_one_of_another_bot_is_refused(conn: sqlite3.Connection) -> None:
    with pytest.raises(NotFound):
        messages.put(conn, message("x", "r1", number=7))
    foreign = message("x", "r1").model_copy(update={"conversation_id": conversation_id("bert")})
    with pytest.raises(NotFound):
        messages.put(conn, foreign)


def search_in(conn: sqlite3.Connection, text: str, **more: Any) -> list[search.Hit]:
    indexing.index_all(conn)
    return search.search(conn, text, None, **more)


def test_the_keys_of_the_bots_own_history_are_known(conn: sqlite3.Connection) -> None:
    put = messages.put(conn, message("hello", "r1"), external_keys=["row-1", "row-2"])
    messages.put(conn, message("hello", "r1"), external_keys=["row-3"])
    known = messages.known_external(conn, "anna", ["row-1", "row-3", "row-9"])
    assert known == {"row-1": put.message.id, "row-3": put.message.id}
    assert messages.known_external(conn, "bert", ["row-1"]) == {}


def test_pages_go_back_and_forward_without_a_gap(conn: sqlite3.Connection) -> None:
    for n in range(30):
        messages.put(conn, message(f"{n}", f"r{n}", number=n % 2))
        messages.put(conn, message(f"other {n}", f"r{n}", bot_id="bert"))
    seen: list[str] = []
    before = None
    while page := messages.page(conn, "anna", before_seq=before, limit=7):
        seen += texts(page)
        before = page[-1].seq
    assert seen == [str(n) for n in reversed(range(30))]
    forward: list[str] = []
    after = 0
    while page := messages.page(conn, "anna", conversation_id("anna", 1), after_seq=after, limit=4):
        forward += reversed(texts(page))
        assert page[0].seq is not None
        after = page[0].seq
    assert forward == [str(n) for n in range(1, 30, 2)]
    assert messages.page(conn, "nobody") == []


def test_a_conversation_of_another_bot_shows_nothing(conn: sqlite3.Connection) -> None:
    messages.put(conn, message("secret", "r1"))
    assert messages.page(conn, "bert", conversation_id("anna")) == []


def test_deleting_takes_words_keys_and_links_too(conn: sqlite3.Connection) -> None:
    sha = "a" * 64
    attachments.add(conn, attachments.Attachment(sha, 3, "text/plain", 1))
    for n in range(5):
        put = messages.put(conn, message(f"needle {n}", f"r{n}", number=n % 2), external_keys=[f"row-{n}"])
        attachments.link(conn, sha, "anna", put.message.id, "a.txt")
    indexing.index_all(conn)
    assert messages.delete_of_conversation(conn, conversation_id("anna", 1), limit=1) == 1
    assert messages.delete_of_conversation(conn, conversation_id("anna", 1)) == 1
    assert messages.delete_of_conversation(conn, conversation_id("anna", 1)) == 0
    assert len(search_in(conn, "needle")) == 3
    assert messages.known_external(conn, "anna", ["row-1", "row-2"]).keys() == {"row-2"}
    assert messages.delete_of_bot(conn, "anna") == 3
    assert attachments.bots_of(conn, sha) == set()
    assert conversations.delete_of_bot(conn, "anna") == 2
    assert index_text(conn) == []


def test_the_seq_of_a_deleted_message_does_not_come_again(conn: sqlite3.Connection) -> None:
    messages.put(conn, message("one", "r1"))
    messages.delete_of_bot(conn, "anna")
    assert messages.put(conn, message("two", "r2")).message.seq == 2


def test_retention_deletes_what_is_older(conn: sqlite3.Connection) -> None:
    for n in range(4):
        messages.put(conn, message(f"{n}", f"r{n}", created_at=1000 * n))
    assert messages.delete_older(conn, 2000) == 2
    assert texts(messages.page(conn, "anna")) == ["3", "2"]


def test_names_of_files_are_found(conn: sqlite3.Connection) -> None:
    part = AttachmentPart(sha256="b" * 64, name="Quarterly-Report.pdf", media_type="application/pdf", size=1)
    messages.put(conn, message("", "r1").model_copy(update={"parts": (part,)}))
    assert [hit.snippet.text for hit in search_in(conn, "report")] == ["Quarterly-Report.pdf"]


WORDS = ["alpha", "beta", "Gamma", "délta", "日本語", "ε", "", "alpha beta"]
STEP = st.tuples(
    st.sampled_from(["put", "put", "put", "delete", "index"]),
    st.sampled_from(["anna", "bert"]),
    st.integers(0, 1),
    st.integers(0, 3),
    st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
)


@settings(max_examples=80)
@given(st.lists(STEP, max_size=40))
def test_messages_and_index_agree_with_a_model(steps: list[tuple[str, str, int, int, str]]) -> None:
    """The model is a dict by identity; the index after any history is that of a rebuilt one."""
    with furnished() as conn:
        model: dict[tuple[str, int, int], str] = {}
        for what, bot_id, number, run, text in steps:
            made = message(text, f"r{run}", bot_id=bot_id, number=number)
            if what == "put":
                put = messages.put(conn, made)
                old = model.get((bot_id, number, run))
                assert put.change == ("created" if old is None else None if old == text else "edited")
                model[bot_id, number, run] = text
            elif what == "delete":
                messages.delete_of_conversation(conn, conversation_id(bot_id, number))
                model = {key: value for key, value in model.items() if key[:2] != (bot_id, number)}
            else:
                indexing.index_all(conn)
        for bot_id in ("anna", "bert"):
            found = sorted(texts(messages.page(conn, bot_id, limit=100)))
            assert found == sorted(text for key, text in model.items() if key[0] == bot_id)
        held = index_text(conn)
        indexing.check(conn)
        for word in ("alpha", "gamma", "delta", "本語", '"alpha beta"'):
            wanted = word.strip('"')
            hits = {
                (h.message.bot_id, h.message.conversation_id, h.message.run_id) for h in search_in(conn, word, limit=99)
            }
            holding = {key for key, text in model.items() if wanted in text.lower().replace("é", "e")}
            assert hits == {(bot_id, conversation_id(bot_id, n), f"r{run}") for bot_id, n, run in holding}
        indexing.reset(conn)
        assert index_text(conn) == held
