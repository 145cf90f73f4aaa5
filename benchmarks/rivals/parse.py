"""Parsing alone: what the workers do with a day's files, all but sending it, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.rivals.given import done, given, ready
from staging_loaders import part
from staging_loaders.entity import load_declarations
from staging_loaders.landing import Target
from staging_loaders.plan import find_day_files

# The checksum that a worker keeps of its rows is that of the server's version.
_SERVER = 180_000


class Nowhere:
    """A connection that takes everything and keeps nothing but how much it was."""

    def __init__(self) -> None:
        self.written = 0
        self.info = SimpleNamespace(server_version=_SERVER)

    def cursor(self) -> Nowhere:
        return self

    @contextmanager
    def copy(self, statement: Any) -> Iterator[Nowhere]:
        yield self

    def write(self, data: str | bytes) -> None:
        self.written += len(data)


def main() -> None:
    """Parse the files of `day` below `data`, as the entity's rows for COPY."""
    asked = given()
    entities = load_declarations(Path(asked["declarations"]))
    ((name, files),) = find_day_files(asked["data"], asked["day"], entities).items()
    whole = part.Part("", "benchmark", entities[name], Target("benchmark"), 0, files)
    nowhere = Nowhere()
    ready()
    counts = part._copy(nowhere, whole)
    done(records=counts.records, written=nowhere.written)


if __name__ == "__main__":
    main()
