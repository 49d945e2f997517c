"""Quiet hours: of a day in a time zone, by the instants at which they begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from edgebotd.config import AlertChannelSettings
from edgebotd.config.alerts import parse_hours

LOCAL: Final = Path("/etc/localtime")


@dataclass(frozen=True)
class Quiet:
    """Hours of each day. `begin` after `end`: over midnight."""

    begin: time
    end: time
    zone: tzinfo

    def until(self, now: int) -> int | None:
        """Return when the quiet hours end in which a time is (both Unix milliseconds), None where it is in none.

        Where clocks are put forward or back within them, they begin and end at the first instant that the clock shows
        the time, or would have shown it.
        """
        today = datetime.fromtimestamp(now / 1000, self.zone).date()
        for day in (today - timedelta(days=1), today):
            begin = self._instant(day, self.begin)
            end = self._instant(day if self.begin < self.end else day + timedelta(days=1), self.end)
            if begin <= now < end:
                return end
        return None

    def _instant(self, day: date, at: time) -> int:
        return round(datetime.combine(day, at, self.zone).timestamp() * 1000)


def quiet_of(channel: AlertChannelSettings) -> Quiet | None:
    """Return a channel's quiet hours."""
    if channel.quiet is None:
        return None
    return Quiet(*parse_hours(channel.quiet), local_zone() if channel.timezone is None else ZoneInfo(channel.timezone))


def local_zone(place: Path = LOCAL) -> tzinfo:
    """Return the machine's time zone; UTC where it has none."""
    try:
        with place.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    except (OSError, ValueError):
        return UTC
