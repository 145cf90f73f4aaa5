"""Loading a day: everything or nothing, exactly once, and read = loaded + rejected. Spark has its own tests."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import cli, settlement
from runner.errors import (
    ConfigError,
    DatabaseUnavailable,
    DayNotFound,
    LoadFailed,
    TooManyRejects,
    UnreadableFile,
    UsageError,
)
from runner.wording import load_lines
from staging_loaders import landing, last_commit, lines, publish, values
from staging_loaders import part as parts
from staging_loaders.entity import load_declarations
from staging_loaders.files import find_files
from staging_loaders.last_commit import LastCommit
from staging_loaders.load import DayLoad, EntityLoad, doubts, load_day, plan_day
from staging_loaders.plan import find_day, find_day_files, read_loaded, unclaimed
from staging_loaders.session import Inline
from staging_loaders.values import Number
from tests.staged import TABLES, staging

ROOT = Path(__file__).parents[2]
DAYS = ROOT / "tests" / "days"
ZLURI = ROOT / "staging_loaders" / "zluri"

Connection = psycopg.Connection[tuple[Any, ...]]

AGENT = {"id": 1, "email": "a@example.com", "name": "A"}
ODD = {"id": 2, "email": "b@example.com", "name": ""}
GROUP = {"id": 1, "name": "g"}
TRANSACTION = {
    "id": "t",
    "uuid": "u",
    "occurredTime": "2026-01-01T00:00:00Z",
    "currencyData": {"originalCurrencyAmount": 1, "originalCurrencyCode": "USD"},
}


@pytest.fixture(autouse=True)
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange rates have tests of their own, and take their time the first time."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a small day1: an agent, an odd one, a group, a transaction, a role."""
    day = tmp_path / "data" / "sync-day1"
    for entity, records in {
        "agents": [AGENT, ODD],
        "admin_groups": [GROUP],
        "transactions": [TRANSACTION],
        "roles": [{"id": 5, "name": "r"}],
    }.items():
        (day / entity).mkdir(parents=True)
        (day / entity / "a.json").write_text(json.dumps(records))
    return tmp_path / "data"


def load(database: str, base: Path, day: str = "day1", **options: Any) -> dict[str, EntityLoad]:
    """Load a day without Spark; return what became of each entity, by name."""
    loads = load_day(
        dsn=database,
        pipeline=options.pop("pipeline", "zluri"),
        day=day,
        base=str(base),
        declarations=options.pop("declarations", ZLURI),
        flow_run_id="run",
        session=options.pop("session", Inline()),
        **options,
    )
    return {each.entity: each for each in loads}


def day_load(database: str, base: Path, **options: Any) -> DayLoad:
    """Return the load of day1, not begun."""
    return DayLoad(
        dsn=database, pipeline="zluri", day="day1", base=str(base), declarations=ZLURI, flow_run_id="run",
        session=Inline(), **options,
    )  # fmt: skip


def landed(connection: Connection) -> list[str]:
    """Return the landing tables that exist."""
    rows = connection.execute("select relname from pg_class where relnamespace = to_regnamespace('landing') order by 1")
    return [name for (name,) in rows]


@pytest.mark.parametrize("day", ["day1", "day2", "day3"])
def test_every_record_is_a_row_or_a_reject(database: str, connection: Connection, day: str) -> None:
    """The shipped days load; the counts told are those of the tables, and nothing is left behind."""
    loads = load(database, DAYS, day)
    for entity, each in loads.items():
        assert each.records_read == each.rows_loaded + each.rejects
        rows = connection.execute(f"select count(*) from {TABLES[entity]} where day = %s", (day,)).fetchone()
        odd = connection.execute(
            "select count(*) filter (where severity = 'reject'), count(*) filter (where severity = 'warning') "
            "from stg_rejects where pipeline = 'zluri' and day = %s and entity = %s",
            (day, entity),
        ).fetchone()
        assert (rows, odd) == ((each.rows_loaded,), (each.rejects, each.warnings))
    assert {entity for entity, each in loads.items() if each.status == "loaded"} == {
        entity for (entity,) in connection.execute("select entity from stg_loads where day = %s", (day,))
    }
    assert landed(connection) == []


