"""The files of other programs are read as they are, and nothing about them is changed."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgebotd.accounts.stores import find_logins, mark_of, read_texts
from edgebotd.errors import Invalid
from edgebotd.protocol.logins import read_logins

SHARED = {"version": 1, "profiles": {"anthropic:work": {"type": "api_key", "provider": "anthropic", "key": "canary-k"}}}
OWN = {"version": 1, "profiles": {"fake:tok": {"type": "token", "provider": "fake", "token": "canary-t"}}}
OLD = {"version": 1, "profiles": {"old:one": {"type": "api_key", "provider": "old", "key": "canary-o"}}}


def database(path: Path, table: str, key: str, document: object) -> sqlite3.Connection:
    path.parent.mkdir(parents=True)
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute(f"CREATE TABLE {table} (k TEXT PRIMARY KEY, store_json TEXT NOT NULL, updated_at INTEGER) STRICT")
    conn.execute(f"INSERT INTO {table} VALUES ('other', '{{}}', 1), (?, ?, 2)", (key, json.dumps(document)))
    conn.commit()
    return conn


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_a_state_directory_of_a_gateway_that_runs_is_read_with_what_its_log_has(tmp_path: Path) -> None:
    shared = tmp_path / "state" / "openclaw.sqlite"
    own = tmp_path / "agents" / "main" / "agent" / "openclaw-agent.sqlite"
    old = tmp_path / "agents" / "old" / "agent" / "auth-profiles.json"
    old.parent.mkdir(parents=True)
    old.write_text(json.dumps(OLD))
    with (
        closing(database(shared, "config_machine_state", "authProfiles.store", SHARED)),
        closing(database(own, "auth_profile_store", "primary", OWN)),
    ):
        assert Path(f"{shared}-wal").stat().st_size > 0, "what is written lies in the log still"
        before = everything(tmp_path)
        found = {one.login.profile_id: (one.file, one.login.access) for one in find_logins("openclaw", tmp_path)}
        assert everything(tmp_path) == before
        texts = read_texts("openclaw", tmp_path)
    assert found == {
        "anthropic:work": (shared, "canary-k"), "fake:tok": (own, "canary-t"), "old:one": (old, "canary-o"),
    }  # fmt: skip
    assert [one.profile_id for text in texts for one in read_logins("openclaw", text)] == list(found)


def test_a_change_of_a_database_is_seen_while_it_is_in_its_log_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "openclaw.sqlite"
    with closing(database(path, "config_machine_state", "authProfiles.store", SHARED)) as conn:
        before = mark_of(path)
        assert mark_of(path) == before
        conn.execute("UPDATE config_machine_state SET updated_at = 3")
        conn.commit()
        assert mark_of(path) != before
    assert mark_of(tmp_path / "none") is None


def test_one_file_is_read_alone(tmp_path: Path) -> None:
    file = tmp_path / "oauth_creds.json"
    file.write_text('{"access_token": "canary-a", "refresh_token": "r"}')
    [one] = find_logins("gemini", file)
    assert (one.file, one.login.access) == (file, "canary-a")


def test_what_cannot_be_read_is_told_without_what_it_holds(tmp_path: Path) -> None:
    odd = {"text": b"canary", "json": b'{"canary": 1}', "sqlite": b"SQLite format 3\x00canary" * 100}
    for name, data in odd.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Invalid) as caught:
            find_logins("openclaw", tmp_path / name)
        assert "canary" not in caught.value.detail and str(tmp_path / name) in caught.value.detail
    (tmp_path / "large").write_bytes(b" " * 2_000_000)
    os.mkfifo(tmp_path / "fifo")
    for name, words in (
        ("large", "too large"),
        ("fifo", "no file"),
        ("none", "No such file"),
        (".", "state directory"),
    ):
        with pytest.raises(Invalid, match=words):
            find_logins("openclaw", tmp_path / name)


def test_of_a_directory_what_is_good_is_taken(tmp_path: Path) -> None:
    for name, text in (("a", "broken"), ("b", json.dumps(OLD))):
        file = tmp_path / "agents" / name / "agent" / "auth-profiles.json"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    assert [one.login.profile_id for one in find_logins("openclaw", tmp_path)] == ["old:one"]
