"""Durations as people write and read them: 500ms, 300s, 5min, 25h, 2d."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]{1,9})\s*(ms|s|min|h|d)", re.ASCII)

HINT = "Write a number and a unit: 500ms, 300s, 5min, 1h, 2d."


def parse(text: str) -> int | None:
    """Return the milliseconds that `300s` or `25h` means; None for what means none."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def shown(duration: timedelta) -> str:
    """Return a duration in the two units that suit it: `45 s`, `7 min`, `3 h 20 min`, `12 d 4 h`."""
    seconds = int(duration.total_seconds())
    if seconds < 60:
        return f"{max(seconds, 0)} s"
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    if not hours:
        return f"{minutes} min"
    if not days:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"
