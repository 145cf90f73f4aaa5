"""Whose cluster it is: a project that was moved finds its own again, a copy gets one of its own.

Only clusters that are kept outside their home can be mistaken; those inside go where their home goes.
"""

from __future__ import annotations

import os
from pathlib import Path

from runner import cluster as places
from runner.cluster import Cluster


def find(home: Path, version: int) -> Cluster:
    """Return the cluster of `home`: last started from it, brought along when it was moved, or yet to be made.

    Raises:
        ConfigError: as in `cluster.locate`, or the home belongs to somebody else.
    """
    return places.remembered(home, version) or _brought(home, version) or places.locate(home, version)


def original(home: Path, version: int) -> Path | None:
    """Return the home that `home` was copied from, where that one keeps the cluster which both name."""
    found = places.read_state(home, version)
    if found is None or not _is_elsewhere(found, home):
        return None
    base = Path(found["base"])
    owner = places.owner_of(base) or Path(found["home"])
    # A home that is gone, or names another cluster by now, has lost this one to whoever still names it.
    theirs = places.read_state(owner, version) if owner != _absolute(home) else None
    lives = theirs is not None and (theirs["home"], theirs["base"]) == (str(owner), str(base))
    return owner if lives else None


def _brought(home: Path, version: int) -> Cluster | None:
    """Return the cluster that a home names which was started from another place; None for a copy."""
    found = places.read_state(home, version)
    if found is None or not _is_elsewhere(found, home) or original(home, version):
        return None
    return places.from_state(found, _absolute(home), version)


def _is_elsewhere(found: dict[str, str], home: Path) -> bool:
    """Tell whether a state was written at another home, and names data that is outside of it and still there."""
    base = Path(found["base"])
    moved = found["home"] != str(_absolute(home))
    return moved and os.geteuid() == 0 and places.SHARED in base.parents and (base / "data").exists()


def _absolute(home: Path) -> Path:
    return Path(os.path.abspath(home))
