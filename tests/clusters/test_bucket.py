"""Days in a bucket on a standalone cluster: executors open the objects, with credentials or without."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import s3server
from tests.clusters.conftest import SMALL, Days, Submit, project, staging
from tests.s3server import KEYS, S3Server

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def aws(days: Days, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with the generated days in the bucket `days`, for all to read."""
    with s3server.running(tmp_path_factory.mktemp("s3")) as aws:
        aws.upload(days.base, "days", "base/")
        policy = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::days/*"]}
        aws.client().put_bucket_policy(
            Bucket="days", Policy=json.dumps({"Version": "2012-10-17", "Statement": [policy]})
        )
        yield aws


def without_fingerprints(found: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what staging holds but for the fingerprints, which are of ETags in a bucket."""
    return found | {"stg_loads": [row[:-1] for row in found["stg_loads"]]}


def objects(aws: S3Server) -> set[str]:
    """Return whether objects were asked for with a signature: `yes`, an empty text, or both."""
    return {request["signed"] for request in aws.requests() if request["if_match"]}


def test_executors_need_no_settings(
    aws: S3Server, spark_master: str, days: Days, database: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Where the store is, and that nothing is to be signed, comes with the work."""
    settings = SMALL | {"spark.cores.max": "2"}
    more = {"DATABASE_URL": database, "AWS_ENDPOINT_URL_S3": aws.url, "RUNNER_S3_ANONYMOUS": "1"}
    command = [sys.executable, "-m", "runner", "load", "--day", "day1", "--master", spark_master]
    done = subprocess.run(
        [*command, "--data", "s3a://days/base"], cwd=project(tmp_path, days.base, settings),
        env=environment | more, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert without_fingerprints(staging(database)) == without_fingerprints(days.expected)
    assert objects(aws) == {""}


def command_lines() -> set[str]:
    """Return what `ps` shows of all processes of this machine."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.add(path.read_text("utf-8", "replace"))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc, to see what ps shows")
def test_credentials_reach_executors_unseen(
    aws: S3Server, spark_master: str, days: Days, database: str, tmp_path: Path, environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """Those of the environment: in no command line, no file or log of the cluster's, no page, and in no output."""
    events = tmp_path / "events"
    events.mkdir()
    settings = SMALL | {
        "spark.cores.max": "2", "spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.compress": "false", "spark.executorEnv.OTHER_SECRET": "hush-hush",
    }  # fmt: skip
    more = {"DATABASE_URL": database, "AWS_ENDPOINT_URL_S3": aws.url, **KEYS}
    command = [sys.executable, "-m", "runner", "load", "--day", "day1", "--master", spark_master]
    folder = tmp_path / "project"
    folder.mkdir()
    seen: set[str] = set()
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [*command, "--data", "s3a://days/base"], cwd=project(folder, days.base, settings),
            env=environment | more, stdout=said, stderr=said,
        )  # fmt: skip
        code = None
        while code is None:
            seen |= command_lines()
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(0.2)
    told = (tmp_path / "said").read_text()
    assert code == 0, told
    assert without_fingerprints(staging(database)) == without_fingerprints(days.expected)
    assert "yes" in objects(aws)
    written = [path for path in events.rglob("*") if path.is_file()]
    assert any("SparkListenerEnvironmentUpdate" in path.read_text() for path in written)
    for cluster in tmp_path_factory.getbasetemp().glob("standalone*"):
        written += [path for path in cluster.rglob("*") if path.is_file()]
    shown = [told, *seen, *(path.read_text("utf-8", "replace") for path in written)]
    for secret in (KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_ACCESS_KEY_ID"], "hush-hush"):
        assert not [text for text in shown if secret in text]


def test_a_submitted_run_hands_credentials_on(
    aws: S3Server, spark_master: str, days: Days, database: str, submit: Submit
) -> None:
    """spark_submit.sh gives executors the variables of AWS that it has, and says none of them."""
    words = ["--conf", "spark.cores.max=2", "load", "--day", "day1", "--master", spark_master]
    done = submit(*words, "--data", "s3a://days/base", settings=SMALL, AWS_ENDPOINT_URL_S3=aws.url, **KEYS)
    assert done.returncode == 0, done.stderr
    assert without_fingerprints(staging(database)) == without_fingerprints(days.expected)
    assert "yes" in objects(aws)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
