"""Settings: flag, then environment, then runner.toml, then default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner import sizes
from runner.errors import ConfigError, UsageError

FILE = "runner.toml"
ENGINES = ("spark", "local", "auto")


@dataclass(frozen=True)
class Settings:
    """What a command needs to know before it looks at its own arguments.

    `database_url` is a libpq URL or conninfo string, `""` for libpq's own `PG*`
    environment, and None for the embedded PostgreSQL. `spark` holds Spark's own settings
    by their full names (`spark.executor.memory`). `engine` is what reads files: `spark`, `local`
    (processes of this machine) or `auto`: local below `local_limit` bytes, Spark above. What `s3_…` leaves
    open, the configuration of AWS says.
    """

    project: Path
    pipeline: str
    data: str
    home: Path
    env: str = "dev"
    database_url: str | None = field(default=None, repr=False)
    embedded_version: int = 18
    embedded_port: int | None = None
    engine: str = "spark"
    local_limit: int = 64_000_000
    master: str = "local[*]"
    require_yarn: bool = False
    spark: Mapping[str, str] = field(default_factory=dict)
    s3_endpoint: str | None = None
    s3_region: str | None = None
    s3_anonymous: bool = False
    rates: str | None = None
    attempts: int = 5
    prune_keep: int | None = None
    freshness: Mapping[str, Any] = field(default_factory=dict)
    """The table [freshness] of runner.toml as it is written, see freshness.py."""
    tasks: Mapping[str, Any] = field(default_factory=dict)
    """The table [tasks] of runner.toml as it is written, see task_settings.py."""
    deployments: Mapping[str, Any] = field(default_factory=dict)
    """The tables [deployments.NAME] as they are written, see deployments.py."""
    work_pools: Mapping[str, Any] = field(default_factory=dict)
    """The tables [work_pools.NAME] as they are written, see deployments.py."""
    serve: Mapping[str, Any] = field(default_factory=dict)
    """The table [serve] as it is written, see serving.py."""
    sensor: Mapping[str, Any] = field(default_factory=dict)
    """The table [sensor] as it is written, see arrivals.py."""
    notifications: Mapping[str, Any] = field(default_factory=dict)
    """The table [notifications] as it is written, see notifications.py."""
    connections: Mapping[str, Any] = field(default_factory=dict)
    """The tables [connections.NAME] as they are written, see connections.py."""

    @property
    def migrations(self) -> Path:
        """The pipeline's folder of SQL files."""
        return self.project / "migrations" / self.pipeline

    @property
    def declarations(self) -> Path:
        """The pipeline's folder of entity declarations."""
        return self.project / "staging_loaders" / self.pipeline


class Size(int):
    """A number of bytes, which is written with its unit: 64MB."""


# Where each setting is found: its key in runner.toml, its environment variables, the first one set counting, its type.
_SOURCES: dict[str, tuple[str, str, type]] = {
    "pipeline": ("pipeline", "RUNNER_PIPELINE", str),
    "env": ("env", "RUNNER_ENV", str),
    "data": ("data", "DATA_BASE_PATH", str),
    "home": ("home", "RUNNER_HOME", str),
    "database_url": ("database.url", "DATABASE_URL", str),
    "embedded_version": ("database.embedded_version", "RUNNER_EMBEDDED_VERSION", int),
    "embedded_port": ("database.embedded_port", "RUNNER_EMBEDDED_PORT", int),
    "attempts": ("database.attempts", "RUNNER_ATTEMPTS", int),
    "engine": ("load.engine", "RUNNER_ENGINE", str),
    "local_limit": ("load.local_limit", "RUNNER_LOCAL_LIMIT", Size),
    "master": ("spark.master", "SPARK_MASTER", str),
    "require_yarn": ("spark.require_yarn", "RUNNER_REQUIRE_YARN", bool),
    "s3_endpoint": ("s3.endpoint", "AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL", str),
    "s3_region": ("s3.region", "AWS_REGION AWS_DEFAULT_REGION", str),
    "s3_anonymous": ("s3.anonymous", "RUNNER_S3_ANONYMOUS", bool),
    "rates": ("rates.source", "FX_RATES_SOURCE", str),
    "prune_keep": ("prune.keep", "RUNNER_PRUNE_KEEP", int),
}

