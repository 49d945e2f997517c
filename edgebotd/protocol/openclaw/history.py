"""What `chat.history` and `sessions.list` tell, folded into messages: one of the user, or one per run of the bot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgebotd.protocol import run as vocabulary
from edgebotd.protocol.fields import (
    integer,
    json_value,
    mapping,
    milliseconds,
    objects,
    string,
    strings,
    text_of,
    words,
)
from edgebotd.protocol.openclaw.frames import canonical_session_key
from edgebotd.protocol.run import Outcome, PastMessage, SessionSeen

WHOLE_TEXT = 500_000
"""`maxChars` to ask for: without it the gateway cuts each text at 8,000 characters."""

_TRUNCATED = "\n...(truncated)..."
# What the gateway writes before a user's text for its model; some versions keep it in the row.
_ENVELOPE = re.compile(
    r"\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? [A-Za-z0-9+:_/-]{1,32}\] "
)
_INTERNAL_CONTEXT = re.compile(
    r"\s*<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT.*?(?:<<<END_OPENCLAW_INTERNAL_CONTEXT[^\n]*|\Z)", re.S
)
_OWN_SUFFIXES = (":user", ":assistant", ":assistant-media", ":terminal-error")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the gateway's transcript, read tolerantly."""

    id: str
    role: str
    parts: tuple[dict[str, Any], ...]
    run_id: str | None
    at_ms: int | None
    outcome: Outcome
    truncated: bool
    internal: bool
    merged_into: str | None
    """The run into which this user message was steered."""


@dataclass(frozen=True, slots=True)
class History(vocabulary.History):
    """The gateway's account of one session. `messages` are oldest first.

    An assistant message whose outcome is `INTERRUPTED` stopped between two steps: its run still works (see
    `is_running`), or died there.
    """

    rows: tuple[Row, ...] = ()
    has_active_run: bool = False
    tells_activity: bool = False
    """Whether it says what runs; 2026.5.28's does not."""
    last_run_id: str | None = None
    total: int | None = None
    merged_run_ids: frozenset[str] = frozenset()
    truncated_row_ids: tuple[str, ...] = ()
    """Rows whose text the gateway cut; `chat.message.get` has the whole."""

    def is_running(self, run_id: str) -> bool:
        """Tell whether the gateway works on this run.

        Where it says only that something runs, a run without a reply is taken to be the one.
        """
        if run_id == self.in_flight_run_id or run_id in self.active_run_ids:
            return True
        known = self.in_flight_run_id is not None or bool(self.active_run_ids)
        return self.has_active_run and not known and self.reply_to(run_id) is None and not self.was_merged(run_id)

    def reply_to(self, run_id: str) -> PastMessage | None:
        """Return what the bot said in a run."""
        return next((m for m in self.messages if m.run_id == run_id and m.role == "assistant"), None)

    def was_merged(self, run_id: str) -> bool:
        """Tell whether the message of a run was answered inside another one."""
        return run_id in self.merged_run_ids


def parse_history(payload: object, *, agent_id: str = "main", main_key: str = "main") -> History:
    """Read the payload of the response to `chat.history`."""
    history = mapping(payload)
    info, flight = mapping(history.get("sessionInfo")), mapping(history.get("inFlightRun"))
    key = string(info.get("key")) or string(history.get("sessionKey")) or ""
    session_key = canonical_session_key(key, agent_id=agent_id, main_key=main_key)
    rows = tuple(row for value in objects(history.get("messages")) if (row := parse_row(value)) is not None)
    in_flight = _run_id(flight.get("runId"))
    return History(
        session_key=session_key,
        messages=tuple(fold(rows, session_key)),
        active_run_ids=frozenset(strings(info.get("activeRunIds"))),
        in_flight_run_id=in_flight,
        in_flight_text=string(flight.get("text")) or "",
        complete=history.get("hasMore") is not True,
        rows=rows,
        tells_activity="hasActiveRun" in info or in_flight is not None,
        has_active_run=info.get("hasActiveRun") is True or in_flight is not None,
        last_run_id=_run_id(info.get("lastRunId")),
        total=integer(history.get("totalMessages")),
        merged_run_ids=frozenset(row.run_id for row in rows if row.merged_into is not None and row.run_id is not None),
        truncated_row_ids=tuple(row.id for row in rows if row.truncated),
    )


