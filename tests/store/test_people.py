"""Users, grants, sessions, tokens, one-time codes."""

import sqlite3

import pytest

from edgebotd.access import Grant, Scope
from edgebotd.errors import Conflict, NotFound
from edgebotd.store import codes, conversations, sessions, tokens, users
from edgebotd.store.codes import Code
from edgebotd.store.sessions import Session
from edgebotd.store.tokens import Token
from edgebotd.store.users import User
from tests.store.made import conversation_id

ADA = User("ada", "Ada", admin=True, password_hash="$argon2id$1", created_at=1)
BEN = User("ben", "Ben", admin=False, password_hash=None, created_at=2)


@pytest.fixture(autouse=True)
def people(conn: sqlite3.Connection) -> None:
    users.add(conn, ADA)
    users.add(conn, BEN)


def session(number: int, user_id: str = "ada", expires_at: int = 1000) -> Session:
    return Session(f"s{number}", user_id, bytes([number]) * 32, 10 + number, expires_at, 10, "127.0.0.1", "curl")


def token(number: int, user_id: str = "ada") -> Token:
    scopes, narrowed = frozenset({Scope.READ, Scope.PUBLISH}), frozenset({"anna"}) if number % 2 else None
    return Token(f"t{number}", user_id, "ci", bytes([number]) * 32, scopes, narrowed, 10 + number)


def test_users_come_back_as_they_were_stored(conn: sqlite3.Connection) -> None:
    assert users.get(conn, "ada") == ADA
    assert users.all_users(conn) == [ADA, BEN]
    assert users.get(conn, "eve") is None


def test_secrets_do_not_show_in_a_repr() -> None:
    assert "argon2" not in repr(ADA)
    for secret in (session(65), token(65), Code(b"A" * 32, "setup", None, 1)):
        assert "AAAA" not in repr(secret)


def test_a_users_id_is_never_given_again(conn: sqlite3.Connection) -> None:
    with pytest.raises(Conflict) as taken:
        users.add(conn, BEN)
    assert taken.value.code == "user_exists"
    assert users.remove(conn, "ben", 5)
    assert not users.remove(conn, "ben", 6)
    assert users.get(conn, "ben") is None
    with pytest.raises(Conflict) as used:
        users.add(conn, BEN)
    assert used.value.code == "user_id_used"


def test_removing_a_user_takes_everything_that_lets_the_user_in(conn: sqlite3.Connection) -> None:
    users.set_grant(conn, "ben", "anna", Grant.CHAT)
    sessions.add(conn, session(1, "ben"))
    tokens.add(conn, token(1, "ben"))
    codes.add(conn, Code(b"c", "login", "ben", 1000))
    conversations.set_read(conn, "ben", conversation_id("anna"), 3)
    users.remove(conn, "ben", 5)
    assert users.all_grants(conn) == {}
    assert sessions.all_sessions(conn) == []
    assert tokens.all_tokens(conn) == []
    assert codes.take(conn, b"c", 1) is None
    assert conversations.read_marker(conn, "ben", conversation_id("anna")) == 0


def test_only_admins_that_can_act_count(conn: sqlite3.Connection) -> None:
    assert users.count_admins(conn) == 1
    users.set_admin(conn, "ben", True)
    assert users.count_admins(conn) == 2
    users.set_disabled(conn, "ben", 9)
    assert users.count_admins(conn) == 1
    users.remove(conn, "ada", 9)
    assert users.count_admins(conn) == 0


def test_changes_of_a_user_are_stored_and_unknown_users_refused(conn: sqlite3.Connection) -> None:
    users.rename(conn, "ben", "Benjamin")
    users.set_password(conn, "ben", "hash")
    assert users.get(conn, "ben") == User("ben", "Benjamin", False, "hash", 2)
    with pytest.raises(NotFound):
        users.set_password(conn, "eve", "hash")
    with pytest.raises(NotFound):
        users.set_grant(conn, "eve", "anna", Grant.VIEW)


def test_a_grant_replaces_the_one_before(conn: sqlite3.Connection) -> None:
    users.set_grant(conn, "ben", "anna", Grant.VIEW)
    users.set_grant(conn, "ben", "anna", Grant.OPERATE)
    users.set_grant(conn, "ada", "bert", Grant.CHAT)
    assert users.grants_of(conn, "ben") == {"anna": Grant.OPERATE}
    assert users.all_grants(conn) == {"ben": {"anna": Grant.OPERATE}, "ada": {"bert": Grant.CHAT}}
    assert users.remove_grant(conn, "ben", "anna")
    assert not users.remove_grant(conn, "ben", "anna")
    assert users.remove_grants_on(conn, "bert") == 1


def test_sessions_are_listed_touched_ended_and_purged(conn: sqlite3.Connection) -> None:
    for number, expires_at in ((1, 100), (2, 200), (3, 300)):
        sessions.add(conn, session(number, expires_at=expires_at))
    sessions.add(conn, session(4, "ben"))
    assert [s.id for s in sessions.of_user(conn, "ada")] == ["s3", "s2", "s1"]
    sessions.touch(conn, [("s1", 50), ("s2", 5)])
    assert [sessions.get(conn, name).seen_at for name in ("s1", "s2")] == [50, 10]  # type: ignore[union-attr]
    assert sessions.purge(conn, 100) == 1
    assert sessions.delete_of_user(conn, "ada", keep="s3") == 1
    assert sessions.delete(conn, "s4")
    assert sessions.all_sessions(conn) == [session(3, expires_at=300)]


def test_tokens_keep_their_scopes_and_bots(conn: sqlite3.Connection) -> None:
    for number in (1, 2):
        tokens.add(conn, token(number))
    assert tokens.all_tokens(conn) == [token(2), token(1)]
    tokens.touch(conn, [("t1", 70)])
    used = tokens.get(conn, "t1")
    assert used is not None
    assert used.used_at == 70
    assert tokens.delete(conn, "t1")
    assert tokens.of_user(conn, "ada") == [token(2)]
    assert tokens.delete_of_user(conn, "ada") == 1


def test_a_code_works_once_and_in_time_only(conn: sqlite3.Connection) -> None:
    codes.add(conn, Code(b"one", "setup", None, expires_at=100))
    codes.add(conn, Code(b"two", "login", "ada", expires_at=100))
    assert codes.take(conn, b"two", 100) is None
    assert codes.find(conn, b"one", 99) is not None
    taken = codes.take(conn, b"one", 99)
    assert taken == Code(b"one", "setup", None, 100, used_at=99)
    assert codes.take(conn, b"one", 99) is None
    assert codes.purge(conn, 99) == 1
    assert codes.purge(conn, 100) == 1
