"""What is found, in which order, for whom."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.store import bots, conversations, indexing, messages, search, words
from tests.store.made import BOTS, conversation_id, furnished, message


def fill(conn: sqlite3.Connection, *texts: str, bot_id: str = "anna") -> None:
    for text in texts:
        run = conn.execute("SELECT coalesce(max(seq), 0) FROM messages").fetchone()[0] + 1
        messages.put(conn, message(text, f"r{run}", bot_id=bot_id))
    indexing.index_all(conn)


def found(
    conn: sqlite3.Connection,
    text: str,
    bot_ids: frozenset[str] | None = None,
    limit: int = 20,
    before_seq: int | None = None,
) -> list[int | None]:
    return [hit.message.seq for hit in search.search(conn, text, bot_ids, limit=limit, before_seq=before_seq)]


CASES = [
    ("hello", "Hello, world", True),
    ("wor", "Hello, world", False),
    ("wor*", "Hello, world", True),
    ("world hello", "Hello, world", True),
    ('"hello world"', "Hello, world", True),
    ('"world hello"', "Hello, world", False),
    ("ubermut", "Übermut tut selten gut", True),
    ("ÜBERMUT", "ubermut", True),
    ("strasse", "STRAßE", True),
    ("istanbul", "İstanbul", True),
    ("foo-bar", "a foo_bar b", True),
    ("foo-bar", "a foo x bar b", False),
    ("naïve", "nai\u0308ve", True),
    ("東京", "私は東京に住んでいます", True),
    ("京に住", "私は東京に住んでいます", True),
    ("京東", "私は東京に住んでいます", False),
    ("京", "私は東京に住んでいます", True),
    ("す", "私は東京に住んでいます", True),
    ("世界", "你好世界", True),
    ("你世", "你好世界", False),
    ("โลก", "สวัสดีชาวโลก", True),
    ("한국어", "한국어를 배우다", True),
    ("ｶﾀｶﾅ", "カタカナ語", True),
    ("gpt日本", "GPT日本語版", True),
    ("gpt", "GPT日本語版", True),
    ("हिन्दी", "यह हिन्दी है", True),
    ("مدرسة", "مَدْرَسَة", True),
    ("не", "НЕ", True),
    ("don't", "I don't know", True),
    ("c++", "C++ is hard", True),
    ("1.5", "version 1.5 is out", True),
]


@pytest.mark.parametrize(("query", "text", "expected"), CASES)
def test_words_are_found_as_people_write_them(conn: sqlite3.Connection, query: str, text: str, expected: bool) -> None:
    fill(conn, text)
    hits = search.search(conn, query, None)
    assert bool(hits) is expected
    if hits:
        assert hits[0].snippet.ranges, "the match is marked"


@pytest.mark.parametrize("query", ["", " ", '"', '""', "*", "-", "🎉", "_", "(((", "\0"])
def test_a_query_without_a_word_finds_nothing(conn: sqlite3.Connection, query: str) -> None:
    fill(conn, "anything at all")
    assert found(conn, query) == []


@pytest.mark.parametrize(
    "query", ["a OR b", "words : x", "NEAR(a b)", "NOT a", '"a" OR "b', "x AND", "{words}: a", "^a", "a + b", "-a", "'"]
)
def test_nothing_typed_is_taken_for_syntax(conn: sqlite3.Connection, query: str) -> None:
    fill(conn, "b only", query)
    assert found(conn, query) in ([2], [])


ANY = st.text(st.characters(codec="utf-8"), max_size=40)


def test_whatever_is_typed_and_stored_the_search_answers() -> None:
    with furnished() as conn:
        count = 0

        @given(ANY, st.lists(st.sampled_from(['"', "*", "AND", "日本", "é", "a", " ", "words:", "\0"]), max_size=8))
        def answers(text: str, pieces: list[str]) -> None:
            nonlocal count
            count += 1
            messages.put(conn, message(text, f"r{count}"))
            indexing.index_all(conn)
            for query in (text, "".join(pieces), " ".join(pieces)):
                search.search(conn, query, None)
            terms = words.parse_query(f'"{text.replace(chr(34), " ")}"')
            if terms:
                hits = search.search(conn, f'"{text.replace(chr(34), " ")}"', frozenset({"anna"}), limit=1000)
                assert f"r{count}" in {hit.message.run_id for hit in hits}, "a text is found by itself"

        answers()
        indexing.check(conn)


def test_newest_come_first_over_all_bots_and_pages_go_on(conn: sqlite3.Connection) -> None:
    for n in range(60):
        fill(conn, f"needle {n}", bot_id=BOTS[n % 3])
    assert found(conn, "needle", limit=5) == [60, 59, 58, 57, 56]
    assert found(conn, "needle", limit=3, before_seq=58) == [57, 56, 55]
    assert found(conn, "needle", frozenset({"bert"}), limit=3) == [59, 56, 53]


@pytest.mark.parametrize("query", ["needle", "needl*", "nee*", '"the needle"'])
def test_many_matches_in_several_bots_are_merged_in_order(conn: sqlite3.Connection, query: str) -> None:
    for n in range(90):
        fill(conn, f"the needle {n}", bot_id=BOTS[(n * n) % 3])
    newest = list(reversed(range(1, 91)))
    assert found(conn, query, limit=90) == newest
    assert found(conn, query, limit=7) == newest[:7]
    some = frozenset({"anna", "carl"})
    allowed = [n + 1 for n in reversed(range(90)) if BOTS[(n * n) % 3] in some]
    assert found(conn, query, some, limit=7) == allowed[:7]
    assert found(conn, query, some, limit=90, before_seq=40) == [seq for seq in allowed if seq < 40]


def test_bots_that_are_not_allowed_give_nothing(conn: sqlite3.Connection) -> None:
    for bot_id in BOTS:
        fill(conn, "needle", bot_id=bot_id)
    assert found(conn, "needle", frozenset()) == []
    assert found(conn, "needle", frozenset({"nobody"})) == []
    assert found(conn, "needle", frozenset({"anna", "carl"})) == [3, 1]
    in_bert = search.search(conn, "needle", frozenset({"anna"}), conversation_id=conversation_id("bert"))
    assert in_bert == []


def test_deleted_conversations_and_removed_bots_are_not_found(conn: sqlite3.Connection) -> None:
    for bot_id in BOTS:
        fill(conn, "needle", bot_id=bot_id)
    conversations.delete(conn, conversation_id("anna"), 5)
    bots.remove(conn, "bert", 5)
    assert found(conn, "needle") == [3]
    conversations.restore(conn, conversation_id("anna"))
    assert found(conn, "needle") == [3, 1]


def test_one_conversation_can_be_searched(conn: sqlite3.Connection) -> None:
    for n in range(6):
        messages.put(conn, message("needle", f"r{n}", number=n % 2))
    indexing.index_all(conn)
    hits = search.search(conn, "needle", None, conversation_id=conversation_id("anna", 1))
    assert [hit.message.seq for hit in hits] == [6, 4, 2]


def marked(text: str, query: str) -> list[str]:
    """Return the marked pieces of a snippet, cut out as a client in JavaScript would."""
    snippet = search.snippet(text, words.parse_query(query))
    units = snippet.text.encode("utf-16-le")
    return [units[2 * a : 2 * (a + n)].decode("utf-16-le") for a, n in snippet.ranges]


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("Über allen Gipfeln ist Ruh", "uber ruh", ["Über", "Ruh"]),
        ("😀😀 needle 😀 Needles needle", "needle", ["needle", "needle"]),
        ("Needles and need", "need*", ["Needles", "need"]),
        ("STRASSE und Straße", "straße", ["STRASSE", "Straße"]),
        ("私は東京に住んでいます", "東京に", ["東京に"]),
        ("nai\u0308ve 𝔘", "naive", ["nai\u0308ve"]),
        ("a\nb\tc", '"b c"', ["b c"]),
    ],
)
def test_snippets_mark_the_matches_in_utf_16_units(text: str, query: str, expected: list[str]) -> None:
    assert marked(text, query) == expected


def test_a_snippet_of_a_long_text_is_cut_around_the_first_match() -> None:
    text = "word " * 1000 + "needle " + "tail " * 1000
    snippet = search.snippet(text, words.parse_query("needle"))
    assert snippet.text.startswith("…")
    assert snippet.text.endswith("…")
    assert len(snippet.text) <= search.SNIPPET_CHARACTERS + 2
    assert marked(text, "needle") == ["needle"]


def test_a_long_query_is_cut_not_refused(conn: sqlite3.Connection) -> None:
    fill(conn, " ".join(f"w{n}" for n in range(200)))
    assert found(conn, " ".join(f"w{n}" for n in range(200)) * 3) == [1]
