"""Lines of the log: their forms, the journal's protocol on a real socket, and that no registered secret comes out."""

import io
import json
import logging
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd import logs

SECRET = 's3cret "quoted"\\and/slashed'
logger = logging.getLogger("edgebotd.test")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in logs.QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def secret() -> Iterator[str]:
    logs.register_secret(SECRET)
    yield SECRET
    logs.forget_secret(SECRET)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.settimeout(5)
        yield listener


def decode_entry(data: bytes) -> dict[str, str]:
    """Read an entry as journald does."""
    entry = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        entry[name.decode()] = value.decode()
    return entry


def test_text_is_one_line_with_fields_and_an_indented_traceback() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream=stream)
    try:
        raise LookupError("gone")
    except LookupError:
        logger.exception("run failed", extra={"bot_id": "anna", "run_id": "r1"})
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR   edgebotd.test: run failed bot_id=anna run_id=r1")
    assert rest[-1] == "    LookupError: gone" and all(line.startswith("    ") for line in rest)


def test_a_message_cannot_forge_a_second_line_or_speak_to_the_terminal() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream=stream)
    logger.info("from %s", "x\nINFO edgebotd: all is well\x1b[2J", extra={"name_": "a\r\nb\u2028c"})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue() and "\\x1b[2J" in stream.getvalue()


def test_json_is_one_object_a_line_and_no_field_passes_for_a_part_of_the_frame() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream)
    logger.warning("full\nqueue", extra={"bot_id": "anna", "waiting": 3, "level": "none"})
    [line] = stream.getvalue().splitlines()
    document = json.loads(line)
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "warning",
        "logger": "edgebotd.test",
        "message": "full\nqueue",
        "bot_id": "anna",
        "waiting": 3,
    }