def parse_row(row: Mapping[str, Any]) -> Row | None:
    """Read one transcript row; None for one without an id or role, which cannot be kept."""
    meta = mapping(row.get("__openclaw"))
    role, row_id = words(row.get("role")), words(meta.get("id")) or words(row.get("id"))
    if role is None or row_id is None:
        return None
    parts, truncated = _parts(row, role)
    aborted = mapping(row.get("openclawAbort")).get("aborted") is True or row.get("stopReason") == "aborted"
    failed = row.get("stopReason") == "error" and role == "assistant"
    unfinished = role == "toolResult" or row.get("stopReason") == "toolUse"
    outcome = Outcome.ABORTED if aborted else Outcome.FAILED if failed else Outcome.FINISHED
    if failed:
        parts = [_error_part(row, parts)]
    return Row(
        id=row_id,
        role=role,
        parts=tuple(parts),
        run_id=_run_of(row, meta),
        at_ms=milliseconds(row.get("timestamp")) or milliseconds(meta.get("recordTimestampMs")),
        outcome=Outcome.INTERRUPTED if unfinished else outcome,
        truncated=truncated or meta.get("truncated") is True,
        internal=mapping(row.get("provenance")).get("kind") == "internal_system",
        merged_into=_run_id(meta.get("steerTargetRunId")),
    )


def fold(rows: Iterable[Row], session_key: str) -> list[PastMessage]:
    """Fold rows into messages, in the order of each message's first row.

    2026.5.28 does not say which run a row of the bot is of: it is the one of the user's row before it.
    """
    folded: list[_Folding] = []
    of_run: dict[str, _Folding] = {}
    asked: str | None = None
    open_reply: _Folding | None = None
    for row in rows:
        if row.role == "user":
            folded.append(_Folding(row, "user", row.run_id))
            # A steered message is answered by the run that was there already.
            asked = row.merged_into or row.run_id
            open_reply = None
        elif row.role in ("assistant", "toolResult"):
            run_id = row.run_id or asked
            reply = open_reply if run_id is None else of_run.get(run_id)
            if reply is None:
                reply = _Folding(row, "assistant", run_id)
                folded.append(reply)
                if run_id is not None:
                    of_run[run_id] = reply
            else:
                reply.add(row)
            open_reply = reply
        else:
            # A reset, a compaction: no message, but what follows answers nothing before it.
            asked = open_reply = None
    return [folding.message(session_key) for folding in folded]


def session_seen(row: Mapping[str, Any], *, updated_at: int | None = None) -> SessionSeen | None:
    """Read one row of `sessions.list` or of a `sessions.changed` event; None without a key."""
    key = string(row.get("key"))
    if not key:
        return None
    origin = mapping(row.get("origin"))
    return SessionSeen(
        canonical_session_key(key),
        milliseconds(row.get("updatedAt")) or updated_at,
        words(row.get("displayName")) or words(row.get("label")),
        words(origin.get("provider")) or words(row.get("channel")),
        frozenset(strings(row.get("activeRunIds"))),
    )


def busy_sessions(payload: object) -> frozenset[str]:
    """Return the keys of the sessions in which something runs, from the payload of `sessions.list`.

    2026.5.28 says `hasActiveRun: false` of a session at work; its `status` is right.
    """
    rows = objects(mapping(payload).get("sessions"))
    busy = (row for row in rows if row.get("hasActiveRun") is True or row.get("status") == "running")
    return frozenset(canonical_session_key(key) for row in busy if (key := string(row.get("key"))))


def parse_sessions(payload: object) -> tuple[list[SessionSeen], int | None]:
    """Read the payload of the response to `sessions.list`: the sessions, and the offset of the next page or None."""
    listing = mapping(payload)
    seen = [session for row in objects(listing.get("sessions")) if (session := session_seen(row)) is not None]
    return seen, integer(listing.get("nextOffset")) if listing.get("hasMore") is True else None


@dataclass(slots=True)
class _Folding:
    """A message in the making."""

    first: Row
    role: str
    run_id: str | None
    parts: list[dict[str, Any]] = field(default_factory=list)
    last: Row | None = None
    truncated: bool = False

    def __post_init__(self) -> None:
        self.add(self.first)

    def add(self, row: Row) -> None:
        if len(row.parts) > 1 and row.parts[-1]["type"] == "file" and _says_again(self.parts[-1:], row.parts[0]):
            # 2026.5.28 writes a reply with files twice: with their paths in the text, then with the files.
            self.parts.pop()
        for part in row.parts:
            if part["type"] == "toolResult" and not any(_calls(known, part["toolCallId"]) for known in self.parts):
                # 2026.5.28 leaves the calls out of its history.
                name = part["name"] or "tool"
                self.parts.append({"type": "toolCall", "toolCallId": part["toolCallId"], "name": name})
            self.parts.append(part)
        self.last = row
        self.truncated = self.truncated or row.truncated

    def message(self, session_key: str) -> PastMessage:
        last = self.last or self.first
        merged = self.role == "user" and self.first.merged_into is not None
        return PastMessage(
            key=self.first.id,
            role=self.role,
            session_key=session_key,
            parts=tuple(self.parts),
            run_id=self.run_id,
            created_at=self.first.at_ms,
            # How a run went is what its last row says: a failed attempt may be followed by a good one.
            outcome=Outcome.MERGED if merged else last.outcome,
            truncated=self.truncated,
            internal=self.first.internal,
        )


