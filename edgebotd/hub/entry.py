"""One released event with its frames: encoded once, shared by every stream that may see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from edgebotd.access import AccessClass, Grant, Principal
from edgebotd.events import ALL, CATALOGUE, Alert, BotEvent, ChatDelta, Event, Kept, Row, encode, row_of


class EventRefused(ValueError):
    """The event may not travel: wrong model or bot, or text that is no Unicode. The publisher's bug or input."""


def check(bot_id: str, event: Event) -> Row:
    """Return the event's row, or refuse what does not belong to the bot.

    Raises:
        EventRefused: not an event of the catalogue, or not one of this bot.
    """
    try:
        row = row_of(event)
    except (KeyError, AttributeError):
        raise EventRefused(f"{type(event).__name__} is not in the catalogue of events") from None
    if type(event) is not row.model:
        raise EventRefused(f"{event.type} is a {row.model.__name__}, not a {type(event).__name__}")
    owner = event.bot_id if isinstance(event, BotEvent | Alert) else None
    if bot_id != (owner or ALL):
        raise EventRefused(f"{event.type} is an event of {owner or ALL!r}, not of {bot_id!r}")
    return row


def to_json(event: Event) -> bytes:
    """Return the event as one line of JSON in UTF-8.

    Raises:
        EventRefused: the event holds text that is no Unicode (CHANNEL S25).
    """
    try:
        return encode(event).encode()
    except (ValueError, TypeError) as exc:  # pydantic's serialization error and UnicodeEncodeError are ValueErrors
        raise EventRefused(f"{event.type} cannot be encoded: {exc}") from exc


@dataclass(frozen=True)
class Watched:
    """Which bots a stream, or anybody, watches (CHANNEL C16): producers work only for these."""

    logs: frozenset[str] = frozenset()
    stats: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.logs or self.stats)

    def may(self, principal: Principal) -> Watched:
        """Return what of it a principal may watch: logs of the bots it operates, resource use of those it sees."""
        logs = frozenset(bot_id for bot_id in self.logs if principal.grant_on(bot_id) is Grant.OPERATE)
        return Watched(logs, frozenset(principal.visible(self.stats)))


NOTHING_WATCHED: Final = Watched()


class Audience:
    """Who a stream speaks to, as far as events must know. Streams of equal audiences share their bytes."""

    __slots__ = ("access", "types", "watched")

    def __init__(
        self, access: AccessClass, types: frozenset[str] | None = None, watched: Watched = NOTHING_WATCHED
    ) -> None:
        self.access = access
        self.types = types
        self.watched = watched


