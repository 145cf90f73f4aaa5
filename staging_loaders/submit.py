"""Hand a command of the runner to spark-submit, with the code that a cluster's machines need."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from runner import config, console
from runner import master as masters
from runner.config import Settings
from runner.errors import ConfigError, RunnerError, UsageError
from staging_loaders import package, s3, spark_settings

_COMMANDS = ("apply", "load")
_USAGE = "Write scripts/spark_submit.sh [OPTION OF spark-submit …] apply|load --day D [OPTION OF THE RUNNER …]."
_MAIN = Path(__file__).with_name("submitted.py")
_UPLOAD = "spark.kubernetes.file.upload.path"
# Ours are settings of each run; these are of the machine that it is started on.
_STAYS = ("RUNNER_HOME", "RUNNER_EMBEDDED_VERSION", "RUNNER_EMBEDDED_PORT")
_PASSWORDS = ("DATABASE_URL", "PGPASSWORD", *s3.SECRETS)
_GOES = ("DATABASE_URL", "FX_RATES_SOURCE", "PG", "RUNNER_")


@dataclass(frozen=True)
class Submission:
    """What was asked for: options of spark-submit, and the runner's command with its options."""

    spark: tuple[str, ...]
    runner: tuple[str, ...]
    master: str | None = None
    deploy_mode: str = "client"
    venv: str | None = None


def parse(words: Sequence[str]) -> Submission:
    """Tell the options of spark-submit from the runner's command, which begins with `apply` or `load`.

    The master may stand among either. Raises UsageError where there is no such command.
    """
    at = next((number for number, word in enumerate(words) if word in _COMMANDS), None)
    if at is None:
        raise UsageError(f"there is no {' or '.join(_COMMANDS)} among the words", hint=_USAGE)
    spark, runner = list(words[:at]), list(words[at:])
    venv = _take(spark, "--venv")
    mode = _take(spark, "--deploy-mode") or "client"
    if mode not in ("client", "cluster"):
        raise UsageError(f"{mode!r} is no deploy mode", hint="There are client and cluster.")
    master, asked = _take(spark, "--master"), _take(runner, "--master")
    if master and asked and master != asked:
        raise UsageError(f"two masters are named: {master} and {asked}", hint="Name one.")
    return Submission(tuple(spark), tuple(runner), master or asked, mode, venv)


def _take(words: list[str], option: str) -> str | None:
    """Remove `option VALUE` or `option=VALUE` from `words` and return the value, None where it is not there."""
    for number, word in enumerate(words):
        if word.startswith(f"{option}="):
            del words[number]
            return word.removeprefix(f"{option}=")
        if word == option:
            if number + 1 == len(words):
                raise UsageError(f"{option} names nothing", hint=_USAGE)
            (_, value) = words[number], words[number + 1]
            del words[number : number + 2]
            return value
    return None


def check(asked: Submission, settings: Settings) -> None:
    """Raise ConfigError or UsageError for what spark-submit or the cluster would refuse, later and in more words."""
    master = masters.check(settings.master)
    if settings.require_yarn or "--require-yarn" in asked.runner:
        masters.require_yarn(master)
    given = spark_settings.defaults() | dict(settings.spark) | _confs(asked.spark)
    masters.check_configuration(master, given)
    masters.reach(master)
    if asked.venv and not Path(asked.venv).is_file():
        raise ConfigError(f"there is no file {asked.venv}", hint="Pack an environment: venv-pack -o environment.tar.gz")
    if asked.deploy_mode == "client":
        return
    if master != "yarn" and not master.startswith("k8s://"):
        raise ConfigError(
            f"no driver written in Python runs on {master}: Spark has cluster mode for YARN and Kubernetes alone",
            hint="Leave out --deploy-mode cluster: the driver then runs here.",
        )
    if master.startswith("k8s://") and _UPLOAD not in given:
        raise ConfigError(
            "the project has no way to the driver's container",
            hint=f"Name a place that both can reach: --conf {_UPLOAD}=s3a://bucket/folder",
        )
    if settings.database_url is None:
        raise ConfigError(
            "the driver runs on the cluster, and the embedded PostgreSQL on this machine",
            hint="Name a server that the cluster reaches: DATABASE_URL",
        )


def _confs(words: Sequence[str]) -> dict[str, str]:
    """Return the settings among options of spark-submit."""
    rest, found = list(words), {}
    while (text := _take(rest, "--conf") or _take(rest, "-c")) is not None:
        key, _, value = text.partition("=")
        found[key] = value
    return found