def test_a_row_knows_its_file_and_place(database: str, base: Path, connection: Connection) -> None:
    """Rows and rejects carry the path below the entity's folder and the ordinal in the file."""
    (base / "sync-day1" / "agents" / "sub").mkdir()
    (base / "sync-day1" / "agents" / "sub" / "b.jsonl").write_text('\n[]\n{"id": 3, "email": "c", "name": "C"}\n')
    load(database, base)
    rows = connection.execute("select source_file, position, agent_id from stg_agents order by 1, 2").fetchall()
    assert rows == [("a.json", 1, 1), ("sub/b.jsonl", 2, 3)]
    rejects = connection.execute(
        "select source_file, position, severity, reason, field, record_key, raw_value, raw_record from stg_rejects "
        "where entity = 'agents' order by 1, 2"
    ).fetchall()
    assert rejects == [
        ("a.json", 2, "reject", "name is blank", "name", "2", "", json.dumps(ODD)),
        ("sub/b.jsonl", 1, "reject", "the record is not an object", None, None, None, "[]"),
    ]


def test_unchanged_files_are_not_read_again(database: str, base: Path, connection: Connection) -> None:
    """`auto` reads only the entities whose files are new, and tells the earlier counts of the others."""
    load(database, base)
    (base / "sync-day1" / "roles" / "a.json").write_text('[{"id": 6, "name": "s"}]')
    loads = load(database, base)
    assert {entity: each.status for entity, each in loads.items() if each.status != "absent"} == {
        "admin_groups": "unchanged", "agents": "unchanged", "roles": "loaded", "transactions": "unchanged",
    }  # fmt: skip
    assert (loads["agents"].records_read, loads["agents"].rejects) == (2, 1)
    assert connection.execute("select role_id from stg_roles").fetchall() == [(6,)]


def test_emptied_staging_is_filled_again(database: str, base: Path, connection: Connection) -> None:
    """Staging may be dropped without harm: what stg_loads still vouches for is looked at."""
    load(database, base)
    connection.execute("truncate stg_agents")
    loads = load(database, base)
    assert {entity for entity, each in loads.items() if each.status == "loaded"} == {"agents"}
    assert connection.execute("select count(*) from stg_agents").fetchone() == (1,)


def test_a_file_that_changes_meanwhile_is_not_vouched_for(database: str, base: Path, connection: Connection) -> None:
    """A file that is written while it is read fails the load, as a fault that passes."""

    class Writing(Inline):
        def run(self, task: Any, items: Any, tick: Any = None) -> list[Any]:
            results = super().run(task, items, tick)
            (base / "sync-day1" / "roles" / "a.json").write_text('[{"id": 5, "name": "another"}]')
            return results

    with pytest.raises(LoadFailed, match="changed while it was read") as failed:
        load(database, base, session=Writing())
    assert failed.value.transient
    assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)


def test_nothing_new_starts_no_engine(database: str, base: Path) -> None:
    """A day that is loaded costs no Spark."""

    class NoEngine(Inline):
        def run(self, *_: object, **__: object) -> list[Any]:
            raise AssertionError("not needed")

    load(database, base)
    assert {each.status for each in load(database, base, session=NoEngine()).values()} == {"unchanged", "absent"}


def test_always_reads_everything(database: str, base: Path, connection: Connection) -> None:
    """The result is the same."""
    load(database, base)
    before = staging(connection)
    assert load(database, base, mode="always")["agents"].status == "loaded"
    assert staging(connection) == before


def test_an_entity_that_vanished_is_removed(database: str, base: Path, connection: Connection) -> None:
    """Its rows, rejects and load of that day go; other days keep theirs."""
    (base / "sync-day2").symlink_to(base / "sync-day1")
    load(database, base)
    load(database, base, "day2")
    (base / "sync-day1" / "roles" / "a.json").rename(base / "sync-day1" / "roles" / "_a.json")
    (base / "sync-day2").unlink()
    gone = load(database, base)["roles"]
    assert (gone.status, gone.rows_removed) == ("absent", 1)
    assert ("roles", "files are gone: 1 row removed") in load_lines([gone])
    assert load(database, base)["roles"].rows_removed == 0
    assert connection.execute("select day from stg_roles").fetchall() == [("day2",)]
    assert connection.execute("select day from stg_loads where entity = 'roles'").fetchall() == [("day2",)]


def test_days_and_pipelines_do_not_touch_each_other(database: str, base: Path, connection: Connection) -> None:
    """A load replaces the rows of its own day only."""
    load(database, base)
    before = staging(connection)
    (base / "sync-day2").symlink_to(base / "sync-day1")
    load(database, base, "day2")
    after = {table: [row for row in rows if "day2" not in row] for table, rows in staging(connection).items()}
    assert after == before


