"""An archive of Spark's classes, which Java maps into memory instead of reading 280 jars: a start in half the time.

`python -m staging_loaders.class_archive` makes it, as `make setup` does: about 80 MB, in the virtual
environment or else in the user's cache. It belongs to one Java and one pyspark; where there is none
for those in use, Spark starts as it always does. Java itself looks whether the jars are still the
same, and goes without the archive where they are not.

https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from hashlib import blake2s
from pathlib import Path

from runner.errors import RunnerError
from runner.java import Java
from staging_loaders.jvm import Launch
from staging_loaders.spark_settings import LEAN

# What the archive holds and the command that it is for; another one of either raises it.
_VERSION = "1"
_DUMP_SECONDS = 600.0
# Spark's launcher asks for it, for linear algebra; no archive holds the module graph with it.
_UNUSED = "--add-modules=jdk.incubator.vector"


def find(java: Java) -> Launch | None:
    """Return the command that starts Spark from its archive, or None without one that is fit for use."""
    try:
        archive, told = _paths(java)
        # Java runs what an archive holds, so nobody else may have written it.
        if any(path.stat().st_uid not in (0, os.geteuid()) for path in (archive, told)):
            return None
        content = json.loads(told.read_text(encoding="utf-8"))
        options, class_path = map(str, content["options"]), map(str, content["class_path"])
        return Launch(
            java.home / "bin" / "java",
            archive,
            (f"-XX:SharedArchiveFile={archive}", "-Xlog:disable", "-Xlog:all=error:stderr", *LEAN, *options),
            tuple(class_path),
        )
    except (OSError, ValueError, LookupError, TypeError, ImportError):
        return None


def make(java: Java) -> Path:
    """Make the archive and return it, or the one that is there.

    Raises OSError, subprocess.SubprocessError or RunnerError where it cannot be made.
    """
    archive, told = _paths(java)
    if find(java) is not None:
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="archive-", dir=archive.parent) as folder:
        work = Path(folder)
        options, class_path = _asked(java)
        made = work / "classes.jsa"
        program = java.home / "bin" / "java"
        if (java.home / "lib" / "server" / "classes.jsa").exists():
            # On top of the archive of Java's own classes.
            _train(Launch(program, made, (f"-XX:ArchiveClassesAtExit={made}", *LEAN, *options), class_path))
        else:
            listed = work / "classes.lst"
            _train(Launch(program, made, (f"-XX:DumpLoadedClassList={listed}", *LEAN, *options), class_path))
            _run(
                program, "-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={made}",
                "-XX:+UseSerialGC", *options, "-cp", os.pathsep.join(class_path),
            )  # fmt: skip
        if not made.is_file():
            raise OSError("Java wrote no archive")
        about = work / "about.json"
        about.write_text(json.dumps({"options": options, "class_path": class_path}), encoding="utf-8")
        os.replace(about, told)
        os.replace(made, archive)
    # A cache may hold those of other environments.
    for old in archive.parent.glob("spark-*") if archive.is_relative_to(sys.prefix) else ():
        if old.stem != archive.stem:
            with suppress(OSError):
                old.unlink()
    return archive


def _paths(java: Java) -> tuple[Path, Path]:
    """Return where the archive for this Java and this pyspark lies, and what is to be known of it."""
    jars = _jars()
    from importlib.metadata import version

    said = [_VERSION, str(java.home.resolve()), version("pyspark"), str(jars)]
    with suppress(OSError):
        said.append((java.home / "release").read_text(encoding="utf-8", errors="replace"))
    digest = blake2s("\n".join(said).encode(), digest_size=6).hexdigest()
    stem = f"spark-{version('pyspark')}-java-{java.version}-{digest}"
    return folder() / f"{stem}.jsa", folder() / f"{stem}.json"


def folder() -> Path:
    """Return where archives are: in the virtual environment, which they share their end with, or the user's cache."""
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        return Path(sys.prefix, "share", "warehouse-runner")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "warehouse-runner")


def _jars() -> Path:
    from importlib.util import find_spec

    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ImportError("pyspark is not installed")
    return Path(spec.origin).parent / "jars"


def _asked(java: Java) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options that Spark's launcher starts Java with, and the class path."""
    jars = _jars()
    environment = {"SPARK_HOME": str(jars.parent), "SPARK_SCALA_VERSION": "2.13"}
    said = subprocess.run(
        [java.home / "bin" / "java", *LEAN, "-cp", f"{jars}/*", "org.apache.spark.launcher.Main",
         "org.apache.spark.deploy.SparkSubmit", "pyspark-shell"],
        env=environment, capture_output=True, text=True, check=True, timeout=_DUMP_SECONDS,
    ).stdout  # fmt: skip
    words = [word for word in said.split("\0") if word.strip()]
    options = [word for word in words if word.startswith(("--", "-XX:", "-D")) and word != _UNUSED]
    # Java takes no archive for a class path with a folder in it.
    return tuple(options), tuple(str(jar) for jar in sorted(jars.glob("*.jar")))


def _train(launch: Launch) -> None:
    """Run what a load runs, so that its classes are known."""
    from staging_loaders.session import Session

    with tempfile.TemporaryDirectory() as cache, Session("local[2]", cache=Path(cache), launch=launch) as session:
        session.run(str, range(2), lambda: None)
        session.stop(_DUMP_SECONDS)


def _run(*command: str | Path) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=_DUMP_SECONDS)


def main() -> int:
    """Make the archive; what keeps it from being made is said, and no more: Spark starts without it, too."""
    from runner import java

    found = java.find()
    if found is None:
        print("no archive of Spark's classes: there is no Java", file=sys.stderr)
        return 0
    try:
        print(make(found))
    except (OSError, subprocess.SubprocessError, RunnerError, ImportError) as error:
        print(f"no archive of Spark's classes, so Spark starts more slowly: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
