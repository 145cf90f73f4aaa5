"""What the server has run out of: a disk, a quota, memory, room for locks; which it is, and what to do about it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from runner.database import Connection, connect
from runner.places.fault import Fault

_DISK_FULL, _OUT_OF_MEMORY, _LIMIT_EXCEEDED = "53100", "53200", "53400"
# What the operating system says where the server gives it no class of its own.
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_TABLESPACE = re.compile(r"pg_tblspc/(\d+)/")
_TEMPORARY = "pgsql_tmp"


@dataclass(frozen=True)
class Shortage:
    """What there is too little of, and what to do; trying again by itself does not help."""

    what: str
    hint: str


def find(fault: Fault, dsn: str) -> Shortage | None:
    """Return what the server lacks by what it says, None where it lacks nothing; the server is asked for names."""
    full = _FULL.search(fault.message)
    if fault.sqlstate == _DISK_FULL or full:
        return _disk(fault.message, dsn, quota=bool(full and "quota" in full[0]))
    if fault.sqlstate == _LIMIT_EXCEEDED and "temp_file_limit" in fault.message:
        return Shortage("the server's limit of temporary files is reached", "Raise temp_file_limit, or work_mem.")
    if fault.sqlstate != _OUT_OF_MEMORY:
        return None
    if "shared memory" in fault.message:
        return Shortage(
            "the server has no room for more locks",
            "Raise max_locks_per_transaction: `runner doctor` says to what.",
        )
    return Shortage(
        "the server is out of memory",
        "Give its machine more, or let it use less: lower work_mem, maintenance_work_mem or shared_buffers, "
        "or load with fewer workers at a time (--master 'local[2]').",
    )


def _disk(message: str, dsn: str, quota: bool) -> Shortage:
    """Return which disk is full: of a tablespace, whose number is in its files' names, or else the data directory's."""
    number = _TABLESPACE.search(message)
    if number:
        row = _ask(dsn, "select spcname, pg_tablespace_location(oid) from pg_tablespace where oid = %s", int(number[1]))
        name, place = row or (f"number {number[1]}", "")
        where = f"the tablespace {name} of the server" + (f" ({place})" if place else "")
        remedy = f"move it to a larger disk, or tables out of it (alter table … set tablespace …; \\db+ {name} in psql)"
    else:
        row = _ask(dsn, "select current_setting('data_directory'), %s", 0)
        where = "the server's data directory" + (f" ({row[0]})" if row else "")
        remedy = "move it to a larger disk, or tables to a tablespace on another one"
    for_what = ", of temporary files" if _TEMPORARY in message else ""
    if quota:
        return Shortage(f"the disk quota of {where} is used up{for_what}", f"Raise the quota, free space, or {remedy}.")
    return Shortage(f"the disk of {where} is full{for_what}", f"Free space there, {remedy}.")


def _ask(dsn: str, question: str, value: int) -> tuple[str, ...] | None:
    """Return the server's answer, None where it gives none: not every role may ask."""
    connection: Connection
    with suppress(Exception), connect(dsn, "runner load") as connection:
        row: tuple[str, ...] | None = connection.execute(question, (value,)).fetchone()
        return row
    return None