@pytest.fixture
def loaded(database: str, base: Path, connection: Connection) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """Staging after a good load of day1; afterwards it must be as it was, with nothing left in landing."""
    load(database, base)
    before = staging(connection)
    (base / "sync-day1" / "agents" / "b.json").write_text('[{"id": 9, "email": "z", "name": "Z"}]')
    yield before
    assert staging(connection) == before
    assert landed(connection) == []


@pytest.mark.usefixtures("loaded")
def test_an_unreadable_file_stops_the_day(database: str, base: Path) -> None:
    """Half a snapshot would mark people inactive: nothing changes, and the error names the place."""
    (base / "sync-day1" / "transactions" / "b.json").write_text('[{"id": "t"},\n {"id": ')
    with pytest.raises(UnreadableFile, match=r"sync-day1/transactions/b\.json:2:9: the file ends"):
        load(database, base)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("limit", "words"),
    [("0", "day1: 1 reject in 6 records, more than --max-rejects 0 allows: agents 1 of 3"), ("16.6%", "16.6% allows")],
)
def test_too_many_rejects_publish_nothing(database: str, base: Path, limit: str, words: str) -> None:
    """The limit is the day's, a number or a share of the records read, and the error shows samples."""
    with pytest.raises(TooManyRejects) as error:
        load(database, base, max_rejects=limit)
    assert words in str(error.value)
    assert "agents/a.json:2  name is blank" in str(error.value)


USELESS = "agents has no usable record: %s. The steps find no row of it for this day%s."


@pytest.mark.parametrize(
    ("entity", "records", "told"),
    [
        ("agents", [ODD, ODD], [USELESS % ("2 of 2 were rejected",
                                           "; --max-rejects N stops such a load before anything is published")]),
        ("agents", [], [USELESS % ("its files hold no record", "")]),
        ("roles", [], []),
        ("agents", [ODD, AGENT], []),
    ],
    ids=["all rejected", "no record", "optional", "one is good"],
)  # fmt: skip
def test_a_day_without_a_usable_record_is_doubted(
    database: str, base: Path, entity: str, records: list[object], told: list[str]
) -> None:
    """An entity that a day must have loads even so, since it may be true; a person hears of it, once."""
    (base / "sync-day1" / entity / "a.json").write_text(json.dumps(records))
    assert doubts(list(load(database, base).values())) == told
    assert doubts(list(load(database, base).values())) == []


PAGE = '{"message": "Unauthorized"}'
ERROR_PAGE = (
    "%s gave no usable record (%s rejected): %s "
    "The steps take what is missing from the day for gone; --max-rejects N stops such a load."
)


@pytest.mark.parametrize(
    ("entity", "pages", "told"),
    [
        ("agents", {"page2.json": PAGE}, ["agents: " + ERROR_PAGE % ("page2.json", 1, "is it an error page?")]),
        ("agents", {f"p{number}.json": PAGE for number in range(5)},
         ["agents: " + ERROR_PAGE % ("p0.json, p1.json, p2.json and 2 more", 5, "are they error pages?")]),
        ("agents", {"page2.json": f"[{json.dumps(AGENT)}, {PAGE}]"}, []),
        ("agents", {"page2.json": "[]"}, []),
        ("roles", {"page2.json": PAGE}, []),
    ],
    ids=["one page", "many pages", "half of it is good", "an empty last page", "optional"],
)  # fmt: skip
def test_an_error_page_among_good_ones_is_doubted(
    database: str, base: Path, entity: str, pages: dict[str, str], told: list[str]
) -> None:
    """A file of which nothing could be used is named, where the day must have its entity, and again at each rerun."""
    (base / "sync-day1" / "agents" / "a.json").write_text(json.dumps([AGENT]))
    for name, text in pages.items():
        (base / "sync-day1" / entity / name).write_text(text)
    first, again = load(database, base), load(database, base)
    assert again["agents"].status == "unchanged"
    assert again["agents"].plan_seconds > 0
    assert doubts(list(first.values())) == doubts(list(again.values())) == told


def test_a_part_that_was_done_before_still_names_its_error_page(part: parts.Part, connection: Connection) -> None:
    """A part that Spark runs again tells the same of its files."""
    Path(part.files[0].path).write_text(PAGE)
    first = parts.land_part(part)
    assert isinstance(first, parts.Counts)
    assert first.useless == (parts.UselessFile("a.json", 1),)
    again = parts.land_part(part)
    assert isinstance(again, parts.Counts)
    assert again.useless == first.useless


