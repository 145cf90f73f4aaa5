"""The Spark master: which addresses there are, and whether one can be used, told before anything starts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from runner.errors import ConfigError, UsageError

SKIP_YARN_CHECK = "RUNNER_SKIP_YARN_CHECK"
"""Set to 1, this environment variable lifts `--require-yarn`, for tests: any master and any engine will do."""

# https://spark.apache.org/docs/latest/submitting-applications.html#master-urls
_LOCAL = r"local(\[(\*|[1-9][0-9]{0,3})(,\s*[1-9][0-9]{0,3})?\])?"
_HOST = r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
_MASTER = re.compile(
    rf"{_LOCAL}|yarn|spark://{_HOST}(,{_HOST})*|k8s://\S+",
    re.ASCII,
)
_IMAGES = ("spark.kubernetes.container.image", "spark.kubernetes.executor.container.image")
_MANAGER = "yarn.resourcemanager"
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


def is_local(master: str) -> bool:
    """Tell whether Spark runs in one process of this machine, its Python workers beside it."""
    return re.fullmatch(_LOCAL, master, re.ASCII) is not None


def cores(master: str) -> int | None:
    """Return how many parts a local master runs at a time; None for a cluster."""
    local = re.fullmatch(_LOCAL, master, re.ASCII)
    if local is None:
        return None
    return (os.cpu_count() or 1) if local[2] == "*" else int(local[2] or 1)


def require_yarn(master: str) -> None:
    """Raise ConfigError where `master` is not YARN; with RUNNER_SKIP_YARN_CHECK=1, any master will do."""
    if master == "yarn" or skips_yarn_check():
        return
    raise ConfigError(
        f"this run must be on YARN, and its Spark master is {master}",
        hint="Give --master yarn, or leave out --require-yarn (require_yarn under [spark] in runner.toml).",
    )


def skips_yarn_check() -> bool:
    """Tell whether the environment lifts what `--require-yarn` asks for."""
    return os.environ.get(SKIP_YARN_CHECK) == "1"


def check_configuration(master: str, settings: Mapping[str, str]) -> None:
    """Raise ConfigError where a cluster lacks what its kind needs, `settings` being those of Spark.

    Spark would say so, too, after half a minute and in the words of its own scripts.
    """
    if master == "yarn" and not (os.environ.get("HADOOP_CONF_DIR") or os.environ.get("YARN_CONF_DIR")):
        raise ConfigError(
            "the configuration of YARN is not named",
            hint="Set HADOOP_CONF_DIR to the folder of yarn-site.xml and core-site.xml.",
        )
    if master.startswith("k8s://") and not any(settings.get(key) for key in _IMAGES):
        raise ConfigError(
            f"no container image is named for {master}",
            hint=f'Name one that has Python, the runner and its packages: "{_IMAGES[0]}" = "…" under [spark] in '
            "runner.toml.",
        )


def reach(master: str) -> None:
    """Raise ConfigError where `master` is a standalone cluster or YARN, and nobody answers at its addresses.

    Spark itself would go on trying for a minute, and then speak of a stopped context.
    """
    if master == "yarn":
        addresses, what = _resource_manager(), "resource manager of YARN"
    elif master.startswith("spark://"):
        addresses, what = master.removeprefix("spark://").split(","), "Spark master"
    else:
        return
    reasons = [_refused(address) for address in addresses]
    if reasons and all(reasons):
        where = master if master != "yarn" else addresses[0]
        raise ConfigError(
            f"no {what} answers at {where}: {reasons[0]}",
            hint="Start it, correct the address, or load on this machine: --master 'local[*]'.",
        )


def _refused(address: str) -> str | None:
    """Return why nobody answers at `host:port`, None where somebody does."""
    import socket

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _resource_manager() -> list[str]:
    """Return where yarn-site.xml has the resource manager; nothing where that is not plain, as with several."""
    import xml.etree.ElementTree as ElementTree

    folder = os.environ.get("HADOOP_CONF_DIR") or os.environ.get("YARN_CONF_DIR") or ""
    try:
        root = ElementTree.parse(os.path.join(folder, "yarn-site.xml")).getroot()
    except (OSError, ElementTree.ParseError):
        return []
    found = {each.findtext("name", "").strip(): each.findtext("value", "").strip() for each in root.iter("property")}
    address = found.get(f"{_MANAGER}.address")
    if address is None and (host := found.get(f"{_MANAGER}.hostname")):
        address = f"{host}:8032"
    if address is None or found.get(f"{_MANAGER}.ha.enabled") == "true":
        return []
    return [address] if re.fullmatch(_HOST, address, re.ASCII) else []
