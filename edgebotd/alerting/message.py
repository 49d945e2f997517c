"""What is sent: an alert that opened or was mended, what the quiet hours held back, or a test. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter

from edgebotd.events import Alert
from edgebotd.logs import redact
from edgebotd.store.deliveries import Delivery, Severity

MOST_LINES: Final = 30
"""Of a summary; the rest is counted."""
ALERTS: Final[TypeAdapter[list[Alert]]] = TypeAdapter(list[Alert])


@dataclass(frozen=True)
class Message:
    """One message, for a person and for a program.

    Attributes:
        id: the same in each attempt, so that a receiver can leave out what it has.
        url: of the page, where people reach it.
        at: when it happened, Unix milliseconds.
    """

    id: str
    kind: Literal["open", "resolved", "summary", "test"]
    severity: Severity
    title: str
    text: str
    at: int
    alerts: tuple[Alert, ...] = ()
    url: str | None = None


def message_of(delivery: Delivery, page: str | None) -> Message:
    """Return what a delivery says."""
    if delivery.kind == "summary":
        alerts = tuple(map(_shown, ALERTS.validate_json(delivery.data)))
        return _summary(delivery, alerts, page)
    alert = _shown(Alert.model_validate_json(delivery.data))
    title = alert.title if alert.state == "open" else f"Mended: {alert.title}"
    url = None if page is None else f"{page}/bots/{alert.bot_id}" if alert.bot_id else f"{page}/"
    text = alert.detail or ("It needs somebody." if alert.state == "open" else "Nothing is left to do.")
    return Message(str(delivery.id), delivery.kind, delivery.severity, title, text, alert.at, (alert,), url)


def trial(message_id: str, name: str, at: int, page: str | None) -> Message:
    """Return what the test button sends."""
    text = f"This is a test of the channel '{name}'. Alerts will come like this."
    return Message(message_id, "test", "info", "edgebotd can reach you", text, at, (), page and f"{page}/")


def _summary(delivery: Delivery, alerts: tuple[Alert, ...], page: str | None) -> Message:
    still = sum(alert.state == "open" for alert in alerts)
    title = f"{_counted(len(alerts))} in the quiet hours, {still or 'none'} still open"
    lines = [f"{'open' if alert.state == 'open' else 'mended'}: {alert.title}" for alert in alerts[:MOST_LINES]]
    if len(alerts) > MOST_LINES:
        lines.append(f"and {len(alerts) - MOST_LINES} more")
    return Message(
        str(delivery.id),
        "summary",
        delivery.severity,
        title,
        "\n".join(lines),
        delivery.created_at,
        alerts,
        page and f"{page}/",
    )


def _counted(count: int) -> str:
    return "One alert" if count == 1 else f"{count} alerts"


def _shown(alert: Alert) -> Alert:
    # Whoever told it has kept secrets out; a channel is outside of the house, so it is looked at once more.
    detail = None if alert.detail is None else redact(alert.detail)
    return alert.model_copy(update={"title": redact(alert.title), "detail": detail})
