"""What one check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one check found: `level` is ok, warn or fail; `mend` is what to do about it."""

    check: str
    level: str
    message: str
    mend: str | None = None
