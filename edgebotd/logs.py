"""Logging: where lines go, in which form, and that no secret goes with them.

Lines are written with the standard `logging`; structured fields go in `extra=`, for example
`logger.info("run finished", extra={"bot_id": bot_id, "run_id": run_id})`, and become fields of the journal or members
of the JSON. Under systemd lines take the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), so
that `journalctl EDGEBOTD_BOT_ID=...` finds them; elsewhere they go to standard error, one record a line.
"""

import array
import errno
import fcntl
import json
import logging
import os
import re
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, TextIO
from urllib.parse import quote

from typing_extensions import override

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")
REDACTED: Final = "[redacted]"
# Below this a "secret" is a part of ordinary words: to redact it would spoil every line and tell what it is.
SHORTEST_SECRET: Final = 4
# A line of a longer secret, such as a PEM key; shorter ones are its frame or tail.
SHORTEST_SECRET_LINE: Final = 16
# The first two write every request of ours at INFO, with its URL; the third each header of an HTTP/2 request at DEBUG,
# a cookie and a token as they came.
QUIET_LOGGERS: Final = ("httpx2", "httpcore2", "hpack")
# What every record has; the rest came in through `extra=`.
_RECORD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# C0, DEL, C1 and the Unicode line separators: in a line of a terminal or a file they could forge another line.
_CONTROLS: Final = {
    code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029) if code != 0x09
}

Format = Literal["auto", "text", "json", "journal"]


class Secrets:
    """The values that must not come out, in each spelling in which they might. Safe to use from several threads.

    Logins come and go by the hundred, so adding one costs nothing but its spellings: a pattern of all takes a tenth of
    a second to compile, one of those that a text holds is small, and looking for them is quicker than the pattern was.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, frozenset[str]] = {}
        self._ordered: tuple[str, ...] | None = ()

    def add(self, value: str) -> None:
        if len(value) >= SHORTEST_SECRET and value not in self._values:
            spellings = frozenset(_spellings(value))
            with self._lock:
                self._values[value] = spellings
                self._ordered = None

    def discard(self, value: str) -> None:
        with self._lock:
            if self._values.pop(value, None) is not None:
                self._ordered = None

    def redact(self, text: str) -> str:
        found = [spelling for spelling in self._all() if spelling in text]
        return re.sub("|".join(map(re.escape, found)), REDACTED, text) if found else text

    def _all(self) -> tuple[str, ...]:
        if (ordered := self._ordered) is None:
            with self._lock:
                # Longest first: of a secret that holds another one nothing may stay.
                spellings = set().union(*self._values.values())
                ordered = self._ordered = tuple(sorted(spellings, key=lambda spelling: (-len(spelling), spelling)))
        return ordered


def _spellings(value: str) -> set[str]:
    """How a value looks raw, in a repr (that of a KeyError, say), in JSON and in a URL."""
    lines = {line.strip() for line in value.splitlines() if len(line.strip()) >= SHORTEST_SECRET_LINE}
    lines = {line for line in lines if not line.startswith("-----")}
    return {value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe=""), quote(value)} | lines


_secrets = Secrets()


def register_secret(value: str | bytes) -> None:
    """Let a value never come out in a line, an exception's text or a field from now on.

    To be called wherever a secret comes into the process. Values of fewer than 4 characters are not looked for.
    """
    _secrets.add(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)


def forget_secret(value: str | bytes) -> None:
    """Stop looking for a value that is no longer valid, so that the list does not grow with each renewed token."""
    _secrets.discard(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)


def redact(text: str) -> str:
    """Return the text with each registered secret replaced by `[redacted]`."""
    return _secrets.redact(text)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what the caller gave in `extra=`."""
    return {name: value for name, value in vars(record).items() if name not in _RECORD_ATTRIBUTES}


def _exception_text(record: logging.LogRecord) -> str:
    parts = traceback.format_exception(*record.exc_info) if record.exc_info and record.exc_info[0] else []
    return "".join([*parts, record.stack_info or ""]).rstrip("\n")


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def priority_of(level: int) -> int:
    """Return the syslog priority (RFC 5424 section 6.2.1) of a logging level."""
    for least, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        if level >= least:
            return priority
    return 7


