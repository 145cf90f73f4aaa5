"""Who runs a day, and what the others are told."""

from __future__ import annotations

import os
import queue
import re
import socket
import subprocess
import threading
from typing import Any

import psycopg
import pytest

from runner import lease
from runner.errors import DayHeld
from runner.lease import Lease

Connection = psycopg.Connection[tuple[Any, ...]]

HOLDER = (
    rf"run first on {re.escape(socket.gethostname())} \(pid {os.getpid()}\) since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
)


def test_second_is_told_who_holds(database: str) -> None:
    """Who comes second leaves with exit code 3 and the holder's run, host and start."""
    with Lease(database, "zluri", "day1", "first"):
        with pytest.raises(DayHeld, match=rf"day1 is held by {HOLDER}$"):
            Lease(database, "zluri", "day1", "second").__enter__()
        with Lease(database, "zluri", "day2", "second"), Lease(database, "other", "day1", "third"):
            pass
    with Lease(database, "zluri", "day1", "second"):
        pass


def test_waiting_gets_the_day(database: str) -> None:
    """With a wait, the second gets the day as soon as the first gives it back."""
    first = Lease(database, "zluri", "day1", "first")
    first.__enter__()
    got = threading.Event()

    def second() -> None:
        with Lease(database, "zluri", "day1", "second", wait=30):
            got.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not got.is_set()
    first.__exit__(None, None, None)
    thread.join(30)
    assert got.is_set()


def hold(connection: Connection, *, host: str, pid: int, age: str) -> None:
    """Leave a lease behind, as a killed run does."""
    connection.execute(
        "insert into runner_leases (pipeline, day, flow_run_id, host, pid, heartbeat_at)"
        " values ('zluri', 'day1', 'dead', %s, %s, clock_timestamp() - %s::interval)",
        (host, pid, age),
    )


def test_lease_without_heartbeat_is_taken_over(database: str, connection: Connection) -> None:
    """A minute after its last heartbeat, a lease from another host may be taken over."""
    hold(connection, host="elsewhere", pid=1, age="61 seconds")
    with Lease(database, "zluri", "day1", "next"):
        assert connection.execute("select flow_run_id from runner_leases").fetchall() == [("next",)]


def test_young_lease_of_another_host_is_respected(database: str, connection: Connection) -> None:
    """Before that it is respected."""
    hold(connection, host="elsewhere", pid=1, age="30 seconds")
    with pytest.raises(DayHeld):
        Lease(database, "zluri", "day1", "next").__enter__()


def test_dead_process_on_this_host_is_not_waited_for(database: str, connection: Connection) -> None:
    """A run that was killed on this machine does not block the rerun."""
    process = subprocess.Popen(["true"])
    process.wait()
    hold(connection, host=socket.gethostname(), pid=process.pid, age="1 second")
    with Lease(database, "zluri", "day1", "next"):
        assert connection.execute("select flow_run_id from runner_leases").fetchall() == [("next",)]


def test_own_number_of_a_dead_run(database: str, connection: Connection) -> None:
    """In a container that was started again the process numbers are the same: ours that is not ours is dead."""
    hold(connection, host=socket.gethostname(), pid=os.getpid(), age="1 second")
    assert lease.holders(connection, "zluri") == {}
    with Lease(database, "zluri", "day1", "next"):
        assert lease.holders(connection, "zluri")["day1"].flow_run_id == "next"


def test_status_sees_through_the_dead(connection: Connection) -> None:
    """Who was killed on this host, even one whose parent has not looked yet, holds nothing; who is elsewhere does."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        hold(connection, host=socket.gethostname(), pid=process.pid, age="1 second")
        assert list(lease.holders(connection, "zluri")) == ["day1"]
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert lease.holders(connection, "zluri") == {}
    connection.execute("update runner_leases set host = 'elsewhere'")
    assert list(lease.holders(connection, "zluri")) == ["day1"]


def test_who_waits_says_for_whom(database: str) -> None:
    """Waiting is announced once, with the holder."""
    said: list[str] = []
    with Lease(database, "zluri", "day1", "first"), pytest.raises(DayHeld):
        Lease(database, "zluri", "day1", "second", 1, said.append).__enter__()
    (line,) = said
    assert re.fullmatch(f"day1: waiting up to 1 s for {HOLDER}", line)


def test_same_run_may_enter_again(database: str) -> None:
    """Tasks of one flow run share its lease."""
    with Lease(database, "zluri", "day1", "run"), Lease(database, "zluri", "day1", "run"):
        pass


def test_who_waits_outlives_its_connection(database: str, connection: Connection) -> None:
    """A server that ends the connection of who waits is asked again, and the wait goes on."""
    first = Lease(database, "zluri", "day1", "first")
    first.__enter__()
    got, said = threading.Event(), list[str]()

    def second() -> None:
        with Lease(database, "zluri", "day1", "second", 60, said.append):
            got.set()

    thread = threading.Thread(target=second)
    thread.start()
    ended = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and application_name = 'runner lease'"
    )
    while not any("again in" in line for line in said):
        connection.execute(ended)
    assert not got.is_set()
    first.__exit__(None, None, None)
    thread.join(60)
    assert got.is_set()


def test_a_lease_that_was_taken_over_is_noticed(
    database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was away for too long, as a laptop that slept, hears who has the day now, once."""
    monkeypatch.setattr(lease, "_BEAT", 0.05)
    said = queue.SimpleQueue[str]()
    with Lease(database, "zluri", "day1", "first", 0, said.put):
        connection.execute("update runner_leases set flow_run_id = 'second', host = 'elsewhere'")
        assert said.get(timeout=60).startswith("day1: the lease was taken over by run second on elsewhere (pid ")
    assert connection.execute("select flow_run_id from runner_leases").fetchall() == [("second",)]