def properties(asked: Submission, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what goes into the properties file: settings of runner.toml, the workers' Python, a driver's environment.

    spark-defaults.conf is weaker than this file, and `--conf` is stronger.
    """
    python = "./environment/bin/python" if asked.venv else spark_settings.python()
    found = {
        "spark.pyspark.python": python,
        "spark.pyspark.driver.python": sys.executable if asked.deploy_mode == "client" else python,
        "spark.log.level": "WARN",
        # Spark's pages show the environment.
        "spark.redaction.regex": spark_settings.REDACTED,
    }
    if asked.deploy_mode == "cluster":
        kind = "spark.yarn.appMasterEnv" if settings.master == "yarn" else "spark.kubernetes.driverEnv"
        goes = {
            name: value for name, value in environ.items() if name.startswith((*_GOES, "AWS_")) and name not in _STAYS
        }
        # A password in the description of a pod can be read by many; a secret of Kubernetes cannot.
        if kind.startswith("spark.kubernetes"):
            goes = {name: value for name, value in goes.items() if name not in _PASSWORDS}
        elif settings.database_url:
            goes["DATABASE_URL"] = settings.database_url
        found |= {f"{kind}.{name}": value for name, value in goes.items()}
    return found | dict(settings.spark)


def command(asked: Submission, settings: Settings, folder: Path) -> list[str]:
    """Return the words of spark-submit; the files that they name are in `folder`."""
    archives = [f"{asked.venv}#environment"] if asked.venv else []
    runner = list(asked.runner)
    if asked.deploy_mode == "cluster":
        archives.append(f"{folder / 'project.zip'}#project")
        for option in ("--project", "--pipeline", "--data"):
            _take(runner, option)
        runner += ["--project", "project", "--pipeline", settings.pipeline, "--data", settings.data]
    day = next((after for word, after in pairwise(runner) if word == "--day"), "")
    return [
        str(_spark_home() / "bin" / "spark-submit"),
        *("--master", settings.master, "--deploy-mode", asked.deploy_mode),
        *("--name", f"runner {runner[0]} {day}".strip()),
        *("--properties-file", str(folder / "spark.properties"), "--load-spark-defaults"),
        *("--py-files", str(folder / "warehouse_runner.zip")),
        *(("--archives", ",".join(archives)) if archives else ()),
        *asked.spark,
        str(_MAIN),
        *runner,
    ]


def _spark_home() -> Path:
    if given := os.environ.get("SPARK_HOME"):
        return Path(given)
    from importlib.util import find_spec

    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ConfigError("there is no Spark", hint="Set SPARK_HOME, or install pyspark.")
    return Path(spec.origin).parent


def write(folder: Path, asked: Submission, settings: Settings) -> None:
    """Write what `command` names into `folder`, for nobody else's eyes. Raises OSError."""
    folder.chmod(0o700)
    package.write(folder / "warehouse_runner.zip")
    if asked.deploy_mode == "cluster":
        package.write_project(folder / "project.zip", settings.project)
    found = properties(asked, settings, os.environ)
    lines = [f"{key}={_escaped(value)}\n" for key, value in found.items()]
    (folder / "spark.properties").write_text("".join(lines), encoding="utf-8")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def submit(words: Sequence[str]) -> int:
    """Run spark-submit and return its exit code: the runner's, where the driver runs here."""
    from runner import java

    if not words or words[0] in ("-h", "--help"):
        print(f"{_USAGE}\nThese of spark-submit are looked at: --master M, --deploy-mode client|cluster.")
        print("--venv FILE is ours: a packed environment for the machines of the cluster. See docs/clusters.md.")
        return 0
    asked = parse(words)
    flags = {name: _take(list(asked.runner), f"--{name}") for name in ("project", "pipeline", "data")}
    settings = config.load({**flags, "master": asked.master})
    check(asked, settings)
    asked = replace(asked, venv=str(Path(asked.venv).resolve()) if asked.venv else None)
    folder = Path(tempfile.mkdtemp(prefix="warehouse-submit-"))
    try:
        write(folder, asked, settings)
        environment = {**os.environ, "JAVA_HOME": str(java.java_home(settings.home))}
        process = subprocess.Popen(command(asked, settings, folder), env=environment)
        # Ctrl-C reaches it without us, as everything that runs in the terminal.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
        code = process.wait()
        return code if code >= 0 else 128 - code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> NoReturn:
    """Run as a program: every error ends in a message and the exit code of its kind."""
    try:
        sys.exit(submit(sys.argv[1:]))
    except RunnerError as error:
        console.note(console.explain(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