class TextFormatter(logging.Formatter):
    """One record a line, for people; only a traceback takes more, each of its lines indented.

    Args:
        prefixed: put `<N>`, the syslog priority, before each line, as sd-daemon(3) understands it.
    """

    def __init__(self, *, prefixed: bool = False) -> None:
        super().__init__()
        self._prefixed = prefixed

    @override
    def format(self, record: logging.LogRecord) -> str:
        words = [redact(record.getMessage()).translate(_CONTROLS)]
        words += [f"{name}={redact(str(value))}".translate(_CONTROLS) for name, value in fields_of(record).items()]
        # The journal has its own clock; a line with a prefix goes there.
        head = [] if self._prefixed else [_time_of(record), f"{record.levelname:<7}"]
        lines = [" ".join([*head, f"{record.name}:", *words])]
        lines += ["    " + line.translate(_CONTROLS) for line in redact(_exception_text(record)).splitlines()]
        prefix = f"<{priority_of(record.levelno)}>" if self._prefixed else ""
        return "\n".join(prefix + line for line in lines)


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields, and the traceback as `exception`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {name: _plain(value) for name, value in fields_of(record).items()}
        # After the fields: none of them may pass for one of these.
        document |= {"time": _time_of(record), "level": record.levelname.lower(), "logger": record.name}
        document["message"] = redact(record.getMessage())
        if exception := redact(_exception_text(record)):
            document["exception"] = exception
        return json.dumps(document, ensure_ascii=True)


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float)) else redact(str(value))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a text stream; what cannot be formatted or written shows itself without its arguments."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        # The inherited method prints the arguments, secrets too. The place in the code is enough to find the mistake.
        kind = sys.exc_info()[0]
        reason = kind.__name__ if kind else "an error"
        try:
            self.stream.write(f"edgebotd: a log line of {record.pathname}:{record.lineno} failed with {reason}\n")
            self.stream.flush()
        except (OSError, ValueError):
            pass  # nowhere left to say it


class JournalHandler(_Handler):
    """Writes entries with fields to the journal; to `stream`, with `<N>` prefixes, what the journal does not take.

    Never waits: an entry that the journal's full socket does not take at once goes to the stream as well.
    """

    def __init__(self, stream: TextIO, path: Path = JOURNAL_SOCKET) -> None:
        super().__init__(stream)
        self.setFormatter(TextFormatter(prefixed=True))
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(encode_entry(entry_of(record)))
        except OSError:
            super().emit(record)
        except Exception:  # noqa: BLE001 # whatever a field's __str__ raises: the contract of logging.Handler.emit
            self.handleError(record)

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, self._path)
        except OSError as exc:
            if exc.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_as_file(entry)

    def _send_as_file(self, entry: bytes) -> None:
        # The protocol's way for what a datagram does not hold: a sealed memory file, handed over.
        descriptor = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(descriptor, "wb") as file:
            file.write(entry)
            file.flush()
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
            self._socket.sendmsg([], [rights], 0, self._path)

    @override
    def close(self) -> None:
        self._socket.close()
        super().close()


def entry_of(record: logging.LogRecord) -> dict[str, str]:
    """Return the journal's fields of a record, redacted; those of `extra=` are named EDGEBOTD_..."""
    message = redact(record.getMessage())
    if exception := redact(_exception_text(record)):
        message += "\n" + exception
    entry = {
        "MESSAGE": message,
        "PRIORITY": str(priority_of(record.levelno)),
        "SYSLOG_IDENTIFIER": "edgebotd",
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
        "EDGEBOTD_LOGGER": record.name,
    }
    for name, value in fields_of(record).items():
        # The journal drops an entry's field whose name has other characters or more than 64 of them.
        entry["EDGEBOTD_" + re.sub(r"[^A-Z0-9_]", "_", name.upper())[:55]] = redact(str(value))
    return entry


def encode_entry(entry: Mapping[str, str]) -> bytes:
    """Encode one entry of the native protocol: `NAME=value`, or the length in front of a value with line breaks."""
    encoded = bytearray()
    for name, value in entry.items():
        data = value.encode("utf-8", "backslashreplace")
        separated = b"\n" + struct.pack("<Q", len(data)) + data if b"\n" in data else b"=" + data
        encoded += name.encode() + separated + b"\n"
    return bytes(encoded)


def is_journal(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether a stream goes to the journal: $JOURNAL_STREAM is its `device:inode` (systemd.exec(5)).

    The variable alone says nothing, it is inherited by a shell whose output went elsewhere.
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (os.environ if environ is None else environ).get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Format = "auto",
    *,
    stream: TextIO | None = None,
    journal: Path = JOURNAL_SOCKET,
    environ: Mapping[str, str] | None = None,
) -> logging.Handler:
    """Send all lines from `level` up to the journal or to `stream` (standard error); replaces what an earlier call set.

    Returns: the handler in use. `journal` where there is none falls back to lines with `<N>` prefixes.
    """
    stream = sys.stderr if stream is None else stream
    if form == "auto":
        form = "journal" if is_journal(stream, environ) else "text"
    handler: logging.Handler
    if form == "journal":
        handler = JournalHandler(stream, journal)
    else:
        handler = _Handler(stream)
        handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    return handler


def log_uncaught() -> None:
    """Let what ends the process or a thread, or is raised in a finalizer, go through the log, where it is redacted."""
    logger = logging.getLogger("edgebotd")

    def uncaught(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, exc, trace)
        else:
            logger.critical("ended by an error that nothing handles", exc_info=(kind, exc, trace))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            logger.critical("a thread ended by an error that nothing handles", exc_info=args.exc_value)

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        logger.error("an error that could not be raised: %s", args.err_msg, exc_info=args.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable
