"""Settings: which source wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import config
from runner.errors import ConfigError, RunnerError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one pipeline."""
    (tmp_path / "migrations" / "shop").mkdir(parents=True)
    return tmp_path


def write(folder: Path, text: str) -> None:
    """Write the project's runner.toml."""
    (folder / "runner.toml").write_text(text, encoding="utf-8")


def test_defaults(folder: Path) -> None:
    """Without any setting the project's only pipeline runs on the embedded PostgreSQL below .runner."""
    settings = config.load({}, {}, folder)
    assert (settings.pipeline, settings.database_url, settings.home) == ("shop", None, folder / ".runner")
    assert (settings.embedded_version, settings.data) == (18, str(folder / "data"))


def test_strongest_source_wins(folder: Path) -> None:
    """A flag beats the environment, which beats runner.toml."""
    write(folder, 'data = "from-file"\nhome = "from-file"\n[spark]\nmaster = "from-file"\n')
    environ = {"DATA_BASE_PATH": "from-environment", "SPARK_MASTER": "from-environment"}
    settings = config.load({"master": "from-flag", "data": None}, environ, folder)
    assert settings.master == "from-flag"
    assert settings.data == str(folder / "from-environment")
    assert settings.home == folder / "from-file"


def test_project_is_found_upwards(folder: Path) -> None:
    """A command works from any folder below the project's."""
    below = folder / "migrations" / "shop"
    assert config.load({}, {}, below).project == folder


def test_addresses_are_not_paths(folder: Path) -> None:
    """An object store's address is taken as it is."""
    assert config.load({"data": "s3a://bucket/days"}, {}, folder).data == "s3a://bucket/days"


@pytest.mark.parametrize("name", ["PGHOST", "PGSERVICE"])
def test_libpq_environment_names_a_server(folder: Path, name: str) -> None:
    """libpq's own environment is enough to name a server."""
    assert config.load({}, {name: "x"}, folder).database_url == ""


def test_url_is_not_shown(folder: Path) -> None:
    """The connection string, which may hold a password, is not part of the settings' text."""
    settings = config.load({}, {"DATABASE_URL": "postgresql://u:secret@h/d"}, folder)
    assert settings.database_url == "postgresql://u:secret@h/d"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("data = ", "not valid TOML", id="broken"),
        pytest.param('dta = "x"', "unknown key 'dta'", id="unknown key"),
        pytest.param("[database]\nembedded_version = 17", "embedded_version is 17", id="version"),
        pytest.param('[database]\nembedded_version = "new"', "not a whole number", id="type"),
        pytest.param("data = 3", "not text", id="text"),
        pytest.param("[database]\nattempts = 0", "attempts is 0", id="attempts"),
        pytest.param('[spark]\nmaser = "yarn"', "unknown key 'spark.maser'", id="key of spark"),
        pytest.param('[spark]\nserializer = "x"', "unknown key 'spark.serializer'", id="short key of spark"),
        pytest.param('[spark]\n"spark.master" = "yarn"', r"unknown key 'spark.master' in \[spark\]", id="long key"),
        pytest.param("[spark]\nexecutor.cores = [1]", "spark.executor.cores in .* is a list", id="value of spark"),
        pytest.param("[spark]\nrequire_yarn = 1", "not true or false", id="require_yarn"),
        pytest.param('[load]\nengine = "dask"', "there is no engine 'dask'", id="engine"),
        pytest.param('[load]\nlocal_limit = "much"', "'much', which is not a size", id="size"),
        pytest.param("[load]\nlocal_limit = true", "True, which is not a size", id="no size"),
    ],
)
def test_wrong_file(folder: Path, text: str, message: str) -> None:
    """A wrong runner.toml is refused, naming the file or the key."""
    write(folder, text)
    with pytest.raises(ConfigError, match=message):
        config.load({}, {}, folder)


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param({"pipeline": "unknown"}, id="unknown pipeline"),
        pytest.param({"pipeline": "../shop"}, id="path as pipeline"),
        pytest.param({"project": "nowhere"}, id="no folder"),
    ],
)
def test_wrong_flags(folder: Path, flags: dict[str, str]) -> None:
    """What a flag names must exist."""
    with pytest.raises(UsageError):
        config.load(flags, {}, folder)


def test_two_pipelines_must_be_chosen_from(folder: Path) -> None:
    """Where there are two pipelines, none is taken by chance."""
    (folder / "migrations" / "other").mkdir()
    with pytest.raises(UsageError, match="2 pipelines: other, shop"):
        config.load({}, {}, folder)
    write(folder, 'pipeline = "shop"')
    assert config.load({}, {}, folder).pipeline == "shop"


def test_some_commands_need_no_pipeline(folder: Path) -> None:
    """What looks at the server alone takes a project with two pipelines, or one whose setting is wrong, as it is."""
    assert config.load({}, {}, folder, need_pipeline=False).pipeline == "shop"
    (folder / "migrations" / "other").mkdir()
    assert config.load({}, {}, folder, need_pipeline=False).pipeline == ""
    assert config.load({}, {"RUNNER_PIPELINE": "gone"}, folder, need_pipeline=False).pipeline == ""
    with pytest.raises(UsageError):
        config.load({"pipeline": "gone"}, {}, folder, need_pipeline=False)


def test_errors_have_a_next_action(folder: Path) -> None:
    """Every configuration error says what to do."""
    with pytest.raises(RunnerError) as caught:
        config.load({"pipeline": "unknown"}, {}, folder)
    assert caught.value.hint


def test_settings_of_spark(folder: Path) -> None:
    """Whatever is dotted under [spark] is Spark's own, however it is written; master and require_yarn are ours."""
    write(
        folder,
        """[spark]
master = "yarn"
require_yarn = true
speculation = true
executor.memory = "2g"
"spark.yarn.queue" = "night"
"spark.serializer" = "org.example.Serializer"
"executor.cores" = 2
[spark.sql.shuffle]
partitions = 8
""",
    )
    settings = config.load({}, {}, folder)
    assert (settings.master, settings.require_yarn) == ("yarn", True)
    assert settings.spark == {
        "spark.speculation": "true",
        "spark.executor.memory": "2g",
        "spark.yarn.queue": "night",
        "spark.serializer": "org.example.Serializer",
        "spark.executor.cores": "2",
        "spark.sql.shuffle.partitions": "8",
    }


@pytest.mark.parametrize(("text", "value"), [("1", True), ("0", False)])
def test_yarn_is_required_by_the_environment(folder: Path, text: str, value: bool) -> None:
    """An environment variable is stronger than the file."""
    write(folder, f"[spark]\nrequire_yarn = {str(not value).lower()}")
    assert config.load({}, {"RUNNER_REQUIRE_YARN": text}, folder).require_yarn is value


def test_engines(folder: Path) -> None:
    """Spark is the default; the file, the environment and a flag say otherwise, each stronger than the last."""
    assert (config.load({}, {}, folder).engine, config.load({}, {}, folder).local_limit) == ("spark", 64_000_000)
    write(folder, '[load]\nengine = "auto"\nlocal_limit = "1.5 GiB"\n')
    settings = config.load({}, {}, folder)
    assert (settings.engine, settings.local_limit) == ("auto", 1_610_612_736)
    environment = {"RUNNER_ENGINE": "local", "RUNNER_LOCAL_LIMIT": "500000"}
    settings = config.load({}, environment, folder)
    assert (settings.engine, settings.local_limit) == ("local", 500_000)
    assert config.load({"engine": "spark"}, environment, folder).engine == "spark"
