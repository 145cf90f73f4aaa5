"""Every broken step and schema file of tests/errors: the message points at where its author would look."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import check, project, schema, step
from runner.apply import Run, StepRunner
from runner.errors import RunnerError
from runner.step import SCHEMA_KEYS, STEP_KEYS
from tests.errors import cases
from tests.errors.cases import Case

CASES = cases.read()
SHARE = 0.99
FILES = {"schema_files": "schema/900_broken.sql", "checks": "checks/100_broken_too.sql"}
# What a step writes that is not broken.
METRICS = """
insert into pipeline_metrics (flow_run_id, task_name, pipeline_name, day, status, rows_affected)
values (current_setting('app.flow_run_id'), 'x', 'x', current_setting('app.day'), 'success', 0)
"""

Connection = psycopg.Connection[tuple[Any, ...]]


class Bench:
    """A project with the corpus's schema, in a database in which each case fails and leaves nothing."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder / "migrations" / "broken"
        self.root = folder
        self.url = url
        shutil.copytree(cases.SCHEMA, self.folder / "schema")
        self.connection: Connection = psycopg.connect(url, autocommit=True)
        schema.migrate(self.connection, "broken", project._files(self.folder / "schema", folder, SCHEMA_KEYS))
        self.connection.execute("insert into accounts (account_id, name) values (3, 'Cleo')")

    def message(self, case: Case) -> RunnerError:
        """Run a case as `apply` or `migrate` does, and return its error."""
        run = {"schema_files": self._migrate, "checks": self._check}.get(case.group, self._apply)
        with self._holding(case.meanwhile), pytest.raises(RunnerError) as caught:
            run(case)
        return caught.value

    @contextmanager
    def _holding(self, statement: str) -> Iterator[None]:
        if not statement:
            yield
            return
        with psycopg.connect(self.url) as other:
            other.execute(statement.encode())
            yield
            other.rollback()

    def _apply(self, case: Case) -> None:
        path = self.folder / "100_broken.sql"
        path.write_bytes(case.content)
        with StepRunner(Run("broken", "day1", "run-1", self.url, attempts=1), lambda _: None) as runner:
            runner.run(step.read(path, self.root, STEP_KEYS))

    def _check(self, case: Case) -> None:
        path = self.folder / "100_broken.sql"
        path.write_text(METRICS)
        file = step.read(path, self.root, STEP_KEYS)
        path = self.folder / "checks" / "100_broken_too.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(case.content)
        found = check.read(path, self.root, [file])
        with StepRunner(Run("broken", "day1", "run-1", self.url, 1, checks=(found,)), lambda _: None) as runner:
            runner.run(file)

    def _migrate(self, case: Case) -> None:
        path = self.folder / "schema" / "900_broken.sql"
        path.write_bytes(case.content)
        try:
            schema.migrate(self.connection, "broken-too", [step.read(path, self.root, SCHEMA_KEYS)])
        finally:
            path.unlink()


@pytest.fixture(scope="module")
def errors(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunnerError]]:
    """The error of every case, by its id."""
    name = server.create()
    bench = Bench(tmp_path_factory.mktemp("errors"), server.on(name))
    yield {case.id: bench.message(case) for case in CASES}
    bench.connection.close()
    server.drop(name)


def faults(case: Case, error: RunnerError) -> list[str]:
    """Return what is wrong with the message of a case; nothing if it is exact."""
    name = FILES.get(case.group, "100_broken.sql")
    message = str(error)
    places = re.findall(r"migrations/broken/(\S+?:\d+:\d+)(?=[:,\n]|$)", message)
    expected = [f"schema/{place}" if ".sql" in place else f"{name}:{place}" for place in case.inner]
    found = []
    if places[:1] != [f"{name}:{case.place}"]:
        found.append(f"points at {places[:1]} instead of {case.place}")
    if missing := [place for place in expected if place not in places[1:]]:
        found.append(f"does not point at {missing}, but at {places[1:]}")
    if case.fragment not in f"{message}\n{error.hint}":
        found.append(f"does not say {case.fragment!r}")
    if case.sqlstate != "-" and f"({case.sqlstate})" not in message:
        found.append(f"is not {case.sqlstate}")
    return found


def test_errors_point_at_their_source(errors: dict[str, RunnerError]) -> None:
    """At least 99 in 100 broken files are pointed at exactly: line, column, and the places in functions."""
    wrong = {}
    for case in CASES:
        error = errors[case.id]
        if found := faults(case, error):
            wrong[case.id] = f"{'; '.join(found)}\n{error}\nhint: {error.hint}"
    told = "\n\n".join(f"{name} {what}" for name, what in wrong.items())
    assert len(CASES) - len(wrong) >= SHARE * len(CASES), f"{len(wrong)} of {len(CASES)} miss:\n{told}"


def test_every_message_has_a_caret_and_a_hint(errors: dict[str, RunnerError]) -> None:
    """Each message shows the line with a caret below, and says what to do."""
    mute = [name for name, error in errors.items() if not re.search(r"^ +\| +\^", str(error), re.MULTILINE)]
    assert mute == []
    assert [name for name, error in errors.items() if not error.hint] == []