def test_folders_of_no_entity_are_named(base: Path, tmp_path: Path) -> None:
    """A misspelt folder is not read, and a person hears of it; what is hidden, or another pipeline's, is fine."""
    loaders = tmp_path / "staging_loaders"
    (loaders / "zluri").mkdir(parents=True)
    (loaders / "other").mkdir()
    (loaders / "other" / "orders.toml").touch()
    day = base / "sync-day1"
    for name in ("budget", "orders", "unlike", ".git", "_old"):
        (day / name).mkdir()
    (day / "file.txt").touch()
    assert unclaimed(str(base), "day1", load_declarations(ZLURI), loaders / "zluri") == [
        f"{day}/budget belongs to no entity and is not read; did you mean budgets?",
        f"{day}/unlike belongs to no entity and is not read",
    ]


def test_a_misspelt_folder_of_an_entity_that_a_day_must_have(base: Path) -> None:
    """The hint names the folder that may be meant."""
    (base / "sync-day1" / "agents").rename(base / "sync-day1" / "agentz")
    with pytest.raises(DayNotFound) as failed:
        find_day_files(str(base), "day1", load_declarations(ZLURI))
    assert str(failed.value.hint).startswith(f"{base}/sync-day1/agentz is there: is it agents?")


@pytest.mark.parametrize(
    ("day", "there", "meant"),
    [
        ("DAY1", ["day1", "day2"], "day1"),
        ("day01", ["day1", "day2"], "day1"),
        ("dya2", ["day1", "day2"], "day2"),
        ("2026-1-5", ["2026-01-05", "2026-01-06"], "2026-01-05"),
        ("day", ["day1"], "day1"),
        ("day77", ["day1", "day2", "day7"], None),
        ("2026-01-07", ["2026-01-05", "2026-01-06"], None),
    ],
)
def test_which_day_may_be_meant(tmp_path: Path, day: str, there: list[str], meant: str | None) -> None:
    """A misspelt name is a misspelt one; another number is another day."""
    for name in there:
        (tmp_path / f"sync-{name}").mkdir()
    with pytest.raises(DayNotFound) as failed:
        find_day(str(tmp_path), day)
    asked = f"Did you mean {meant}? " if meant else ""
    assert str(failed.value.hint).startswith(f"{asked}There")


@pytest.mark.parametrize("limit", ["1", "16.7%", "100%"])
def test_rejects_within_the_limit_succeed(database: str, base: Path, limit: str) -> None:
    """One of six records is not more than one, nor than 16.7 %."""
    (base / "sync-day1" / "agents" / "b.json").write_text('[{"id": 9, "email": "z", "name": "Z"}]')
    assert load(database, base, max_rejects=limit)["agents"].rejects == 1


def test_the_limit_counts_what_was_loaded_before(database: str, base: Path) -> None:
    """A day with too many rejects does not pass because its files are unchanged."""
    load(database, base)
    with pytest.raises(
        TooManyRejects, match=r"day1: 1 reject in 5 records, .* allows: agents 1 of 2, loaded before"
    ) as error:
        load(database, base, max_rejects="0")
    assert "runner rejects --day day1" in str(error.value.hint)


@pytest.mark.parametrize("limit", ["", "x", "-1", "101%", "1.5", "%", "1e3"])
def test_what_is_no_limit(limit: str) -> None:
    """A wrong --max-rejects is a wrong usage."""
    with pytest.raises(UsageError, match="is not a limit of rejects"):
        publish.parse_limit(limit)


def test_a_failing_publish_changes_nothing(
    database: str, base: Path, connection: Connection, loaded: dict[str, list[tuple[Any, ...]]]
) -> None:
    """Entities are published together: what the last one cannot, no one does."""
    connection.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin raise 'no transactions today'; end $$; "
        "create trigger refuse before insert on stg_transactions execute function refuse()"
    )
    with pytest.raises(LoadFailed, match="no transactions today"):
        load(database, base, mode="always")
    assert loaded["loads"]


def test_a_row_that_breaks_a_rule_is_told_with_the_rule(
    database: str, base: Path, connection: Connection, tmp_path: Path
) -> None:
    """What staging does not take points at the constraint in the schema file that refuses it."""
    declarations = tmp_path / "project" / "staging_loaders" / "zluri"
    shutil.copytree(ZLURI, declarations)
    schema = tmp_path / "project" / "migrations" / "zluri" / "schema"
    schema.mkdir(parents=True)
    rule = "-- A rule.\nalter table stg_agents add constraint name_is_long check (length(name) > 99)"
    (schema / "001_rule.sql").write_text(rule)
    connection.execute(rule.encode())
    with pytest.raises(LoadFailed, match=r"\nmigrations/zluri/schema/001_rule\.sql:2:39\n") as caught:
        load(database, base, declarations=declarations, mode="always")
    assert "let the entity's declaration" in str(caught.value.hint).lower()


