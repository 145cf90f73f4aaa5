"""runner db: the embedded PostgreSQL, by hand."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from runner import console, database, days, embedded
from runner.config import Settings
from runner.errors import ConfigError, DatabaseUnavailable, DayHeld, UsageError

NEEDS_PIPELINE = False

_SECRET = ("password", "sslpassword")

_ACTIONS = {
    "start": "start it; every command that needs it does that too",
    "stop": "stop it; its data stays",
    "status": "show whether it runs, where, and how large it is",
    "url": "print the URL to connect to; no password is in it",
    "psql": "open psql in the warehouse, with the options of psql that follow",
    "reset": "stop it and remove its data for good",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the actions of `runner db` and their options."""
    parser.set_defaults(json=False, yes=False, force=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in _ACTIONS.items():
        if name == "psql":
            # Without a character that starts options, every word is psql's.
            own = actions.add_parser(name, help=text, prefix_chars="\0", add_help=False)
            own.add_argument("arguments", nargs="*")
            continue
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        # Before or after the action, as with every other command.
        action.add_argument("--project", metavar="DIR", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        action.add_argument("--pipeline", metavar="P", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        action.add_argument("--json", action="store_true", help="print one JSON document")
        if name == "reset":
            action.add_argument("--yes", action="store_true", help="do not ask")
        if name in ("stop", "reset"):
            action.add_argument("--force", action="store_true", help="also while a run is active")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what `args.action` says."""
    action = {"start": _start, "stop": _stop, "status": _status, "url": _url, "psql": _psql, "reset": _reset}
    return action[args.action](args, settings)


def _start(args: argparse.Namespace, settings: Settings) -> int:
    if settings.database_url is not None:
        raise ConfigError(
            f"the settings name a server ({database.describe(settings.database_url)}), so the embedded one is not used",
            hint="Unset DATABASE_URL (and PGHOST), or remove url from runner.toml.",
        )
    was = embedded.status(settings.home, settings.embedded_version).running
    database.resolve(settings)
    now = embedded.status(settings.home, settings.embedded_version)
    return _tell(args, settings, f"{'already runs' if was else 'started'} (process {now.pid})", started=not was)


def _stop(args: argparse.Namespace, settings: Settings) -> int:
    found = embedded.status(settings.home, settings.embedded_version)
    _refuse_in_use(args, found, "it would start the server again. runner db stop --force stops it even so.")
    stopped = embedded.stop(settings.home, settings.embedded_version)
    return _tell(args, settings, "stopped" if stopped else "did not run", stopped=stopped)


def _refuse_in_use(args: argparse.Namespace, found: embedded.Status, why: str) -> None:
    """Raise DayHeld while somebody is at work on the server, unless that is to be so."""
    if found.running and not args.force and (active := _active(found.url)):
        raise DayHeld(
            f"PostgreSQL {found.version} is in use: {'; '.join(active)}", hint=f"Wait, or end that first: {why}"
        )


def _active(url: str) -> list[str]:
    """Return who is at work on the embedded server: the runs that hold a day, else the runner's connections."""
    import psycopg

    from runner import lease

    try:
        with database.connect(url, "runner db") as connection:
            runs: list[str] = []
            if connection.execute("select to_regclass('runner_leases') is not null").fetchone() == (True,):
                for (pipeline,) in connection.execute("select distinct pipeline from runner_leases order by 1"):
                    holders = lease.holders(connection, pipeline)
                    runs += (f"{pipeline} {day}, {holders[day]}" for day in sorted(holders, key=days.order))
            others = connection.execute(
                "select application_name, pid from pg_stat_activity where starts_with(application_name, 'runner ')"
                " and backend_type = 'client backend' and pid <> pg_backend_pid() order by backend_start"
            ).fetchall()
    except (psycopg.Error, DatabaseUnavailable):
        return []  # what cannot be asked may be stopped
    return runs or [f"{name} (connection {number})" for name, number in others]


def _reset(args: argparse.Namespace, settings: Settings) -> int:
    found = embedded.status(settings.home, settings.embedded_version)
    _refuse_in_use(args, found, "its tables would be gone from under it. runner db reset --force removes them even so.")
    if found.data_dir.exists() and not args.yes:
        if not console.interactive():
            raise UsageError(f"this removes {found.data_dir} for good", hint="Say so: runner db reset --yes")
        if not console.ask(f"Remove {found.data_dir} ({_size(found.size)}) for good?"):
            console.note("nothing was removed")
            return 1
    removed = embedded.reset(settings.home, settings.embedded_version)
    return _tell(args, settings, f"removed {found.data_dir}" if removed else "had no data", removed=removed)


def _status(args: argparse.Namespace, settings: Settings) -> int:
    found = embedded.status(settings.home, settings.embedded_version)
    used = settings.database_url is None
    if args.json:
        document = {name: getattr(found, name) for name in found.__dataclass_fields__}
        console.print_json(document | {"used": used, "server": None if used else _named(settings)})
        return 0
    if not used:
        console.say(f"The settings name a server, {_named(settings)}; the embedded one is not used.")
    state = f"runs (process {found.pid})" if found.running else "does not run"
    rows = [
        ("PostgreSQL", f"{found.version}, embedded, {state}"),
        ("run by", found.account or "you"),
        ("url", found.url),
        ("url, TCP", found.tcp_url or _no_port(found, settings.embedded_port)),
        ("data", f"{found.data_dir} ({_size(found.size)})" if found.data_dir.exists() else f"{found.data_dir} (none)"),
        ("log", found.log),
    ]
    for name, value in rows:
        console.say(f"{name:<11} {value}")
    return 0


def _no_port(found: embedded.Status, port: int | None) -> str:
    """Return why the server cannot be reached by TCP, and what to do about it."""
    if port is None:
        return "off; embedded_port in runner.toml turns it on"
    if found.running:
        return f"off; it was started without port {port}: runner db stop, then runner db start"
    return f"off; the next start listens on port {port}"


def _url(args: argparse.Namespace, settings: Settings) -> int:
    url = _named(settings) if settings.database_url is not None else database.resolve(settings)
    tcp = embedded.status(settings.home, settings.embedded_version).tcp_url if settings.database_url is None else None
    if args.json:
        console.print_json({"url": url, "tcp_url": tcp})
    else:
        console.say(url)
    return 0


def _psql(args: argparse.Namespace, settings: Settings) -> int:
    """Become psql, which then has the terminal and the exit code to itself.

    The server is named in the environment: other users cannot read that, and psql's own options are stronger, so that
    `-d NAME` is another database of the same server.
    """
    import shutil

    from psycopg import conninfo, pq

    if settings.database_url is None:
        program = str(embedded.binaries(settings.embedded_version) / "psql")
        parts: dict[str, Any] = dict(conninfo.conninfo_to_dict(database.resolve(settings)))
    else:
        program, parts = shutil.which("psql") or str(embedded.binaries() / "psql"), _parts(settings)
    variables = {
        option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar
    }
    named = {variables[key]: str(value) for key, value in parts.items() if key in variables}
    others = conninfo.make_conninfo(
        **{key: value for key, value in parts.items() if key not in variables and key not in _SECRET}
    )
    sys.stdout.flush()
    os.execve(program, [program, *(("-d", others) if others else ()), *args.arguments], {**os.environ, **named})


def _named(settings: Settings) -> str:
    """Return the settings' own server as a URL without its password, which psql and psycopg accept alike."""
    from urllib.parse import quote, urlencode

    parts = {key: str(value) for key, value in _parts(settings).items() if key not in _SECRET}
    hosts = parts.pop("host", "").split(",")
    ports = parts.pop("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    # The folder of a Unix socket stands where a host does, percent-encoded.
    places = [
        (f"[{host}]" if ":" in host else quote(host, safe="")) + (f":{port}" if port else "")
        for host, port in zip(hosts, ports, strict=False)
    ]
    user = f"{quote(parts.pop('user'), safe='')}@" if "user" in parts else ""
    database_name = quote(parts.pop("dbname", ""), safe="")
    query = f"?{urlencode(parts, quote_via=quote)}" if parts else ""
    return f"postgresql://{user}{','.join(places)}/{database_name}{query}"


def _parts(settings: Settings) -> dict[str, Any]:
    """Return what is known of the settings' own server: its connection string, and libpq's environment."""
    from psycopg import conninfo, pq

    given = database.resolve(settings)
    database.check(given)
    environment = {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val and option.envvar and option.envvar.decode() in os.environ
    }
    return environment | conninfo.conninfo_to_dict(given)


def _tell(args: argparse.Namespace, settings: Settings, what: str, **facts: bool) -> int:
    if args.json:
        console.print_json({"version": settings.embedded_version, "home": settings.home, **facts})
    else:
        console.say(f"PostgreSQL {settings.embedded_version}: {what}")
    return 0


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
