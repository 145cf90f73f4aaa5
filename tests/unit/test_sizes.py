"""Numbers of bytes, read and written."""

from __future__ import annotations

import pytest

from runner import sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MB", 64_000_000), ("64 mb", 64_000_000), ("1.5GiB", 1_610_612_736), ("500000", 500_000), ("0", 0),
        ("10 kB", 10_000), ("2TB", 2 * 10**12), ("512B", 512), ("", None), ("MB", None), ("-1MB", None),
        ("1 PB", None), ("1e9", None), ("1,5GB", None), ("٣MB", None),
    ],
)  # fmt: skip
def test_parse(text: str, size: int | None) -> None:
    """Decimal and binary units, in any case; anything else is no size."""
    assert sizes.parse(text) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (125_353, "125.4 kB"), (64_000_000, "64 MB"), (4 * 10**9, "4 GB")],
)
def test_shown(size: int, text: str) -> None:
    """In the unit that suits it."""
    assert sizes.shown(size) == text
