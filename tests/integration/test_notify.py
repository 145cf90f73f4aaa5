"""Who is told of failed runs, and connections as blocks: what is stored on Prefect's server, and that it works."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from runner import config, connections, database, notifications
from runner.config import Settings
from runner.errors import ConfigError, RunnerError
from tests.conftest import ROOT
from tests.flows import Ended, artifacts, logged
from tests.hostile.watching import files_with

# What Prefect and its dependencies say of one another.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:prefect.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

Connection = psycopg.Connection[tuple[Any, ...]]

STEP = """
select 1/{divisor};
insert into pipeline_metrics (
    flow_run_id, task_name, pipeline_name, table_name, day, rows_inserted, rows_affected, status
)
select current_setting('app.flow_run_id'), 'a_task', 'a', 'a', current_setting('app.day'), 0, 0, 'success';
"""


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    """A project of one step, which fails."""
    folder = tmp_path / "migrations" / "demo"
    folder.mkdir(parents=True)
    (folder / "010_a.sql").write_text(STEP.format(divisor=0))
    return config.load({"project": str(tmp_path)}, environ={"DATABASE_URL": database, "RUNNER_ENV": "test"})


def apply(settings: Settings, *, dry_run: bool = False) -> dict[str, str]:
    """Bring the server to what runner.toml says, as `runner deploy` does; return what became of each object."""
    from prefect.client.orchestration import get_client

    from runner.flows.deploy import deploy

    with get_client(sync_client=True) as client:
        return {change.kind: change.what for change in deploy(client, settings, dry_run=dry_run)}


def test_notifications_are_kept_as_declared(
    prefect_server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made once, unchanged when applied again, brought up to date, removed with their block when they are dropped."""
    from prefect.client.orchestration import get_client

    monkeypatch.setenv("OPS_URL", "https://example.com/Kanarienvogel")
    told = replace(settings, notifications={"webhook": "OPS_URL"})
    for _ in range(2):  # only told
        assert apply(told, dry_run=True) == {"block": "created", "automation": "created"}
    assert apply(told) == {"block": "created", "automation": "created"}
    assert apply(told) == {"block": "unchanged", "automation": "unchanged"}
    with monkeypatch.context() as elsewhere:  # the server has the address
        elsewhere.delenv("OPS_URL")
        assert apply(told) == {"block": "unchanged", "automation": "unchanged"}
    with pytest.raises(ConfigError, match=r"tasks\.database\.retries"):
        apply(replace(told, tasks={"database": {"retries": -1}}))
    monkeypatch.setenv("OPS_URL", "https://example.com/Kanarienvogel2")
    assert apply(told) == {"block": "updated", "automation": "unchanged"}
    more = replace(settings, notifications={"webhook": "OPS_URL", "on": ["failed", "late"]})
    assert apply(more) == {"block": "unchanged", "automation": "updated"}
    with get_client(sync_client=True) as client:
        (automation,) = client.read_automations_by_name("demo: a run that went wrong is told of")
    assert automation.trigger.expect == {f"prefect.flow-run.{state}" for state in ("Failed", "TimedOut", "Late")}
    assert not files_with(prefect_server.home, ("Kanarienvogel",))
    # By a block that somebody made, ours goes.
    other = replace(settings, notifications={"block": "webhook/of-somebody"})
    with pytest.raises(ConfigError, match="no block webhook/of-somebody"):
        apply(other)
    from prefect.blocks.webhook import Webhook

    Webhook(url="https://example.com").save("of-somebody")
    assert apply(other) == {"block": "removed", "automation": "updated"}
    assert apply(settings) == {"automation": "removed"}
    assert apply(settings) == {}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param("x", "notifications is no table", id="no table"),
        pytest.param({"webhok": "X"}, "notifications.webhok is unknown", id="misspelt"),
        pytest.param({"webhook": "https://x/Kanarienvogel"}, "not the name of an environment variable", id="in clear"),
        pytest.param({"block": "ops"}, "notifications.block is 'ops'", id="no block"),
        pytest.param({"on": ["failed"]}, "names nobody", id="nobody"),
        pytest.param({"webhook": "X", "on": ["lost"]}, "notifications.on is", id="no event"),
        pytest.param({"webhook": "X", "on": []}, "notifications.on is", id="nothing"),
    ],
)
def test_wrong_notifications(settings: Settings, said: Any, message: str) -> None:
    """What [notifications] may not say is named with its key, and with what to do; an address is not repeated."""
    with pytest.raises(ConfigError, match=message) as caught:
        notifications.read(replace(settings, notifications=said))
    assert caught.value.hint
    assert "Kanarienvogel" not in str(caught.value) + (caught.value.hint or "")