@pytest.mark.parametrize(("level", "written"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_lines_below_the_level_are_not_written(level: str, written: int) -> None:
    stream = io.StringIO()
    logs.configure(level, "text", stream=stream)  # type: ignore[arg-type] # a literal of the parameters above
    for each in (logger.debug, logger.info, logger.warning, logger.error):
        each("line")
    assert stream.getvalue().count("\n") == written


def test_the_headers_of_an_http_2_request_are_in_no_line() -> None:
    stream = io.StringIO()
    logs.configure("debug", "text", stream=stream)
    block = hpack.Encoder().encode([("authorization", "Bearer canary"), ("cookie", "edgebotd_session=canary")])
    assert len(list(hpack.Decoder().decode(block))) == 2
    logger.debug("the end")
    assert stream.getvalue().count("\n") == 1


def test_configuring_again_replaces_the_first_handler() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", "text", stream=first)
    logs.configure("info", "text", stream=second)
    logger.info("once")
    assert first.getvalue() == "" and second.getvalue().count("once") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_registered_secret_comes_out_of_no_part_of_a_line(form: logs.Format, secret: str) -> None:
    stream = io.StringIO()
    logs.configure("info", form, stream=stream)
    try:
        try:
            raise KeyError(secret)
        except KeyError as exc:
            exc.add_note(f"noted: {secret}")
            raise ExceptionGroup("several", [ValueError(f"token {secret} refused")]) from exc
    except ExceptionGroup:
        logger.exception("with %s", secret, extra={"token": secret, "nested": {"token": secret}})
    logger.info("GET /?token=s3cret%20%22quoted%22%5Cand%2Fslashed")
    assert "s3cret" not in stream.getvalue() and "slashed" not in stream.getvalue()
    assert stream.getvalue().count(logs.REDACTED) >= 6


def test_a_line_that_cannot_be_formatted_names_its_place_and_not_its_arguments(
    secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    handler = logs.configure("info", "text", stream=stream)
    # Straight to the handler: pytest's own one on the root logger raises instead.
    handler.handle(logger.makeRecord(logger.name, logging.INFO, __file__, 1, "%d", (secret,), None))
    assert "s3cret" not in stream.getvalue() + "".join(capsys.readouterr())
    assert "test_logs.py" in stream.getvalue() and "TypeError" in stream.getvalue()


def test_a_forgotten_secret_is_no_longer_looked_for_and_a_short_one_never() -> None:
    logs.register_secret(b"once-valid")
    assert logs.redact("once-valid") == logs.REDACTED
    logs.forget_secret(b"once-valid")
    assert logs.redact("once-valid") == "once-valid"
    for short in ("", "a", "the"):
        logs.register_secret(short)
    assert logs.redact("the a") == "the a"


def test_many_secrets_are_added_and_looked_for_quickly() -> None:
    secrets, text = logs.Secrets(), "a line of a log " * 20
    started = time.process_time()
    for number in range(600):
        secrets.add(f"{number:04}-" + "s3cret" * 12)
        assert secrets.redact(text) == text
    assert secrets.redact("0599-" + "s3cret" * 12) == logs.REDACTED
    # Compiled into one pattern for each line it was over ten seconds.
    assert time.process_time() - started < 5


def test_each_line_of_a_key_is_a_secret_too() -> None:
    key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\nq83vEjRWeJCrze8SNFZ4kA\n-----END KEY-----\n"
    logs.register_secret(key)
    try:
        assert (
            logs.redact("  | q83vEjRWeJCrze8SNFZ4kA and -----BEGIN KEY-----")
            == "  | [redacted] and -----BEGIN KEY-----"
        )
    finally:
        logs.forget_secret(key)


@given(
    values=st.lists(st.text(min_size=logs.SHORTEST_SECRET, max_size=20), min_size=1, max_size=4),
    around=st.tuples(st.text(max_size=10), st.text(max_size=10)),
)
def test_whatever_secrets_are_registered_none_stays_in_a_text(values: list[str], around: tuple[str, str]) -> None:
    secrets = logs.Secrets()
    for value in values:
        secrets.add(value)
    for value in values:
        # Put in anew each time: redaction must not depend on what stands around a value.
        assert value not in secrets.redact(f"{around[0]}{value}{around[1]}").replace(logs.REDACTED, "\0")


def test_the_journal_gets_fields_a_priority_and_the_place(tmp_path: Path, journal: socket.socket, secret: str) -> None:
    stream = io.StringIO()
    logs.configure("info", "journal", stream=stream, journal=tmp_path / "journal")
    logger.warning("two\nlines %s", secret, extra={"bot_id": "anna", "odd-name": secret})
    entry = decode_entry(journal.recv(65536))
    assert entry.pop("CODE_LINE").isdigit() and entry.pop("CODE_FILE") == __file__
    assert entry == {
        "MESSAGE": "two\nlines [redacted]",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "edgebotd",
        "CODE_FUNC": "test_the_journal_gets_fields_a_priority_and_the_place",
        "EDGEBOTD_LOGGER": "edgebotd.test",
        "EDGEBOTD_BOT_ID": "anna",
        "EDGEBOTD_ODD_NAME": "[redacted]",
    }
    assert stream.getvalue() == ""


def test_an_entry_that_no_datagram_holds_goes_as_a_sealed_file(tmp_path: Path, journal: socket.socket) -> None:
    logs.configure("info", "journal", stream=io.StringIO(), journal=tmp_path / "journal")
    logger.info("x" * 4_000_000)
    data, descriptors, _, _ = socket.recv_fds(journal, 16, 4)
    assert data == b"" and len(descriptors) == 1
    with os.fdopen(descriptors[0], "rb") as file:
        file.seek(0)
        assert decode_entry(file.read())["MESSAGE"] == "x" * 4_000_000


def test_without_a_journal_lines_go_to_the_stream_with_their_priority(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure("info", "journal", stream=stream, journal=tmp_path / "nothing")
    logger.error("first\nsecond")
    assert stream.getvalue() == "<3>edgebotd.test: first\\nsecond\n"


def test_a_full_journal_is_not_waited_for(tmp_path: Path, journal: socket.socket) -> None:
    stream = io.StringIO()
    logs.configure("info", "journal", stream=stream, journal=tmp_path / "journal")
    for number in range(2000):
        logger.info("line %d", number)
    taken = 0
    journal.setblocking(False)
    with suppress(BlockingIOError):
        while journal.recv(65536):
            taken += 1
    assert 0 < taken < 2000 and taken + stream.getvalue().count("\n") == 2000


def test_the_journal_is_chosen_only_where_the_stream_goes_there(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        inherited = {"JOURNAL_STREAM": "1:2"}
        matching = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert logs.is_journal(stream, matching)
        assert not logs.is_journal(stream, inherited) and not logs.is_journal(io.StringIO(), matching)
        chosen = logs.configure("info", "auto", stream=stream, journal=tmp_path / "journal", environ=matching)
        assert isinstance(chosen, logs.JournalHandler)
        chosen = logs.configure("info", "auto", stream=stream, environ=inherited)
        assert not isinstance(chosen, logs.JournalHandler)


UNCAUGHT = """
import threading
from edgebotd import logs
logs.configure("info", "text")
logs.log_uncaught()
logs.register_secret("s3cret-token")
def fail():
    raise ValueError("s3cret-token")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
class Finalized:
    def __del__(self):
        fail()
Finalized()
fail()
"""


def test_what_nothing_handles_is_logged_without_the_secret_and_still_ends_the_process() -> None:
    root = str(Path(__file__).parent.parent)
    ended = subprocess.run(
        [sys.executable, "-c", UNCAUGHT], env={"PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.count("ValueError: [redacted]") == 3 and "s3cret" not in ended.stderr