@pytest.mark.usefixtures("loaded")
def test_an_interrupt_leaves_nothing(database: str, base: Path) -> None:
    """Ctrl-C in the middle of a load."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(database, base, progress=interrupt)


@pytest.mark.usefixtures("loaded")
def test_rows_that_got_lost_stop_the_day(database: str, base: Path, connection: Connection) -> None:
    """What was read must be there, to the last record, before it is published."""
    with day_load(database, base) as unlucky:
        landing_of_agents = unlucky.land("agents")
        connection.execute(f"delete from {landing_of_agents.target.rows} where position = 1")
        with pytest.raises(LoadFailed, match="agents: 3 records were read, but 0 rows, 1 rejects and 0 warnings"):
            unlucky.publish([landing_of_agents])


@pytest.mark.usefixtures("loaded")
def test_a_reader_of_several_statements_holds_publishing_up(
    database: str, base: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that holds the day's lock shared sees one load only."""
    monkeypatch.setattr(publish, "_STAGING_WAIT", 0.0)
    with connection.transaction():
        connection.execute(
            "select pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", (publish.staging_key("zluri", "day1"),)
        )
        with pytest.raises(LoadFailed, match=r"staging:zluri/day1 has been in use"):
            load(database, base)


def test_landing_again_replaces_the_earlier_attempt(database: str, base: Path, connection: Connection) -> None:
    """A task that is retried publishes its own attempt, once."""
    with day_load(database, base) as retried:
        first = [retried.land(plan.entity) for plan in retried.plan() if plan.present]
        second = [retried.land(plan.entity) for plan in retried.plan() if plan.present]
        assert {each.target for each in first}.isdisjoint(each.target for each in second)
        retried.publish(second)
    assert connection.execute("select count(*) from stg_agents").fetchone() == (1,)
    assert landed(connection) == []


def test_a_day_is_published_whole(database: str, base: Path) -> None:
    """What is new and was not landed cannot be left out."""
    with day_load(database, base) as hasty:
        agents = hasty.land("agents")
        with pytest.raises(UsageError, match="without admin_groups, roles, transactions"):
            hasty.publish([agents])


@pytest.fixture
def part(database: str, base: Path, connection: Connection) -> parts.Part:
    """The agents of day1 as one part, its landing tables made."""
    entity = load_declarations(ZLURI)["agents"]
    target = landing.Target("l0123456789ab_1")
    landing.create(connection, target, entity, "day1")
    return parts.Part(database, "test", entity, target, 0, find_files(base / "sync-day1" / "agents"))


def test_a_part_run_again_copies_nothing_twice(part: parts.Part, connection: Connection) -> None:
    """Spark may run a part again after its commit; it tells the same counts."""
    first, second = parts.land_part(part), parts.land_part(part)
    assert isinstance(first, parts.Counts)
    assert isinstance(second, parts.Counts)
    assert (first.records, first.rows, first.rejects) == (second.records, second.rows, second.rejects) == (2, 1, 1)
    assert connection.execute(f"select count(*) from {part.target.rows}").fetchone() == (1,)
    assert connection.execute(f"select count(*) from {part.target.rejects}").fetchone() == (1,)


def test_two_attempts_at_once_land_one(
    part: parts.Part, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have copied when the first commits; the other's rows go."""
    both = threading.Barrier(2)
    copied = parts._copy

    def copy_together(*arguments: Any) -> parts.Counts:
        counts = copied(*arguments)
        both.wait()
        return counts

    monkeypatch.setattr(parts, "_copy", copy_together)
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(parts.land_part(part))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(each.records, each.rows, each.rejects) for each in outcomes] == [(2, 1, 1)] * 2
    assert connection.execute(f"select count(*) from {part.target.rows}").fetchone() == (1,)


def test_a_straggler_of_a_dead_load_has_nowhere_to_write(part: parts.Part, connection: Connection) -> None:
    """Its tables are gone, and it cannot make new ones."""
    assert landing.drop_dead(connection) == 1
    failed = parts.land_part(part)
    assert isinstance(failed, parts.Failed)
    assert "does not exist" in failed.message
    assert not failed.transient


def test_a_worker_that_still_copies_is_stopped(part: parts.Part, connection: Connection) -> None:
    """A cancelled job's workers do not keep the tables of a load that has ended."""
    with psycopg.connect(part.dsn, application_name="runner copy zluri/agents day1") as worker:
        worker.execute(f"lock table {part.target.rows} in row exclusive mode")
        assert landing.drop_dead(connection) == 1
        assert landed(connection) == []
        with pytest.raises(psycopg.OperationalError):
            worker.execute("select 1")