@pytest.mark.parametrize(
    "address",
    ["", "not an address Kanarienvogel", "ftp://x/Kanarienvogel", "http://[::1/Kanarienvogel", "http://[Kanarienvogel]/",
     "http://x:Kanarienvogel/", "https://x/Kanarien vogel", "https://x/Kanarienvogel\n"],
)  # fmt: skip
def test_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable without an address is named, and what it holds is not shown."""
    monkeypatch.setenv("OPS_URL", address)
    with pytest.raises(ConfigError, match="the environment variable OPS_URL") as caught:
        notifications.address("OPS_URL")
    assert "Kanarienvogel" not in str(caught.value) + (caught.value.hint or "")


class Receiver(BaseHTTPRequestHandler):
    """Takes what a webhook is sent."""

    got: Queue[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.put((self.path, dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[tuple[str, Queue[tuple[str, dict[str, str], bytes]]]]:
    """The address of an HTTP server on the loopback interface, and what it was sent."""
    handler = type("Handler", (Receiver,), {"got": Queue()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/ops/Kanarienvogel", handler.got
        server.shutdown()
        thread.join()


@pytest.fixture
def full_server(prefect_server: Any, tmp_path: Path) -> Iterator[None]:
    """A Prefect server with all its services, on a copy of the database of the one that lacks them."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    from runner.flows.server import PrivateServer

    class Full(PrivateServer):
        def _environment(self) -> dict[str, str]:
            given = super()._environment()
            kept = {name: value for name, value in given.items() if name != "PREFECT__SERVER_EPHEMERAL"}
            return kept | {"PREFECT_UI_URL": self._url}

    home = tmp_path / "full"
    home.mkdir()
    with (
        closing(sqlite3.connect(prefect_server.home / "prefect.db")) as source,
        closing(sqlite3.connect(home / "prefect.db")) as target,
    ):
        source.backup(target)
    with Full(home) as server:
        server.wait()
        with temporary_settings({PREFECT_API_URL: server.api_url, PREFECT_API_AUTH_STRING: server.password}):
            yield
            server.drain()


