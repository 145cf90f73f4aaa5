"""YARN: a real resource manager and a real node manager, of the version of pyspark's Hadoop client, from Maven."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tests.clusters.processes import JARS, Processes, free_ports

_HERE = Path(__file__).parent
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_PACKAGE = "org.apache.hadoop.yarn.server"
_SECONDS = 600


def fetch() -> Path:
    """Return a folder with the jars of YARN's servers, which Maven fetches the first time.

    Where Maven is missing the test is skipped, or fails under CI=true.
    """
    version = hadoop_version()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "warehouse-runner", f"yarn-{version}")
    if cache.is_dir():
        return cache
    maven = shutil.which("mvn")
    if maven is None:
        said = "Maven (mvn), which fetches YARN, is not installed"
        pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)
    cache.parent.mkdir(parents=True, exist_ok=True)
    fetched = cache.with_name(f"{cache.name}.{os.getpid()}")
    done = subprocess.run(
        [maven, "-q", "-B", "-f", _HERE / "pom.xml", f"-Dhadoop.version={version}", _COPY,
         f"-DoutputDirectory={fetched}"],
        capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        fetched.rename(cache)
    except OSError:  # another process was faster
        shutil.rmtree(fetched)
    return cache


def hadoop_version() -> str:
    """Return the version of the Hadoop client that pyspark brings."""
    (jar,) = JARS.glob("hadoop-client-api-*.jar")
    return jar.stem.removeprefix("hadoop-client-api-")


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """Start both managers; give the folder of their configuration, for HADOOP_CONF_DIR."""
    servers = fetch()
    configuration = folder / "conf"
    configuration.mkdir()
    with free_ports(7) as ports:
        pass
    web = ports[0]
    _write(configuration / "core-site.xml", {"fs.defaultFS": "file:///", "hadoop.tmp.dir": str(folder / "tmp")})
    manager, node = "yarn.resourcemanager", "yarn.nodemanager"
    _write(
        configuration / "yarn-site.xml",
        {
            f"{manager}.hostname": "127.0.0.1",
            f"{manager}.webapp.address": f"127.0.0.1:{web}",
            f"{manager}.address": f"127.0.0.1:{ports[1]}",
            f"{manager}.scheduler.address": f"127.0.0.1:{ports[2]}",
            f"{manager}.resource-tracker.address": f"127.0.0.1:{ports[3]}",
            f"{manager}.admin.address": f"127.0.0.1:{ports[4]}",
            f"{manager}.scheduler.class": f"{_PACKAGE}.resourcemanager.scheduler.fifo.FifoScheduler",
            f"{node}.address": "127.0.0.1:0",
            f"{node}.localizer.address": f"127.0.0.1:{ports[5]}",
            f"{node}.webapp.address": f"127.0.0.1:{ports[6]}",
            f"{node}.local-dirs": str(folder / "local"),
            f"{node}.log-dirs": str(folder / "logs"),
            f"{node}.resource.memory-mb": "6144",
            f"{node}.resource.cpu-vcores": "8",
            # It is the tests' machine that is full or short of memory, not the node.
            f"{node}.disk-health-checker.enable": "false",
            f"{node}.pmem-check-enabled": "false",
            f"{node}.vmem-check-enabled": "false",
            "yarn.scheduler.minimum-allocation-mb": "128",
        },
    )
    class_path = os.pathsep.join([str(configuration), f"{servers}/*", f"{JARS}/*"])
    with Processes(folder) as processes:
        processes.start("resourcemanager", class_path, f"{_PACKAGE}.resourcemanager.ResourceManager")
        processes.start("nodemanager", class_path, f"{_PACKAGE}.nodemanager.NodeManager")
        processes.wait("YARN", f"http://127.0.0.1:{web}/ws/v1/cluster/nodes", _is_running)
        yield configuration


def _is_running(said: dict[str, dict[str, list[dict[str, str]]] | None]) -> bool:
    return [node["state"] for node in (said["nodes"] or {}).get("node", [])] == ["RUNNING"]


def _write(path: Path, properties: dict[str, str]) -> None:
    lines = [
        f"  <property><name>{name}</name><value>{escape(value)}</value></property>"
        for name, value in properties.items()
    ]
    path.write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))
