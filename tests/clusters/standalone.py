"""A standalone cluster of Spark: a master and two workers, from the pyspark package alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clusters.processes import JARS, Processes, free_ports


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Start a master and two workers of one core each; give the master's address."""
    with free_ports(2) as (port, web):
        pass
    master, jars = f"spark://127.0.0.1:{port}", f"{JARS}/*"
    with Processes(folder) as processes:
        processes.start(
            "master", jars, "org.apache.spark.deploy.master.Master",
            "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(web),
        )  # fmt: skip
        # On hosts of their own, since Spark runs no two attempts of a task on one.
        for name, host in (("worker-1", "127.0.0.1"), ("worker-2", "127.0.0.2")):
            processes.start(
                name, jars, "org.apache.spark.deploy.worker.Worker",
                "--host", host, "--cores", "1", "--memory", "1g", "--webui-port", "0",
                "--work-dir", str(folder / name), master,
            )  # fmt: skip
        processes.wait("the cluster", f"http://127.0.0.1:{web}/json/", lambda said: said["aliveworkers"] == 2)
        yield master
