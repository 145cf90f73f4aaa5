"""Numbers of bytes as people write and read them: 64MB, 1.5 GiB."""

from __future__ import annotations

import re

_UNITS = {
    "": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})\s*", re.ASCII)


def parse(text: str) -> int | None:
    """Return the bytes that `64MB`, `1.5 GiB` or `500000` mean; None for what means none."""
    match = _SIZE.fullmatch(text)
    if not match or match[2].upper() not in _UNITS:
        return None
    return int(float(match[1]) * _UNITS[match[2].upper()])


def shown(size: int) -> str:
    """Return a size in the unit that suits it: `512 B`, `1.2 kB`, `64 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            number = f"{size / factor:.1f}".removesuffix(".0")
            return f"{number} {unit}"
    return f"{size} B"
