"""The Spark master: which addresses there are, and whether one answers, told before anything starts."""

from __future__ import annotations

import re

from runner.errors import ConfigError, UsageError

# https://spark.apache.org/docs/latest/submitting-applications.html#master-urls
_LOCAL = r"local(\[(\*|[1-9][0-9]{0,3})(,\s*[1-9][0-9]{0,3})?\])?"
_HOST = r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
_MASTER = re.compile(
    rf"{_LOCAL}|local-cluster\[\s*[0-9]+\s*,\s*[0-9]+\s*,\s*[0-9]+\s*\]|yarn|spark://{_HOST}(,{_HOST})*|k8s://\S+",
    re.ASCII,
)
_SECONDS = 5


def check(master: str) -> str:
    """Return `master`; UsageError for what no Spark can start with."""
    if not _MASTER.fullmatch(master):
        raise UsageError(
            f"{master!r} is not a Spark master",
            hint="Write local[*], local[N], spark://host:port, yarn or k8s://…: --master, SPARK_MASTER or "
            "spark.master in runner.toml.",
        )
    return master


def reach(master: str) -> None:
    """Raise ConfigError where `master` is a standalone cluster and none of its hosts answers.

    Spark itself would go on trying for a minute, and then speak of a stopped context.
    """
    if not master.startswith("spark://"):
        return
    import socket

    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
            return
        except (OSError, OverflowError) as error:
            reasons.append(getattr(error, "strerror", None) or str(error))
    raise ConfigError(
        f"no Spark master answers at {master}: {reasons[0]}",
        hint="Start it, correct the address, or load on this machine: --master 'local[*]'.",
    )
