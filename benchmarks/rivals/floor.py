"""The floor: PostgreSQL's own COPY of prepared files, by its own client, a connection a file."""

from __future__ import annotations

import subprocess

from benchmarks.rivals.given import done, given, ready


def main() -> None:
    """Copy `files` into `table`, all at once."""
    asked = given()
    ready()
    running = [
        subprocess.Popen(
            [asked["psql"], asked["url"], "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c",
             f"\\copy {asked['table']} ({asked['columns']}) from '{file}' (format binary)"],
            stdin=subprocess.DEVNULL,
        )
        for file in asked["files"]
    ]  # fmt: skip
    if sum(process.wait() for process in running):
        raise SystemExit("psql failed")
    done()


if __name__ == "__main__":
    main()
