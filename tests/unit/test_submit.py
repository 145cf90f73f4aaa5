"""What scripts/spark_submit.sh makes of its words, without a cluster."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from runner import config
from runner.config import Settings
from runner.errors import ConfigError, UsageError
from staging_loaders import package, s3, spark_settings, submit
from staging_loaders.session import Session, _Each


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no cluster."""
    for name in ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_PYTHON", "HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)


def settings(folder: Path, master: str, text: str = "", **environ: str) -> Settings:
    """Return the settings of a project with one pipeline."""
    (folder / "migrations" / "shop").mkdir(parents=True, exist_ok=True)
    (folder / "runner.toml").write_text(text)
    return config.load({"project": str(folder), "master": master}, environ)


def test_words_are_told_apart() -> None:
    """What comes before the command is spark-submit's, but for what both must know."""
    asked = submit.parse(
        ["--queue", "night", "--venv=e.tar.gz", "--deploy-mode", "cluster", "apply", "--day", "day1", "--master",
         "yarn", "--json"]
    )  # fmt: skip
    assert asked == submit.Submission(
        ("--queue", "night"), ("apply", "--day", "day1", "--json"), "yarn", "cluster", "e.tar.gz"
    )
    assert submit.parse(["--master", "yarn", "load", "--day", "d1"]).master == "yarn"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--queue", "night"], "no apply or load"),
        (["--deploy-mode", "clutser", "load"], "'clutser' is no deploy mode"),
        (["--master", "yarn", "load", "--master", "local"], "two masters"),
        (["load", "--master"], "--master names nothing"),
    ],
    ids=["no command", "mode", "masters", "no value"],
)
def test_wrong_words(words: list[str], message: str) -> None:
    """Refused before anything is packaged."""
    with pytest.raises(UsageError, match=message):
        submit.parse(words)


@pytest.mark.parametrize(
    ("master", "words", "message"),
    [
        ("yarn", [], "configuration of YARN"),
        ("local[2]", ["--deploy-mode", "cluster"], "no driver written in Python"),
        ("k8s://https://a:1", [], "no container image"),
        (
            "k8s://https://a:1",
            ["--deploy-mode", "cluster", "--conf", "spark.kubernetes.container.image=x"],
            "no way to",
        ),
        ("local[2]", ["--venv", "/nowhere.tar.gz"], "no file /nowhere.tar.gz"),
    ],
)
def test_what_a_cluster_would_refuse(tmp_path: Path, master: str, words: list[str], message: str) -> None:
    """Told at once, in one sentence."""
    with pytest.raises(ConfigError, match=message):
        submit.check(submit.parse([*words, "load", "--day", "d1"]), settings(tmp_path, master))


def test_yarn_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere."""
    asked = submit.parse(["load", "--day", "d1", "--require-yarn"])
    with pytest.raises(ConfigError, match="must be on YARN"):
        submit.check(asked, settings(tmp_path, "local[2]"))
    monkeypatch.setenv("RUNNER_SKIP_YARN_CHECK", "1")
    submit.check(asked, settings(tmp_path, "local[2]"))


def test_a_driver_elsewhere_needs_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded one is of this machine."""
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    asked = submit.parse(["--deploy-mode", "cluster", "load", "--day", "d1"])
    with pytest.raises(ConfigError, match="embedded PostgreSQL"):
        submit.check(asked, settings(tmp_path, "yarn"))
    submit.check(asked, settings(tmp_path, "yarn", DATABASE_URL="postgresql://u:p@h/d"))


def test_the_command_of_client_mode(tmp_path: Path) -> None:
    """Code goes along; the runner's words stay as they were."""
    asked = submit.parse(["--num-executors", "4", "load", "--day", "d1", "--json"])
    words = submit.command(asked, settings(tmp_path, "yarn"), tmp_path)
    assert words[0].endswith("/bin/spark-submit")
    assert words[words.index("--name") + 1] == "runner load d1"
    assert words[words.index("--num-executors") :] == [
        "--num-executors", "4", str(Path(submit.__file__).with_name("submitted.py")), "load", "--day", "d1", "--json",
    ]  # fmt: skip
    assert "--archives" not in words