# Tables of runner.toml that their own modules read.
_TABLES = ("freshness", "tasks", "deployments", "work_pools", "serve", "sensor", "notifications", "connections")

_KINDS = {list: "a list", dict: "a table", int: "a number", float: "a number", bool: "true or false"}

# Spark's settings of one word: https://spark.apache.org/docs/latest/configuration.html
_ONE_WORD = {
    f"spark.{name}"
    for name in ("archives", "extraListeners", "files", "jars", "logConf", "plugins", "redaction", "speculation")
}

# libpq reads these itself; any of the first three names a server.
_LIBPQ = ("PGHOST", "PGHOSTADDR", "PGSERVICE")


def find_project(start: Path) -> Path | None:
    """Return the nearest folder at or above `start` that holds a runner.toml or migrations/."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file() or (folder / "migrations").is_dir():
            return folder
    return None


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    need_pipeline: bool = True,
) -> Settings:
    """Return the settings of this call.

    What needs no pipeline (`need_pipeline`) gets an empty one where several could be meant, or a
    setting other than a flag names one that is not there.
    `flags` holds the values given on the command line, None where a flag is absent.
    Relative paths in runner.toml and the defaults are below the project folder,
    those of flags and environment below the current one.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    project = _project(flags.get("project"), cwd)
    content = _read(project / FILE)
    spark = _spark(content, project / FILE)
    tables = {name: content.pop(name, {}) for name in _TABLES}
    file_values = _flatten(content, project / FILE)
    values: dict[str, Any] = {"spark": spark, **tables}
    for name, (key, variables, kind) in _SOURCES.items():
        variable = next(filter(environ.get, variables.split()), None)
        if flags.get(name) is not None:
            values[name] = flags[name]
        elif variable:
            values[name] = _convert(environ[variable], kind, f"the environment variable {variable}")
        elif key in file_values:
            values[name] = _convert(file_values[key], kind, f"{key} in {project / FILE}")
            if name in ("home", "data", "rates"):
                values[name] = _below(project, values[name])
    if not values.get("database_url"):
        values["database_url"] = "" if any(environ.get(name) for name in _LIBPQ) else None
    values["home"] = Path(_below(cwd, values["home"])) if "home" in values else project / ".runner"
    values["data"] = _below(cwd, values["data"]) if "data" in values else str(project / "data")
    _check(values)
    pipeline = values.pop("pipeline", None)
    if not need_pipeline and flags.get("pipeline") is None:
        known = pipelines(project)
        name = pipeline if pipeline in known else known[0] if len(known) == 1 else ""
        return Settings(project=project, pipeline=name, **values)
    return Settings(project=project, pipeline=_pipeline(project, pipeline), **values)


def for_pipeline(settings: Settings, pipeline: str | None) -> Settings:
    """Return `settings` for another pipeline of the same project; None keeps them."""
    return replace(settings, pipeline=_pipeline(settings.project, pipeline)) if pipeline else settings


def _project(given: str | None, cwd: Path) -> Path:
    if given:
        folder = (cwd / given).resolve()
        if not folder.is_dir():
            raise UsageError(f"there is no project folder {folder}", hint="Make one: runner init DIR")
        return folder
    return find_project(cwd) or cwd


def pipelines(project: Path) -> list[str]:
    """Return the names of the project's pipelines: the folders under migrations/."""
    folder = project / "migrations"
    try:
        found = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}", hint="Check its permissions.") from error
    return sorted(path.name for path in found if path.is_dir() and path.name[0] not in "._")


def _pipeline(project: Path, given: str | None) -> str:
    """Return the pipeline's name; an empty one where the project has none and none is asked for."""
    folder, known = project / "migrations", pipelines(project)
    if given is not None:
        if given not in known:
            raise UsageError(
                f"there is no pipeline {given!r} under {folder}",
                hint=f"Known pipelines: {', '.join(known)}." if known else "Make a project: runner init DIR",
            )
        return given
    if len(known) > 1:
        raise UsageError(
            f"the project has {len(known)} pipelines: {', '.join(known)}",
            hint=f'Name one with --pipeline, or write pipeline = "{known[0]}" into {FILE}.',
        )
    return known[0] if known else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="Mend the line it names.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions.") from error