def test_a_killed_load_leaves_nothing_for_long(database: str, base: Path, connection: Connection) -> None:
    """While a load lives nobody touches its tables; once it is killed the next drops them, if only that."""
    script = (
        "import sys; from tests.integration.test_load import *\n"
        "load = day_load(sys.argv[1], Path(sys.argv[2])); load.__enter__(); load.land('agents')\n"
        "print('landed', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, database, str(base)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"landed\n"
        left = landed(connection)
        load(database, base)
        assert left == landed(connection) != []
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert {each.status for each in load(database, base).values()} == {"unchanged", "absent"}
    assert landed(connection) == []


@pytest.mark.parametrize(
    ("prepare", "day", "words", "hint"),
    [
        (lambda base: None, "dya1", "no files for dya1", "Did you mean day1? There is day1."),
        (lambda base: base.rename(base.parent / "gone"), "day1", "does not exist", "--data or DATA_BASE_PATH"),
        (lambda base: (base / "sync-day1").rename(base / "day1"), "day1", "holds no sync-<day> folder", "--data"),
        (lambda base: (base / "sync-day1/agents/a.json").unlink(), "day1", "day1 lacks agents", "Fetch the day again"),
    ],
    ids=["day", "base", "no days", "entity"],
)
def test_a_day_that_is_not_there(
    database: str, base: Path, prepare: Callable[[Path], object], day: str, words: str, hint: str
) -> None:
    """The error says what is missing and what there is."""
    prepare(base)
    with pytest.raises(DayNotFound, match=words) as error:
        load(database, base, day)
    assert hint in (error.value.hint or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("drop table stg_roles", "3: table: the database has no table stg_roles$"),
        ("alter table stg_roles drop column name", "9: fields.name: stg_roles has no column name"),
        ("alter table stg_roles alter role_id type text", "8: fields.role_id: stg_roles.role_id is text, not bigint"),
    ],
    ids=["table", "column", "type"],
)
def test_a_table_that_does_not_fit(database: str, base: Path, connection: Connection, change: str, words: str) -> None:
    """A declaration without its schema file is a matter of configuration."""
    connection.execute(change.encode())
    with pytest.raises(ConfigError, match=rf"zluri/roles\.toml:{words}"):
        load(database, base)


def test_a_declaration_that_names_another_table_by_now(database: str, base: Path, connection: Connection) -> None:
    """A day that was loaded into a table that is gone is an error of the declaration, not of the server."""
    load(database, base)
    connection.execute("alter table stg_roles rename to stg_role")
    with pytest.raises(ConfigError, match=r"roles.toml:3: table: .* no table stg_roles; did you mean stg_role?"):
        load(database, base)
    (base / "sync-day1" / "roles" / "a.json").unlink()
    assert load(database, base)["roles"].status == "absent"