@pytest.mark.slow
def test_a_failed_run_is_told_of(
    full_server: None,
    settings: Settings,
    receiver: tuple[str, Queue[tuple[str, dict[str, str], bytes]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The webhook is really called when a run fails, with what a person and a machine want to know; one that succeeds
    is not told of."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.events.worker import EventsWorker

    from runner.flows.day import day_pipeline

    address, got = receiver
    monkeypatch.setenv("OPS_URL", address)
    chat = CustomWebhookNotificationBlock(
        name="ops", url=f"{address}/chat", json_data={"text": "{{subject}}: {{body}}"}
    )
    chat.save("ops")
    apply(replace(settings, notifications={"webhook": "OPS_URL", "block": "custom-webhook/ops"}))
    step = settings.migrations / "010_a.sql"
    failing = step.read_text()
    step.write_text(failing.replace("1/0", "1/1"))
    assert day_pipeline(settings)("day0", return_state=True).is_completed()
    step.write_text(failing)
    ended = Ended(day_pipeline(settings)("day1", return_state=True))
    EventsWorker.drain_all(timeout=30)
    got_both = {path: (headers, json.loads(body)) for path, headers, body in (got.get(timeout=60), got.get(timeout=60))}
    headers, sent = got_both["/ops/Kanarienvogel"]
    assert headers["Content-Type"] == "application/json"
    assert got_both["/ops/Kanarienvogel/chat"][1]["text"].startswith("demo day1 failed: day1 010_a failed\n")
    assert sent["text"].startswith("demo day1 failed: day1 010_a failed\n")
    assert "010_a.sql:2:9: division by zero" in sent["message"]
    assert {name: sent[name] for name in ("pipeline", "flow", "flow_run", "flow_run_id", "state", "day")} == {
        "pipeline": "demo", "flow": "demo_day_pipeline", "flow_run": "demo day1", "flow_run_id": ended.id,
        "state": "Failed", "day": "day1",
    }  # fmt: skip
    assert set(sent["tags"]) == {"pipeline=demo", "env=test", "day=day1"}
    assert sent["url"].endswith(f"/runs/flow-run/{ended.id}")
    assert got.empty()


@pytest.fixture
def with_password(settings: Settings) -> str:
    """The test's database, with the one secret that no server asks for."""
    return conninfo.make_conninfo(settings.database_url or "", sslpassword="Kanarienvogel")


def store(settings: Settings) -> dict[str, tuple[str, str]]:
    """Store the connections as `runner deploy` does; return what became of each."""
    from prefect.client.orchestration import get_client

    from runner.flows import blocks

    blocks.register()
    blocks.load.cache_clear()
    with get_client(sync_client=True) as client:
        changes = blocks.plan(client, settings)
        for change in changes:
            change.act()
    return {change.name: (change.what, change.detail) for change in changes}


def test_a_connection_as_a_block(
    prefect_server: Any, settings: Settings, with_password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is stored once, named by the settings and loaded by whoever runs; its password is nowhere."""
    from runner.flows.day import day_pipeline

    declared = replace(settings, connections={"prod": {"variable": "PROD_URL"}})
    with pytest.raises(ConfigError, match="the environment variable PROD_URL"):
        store(declared)
    monkeypatch.setenv("PROD_URL", "postgresql://u:Kanarienvogel@[::1/x")
    with pytest.raises(
        ConfigError, match=r"PROD_URL, which \[connections\.prod\] names, is not a connection"
    ) as caught:
        store(declared)
    assert "Kanarienvogel" not in str(caught.value)
    monkeypatch.setenv("PROD_URL", with_password)
    assert store(declared)["warehouse-connection/prod"][0] == "created"
    assert store(declared)["warehouse-connection/prod"][0] == "unchanged"
    monkeypatch.delenv("PROD_URL")
    assert store(declared)["warehouse-connection/prod"] == ("unchanged", "PROD_URL is not set here")
    for url in ("block:prod", "block:warehouse-connection/prod"):
        assert database.resolve(replace(settings, database_url=url)) == with_password
    ended = Ended(day_pipeline(replace(settings, database_url="block:prod"))("day1", return_state=True))
    assert "division by zero" in str(ended.error)
    shown = [str(ended.run), *logged(ended.id), *(str(one.data) for one in artifacts(ended.id))]
    assert any("division by zero" in text for text in shown)
    assert not any("Kanarienvogel" in text for text in shown)
    assert not files_with(prefect_server.home, ("Kanarienvogel",))


def test_a_block_that_is_not_there(prefect_server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with what to do; so is a server that is not named, or does not answer."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    named = replace(settings, database_url="block:none")
    with pytest.raises(ConfigError, match="no block warehouse-connection/none") as caught:
        database.resolve(named)
    assert "[connections.none]" in (caught.value.hint or "")
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(ConfigError, match="no Prefect server"):
        database.resolve(named)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"})
    with away, pytest.raises(RunnerError, match="does not answer") as caught:
        database.resolve(named)
    assert caught.value.transient


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param("x", "connections is no table", id="no table"),
        pytest.param({"a b": {"variable": "X"}}, "connections.a b is no name", id="name"),
        pytest.param({"prod": "X"}, "connections.prod is no table", id="text"),
        pytest.param({"prod": {"url": "X"}}, "connections.prod.url is unknown", id="key"),
        pytest.param({"prod": {}}, "connections.prod.variable is not the name", id="none"),
        pytest.param({"prod": {"variable": "postgresql://u:Kanarienvogel@h/d"}}, "is not the name", id="in clear"),
    ],
)
def test_wrong_connections(settings: Settings, said: Any, message: str) -> None:
    """What [connections] may not say is named with its key, and with what to do; a password is not repeated."""
    with pytest.raises(ConfigError, match=message) as caught:
        connections.declared(replace(settings, connections=said))
    assert caught.value.hint
    assert "Kanarienvogel" not in str(caught.value) + (caught.value.hint or "")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        pytest.param("block:prod", "prod", id="name"),
        pytest.param("block:warehouse-connection/prod-eu", "prod-eu", id="type and name"),
        pytest.param("postgresql://block:prod@host/db", None, id="url"),
        pytest.param("host=block dbname=x", None, id="conninfo"),
        pytest.param("", None, id="libpq's own environment"),
    ],
)
def test_block_names(url: str, name: str | None) -> None:
    """What begins with `block:` names a block; all else is a connection string."""
    assert connections.block_name(url) == name


def test_other_blocks() -> None:
    """A block of another type is none of ours."""
    with pytest.raises(ConfigError, match="no block can have the name"):
        connections.block_name("block:secret/prod")


def test_the_page(settings: Settings) -> None:
    """What docs/observability.md shows is taken: what stands in runner.toml, and what a webhook is sent."""
    from runner.flows import notify

    page = (ROOT / "docs" / "observability.md").read_text("utf-8")
    said: dict[str, Any] = {}
    for block in page.split("```toml\n")[1:]:
        said |= tomllib.loads(block.partition("```")[0])
    given = replace(settings, notifications=said["notifications"], connections=said["connections"])
    assert notifications.read(given) == notifications.Notifications(
        "OPS_WEBHOOK_URL", None, ("Failed", "TimedOut", "Crashed")
    )
    assert connections.declared(given) == {"prod": "PROD_DATABASE_URL"}
    assert connections.block_name(said["database"]["url"]) == "prod"
    sent = json.loads(page.partition("```json\n")[2].partition("```")[0])
    assert set(sent) == {"pipeline", *notify._SENT}
