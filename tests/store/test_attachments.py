"""Attachments: each file once, by its SHA-256; readable by us alone; gone only when nobody has it."""

import hashlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from edgebotd.store import attachments
from edgebotd.store.attachments import Attachment, Link

DATA = b"a file"
SHA = hashlib.sha256(DATA).hexdigest()


def stored(conn: sqlite3.Connection, sha256: str, created_at: int = 100) -> None:
    attachments.add(conn, Attachment(sha256, 6, "text/plain", created_at))


def age(root: Path, sha256: str, milliseconds: int) -> None:
    os.utime(attachments.path_of(root, sha256), (milliseconds / 1000, milliseconds / 1000))


def test_a_file_is_stored_once_under_its_hash_and_comes_back(tmp_path: Path) -> None:
    assert attachments.save(tmp_path, DATA) == SHA
    first = attachments.path_of(tmp_path, SHA).stat().st_ino
    assert attachments.save(tmp_path, DATA) == SHA
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [SHA]
    assert attachments.path_of(tmp_path, SHA).stat().st_ino == first
    assert attachments.load(tmp_path, SHA) == DATA


def test_files_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        attachments.save(tmp_path / "attachments", DATA)
    finally:
        os.umask(before)
    path = attachments.path_of(tmp_path / "attachments", SHA)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        attachments.save(tmp_path, DATA)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(FileNotFoundError):
        attachments.load(tmp_path, SHA)


def test_what_a_crash_left_half_written_is_swept_and_nothing_else(tmp_path: Path) -> None:
    attachments.save(tmp_path, DATA)
    (tmp_path / SHA[:2] / "0123456789abcdef.part").write_bytes(b"a f")
    assert attachments.sweep(tmp_path) == 1
    assert attachments.load(tmp_path, SHA) == DATA
    assert attachments.sweep(tmp_path / "not there yet") == 0


def test_the_first_row_of_a_file_stays(conn: sqlite3.Connection) -> None:
    stored(conn, SHA, 100)
    attachments.add(conn, Attachment(SHA, 6, "text/html", 200))
    assert attachments.get(conn, SHA) == Attachment(SHA, 6, "text/plain", 100)
    assert attachments.get(conn, "0" * 64) is None


def test_bots_and_names_of_a_file_come_from_its_links(conn: sqlite3.Connection) -> None:
    stored(conn, SHA)
    attachments.link(conn, SHA, "anna", "m1", "a.txt")
    attachments.link(conn, SHA, "anna", "m1", "a.txt")
    attachments.link(conn, SHA, "bert", "m2", "b.txt")
    assert attachments.bots_of(conn, SHA) == {"anna", "bert"}
    assert attachments.link_of(conn, SHA, ["bert"]) == Link("bert", "m2", "b.txt")
    assert attachments.link_of(conn, SHA, ["carl", "anna"]) == Link("anna", "m1", "a.txt")
    assert attachments.link_of(conn, SHA, ["carl"]) is None


def test_a_link_to_a_file_without_a_row_is_refused(conn: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        attachments.link(conn, SHA, "anna", "m1", "a.txt")


def test_orphans_are_old_files_without_a_link_and_only_those_can_be_forgotten(conn: sqlite3.Connection) -> None:
    linked, old, young = "1" * 64, "2" * 64, "3" * 64
    for sha256, at in ((linked, 10), (old, 10), (young, 100)):
        stored(conn, sha256, at)
    attachments.link(conn, linked, "anna", "m1", "a.txt")
    assert attachments.orphans(conn, 100) == [old]
    assert not attachments.forget(conn, linked)
    assert attachments.get(conn, linked) is not None
    assert attachments.forget(conn, old)
    assert not attachments.forget(conn, old)
    assert attachments.orphans(conn, 100) == []


def test_a_forgotten_file_is_removed_unless_it_was_saved_again(tmp_path: Path) -> None:
    attachments.save(tmp_path, DATA)
    age(tmp_path, SHA, 5_000)
    # The same bytes come again, between the look at the rows and the removal: a message will link them.
    attachments.save(tmp_path, DATA)
    assert not attachments.remove_file(tmp_path, SHA, 10_000)
    assert attachments.load(tmp_path, SHA) == DATA
    age(tmp_path, SHA, 5_000)
    assert attachments.remove_file(tmp_path, SHA, 10_000)
    assert not attachments.remove_file(tmp_path, SHA, 10_000)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
