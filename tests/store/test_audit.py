"""The audit log says who did what to which bot, when, from where; and nobody changes it afterwards."""

import sqlite3

import pytest

from edgebotd.store import audit
from edgebotd.store.audit import Entry


def entry(at: int, bot_id: str | None = None) -> Entry:
    return Entry(at, "ada", "session", "bot.edit", "bot", bot_id, "192.0.2.1", {"name": "Anna", "n": 1})


def test_an_entry_comes_back_as_it_was_appended_with_its_id(conn: sqlite3.Connection) -> None:
    made = Entry(5, "root", "local", "user.add", "ben")
    assert audit.append(conn, entry(4, "anna")) == 1
    assert audit.append(conn, made) == 2
    newest, older = audit.page(conn)
    assert newest == Entry(5, "root", "local", "user.add", "ben", None, None, {}, 2)
    assert older == Entry(4, "ada", "session", "bot.edit", "bot", "anna", "192.0.2.1", {"name": "Anna", "n": 1}, 1)


def test_pages_go_back_and_can_be_of_one_bot(conn: sqlite3.Connection) -> None:
    for number in range(1, 8):
        audit.append(conn, entry(number, ("anna", "bert", None)[number % 3]))
    assert [one.id for one in audit.page(conn, limit=3)] == [7, 6, 5]
    assert [one.id for one in audit.page(conn, before_id=5, limit=3)] == [4, 3, 2]
    assert [one.id for one in audit.page(conn, bot_id="bert")] == [7, 4, 1]
    assert [one.id for one in audit.page(conn, bot_id="bert", before_id=7, limit=1)] == [4]
    assert audit.page(conn, bot_id="nobody") == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve'",
        "UPDATE audit SET detail = '{}' WHERE id = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 1",
        "UPDATE OR IGNORE audit SET id = 99",
        "INSERT OR REPLACE INTO audit VALUES (1, 9, 'eve', 'session', 'x', 'y', NULL, NULL, '{}')",
    ],
)
def test_entries_can_neither_be_changed_nor_deleted(conn: sqlite3.Connection, statement: str) -> None:
    audit.append(conn, entry(1))
    before = audit.page(conn)
    with pytest.raises(sqlite3.IntegrityError, match="audit entries cannot be"):
        conn.execute(statement)
    assert audit.page(conn) == before


def test_retention_deletes_what_is_older_and_leaves_no_door_open(conn: sqlite3.Connection) -> None:
    for at in (1, 2, 3):
        audit.append(conn, entry(at))
    assert audit.purge(conn, 3) == 2
    assert [one.at for one in audit.page(conn)] == [3]
    with pytest.raises(sqlite3.IntegrityError, match="cannot be deleted"):
        conn.execute("DELETE FROM audit")
    assert audit.append(conn, entry(4)) == 4, "the id of a deleted entry does not come again"
