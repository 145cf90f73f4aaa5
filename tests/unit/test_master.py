"""Which Spark masters there are, and what is said of others."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from runner import master
from runner.errors import ConfigError, UsageError


@pytest.mark.parametrize(
    "name",
    [
        "local", "local[4]", "local[*]", "local[2,3]", "local[*, 2]", "yarn",
        "spark://10.0.0.1:7077", "spark://a:7077,b.example:7078", "spark://[::1]:7077", "k8s://https://host:6443",
    ],
)  # fmt: skip
def test_masters(name: str) -> None:
    """Spark's own addresses are taken as they are."""
    assert master.check(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "foo", "local[0]", "local[]", "local[x]", "local-cluster[1,1,1]", "Local", "spark://host", "spark://:7077",
        "k8s://", "yarn ",
    ],
)  # fmt: skip
def test_no_master(name: str) -> None:
    """Anything else is refused with what there is."""
    with pytest.raises(UsageError, match="is not a Spark master") as error:
        master.check(name)
    assert "local[*]" in (error.value.hint or "")


def test_standalone_master_must_answer() -> None:
    """One of its hosts is enough; where nobody listens, that is said at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        master.reach(f"spark://127.0.0.1:1,127.0.0.1:{port}")
    with pytest.raises(ConfigError, match=r"no Spark master answers at spark://127.0.0.1:1: Connection refused"):
        master.reach("spark://127.0.0.1:1")


@pytest.mark.parametrize("name", ["local[*]", "yarn", "k8s://https://127.0.0.1:1"])
def test_other_masters_are_not_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a standalone cluster and a configured YARN have addresses that can be tried."""
    for known in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(known, raising=False)
    master.reach(name)


@pytest.mark.parametrize(
    ("properties", "asked"),
    [
        ({"yarn.resourcemanager.address": "127.0.0.1:1"}, "127.0.0.1:1"),
        ({"yarn.resourcemanager.hostname": "127.1.2.3"}, "127.1.2.3:8032"),
        ({"yarn.resourcemanager.address": "127.0.0.1:1", "yarn.resourcemanager.ha.enabled": "true"}, None),
        ({"yarn.resourcemanager.address": "${yarn.resourcemanager.hostname}:1"}, None),
        ({}, None),
    ],
    ids=["address", "host", "several", "variable", "default"],
)
def test_the_resource_manager_must_answer(
    properties: dict[str, str], asked: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where yarn-site.xml says plainly where it is; Hadoop's client would try for a minute."""
    lines = [f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()]
    (tmp_path / "yarn-site.xml").write_text(f"<configuration>{''.join(lines)}</configuration>")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    if asked is None:
        master.reach("yarn")
        return
    with pytest.raises(ConfigError, match=f"no resource manager of YARN answers at {asked}"):
        master.reach("yarn")
    (tmp_path / "yarn-site.xml").write_text("<no")
    master.reach("yarn")


@pytest.mark.parametrize(
    ("name", "cores"),
    [("local", 1), ("local[3]", 3), ("local[2,4]", 2), ("yarn", None)],
)
def test_cores(name: str, cores: int | None) -> None:
    """How much a local master does at a time; what a cluster does, only it knows."""
    assert master.cores(name) == cores
    assert master.is_local(name) == (cores is not None)


@pytest.mark.parametrize("name", ["local[*]", "spark://a:7077", "k8s://https://a:6443"])
def test_yarn_is_required(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other master is refused; tests may switch that off."""
    master.require_yarn("yarn")
    with pytest.raises(ConfigError, match=r"must be on YARN, and its Spark master is ") as error:
        master.require_yarn(name)
    assert "--master yarn" in (error.value.hint or "")
    monkeypatch.setenv(master.SKIP_YARN_CHECK, "1")
    master.require_yarn(name)


@pytest.mark.parametrize(
    ("name", "missing", "variable", "settings"),
    [
        ("yarn", "configuration of YARN", "HADOOP_CONF_DIR", {}),
        ("k8s://https://a:6443", "no container image", None, {"spark.kubernetes.container.image": "registry/x:1"}),
    ],
    ids=["yarn", "kubernetes"],
)
def test_what_a_cluster_needs(
    name: str, missing: str, variable: str | None, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before Spark starts, which would take half a minute to say it."""
    for known in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(known, raising=False)
    with pytest.raises(ConfigError, match=missing):
        master.check_configuration(name, {})
    if variable:
        monkeypatch.setenv(variable, "/etc/hadoop")
    master.check_configuration(name, settings)