def _spark(values: dict[str, Any], path: Path) -> dict[str, str]:
    """Take Spark's own settings out of `values`, all under [spark] but those that are ours."""
    table = values.get("spark")
    if not isinstance(table, dict):
        return {}
    found: dict[str, str] = {}

    def collect(prefix: str, inner: Mapping[str, Any]) -> None:
        for key, value in inner.items():
            name = key if key.startswith("spark.") else f"{prefix}.{key}"
            if isinstance(value, dict):
                collect(name, value)
            elif name in ("spark.master", "spark.require_yarn"):
                short = name.removeprefix("spark.")
                raise ConfigError(f"{path} has an unknown key {key!r} in [spark]", hint=f"Write {short} = … there.")
            elif key != name and name.count(".") == 1 and name not in _ONE_WORD:  # rather a mistyped key of ours
                hint = f'Ours are master and require_yarn; for a setting of Spark\'s, write its full name: "{name}" = …'
                raise ConfigError(f"{path} has an unknown key {name!r}", hint=hint)
            elif isinstance(value, (str, int, float)):
                # As Java writes them: true, not True.
                found[name] = str(value).lower() if isinstance(value, bool) else str(value)
            else:
                raise ConfigError(
                    f"{name} in {path} is {_KINDS.get(type(value), 'a time')}",
                    hint="Spark's settings are text, numbers, true and false.",
                )

    ours = {key: table[key] for key in ("master", "require_yarn") if key in table}
    collect("spark", {key: value for key, value in table.items() if key not in ours})
    values["spark"] = ours
    return found


def _flatten(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Turn tables into dotted keys, refusing what no setting is called."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    known = {key for key, _, _ in _SOURCES.values()}
    for key in flat:
        if key not in known:
            raise ConfigError(f"{path} has an unknown key {key!r}", hint=f"Known keys: {', '.join(sorted(known))}.")
    return flat


def _convert(value: Any, kind: type, where: str) -> Any:
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if kind is Size:
        found = sizes.parse(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
        if found is not None:
            return found
        raise ConfigError(f"{where} is {value!r}, which is not a size", hint="Write a number of bytes: 64MB, 1.5GB.")
    if kind is bool and value in ("0", "1"):  # as environment variables say it
        return value == "1"
    try:
        if kind is int and isinstance(value, str):
            return int(value)
    except ValueError:
        pass
    wanted = {int: "a whole number", bool: "true or false"}.get(kind, "text")
    hint = "Write 1 or 0." if kind is bool and isinstance(value, str) else "Correct it."
    # What should be text, and is none, may hold a password all the same.
    shown = _KINDS.get(type(value), "a time") if kind is str else repr(value)
    raise ConfigError(f"{where} is {shown}, which is not {wanted}", hint=hint)


def _below(folder: Path, value: str) -> str:
    """Return a path below `folder`; addresses such as s3a:// stay as they are."""
    return value if "://" in value else str(folder / Path(value).expanduser())


def _check(values: Mapping[str, Any]) -> None:
    if values.get("embedded_version", 18) not in (16, 18):
        raise ConfigError(
            f"embedded_version is {values['embedded_version']}", hint="The embedded PostgreSQL is 16 or 18."
        )
    if values.get("engine", "spark") not in ENGINES:
        raise ConfigError(
            f"there is no engine {values['engine']!r}",
            hint="There are spark, local and auto: --engine, RUNNER_ENGINE or engine under [load] in runner.toml.",
        )
    if not 1 <= values.get("prune_keep", 1) <= 1_000_000:
        raise ConfigError(f"{values['prune_keep']} days cannot be kept", hint="Keep at least one: --keep 30.")
    if not 1 <= values.get("attempts", 5) <= 100:
        raise ConfigError(f"database.attempts is {values['attempts']}", hint="Use a number from 1 to 100.")
