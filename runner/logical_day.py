"""The day that a scheduled run is for: that of its scheduled time in the schedule's zone, never of the clock.

So a run that starts late, is tried again or is run a second time by hand has the day that it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from runner import days

FORMAT = "%Y-%m-%d"


@dataclass(frozen=True)
class Rule:
    """How a time becomes the name of a day: its date in `timezone`, moved by `offset` days, written as `format`."""

    timezone: str = "UTC"
    format: str = FORMAT
    offset: int = 0

    def of(self, scheduled: datetime, timezone: str | None = None) -> str:
        """Return the day of a scheduled time, which has an offset; `timezone` stands in for the rule's own."""
        local = scheduled.astimezone(ZoneInfo(timezone or self.timezone))
        # Days of the calendar: one of 23 or 25 hours is a day, too.
        return (local.replace(tzinfo=None) + timedelta(days=self.offset)).strftime(self.format)

    def fault(self) -> str | None:
        """Return what is wrong with the format, None where nothing is."""
        one, other = (self.of(datetime(2026, 1, day, tzinfo=UTC)) for day in (5, 6))
        if one == other:
            return "which is the same for two days"
        return None if days.is_day(one) else f"which makes {one!r}, and that is no day's name"


def is_zone(name: str) -> bool:
    """Tell whether a name is one of the IANA's zones that this machine knows."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a path, a folder, none at all
        return False
    return True