def _calls(part: dict[str, Any], tool_call_id: str) -> bool:
    return (part["type"], part.get("toolCallId")) == ("toolCall", tool_call_id)


def _says_again(last: list[dict[str, Any]], part: dict[str, Any]) -> bool:
    return bool(last) and last[0]["type"] == part["type"] == "text" and last[0]["text"].startswith(part["text"])


def _run_id(value: object) -> str | None:
    run_id = words(value)
    return run_id if run_id is not None and len(run_id) <= 128 else None


def _run_of(row: Mapping[str, Any], meta: Mapping[str, Any]) -> str | None:
    named = _run_id(meta.get("runId")) or _run_id(mapping(row.get("openclawAbort")).get("runId"))
    if named is not None:
        return named
    # `<runId>:user` and the like; the answer to a command such as /status has the bare run id.
    key = words(row.get("idempotencyKey")) or words(meta.get("idempotencyKey"))
    if key is None:
        return None
    for suffix in _OWN_SUFFIXES:
        if key.endswith(suffix):
            return _run_id(key.removesuffix(suffix))
    return _run_id(key)


def _parts(row: Mapping[str, Any], role: str) -> tuple[list[dict[str, Any]], bool]:
    content = row.get("content")
    if role == "toolResult":
        text = text_of(content, "\n")
        text, truncated = _untruncated(text or "")
        result = {
            "type": "toolResult",
            "toolCallId": string(row.get("toolCallId")) or "",
            "name": words(row.get("toolName")),
            "result": text if text or isinstance(content, str) else json_value(content),
            "isError": row.get("isError") is True,
        }
        return [result], truncated
    parts: list[dict[str, Any]] = []
    cut = False
    for part in objects([{"type": "text", "text": content}] if isinstance(content, str) else content):
        if part.get("type") == "text" and (text := string(part.get("text"))) is not None:
            if role == "user":
                text = _INTERNAL_CONTEXT.sub("", _ENVELOPE.sub("", text, count=1) if _ENVELOPE.match(text) else text)
            text, truncated = _untruncated(text)
            cut = cut or truncated
            if text.strip():
                parts.append({"type": "text", "text": text})
        elif part.get("type") == "toolCall" and (call_id := string(part.get("id"))) is not None:
            name, arguments = words(part.get("name")) or "tool", json_value(part.get("arguments"))
            parts.append({"type": "toolCall", "toolCallId": call_id, "name": name, "arguments": arguments})
        elif role == "assistant" and (file := _file_part(part)) is not None:
            parts.append(file)
    return parts, cut


def _file_part(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what an agent sent along: an image as it is, other files one level down."""
    about = mapping(part.get("attachment")) if part.get("type") == "attachment" else part
    reference, url = words(about.get("artifactId")), words(about.get("url"))
    if part.get("type") not in ("attachment", "image", "audio", "video") or (reference is None and url is None):
        return None
    return {
        "type": "file",
        "name": words(about.get("label")) or words(about.get("alt")) or "file",
        "mediaType": words(about.get("mimeType")) or "application/octet-stream",
        "size": integer(about.get("sizeBytes")),
        "reference": reference,
        "url": url,
    }


def _untruncated(text: str) -> tuple[str, bool]:
    marker = text.rfind(_TRUNCATED)
    return (text, False) if marker < 0 or marker + len(_TRUNCATED) != len(text) else (text[:marker], True)


def _error_part(row: Mapping[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Make the error part of a failed turn: 2026.9.6 puts a warning into the text, 2026.5.28 an `errorMessage`."""
    shown = " ".join(part["text"] for part in parts if part["type"] == "text").removeprefix("⚠️").strip()
    message = words(row.get("errorMessage")) or shown or "The gateway gave no reason."
    return {"type": "error", "message": message[:2000], "code": words(row.get("errorCode"))}