def test_the_command_of_cluster_mode(tmp_path: Path) -> None:
    """The project goes along, and the runner is told where it will be; passwords are in a file of mode 600."""
    asked = submit.parse(["--deploy-mode", "cluster", "--venv", "/e.tar.gz", "load", "--day", "d1", "--data", "/in"])
    found = settings(tmp_path, "yarn", DATABASE_URL="postgresql://u:hush@h/d")
    words = submit.command(asked, found, tmp_path)
    assert words[words.index("--archives") + 1] == f"/e.tar.gz#environment,{tmp_path}/project.zip#project"
    assert words[-9:] == ["load", "--day", "d1", "--project", "project", "--pipeline", "shop", "--data", found.data]
    assert "hush" not in " ".join(words)
    given = submit.properties(asked, found, {"DATABASE_URL": "x", "PGOPTIONS": "-c a=b", "RUNNER_HOME": "/h", "X": "y"})
    assert given["spark.yarn.appMasterEnv.DATABASE_URL"] == "postgresql://u:hush@h/d"
    assert given["spark.yarn.appMasterEnv.PGOPTIONS"] == "-c a=b"
    assert given["spark.pyspark.python"] == given["spark.pyspark.driver.python"] == "./environment/bin/python"
    assert not [key for key in given if key.endswith((".RUNNER_HOME", ".X"))]


def test_settings_go_into_a_file_for_nobody_else(tmp_path: Path) -> None:
    """As Java reads them; runner.toml's own among them."""
    folder = tmp_path / "work"
    folder.mkdir()
    found = settings(tmp_path, "local[1]", "[spark]\nexecutor.memory = \"3g\"\napp.note = 'a\\b'")
    submit.write(folder, submit.parse(["load", "--day", "d1"]), found)
    assert folder.stat().st_mode & 0o077 == 0
    lines = (folder / "spark.properties").read_text().splitlines()
    assert "spark.executor.memory=3g" in lines
    assert "spark.app.note=a\\\\b" in lines


def test_packages(tmp_path: Path) -> None:
    """Workers get the code, the same bytes for the same code; a driver gets the project, too."""
    one, two = package.write(tmp_path / "1.zip"), package.write(tmp_path / "2.zip")
    assert one.read_bytes() == two.read_bytes()
    names = zipfile.ZipFile(one).namelist()
    assert {"runner/__init__.py", "staging_loaders/part.py"} <= set(names)
    project = tmp_path / "project"
    (project / "migrations" / "shop").mkdir(parents=True)
    (project / "migrations" / "shop" / "010_x.sql").write_text("select 1;")
    (project / "staging_loaders" / "shop").mkdir(parents=True)
    (project / "staging_loaders" / "shop" / "x.toml").write_text("")
    (project / "runner.toml").write_text("")
    names = zipfile.ZipFile(package.write_project(tmp_path / "3.zip", project)).namelist()
    wanted = {
        "runner/sql/001_bookkeeping.sql",
        "staging_loaders/shop/x.toml",
        "migrations/shop/010_x.sql",
        "runner.toml",
    }
    assert wanted <= set(names)
    assert len(names) == len(set(names))


def test_variables_for_other_machines() -> None:
    """Those of AWS, but for what says where this machine finds its own role; no secrets to a bucket that is public."""
    environ = {
        "AWS_SECRET_ACCESS_KEY": "hush", "AWS_PROFILE": "p", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/y", "HOME": "/h",
    }  # fmt: skip
    assert s3.variables(environ) == {"AWS_SECRET_ACCESS_KEY": "hush", "AWS_PROFILE": "p"}
    assert s3.variables(environ, anonymous=True) == {"AWS_PROFILE": "p"}


def test_a_cluster_hides_what_is_secret(tmp_path: Path) -> None:
    """In its pages, and from command lines; on this machine Spark's own default does."""
    given = {"spark.executorEnv.X": "hush", "spark.executor.memory": "1g"}
    found = spark_settings.settings("spark://h:1", "name", tmp_path, given)
    assert re.search(found["spark.redaction.regex"], "spark.executorEnv.AWS_ACCESS_KEY_ID")
    assert "hush" not in spark_settings.of_command_line(found).values()
    assert spark_settings.of_command_line(found)["spark.executor.memory"] == "1g"


def test_variables_travel_to_other_machines_alone() -> None:
    """A setting of Spark's for the same variable is stronger; nobody is shown any."""
    given = {"spark.executorEnv.AWS_PROFILE": "theirs"}
    variables = {"AWS_PROFILE": "ours", "AWS_SECRET_ACCESS_KEY": "hush"}
    assert Session("yarn", settings=given, variables=variables)._travelling() == {"AWS_SECRET_ACCESS_KEY": "hush"}
    assert Session("local[2]", variables=variables)._travelling() == {}
    assert "hush" not in repr(_Each(str, variables))
