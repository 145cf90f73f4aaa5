"""What Spark is told: our defaults, then spark-defaults.conf, then runner.toml, the later the stronger."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from runner import master as masters
from runner.errors import ConfigError

# A quick compiler and the simplest collector: reading, typing and copying happen in Python workers.
LEAN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto", "-Duser.timezone=UTC")

# Names of settings whose values Spark's pages and logs hide; by its own default some are shown.
REDACTED = "(?i)secret|passw|token|access[._]?key|database_url|pgservice"
# Settings of which a JVM need not know when it starts: its command line is for all to read.
_LATER = "spark.executorEnv."

# What is settled before a JVM starts, and so needs Spark's own scripts.
_OF_SUBMIT = (
    "spark.archives", "spark.driver.defaultJavaOptions", "spark.driver.extra", "spark.files", "spark.jars",
    "spark.plugins", "spark.submit.",
)  # fmt: skip
_OF_SCRIPTS = ("SPARK_HOME", "SPARK_CONF_DIR", "SPARK_DIST_CLASSPATH", "SPARK_CLASSPATH", "PYSPARK_SUBMIT_ARGS")
_DEFAULTS = "spark-defaults.conf"
_PROPERTY = re.compile(r"\s*([^\s=:#!][^\s=:]*)(?:\s*[=:]\s*|\s+)(.*)")


def settings(master: str, name: str, work: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return all settings of a session; `work` is a folder of this run's own."""
    found = {
        "spark.app.name": name,
        # A cancelled task has nothing to finish: the whole day is given up.
        "spark.python.task.killTimeout": "100ms",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.catalogImplementation": "in-memory",
    }
    if masters.is_local(master):
        root = str(Path(__file__).resolve().parent.parent)
        found |= {
            "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": (work / "warehouse").as_uri(),
            "spark.driver.host": "localhost",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "512m",
            "spark.driver.extraJavaOptions": " ".join(LEAN),
            "spark.local.dir": str(work),
        }
        return found | defaults() | dict(given) | {"spark.master": master}
    found["spark.redaction.regex"] = REDACTED
    if master == "yarn":
        # A quarter of an hour is what Hadoop itself would try to reach a resource manager.
        found["spark.hadoop.yarn.resourcemanager.connect.max-wait.ms"] = "30000"
    return found | defaults() | dict(given) | {"spark.master": master}


def of_command_line(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what of a session's `settings` the command that starts its JVM may name."""
    return {key: value for key, value in settings.items() if not key.startswith(_LATER)}


def needs_scripts(given: Mapping[str, str]) -> bool:
    """Tell whether the environment or a setting asks for what only Spark's own scripts do."""
    return any(os.environ.get(name) for name in _OF_SCRIPTS) or any(
        key.startswith(_OF_SUBMIT) for key in {**given, **defaults()}
    )


def defaults() -> dict[str, str]:
    """Return what SPARK_CONF_DIR/spark-defaults.conf says; nothing where there is none.

    Raises ConfigError for a file that cannot be read.
    """
    folder = os.environ.get("SPARK_CONF_DIR")
    path = Path(folder or "", _DEFAULTS)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if folder else []
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="Correct SPARK_CONF_DIR or the file.") from error
    found = [match for line in lines if (match := _PROPERTY.fullmatch(line))]
    return {match[1]: match[2].strip() for match in found if match[1].startswith("spark.")}


def python() -> str:
    """Return the Python of the workers: PYSPARK_PYTHON, else this one."""
    return os.environ.get("PYSPARK_PYTHON") or sys.executable
