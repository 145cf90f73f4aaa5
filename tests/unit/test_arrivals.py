"""When a day's files call for a run: what identifies them, when they are whole and left alone."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner import arrivals, config
from runner.arrivals import Arrival, Entry, Rules
from runner.errors import ConfigError
from staging_loaders.files import SourceFile
from staging_loaders.s3 import Access

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
RULES = Rules(settle=timedelta(minutes=1))
BUCKET = Access()


def found(name: str, size: int = 10, etag: str = "a", at: int = 0, day: str = "day1") -> tuple[str, str, SourceFile]:
    entity, _, rest = name.partition("/")
    return f"sync-{day}", entity, SourceFile(f"s3://b/{name}", rest, size, at, etag, BUCKET)


def mark(*files: tuple[str, str, SourceFile]) -> str:
    return arrivals.gather(files, "sync-")["day1"].fingerprint


def test_a_day_is_known_by_the_set_of_its_files() -> None:
    """The order in which they are listed is nothing to it; a name, a size, an ETag, one more or one less is."""
    files = [found(f"agents/{number}.json") for number in range(20)]
    known = mark(*files)
    for _ in range(5):
        random.shuffle(files)
        assert mark(*files) == known
    others = [
        files[1:],
        [*files, found("agents/x.json")],
        [*files[1:], found("agents/x.json")],
        [*files[1:], replaced(files[0], size=11)],
        [*files[1:], replaced(files[0], etag="b")],
        [*files[1:], ("sync-day1", "roles", files[0][2])],
    ]
    assert len({known, *(mark(*other) for other in others)}) == 1 + len(others)
    assert mark(*files[1:], replaced(files[0], modified=5)) == known  # an object's ETag says more than its time


def replaced(file: tuple[str, str, SourceFile], **fields: Any) -> tuple[str, str, SourceFile]:
    return file[0], file[1], replace(file[2], **fields)


def test_files_of_a_folder_are_known_by_their_times(tmp_path: Path) -> None:
    """Where there is no ETag, the time of the content stands for it; what got there last counts as the newest."""
    path = tmp_path / "a.json"
    path.write_text("[]")
    file = SourceFile(str(path), "a.json", 2, 1_000_000_000)
    first, second = (mark(("sync-day1", "agents", replace(file, modified=at))) for at in (1, 2))
    assert first != second
    day = arrivals.gather([("sync-day1", "agents", file)], "sync-")["day1"]
    assert day.newest > datetime(2026, 1, 1, tzinfo=UTC)  # moved here now, whatever time its content has
    path.unlink()
    assert arrivals.gather([("sync-day1", "agents", file)], "sync-")["day1"].newest >= day.newest


def test_days_are_gathered() -> None:
    """Files fall to their days, in natural order; folders that are no day's count for nothing, markers as such."""
    files = [
        found("agents/a.json", 5, day="day10"),
        found("agents/b.json", 7, at=9_000_000_000, day="day2"),
        found("roles/a.json", 1, day="day2"),
        found("_SUCCESS", 0, day="day2"),
        found("_OTHER", 0, day="day3"),
        found("agents/a.json", day="../x"),
    ]
    days = arrivals.gather(files, "sync-", "_SUCCESS")
    assert list(days) == ["day2", "day10"]
    assert (days["day2"].files, days["day2"].bytes, days["day2"].marked) == (2, 8, True)
    assert days["day2"].entities == {"agents", "roles"}
    assert days["day2"].newest == datetime.fromtimestamp(9, UTC)
    assert not days["day10"].marked


def test_memory_does_not_grow_with_files() -> None:
    """However many files are listed, no more is kept than a few lines a day."""

    def many() -> Iterator[tuple[str, str, SourceFile]]:
        for number in range(50_000):
            yield found(f"agents/{number}.json", day=f"day{number % 10}")

    tracemalloc.start()
    days = arrivals.gather(many(), "sync-")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(day.files for day in days.values()) == 50_000
    assert peak < 1_000_000


def arrival(**fields: Any) -> Arrival:
    given = Arrival("day1", "new", 3, 30, NOW - timedelta(hours=1), frozenset({"agents"}), False)
    return replace(given, **fields)


def entry(status: Any = "triggered", fingerprint: str = "new", **fields: Any) -> Entry:
    return Entry(**{"generation": 1, "since": NOW, "fingerprint": fingerprint, "status": status, **fields})