class Entry:
    """A released event.

    Attributes:
        seq: position within this life of the daemon.
        event: kept only while something must look into it again (views, rights, merging); the frame has the rest.
        before: where each class has its own view of it, the event of the same key before it.
        size: bytes that it takes in a queue, as an estimate where each class has its own view.
    """

    __slots__ = ("_data_at", "_frame", "_json", "_views", "before", "bot_id", "event", "row", "seq", "size", "type")

    def __init__(self, seq: int, bot_id: str, event: Event, row: Row, json: bytes) -> None:
        self.seq = seq
        self.bot_id = bot_id
        self.type = event.type
        self.row = row
        self.size = len(json) + 64
        self.event: Event | None = event
        self.before: Event | None = None
        self._json: bytes | None = json
        self._frame = b""
        self._data_at = 0
        self._views: dict[AccessClass, bytes] | None = {} if row.view is not None else None

    @property
    def cursor(self) -> str:
        """The sealed cursor that the frame carries."""
        return self._frame[4 : self._data_at - 1].decode()

    @property
    def journalled(self) -> bool:
        """Whether a restart keeps it."""
        return self.row.kept is Kept.JOURNAL

    def sealed(self, cursor: str) -> None:
        """Set the cursor that the frame carries; the JSON alone is dropped where the frame holds it."""
        head = b"id: %b\n" % cursor.encode()
        self._data_at = len(head)
        if self.row.view is None and self._json is not None:
            self._frame = b"%bdata: %b\n\n" % (head, self._json)
            self._json = None
        else:
            self._frame = head

    def settle_event(self) -> None:
        """Let the event go once it is released, where only its frame is needed from now on."""
        row = self.row
        if row.allowed is None and row.view is None and row.latest is None and self.type != "chat-delta":
            self.event = None

    def visible(self, audience: Audience) -> bool:
        """Whether this audience may see it at all; for rows with a view, `data` has the last word."""
        if audience.types is not None and self.type not in audience.types:
            return False
        access = audience.access
        if self.bot_id != ALL and not access.sees(self.bot_id):
            return False
        row = self.row
        if row.watched is not None and not self._is_watched(row.watched, audience):
            return False
        return row.allowed is None or row.allowed(self.event, access)

    def _is_watched(self, what: Literal["logs", "stats"], audience: Audience) -> bool:
        if what == "logs":
            return self.bot_id in audience.watched.logs and audience.access.operates(self.bot_id)
        return self.bot_id in audience.watched.stats

    def frame(self, audience: Audience, count: Callable[[], None]) -> bytes:
        """Return the frame with its id, or nothing where this audience does not see the event."""
        if not self.visible(audience):
            return b""
        if self.row.view is None:
            return self._frame
        if self._looks_as_before(audience.access):
            return b""
        data = self._view(audience.access, count)
        return self._frame + data if data else b""

    def data(self, audience: Audience, count: Callable[[], None]) -> bytes:
        """Return the frame without an id, as a snapshot has it, or nothing."""
        if not self.visible(audience):
            return b""
        if self.row.view is None:
            return self._frame[self._data_at :]
        return self._view(audience.access, count)

    def json(self, audience: Audience, count: Callable[[], None]) -> bytes:
        """Return the bare JSON, as a snapshot in a poll's answer has it, or nothing."""
        return self.data(audience, count)[6:-2]

    def news(self, audience: Audience, count: Callable[[], None]) -> bytes:
        """Return the bare JSON where the frame is sent, or nothing."""
        return b"" if self._looks_as_before(audience.access) else self.json(audience, count)

    def whole(self) -> Entry:
        """Return it for a stream that may not have had the one before it."""
        if self.before is None:
            return self
        copy = Entry(self.seq, self.bot_id, self._known_event(), self.row, self._json or b"")
        copy.sealed(self.cursor)
        copy.forget_views()
        return copy

    def forget_views(self) -> None:
        """Stop caching what each class sees: the event is no longer the newest of its key."""
        self._views = None

    def _looks_as_before(self, access: AccessClass) -> bool:
        """Whether what changed is hidden from this class: a frame would tell that something happened (CHANNEL C6)."""
        view = self.row.view
        return (
            self.before is not None
            and view is not None
            and view(self.before, access) == view(self._known_event(), access)
        )

    def _known_event(self) -> Event:
        assert self.event is not None
        return self.event

    def _view(self, access: AccessClass, count: Callable[[], None]) -> bytes:
        views = self._views
        if views is not None and (known := views.get(access)) is not None:
            return known
        assert self.row.view is not None
        assert self.event is not None
        seen = self.row.view(self.event, access)
        if seen is None:
            data = b""
        elif seen == self.event and self._json is not None:
            data = b"data: %b\n\n" % self._json
        else:
            count()
            data = b"data: %b\n\n" % to_json(seen)
        if views is not None:
            views[access] = data
        return data


def require_unicode(delta: ChatDelta) -> None:
    """Pass a delta whose text can be sent; it is encoded only later, when nobody can be told any more.

    Raises:
        EventRefused: it cannot (CHANNEL S25).
    """
    try:
        delta.text.encode()
        delta.run_id.encode()
    except UnicodeEncodeError as exc:
        raise EventRefused(f"chat-delta cannot be encoded: {exc.reason}") from None


def delta_entry(delta: ChatDelta) -> Entry:
    """Return a delta that leaves now, perhaps merged of several, as an entry without a position."""
    return Entry(0, delta.bot_id, delta, CATALOGUE[delta.type], to_json(delta))