def test_the_plan_says_what_and_why(database: str, base: Path) -> None:
    """With and without a database, and nothing is written."""
    options: dict[str, Any] = {"pipeline": "zluri", "day": "day1", "base": str(base), "declarations": ZLURI}
    new = {plan.entity: plan for plan in plan_day(dsn=None, **options)}
    assert {plan.reason for plan in new.values() if plan.present} == {"new"}
    assert (new["budgets"].present, new["budgets"].changed, new["budgets"].reason) == (False, False, "no files")
    load(database, base)
    (base / "sync-day1" / "roles" / "a.json").unlink()
    (base / "sync-day1" / "agents" / "b.json").write_text("[]")
    after = {plan.entity: (plan.changed, plan.reason) for plan in plan_day(dsn=database, **options)}
    assert after["agents"] == (True, "files or declaration changed")
    assert after["transactions"] == (False, "unchanged")
    assert after["roles"] == (True, "its files are gone")
    always = plan_day(dsn=database, mode="always", **options)
    assert {plan.reason for plan in always if plan.present and plan.entity != "agents"} == {"asked for"}


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_a_plan_names_folders_of_no_entity(
    options: list[str], database: str, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan warns of a folder that nobody reads, as the load will; one that loads nothing does not."""
    (base / "sync-day1" / "budget").mkdir()
    monkeypatch.setenv("DATABASE_URL", database)
    plan = ["plan", "--day", "day1", "--project", str(ROOT), *options]
    assert cli.main([*plan, "--data", str(base)]) == 0
    out, err = capsys.readouterr()
    assert "budget " not in out
    assert err == (
        f"warning: day1: {base}/sync-day1/budget belongs to no entity and is not read; did you mean budgets?\n"
    )
    load(database, base)
    assert cli.main([*plan, "--load", "never"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("seconds", [10.0, 0.0], ids=["waited for", "asked for"])
def test_what_is_large_is_published_with_statistics(
    database: str, base: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """They are gathered beside the look at each row, and are there before the first step is planned."""
    monkeypatch.setattr("staging_loaders.analyze._ROWS", 1)
    monkeypatch.setattr("staging_loaders.analyze._SECONDS", seconds)
    load(database, base)
    known = "select reltuples from pg_class where oid = staging_partition(%s, 'day1')"
    for table in ("stg_agents", "stg_transactions"):
        assert connection.execute(known, (table,)).fetchone() == (1.0,)


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "rolled back"])
def test_a_connection_lost_at_the_commit(
    database: str, base: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """The server is asked how it ended, and its answer is what the load tells."""
    really = publish.publish

    def lose(connection: Connection, *arguments: Any) -> None:
        *others, committing = arguments

        def before_the_commit(last: LastCommit) -> None:
            committing(last)
            if not committed:
                connection.close()
                raise psycopg.OperationalError("the server closed the connection")

        really(connection, *others, before_the_commit)
        connection.close()
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(publish, "publish", lose)
    if committed:
        assert load(database, base)["agents"].status == "loaded"
    else:
        with pytest.raises(LoadFailed, match="the server closed the connection"):
            load(database, base)
    assert connection.execute("select count(*) from stg_agents").fetchone() == (1 if committed else 0,)


def test_a_day_is_not_published_twice(
    database: str, base: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server did not say for long how publishing ended, the next attempt asks before it does anything."""
    really, times = publish.publish, []

    def lose(connection: Connection, *arguments: Any) -> None:
        times.append(really(connection, *arguments))
        connection.close()
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(publish, "publish", lose)
    with day_load(database, base) as load:
        landings = [load.land(plan.entity) for plan in load.plan() if plan.present]
        with monkeypatch.context() as silent:
            silent.setattr(settlement, "PATIENCE", 0.0)
            silent.setattr(last_commit, "connect", mute)
            with pytest.raises(DatabaseUnavailable, match="no server said within"):
                load.publish(landings)
        assert {each.status for each in load.publish(landings)} >= {"loaded"}
    assert len(times) == 1
    assert connection.execute("select count(*) from stg_agents").fetchone() == (1,)


def mute(*_: str) -> None:
    """A server that does not answer."""
    raise DatabaseUnavailable("nobody answers")


def test_another_loader_can_say_that_a_day_is_loaded(connection: Connection) -> None:
    """With the statement of the README, steps see a day that somebody else has put into staging."""
    blocks = re.findall(r"^```sql\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (statement,) = (block for block in blocks if "insert into stg_loads" in block)
    connection.execute("select staging_day('stg_agents', 'day9')")
    connection.execute(
        "insert into stg_agents (day, source_file, position, agent_id, email, name) values ('day9', 'x', 1, 7, '', '')"
    )
    connection.execute(statement)
    connection.execute("set app.day = 'day9'")
    assert connection.execute("select is_loaded('agents'), is_loaded('roles')").fetchone() == (True, False)
    assert read_loaded(connection, "zluri", "day9", load_declarations(ZLURI))["agents"].intact


def test_a_second_pipeline_needs_no_python(database: str, connection: Connection, tmp_path: Path) -> None:
    """A table and a declaration make a loader."""
    connection.execute(
        "create table stg_items (day text, source_file text, position bigint, item text, tags text[], price numeric)"
    )
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "items.toml").write_text(
        'table = "stg_items"\nrequired = true\nkey = "item"\n[fields]\n'
        'item = { type = "text", required = true }\ntags = { type = "text[]" }\nprice = { type = "number", min = 0 }\n'
    )
    (tmp_path / "sync-day1" / "items").mkdir(parents=True)
    (tmp_path / "sync-day1" / "items" / "a.csv").write_text(
        'item,tags,price\na,"[""x, \\""y\\"""", ""\\\\""]",1.50\nb,,-1\n'
    )
    [found] = load(database, tmp_path, pipeline="shop", declarations=tmp_path / "shop").values()
    assert (found.rows_loaded, found.rejects) == (1, 1)
    rows = connection.execute("select day, item, tags, price::text from stg_items").fetchall()
    assert rows == [("day1", "a", ['x, "y"', "\\"], "1.50")]
    assert connection.execute("select pipeline, reason from stg_rejects").fetchall() == [
        ("shop", "price is less than 0")
    ]


texts = st.one_of(
    st.none(), st.sampled_from(["\\N", "\\", "\t", "\n", "\r", "\\.", "\\t", "", "NULL", "a\\Nb"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.lists(st.tuples(texts, texts, texts), max_size=5))
def test_copied_text_comes_back(connection: Connection, rows: list[tuple[str | None, ...]]) -> None:
    """Whatever a value holds, COPY brings it back unchanged, null and empty apart."""
    connection.execute("create temporary table if not exists copied (n serial, a text, b text, c text)")
    connection.execute("truncate copied")
    copied = lines.Lines(connection, "copied", ("a", "b", "c"))
    for row in rows:
        copied.add(list(row))
    copied.flush()
    assert connection.execute("select a, b, c from copied order by n").fetchall() == rows


def test_large_parts_are_copied_in_pieces(
    part: parts.Part, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and rejects take turns on one connection; memory stays flat."""
    monkeypatch.setattr(lines, "_PIECE", 1)
    many = "\n".join(json.dumps(record) for _ in range(50) for record in (AGENT, ODD))
    (Path(part.files[0].path).parent / "b.jsonl").write_text(many)
    again = parts.Part(part.dsn, part.name, part.entity, part.target, 1, find_files(Path(part.files[0].path).parent))
    counts = parts.land_part(again)
    assert isinstance(counts, parts.Counts)
    assert (counts.records, counts.rows, counts.rejects) == (102, 51, 51)
    assert connection.execute(f"select count(*) from {part.target.rows}").fetchone() == (51,)


@pytest.mark.parametrize(
    ("convert", "kind", "value"),
    [
        (values.number, "numeric", Number("1e131071")),
        (values.number, "numeric", Number("-9.99e131071")),
        (values.number, "numeric", Number("1e-16383")),
        (values.number, "numeric", Number("1." + "3" * 16383)),
        (values.number, "numeric", Number("7" * 131072)),
        (values.number, "numeric", Number("7" * 131072 + "." + "3" * 16383)),
        (values.number, "numeric", " +00" + "0" * 200_000 + "1.5E+00000000000000000001 "),
        (values.number, "numeric", Number("0e-999999999999")),
        (values.number, "numeric", Number("-0.0")),
        (values.integer, "bigint", -(2**63)),
        (values.integer, "bigint", "+" + "0" * 5000 + "9223372036854775807"),
        (values.moment, "timestamptz", "0000-12-31T23:59:59.9999999-23:59"),
        (values.moment, "timestamptz", "0001-01-01T00:00"),
        (values.moment, "timestamptz", "9999-12-31T23:59:59.9999999Z"),
        (values.moment, "timestamptz", "9999-12-31 23:59:59.999999"),
        (values.moment, "timestamptz", "2026-01-01T00:00:00+2359"),
        (values.day, "date", "0001-01-01"),
        (values.day, "date", "9999-12-31"),
    ],
    ids=lambda value: repr(value)[:24] if isinstance(value, str | int) else "",
)
def test_the_server_takes_what_the_loader_lets_through(
    connection: Connection, convert: Callable[[object], str | None], kind: str, value: object
) -> None:
    """The limits of the rules lie within those of the types: no value that passed fails a load."""
    text = convert(value)
    assert text is not None
    row = connection.execute(f"select %s::text::{kind} is not null", (text,)).fetchone()
    assert row == (True,)


def test_exact_values_reach_the_table(database: str, base: Path, connection: Connection) -> None:
    """Decimals, times and text arrive as they were written, to the last digit."""
    card = (
        '[{"id": 12.50, "status": true, "type": "a\\tb\\\\N\\u0000\\ud800",'
        ' "createdTime": "2026-01-01 01:30:00.1234569+0230",'
        ' "currentPeriod": {"limit": 0.10000000000000000000000000000001, "spent": "1e-20"}, "recurringLimit": 1e20}]'
    )
    (base / "sync-day1" / "cards").mkdir()
    (base / "sync-day1" / "cards" / "a.json").write_text(card)
    load(database, base)
    connection.execute("set timezone = 'UTC'")
    row = connection.execute(
        "select card_id, status, type, created_time::text, current_limit::text, current_spent::text, "
        "recurring_limit::text from stg_cards"
    ).fetchone()
    assert row == (
        "12.50", "true", "a\tb\\N\ufffd\ufffd", "2025-12-31 23:00:00.123456+00",
        "0.10000000000000000000000000000001", "0.00000000000000000001", "100000000000000000000",
    )  # fmt: skip