@pytest.mark.parametrize(
    ("seen", "known", "kind"),
    [
        pytest.param(arrival(), None, "trigger", id="new"),
        pytest.param(arrival(), entry("seen"), "trigger", id="seen before"),
        pytest.param(arrival(), entry(), "done", id="triggered"),
        pytest.param(arrival(), entry("loaded"), "done", id="loaded"),
        pytest.param(arrival(), entry(fingerprint="old"), "trigger", id="overwritten"),
        pytest.param(arrival(), entry("loaded", "old"), "trigger", id="overwritten after a load by hand"),
        pytest.param(arrival(), entry("triggering"), "resume", id="killed"),
        pytest.param(arrival(entities=frozenset()), entry("triggering", "old"), "resume", id="killed and changed"),
        pytest.param(arrival(newest=NOW), None, "wait", id="arriving"),
        pytest.param(arrival(newest=NOW), entry("seen"), "wait", id="arriving still"),
        pytest.param(arrival(newest=NOW), entry(), "done", id="triggered meanwhile"),
        pytest.param(arrival(entities=frozenset({"roles"})), None, "wait", id="not whole"),
        pytest.param(
            arrival(newest=NOW + timedelta(days=1)),
            entry("seen", since=NOW - timedelta(minutes=2)),
            "trigger",
            id="its clock is wrong, but nothing has changed",
        ),
        pytest.param(
            arrival(newest=NOW), entry("seen", "old", since=NOW - timedelta(minutes=2)), "wait", id="has changed"
        ),
    ],
)
def test_decisions(seen: Arrival, known: Entry | None, kind: str) -> None:
    """A day is due when it is new or changed, whole, and left alone for a while."""
    assert arrivals.decide(seen, known, ["agents"], RULES, NOW).kind == kind


def test_a_marker() -> None:
    """Where a marker is asked for, no day is due without it."""
    rules = replace(RULES, marker="_SUCCESS")
    waits = arrivals.decide(arrival(), None, [], rules, NOW)
    assert (waits.kind, waits.reason) == ("wait", "has no _SUCCESS yet")
    assert arrivals.decide(arrival(marked=True), None, [], rules, NOW).kind == "trigger"


def test_keys() -> None:
    """A key is made of nothing but what is run and its content, so that whoever asks again has the same."""
    settings = config.Settings(Path("."), "zluri", "data", Path("."))
    keys = {
        arrivals.key(settings, "flow/daily", "day1", "a", 0),
        arrivals.key(settings, "flow/daily", "day1", "a", 0),
        arrivals.key(settings, "flow/daily", "day1", "a", 1),
        arrivals.key(settings, "flow/daily", "day1", "b", 0),
        arrivals.key(settings, "flow/daily", "day2", "a", 0),
        arrivals.key(settings, "flow/other", "day1", "a", 0),
        arrivals.key(replace(settings, env="prod"), "flow/daily", "day1", "a", 0),
    }
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, Rules(), id="defaults"),
        pytest.param({"settle": "5min"}, Rules(settle=timedelta(minutes=5)), id="settle"),
        pytest.param({"settle": "0s"}, Rules(settle=timedelta(0)), id="at once"),
        pytest.param({"marker": "_SUCCESS", "deployment": "a/b"}, Rules(marker="_SUCCESS", deployment="a/b"), id="all"),
    ],
)
def test_rules(said: dict[str, Any], expected: Rules) -> None:
    """[sensor] may say how long to wait, which file to wait for, and what to run."""
    assert arrivals.rules(settings_with(said)) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param("1min", "sensor in", id="no table"),
        pytest.param({"settel": "1min"}, "unknown key 'sensor.settel'", id="misspelt"),
        pytest.param({"settle": 5}, "sensor.settle in", id="no text"),
        pytest.param({"settle": "soon"}, "not a duration", id="no duration"),
        pytest.param({"marker": "a/b"}, "no file's name", id="no name"),
        pytest.param({"deployment": "daily"}, "sensor.deployment in", id="no flow"),
    ],
)
def test_wrong_rules(said: Any, message: str) -> None:
    """What it may not say is named with its key, and with what to do."""
    with pytest.raises(ConfigError, match=message) as caught:
        arrivals.rules(settings_with(said))
    assert caught.value.hint


def settings_with(said: Any) -> config.Settings:
    return replace(config.Settings(Path("."), "zluri", "data", Path(".")), sensor=said)
