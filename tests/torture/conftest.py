"""What the tests of `make torture` share: its server and worlds, which take long to make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import memory
from tests.torture.campaign import Campaign


@pytest.fixture(scope="session")
def made() -> Iterator[Campaign]:
    """A server of its own, since it is killed, too, with three worlds on it."""
    with Campaign(1, print, memory.folder()) as made:
        yield made
