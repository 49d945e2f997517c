"""Bots, of the file and of the store, and who this installation is."""

import sqlite3

import pytest

from edgebotd.errors import Conflict, NotFound
from edgebotd.store import bots, installation, messages
from edgebotd.store.bots import StoredBot
from tests.store.made import message


def of_file(bot_id: str, name: str = "", **settings: str) -> StoredBot:
    return StoredBot(bot_id, "echo", name or bot_id.title(), settings, "file")


def origins(conn: sqlite3.Connection) -> dict[str, str]:
    return {bot.id: bot.origin for bot in bots.all_bots(conn)}


def test_a_bot_comes_back_as_it_was_added(conn: sqlite3.Connection) -> None:
    made = StoredBot("dora", "openai", "Dora", {"url": "http://localhost"}, "store", 7)
    bots.add(conn, made)
    assert bots.get(conn, "dora") == made
    assert bots.get(conn, "nobody") is None
    assert [bot.id for bot in bots.all_bots(conn)] == ["anna", "bert", "carl", "dora"]


def test_a_bots_id_is_never_given_again(conn: sqlite3.Connection) -> None:
    with pytest.raises(Conflict) as taken:
        bots.add(conn, of_file("anna"))
    assert taken.value.code == "bot_exists"
    assert bots.remove(conn, "anna", 5)
    assert not bots.remove(conn, "anna", 6)
    with pytest.raises(Conflict) as used:
        bots.add(conn, of_file("anna"))
    assert used.value.code == "bot_id_used"


def test_a_removed_bot_is_gone_from_lists_but_its_history_stays(conn: sqlite3.Connection) -> None:
    messages.put(conn, message("hello", "r1"))
    bots.remove(conn, "anna", 5)
    assert bots.get(conn, "anna") is None
    assert "anna" not in origins(conn)
    gone = {bot.id: bot.removed_at for bot in bots.all_bots(conn, removed=True)}
    assert gone == {"anna": 5, "bert": None, "carl": None}
    assert len(messages.page(conn, "anna")) == 1


def test_name_and_settings_change_apart_and_only_of_bots_that_are_there(conn: sqlite3.Connection) -> None:
    assert bots.change(conn, "anna", name="Anne").name == "Anne"
    changed = bots.change(conn, "anna", settings={"url": "x"})
    assert (changed.name, changed.settings) == ("Anne", {"url": "x"})
    assert bots.change(conn, "anna") == changed == bots.get(conn, "anna")
    bots.remove(conn, "bert", 5)
    for missing in ("bert", "nobody"):
        with pytest.raises(NotFound):
            bots.change(conn, missing, name="B")


def test_the_files_bots_are_what_the_file_says_and_the_stores_stay(conn: sqlite3.Connection) -> None:
    bots.upsert_file_bots(conn, [of_file("dora", model="a"), of_file("emil")], 10)
    bots.upsert_file_bots(conn, [of_file("dora", "Theodora", model="b")], 20)
    dora = bots.get(conn, "dora")
    assert dora == StoredBot("dora", "echo", "Theodora", {"model": "b"}, "file", created_at=10)
    assert origins(conn) == {"anna": "store", "bert": "store", "carl": "store", "dora": "file"}
    assert [bot.removed_at for bot in bots.all_bots(conn, removed=True) if bot.id == "emil"] == [20]


def test_a_bot_that_comes_back_into_the_file_has_its_history_again(conn: sqlite3.Connection) -> None:
    number = conn.execute("SELECT number FROM bots WHERE id = 'anna'").fetchone()[0]
    messages.put(conn, message("hello", "r1"))
    bots.upsert_file_bots(conn, [of_file("anna")], 10)
    bots.upsert_file_bots(conn, [], 20)
    assert bots.get(conn, "anna") is None
    bots.upsert_file_bots(conn, [of_file("anna")], 30)
    assert origins(conn)["anna"] == "file"
    assert conn.execute("SELECT number FROM bots WHERE id = 'anna'").fetchone()[0] == number
    assert len(messages.page(conn, "anna")) == 1


def test_an_installation_is_made_once_and_each_start_is_a_life(conn: sqlite3.Connection) -> None:
    first = installation.load_or_create(conn, 5)
    assert len(first.cursor_key) == 32
    assert first.id != first.epoch
    assert installation.load_or_create(conn, 6, lambda: b"\0" * 32) == first
    assert [installation.begin_life(conn, now) for now in (7, 8, 9)] == [1, 2, 3]
    assert first.cursor_key.hex() not in repr(first)
    assert repr(first.cursor_key) not in repr(first)


def test_another_installation_is_another_one(conn: sqlite3.Connection) -> None:
    first = installation.load_or_create(conn, 5)
    conn.execute("DELETE FROM installation")
    second = installation.load_or_create(conn, 5)
    assert {first.id, first.epoch, first.cursor_key}.isdisjoint({second.id, second.epoch, second.cursor_key})
