"""What is told of Spark that does not start, or of which something died."""

from __future__ import annotations

from pathlib import Path

import pytest

from staging_loaders import jvm, spark_faults

HEAP = """Exception in thread "main" java.lang.ExceptionInInitializerError
\tat org.apache.spark.internal.Logging.initializeLogIfNecessary(Logging.scala:327)
Caused by: java.lang.reflect.InvocationTargetException
\tat java.base/java.lang.reflect.Method.invoke(Method.java:569)
\t... 8 more
Caused by: java.lang.OutOfMemoryError: Java heap space
\tat java.base/java.io.InputStream.readNBytes(InputStream.java:445)
"""
FOLDER = """Setting default log level to "WARN".
26/11/21 16:36:57 WARN Utils: Set SPARK_LOCAL_IP if you need to bind to another address
26/11/21 16:36:57 ERROR JavaUtils: Failed to create directory /proc/nope/blockmgr-1
java.nio.file.NoSuchFileException: /proc/nope
\tat java.base/sun.nio.fs.UnixException.rethrowAsIOException(UnixException.java:106)
26/11/21 16:36:57 ERROR DiskBlockManager: Failed to create any local dir.
"""
SIZE = """26/11/21 16:37:01 ERROR SparkContext: Error initializing SparkContext.
java.lang.NumberFormatException: Size must be specified as bytes (b) or kibibytes (k).
Failed to parse byte string: many
\tat org.apache.spark.network.util.JavaUtils.byteStringAs(JavaUtils.java:516)
"""
OPTION = """Invalid maximum heap size: -Xmxmuchm
Error: Could not create the Java Virtual Machine.
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        pytest.param(HEAP, "java.lang.OutOfMemoryError: Java heap space", id="heap"),
        pytest.param(
            FOLDER,
            "Failed to create directory /proc/nope/blockmgr-1: java.nio.file.NoSuchFileException: /proc/nope",
            id="folder",
        ),
        pytest.param(
            SIZE,
            "java.lang.NumberFormatException: Size must be specified as bytes (b) or kibibytes (k): "
            "Failed to parse byte string: many",
            id="size",
        ),
        pytest.param(OPTION, "Invalid maximum heap size: -Xmxmuchm", id="option"),
        pytest.param("WARNING: Using incubator modules\n\n", None, id="nothing"),
    ],
)
def test_last_words(log: str, words: str | None, tmp_path: Path) -> None:
    """The cause, without the trace, warnings and times."""
    (tmp_path / "spark.log").write_text(log)
    assert jvm.last_words(tmp_path / "spark.log") == words
    assert jvm.was_short_of_heap(tmp_path / "spark.log") == (log == HEAP)


def test_there_is_no_log(tmp_path: Path) -> None:
    """Then it says nothing."""
    assert jvm.last_words(tmp_path / "none") is None
    assert not jvm.was_short_of_heap(tmp_path / "none")


@pytest.mark.parametrize(
    ("reason", "given", "named"),
    [
        pytest.param("no Java", {}, "runner doctor", id="no setting"),
        pytest.param(
            "Invalid maximum heap size: -Xmxmuchm",
            {"spark.ui.port": "4", "spark.driver.memory": "muchm"},
            "under [spark]: driver.memory.",
            id="its value",
        ),
        pytest.param(
            "startPort should be between 1024 and 65535",
            {"spark.ui.port": "4", "spark.driver.memory": "1g"},
            "under [spark]: ui.port, driver.memory.",
            id="any",
        ),
    ],
)
def test_the_setting_is_named(reason: str, given: dict[str, str], named: str) -> None:
    """The one whose value is told of, else what there are."""
    error = spark_faults.no_start(reason, given)
    assert error.message == f"Spark does not start: {reason}"
    assert named in (error.hint or "")


def test_a_worker_that_died() -> None:
    """Not a page of Spark that ends with a setting for its developers."""
    error = spark_faults.of_part(
        "org.apache.spark.SparkException: Job aborted: Python worker exited unexpectedly (crashed). Consider setting x"
    )
    assert error.message == "a Python worker of Spark died in the middle of the load"
    assert "short of memory?" in (error.hint or "")


def test_a_jvm_that_died_of_its_heap() -> None:
    """The setting that gives it more is named."""
    assert "--engine local" in (spark_faults.of_jvm("it was killed, SIGKILL", False, True).hint or "")
    assert "driver.memory" in (spark_faults.of_jvm("it ended with code 52", True, True).hint or "")


@pytest.mark.parametrize(
    ("short_of_heap", "again", "passing"), [(False, True, True), (False, False, False), (True, True, False)]
)
def test_a_jvm_that_died_passes_once(short_of_heap: bool, again: bool, passing: bool) -> None:
    """Not where another would die of the same."""
    assert spark_faults.of_jvm("it was killed", short_of_heap, again).transient == passing


def test_a_full_disk() -> None:
    """What to free is said, not to look at Java."""
    found = spark_faults.no_start("[Errno 28] No space left on device: '/tmp/warehouse-spark-1/spark.log'", {})
    assert "TMPDIR" in str(found.hint)
