"""How much of an account is used, whichever provider says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BillingType = Literal["balance", "budget", "spend"]


class UnreadableUsage(Exception):
    """What came says nothing of an account's use; the text says what is wrong with it, without quoting it."""


@dataclass(frozen=True, slots=True)
class Window:
    """One limit that starts anew.

    Attributes:
        id: `[a-z0-9][a-z0-9_.-]*`, the same from answer to answer, for events and history.
        label: for people, with the scope in it.
        used_percent: 0 and more; over 100 where the provider lets one go on.
        window_seconds: how long it is, None where that is not known.
        resets_at: when it starts anew, Unix milliseconds and never past. None: not known, or it has not begun.
        scope: the model or feature that it is about, None for all.
    """

    id: str
    label: str
    used_percent: float
    window_seconds: int | None = None
    resets_at: int | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Billing:
    """Money or credits: a balance has an `amount`, a budget `used` and `limit`, spend `used` alone.

    Attributes:
        unit: a currency (ISO 4217), or what the provider counts: "credits", "requests".
        period: that it is of: "day", "week", "month". None: for good, or not said.
    """

    type: BillingType
    unit: str
    amount: float | None = None
    used: float | None = None
    limit: float | None = None
    period: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """One answer, read."""

    windows: tuple[Window, ...] = ()
    billing: tuple[Billing, ...] = ()
    plan: str | None = None
