"""Days in a bucket, against a real S3 API on the loopback interface: the same as in a folder, and what may go wrong."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner import cli
from runner.errors import ConfigError, DayNotFound, LoadFailed, RunnerError, StoreUnavailable, UnreadableFile
from staging_loaders import s3
from staging_loaders.ahead import SMALL, fetched
from staging_loaders.engine import Engine
from staging_loaders.entity import load_declarations
from staging_loaders.files import SourceFile, fingerprint
from staging_loaders.load import DayLoad, EntityLoad, load_day
from staging_loaders.local import Local
from staging_loaders.object_stream import ObjectStream, open_object
from staging_loaders.read import read_records
from staging_loaders.s3 import Access
from staging_loaders.session import Inline, Session
from staging_loaders.split import Work
from staging_loaders.store import open_store
from tests import s3server
from tests.generator.files import as_parquet
from tests.s3server import KEYS, S3Server
from tests.staged import TABLES, staging

ROOT = Path(__file__).parents[2]
DAYS = ROOT / "tests" / "days"
ZLURI = ROOT / "staging_loaders" / "zluri"

AGENTS = [{"id": number, "email": f"{number}@example.com", "name": "A"} for number in range(1, 4)]
TRANSACTION = {
    "id": "t",
    "uuid": "u",
    "occurredTime": "2026-01-01T00:00:00Z",
    "currencyData": {"originalCurrencyAmount": 1, "originalCurrencyCode": "USD"},
}
REQUIRED: dict[str, list[Any]] = {
    "agents": AGENTS,
    "admin_groups": [{"id": 1, "name": "g"}],
    "roles": [{"id": 5, "name": "r"}],
    "transactions": [TRANSACTION],
}

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that lets in everybody who signs, with the shipped day1 in the bucket `days`."""
    with s3server.running(tmp_path_factory.mktemp("s3")) as aws:
        aws.upload(DAYS / "sync-day1", "days", "zluri/sync-day1/")
        yield aws


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3Server, dict[str, str]]]:
    """A server that looks at signatures and policies, and the keys of a user who may list and get."""
    with s3server.running(tmp_path_factory.mktemp("guarded")) as aws:
        aws.upload(DAYS / "sync-day1" / "roles", "days", "sync-day1/roles/")
        iam = aws.client("iam")
        iam.create_user(UserName="reader")
        statement = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
        iam.create_user(UserName="stranger")
        found = {}
        for user in ("reader", "stranger"):
            key = iam.create_access_key(UserName=user)["AccessKey"]
            found |= {f"{user}_id": key["AccessKeyId"], f"{user}_secret": key["SecretAccessKey"]}
        guard = urllib.request.Request(f"{aws.url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        urllib.request.urlopen(guard).close()
        yield aws, found


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch, aws: S3Server) -> Iterator[None]:
    """The environment of somebody with credentials of the server, and no other way to any."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    s3.forget()
    yield
    s3.forget()


@pytest.fixture(autouse=True)
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange rates have tests of their own."""
    monkeypatch.setattr("staging_loaders.load.refresh_rates", lambda *_: None)


@pytest.fixture
def bucket(aws: S3Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an empty bucket of the test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-") + "-b"
    aws.client().create_bucket(Bucket=name)
    yield name
    client = aws.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        if found := [{"Key": item["Key"]} for item in page.get("Contents", ())]:
            client.delete_objects(Bucket=name, Delete={"Objects": found})
    client.delete_bucket(Bucket=name)


def put(aws: S3Server, bucket: str, key: str, content: bytes | str | list[Any]) -> None:
    """Put an object; a list is its JSON."""
    body = json.dumps(content) if isinstance(content, list) else content
    aws.client().put_object(Bucket=bucket, Key=key, Body=body)


def put_day(aws: S3Server, bucket: str, **more: list[Any]) -> str:
    """Put a small day1 and return the address of its base."""
    for entity, records in {**REQUIRED, **more}.items():
        put(aws, bucket, f"base/sync-day1/{entity}/a.json", records)
    return f"s3a://{bucket}/base"


def load(database: str, base: Any, session: Engine | None = None, **options: Any) -> dict[str, EntityLoad]:
    """Load day1; return what became of each entity, by name."""
    loads = load_day(
        dsn=database, pipeline="zluri", day="day1", base=base, declarations=ZLURI, flow_run_id="run",
        session=session or Inline(), **options,
    )  # fmt: skip
    return {each.entity: each for each in loads}


def one(base: str, entity: str = "agents") -> SourceFile:
    """Return the only file of an entity of day1."""
    (file,) = open_store(base).files("sync-day1", entity)
    return file


@pytest.mark.parametrize("address", ["s3a://days/zluri", "s3://days/zluri/"])
def test_a_day_in_a_bucket_is_the_day_in_a_folder(new_database: Callable[[], str], address: str) -> None:
    """Every format that the shipped day has: the same rows, rejects, warnings and counts, in the same places."""
    found = []
    for base in (str(DAYS), address):
        database = new_database()
        load(database, base)
        with psycopg.connect(database, autocommit=True) as connection:
            found.append(staging(connection, fingerprints=False))
    assert found[0] == found[1]
    assert all(found[0].values())


def test_workers_open_objects_themselves(database: str, connection: Connection) -> None:
    """Processes of the local engine find credentials as we do, and read a large file in spans."""
    with Local(2, inline_weight=0) as local:
        local.expect(Work(1, 1, 1))
        load(database, "s3a://days/zluri", local)
    assert connection.execute("select count(*) from stg_transactions").fetchone() != (0,)


def test_spark_reads_from_a_bucket(
    monkeypatch: pytest.MonkeyPatch, new_database: Callable[[], str], spark: Session, aws: S3Server, bucket: str
) -> None:
    """Endpoint and the wish to sign nothing travel with the parts: these workers have no such settings."""
    policy = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    aws.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [policy]}))
    base = put_day(aws, bucket)
    before = len(aws.requests())
    for name in ("AWS_ENDPOINT_URL_S3", *KEYS):
        monkeypatch.delenv(name)
    database = new_database()
    loads = load(database, open_store(base, Access(aws.url, "us-east-1", anonymous=True)), spark)
    assert loads["agents"].rows_loaded == 3
    asked = aws.requests()[before:]
    assert asked
    assert not any(request["signed"] for request in asked)


def test_an_unchanged_day_is_not_read(database: str, aws: S3Server, bucket: str) -> None:
    """ETags, which come with the listing, tell: not one request for an object, and none a file."""
    base = put_day(aws, bucket)
    load(database, base)
    before = len(aws.requests())
    assert not any(each.status == "loaded" for each in load(database, base).values())
    asked = aws.requests()[before:]
    assert {(request["method"], request["path"]) for request in asked} == {("GET", f"/{bucket}")}
    assert all("list-type=2" in request["query"] for request in asked)
    assert len(asked) == 1 + len(TABLES)


def test_only_the_entity_whose_object_changed_is_read(database: str, aws: S3Server, bucket: str) -> None:
    """An object that is written again with the same content is the same; with another it is not."""
    base = put_day(aws, bucket)
    load(database, base)
    put(aws, bucket, "base/sync-day1/agents/a.json", AGENTS)
    assert not any(each.status == "loaded" for each in load(database, base).values())
    put(aws, bucket, "base/sync-day1/agents/a.json", AGENTS[:2])
    assert [name for name, each in load(database, base).items() if each.status == "loaded"] == ["agents"]


def test_a_fingerprint_is_of_keys_and_content(aws: S3Server, bucket: str) -> None:
    """Where the days lie does not count; content, names and size do."""
    entity = load_declarations(ZLURI)["roles"]
    for key in ("a/x/p.json", "b/x/p.json"):
        put(aws, bucket, key, [1])
    put(aws, bucket, "c/x/q.json", [1])
    put(aws, bucket, "d/x/p.json", [2])
    marks = [fingerprint(entity, open_store(f"s3://{bucket}/{base}").files("x")) for base in "abcd"]
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3


@pytest.mark.long
def test_a_listing_has_pages(aws: S3Server, bucket: str) -> None:
    """More than a thousand objects are listed whole, in order, by a request a thousand of them."""
    connection = http.client.HTTPConnection("127.0.0.1", aws.port)
    for number in range(1_005):  # unsigned, which takes a tenth of the time
        connection.request("PUT", f"/{bucket}/sync-day1/agents/{number:04}.json", b"[]")
        connection.getresponse().read()
    connection.close()
    before = len(aws.requests())
    files = open_store(f"s3a://{bucket}").files("sync-day1", "agents")
    assert [file.name for file in files] == [f"{number:04}.json" for number in range(1_005)]
    assert len(aws.requests()) - before == 2


def test_keys_are_text_that_may_hold_anything(aws: S3Server, bucket: str) -> None:
    """Names are taken as they are, each object is read by its own; markers of folders and hidden names are left out."""
    names = ["B.json", "a b+c%20.json", "a//b.json", "a/../c.json", "a..b.json", 'it\'s "x".json', "é—日本.json"]
    names += ["a&b=c?d#e.json", "x/y/z.json", "back\\slash.json"]
    for name in names:
        put(aws, bucket, f"odd 'base'//sync-day1/agents/{name}", [name])
    for name in ("", "x/", "x_$folder$", ".hidden.json", "_SUCCESS", "_tmp/a.json", "x/.git/a.json"):
        put(aws, bucket, f"odd 'base'//sync-day1/agents/{name}", b"")
    put(aws, bucket, "odd 'base'//sync-day1/agents2/no.json", [1])
    store = open_store(f"s3a://{bucket}/odd 'base'/")
    assert store.folders() == []  # the folder without a name is none of ours
    store = open_store(f"s3a://{bucket}/odd 'base'//")
    files = store.files("sync-day1", "agents")
    assert [file.name for file in files] == sorted(set(names) - {"a/../c.json"})
    assert [[record for record, _ in read_records(file)] for file in files] == [[file.name] for file in files]
    assert store.folders(beginning="sync-") == ["sync-day1"]
    assert store.folders("sync-day1") == ["agents", "agents2"]


@pytest.mark.parametrize(
    ("address", "where"),
    [("s3a://b", "s3a://b"), ("s3://b/x", "s3://b/x"), ("S3A://b/x/", "S3A://b/x"), ("s3a://b/x//", "s3a://b/x")],
)
def test_an_address_is_shown_as_it_was_given(address: str, where: str) -> None:
    """Errors and plans name what somebody can look up."""
    assert open_store(address).where() == where
    assert open_store(address).where("sync-day1", "agents").endswith("/sync-day1/agents")


def test_formats_are_read_in_ranges(aws: S3Server, bucket: str, tmp_path: Path) -> None:
    """A large file is asked for in pieces, one after another, each of the version that was listed."""
    lines = b"".join(json.dumps({"id": number, "text": "x" * 90}).encode() + b"\n" for number in range(60_000))
    put(aws, bucket, "sync-day1/agents/a.jsonl", lines)
    file = one(f"s3a://{bucket}")
    before = len(aws.requests())
    with open_object(file) as stream:
        stream_of = stream.raw
        assert isinstance(stream_of, ObjectStream)
        stream_of._window = 1 << 20
        assert stream.read() == lines
    asked = aws.requests()[before:]
    assert len(asked) == -(-len(lines) // (1 << 20))
    assert {request["if_match"] for request in asked} == {file.etag}
    records = [{"id": number, "name": "n" * 50} for number in range(5_000)]
    (tmp_path / "a.parquet").write_bytes(as_parquet("roles", records))
    put(aws, bucket, "sync-day1/roles/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert list(read_records(one(f"s3a://{bucket}", "roles"))) == list(read_records(str(tmp_path / "a.parquet")))


def test_a_stream_goes_anywhere(aws: S3Server, bucket: str) -> None:
    """Reading here and there gives the bytes that stand there; at the end and behind it there are none."""
    content = os.urandom(300_000)
    put(aws, bucket, "sync-day1/agents/a.json", content)
    with ObjectStream(one(f"s3a://{bucket}"), window=50_000) as stream:
        for start, size in [(0, 10), (100, 100_000), (10, 5), (200_000, 100_000), (299_999, 10), (250_000, 0)]:
            stream.seek(start)
            assert stream.read(size) == content[start : start + size]
        stream.seek(-7, os.SEEK_END)
        assert (stream.read(), stream.tell(), stream.read(1)) == (content[-7:], 300_000, b"")
        stream.seek(400_000)
        assert stream.read(1) == b""


def test_small_objects_come_ahead(aws: S3Server, bucket: str) -> None:
    """In their order, and equal to what a stream of each gives; large ones stay streams."""
    for number in range(30):
        put(aws, bucket, f"sync-day1/agents/{number:02}.json", [number])
    put(aws, bucket, "sync-day1/agents/10-large.json", b"[0]" + b" " * SMALL)
    put(aws, bucket, "sync-day1/agents/20.parquet", as_parquet("agents", AGENTS))
    put(aws, bucket, "sync-day1/agents/21.json.gz", gzip.compress(b"[21]"))
    files = open_store(f"s3a://{bucket}").files("sync-day1", "agents")
    ahead = list(fetched(files))
    assert tuple(ahead) == files
    assert [file.name for file in ahead if file.content is None] == ["10-large.json"]
    assert [list(read_records(file)) for file in ahead] == [list(read_records(file)) for file in files]


def test_an_object_that_cannot_come_ahead_is_named(aws: S3Server, bucket: str) -> None:
    """When its turn comes, and not before."""
    for number in range(3):
        put(aws, bucket, f"sync-day1/agents/{number}.json", [number])
    files = open_store(f"s3a://{bucket}").files("sync-day1", "agents")
    aws.client().delete_object(Bucket=bucket, Key="sync-day1/agents/1.json")
    coming = fetched(files)
    assert next(coming).name == "0.json"
    with pytest.raises(UnreadableFile, match=r"agents/1\.json: the object is gone"):
        next(coming)


class Cutter:
    """A proxy that ends each of the first `cuts` connections after `size` bytes of answers."""

    def __init__(self, port: int, size: int, cuts: int) -> None:
        self._port, self._size, self.cuts = port, size, cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, ours: socket.socket) -> None:
        with ours, socket.create_connection(("127.0.0.1", self._port)) as theirs, suppress(OSError):
            asking = threading.Thread(target=self._ask, args=(ours, theirs), daemon=True)
            asking.start()
            left = self._size if self.cuts else sys.maxsize
            while data := theirs.recv(65_536):
                ours.sendall(data[:left])
                left -= len(data)
                if left <= 0:
                    self.cuts -= 1
                    break
            for end in (ours, theirs):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            asking.join()

    def _ask(self, ours: socket.socket, theirs: socket.socket) -> None:
        with suppress(OSError):
            while data := ours.recv(65_536):
                theirs.sendall(data)


def test_a_broken_connection_is_resumed(aws: S3Server, bucket: str) -> None:
    """What was read is not asked for again: each request begins where the one before was cut."""
    content = os.urandom(2_000_000)
    put(aws, bucket, "sync-day1/agents/a.json", content)
    with closing(Cutter(aws.port, 700_000, cuts=2)) as proxy:
        file = one(f"s3a://{bucket}")
        through = SourceFile(file.path, file.name, file.size, file.modified, file.etag, Access(proxy.url, "us-east-1"))
        before = len(aws.requests())
        with open_object(through) as stream:
            assert stream.read() == content
        assert proxy.cuts == 0
    ranges = [request["range"] for request in aws.requests()[before:]]
    starts = [int(re.findall(r"\d+", found)[0]) if found else 0 for found in ranges]
    assert len(starts) == 3
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    assert starts[2] > 1_000_000


def test_a_connection_that_breaks_for_good_may_pass(aws: S3Server, bucket: str) -> None:
    """After a few attempts without a byte the file is given up, as what another attempt may read."""
    put(aws, bucket, "sync-day1/agents/a.json", os.urandom(100_000))
    with closing(Cutter(aws.port, 0, cuts=1_000)) as proxy:
        file = one(f"s3a://{bucket}")
        pauses: list[float] = []
        access = Access(proxy.url, "us-east-1")
        through = SourceFile(file.path, file.name, file.size, file.modified, file.etag, access)
        with pytest.raises(UnreadableFile, match="no answer comes from") as caught:
            ObjectStream(through, pause=pauses.append).read(10)
    assert caught.value.transient
    assert len(pauses) == 5


def overwritten(aws: S3Server, bucket: str) -> Callable[[], None]:
    """Return what puts other agents in the place of those that are there."""
    return lambda: put(aws, bucket, "base/sync-day1/agents/a.json", AGENTS[:1])


def deleted(aws: S3Server, bucket: str) -> Callable[[], None]:
    """Return what deletes the agents."""
    return lambda: aws.client().delete_object(Bucket=bucket, Key="base/sync-day1/agents/a.json")


@pytest.mark.parametrize(("change", "told"), [(overwritten, "changed while it was read"), (deleted, "is gone since")])
def test_an_object_that_changes_fails_the_load(
    database: str, connection: Connection, aws: S3Server, bucket: str,
    change: Callable[[S3Server, str], Callable[[], None]], told: str,
) -> None:  # fmt: skip
    """Its fingerprint would vouch for what was not read. Another attempt may succeed, and nothing was changed."""
    base = put_day(aws, bucket)
    with DayLoad(
        dsn=database, pipeline="zluri", day="day1", base=base, declarations=ZLURI, flow_run_id="run", session=Inline()
    ) as day:
        day.plan()
        change(aws, bucket)()
        with pytest.raises(LoadFailed, match=rf"base/sync-day1/agents/a\.json: the object {told}") as caught:
            day.land_all(list(REQUIRED))
    assert caught.value.transient
    assert not isinstance(caught.value, UnreadableFile)
    assert connection.execute("select count(*) from stg_loads").fetchone() == (0,)


def test_a_day_that_changes_is_loaded_anew(
    monkeypatch: pytest.MonkeyPatch, database: str, connection: Connection, aws: S3Server, bucket: str
) -> None:
    """The runner begins again with another listing, and publishes what it read then."""
    base = put_day(aws, bucket)
    attempts: list[int] = []
    land_all = DayLoad.land_all

    def late(day: DayLoad, entities: Any) -> Any:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            overwritten(aws, bucket)()
        return land_all(day, entities)

    monkeypatch.setattr(DayLoad, "land_all", late)
    monkeypatch.setenv("DATABASE_URL", database)
    given = ["--project", str(ROOT), "--pipeline", "zluri", "--data", base, "--engine", "local"]
    assert cli.main(["load", "--day", "day1", *given]) == 0
    assert len(attempts) == 2
    assert connection.execute("select count(*) from stg_agents").fetchone() == (1,)


def test_an_object_that_changes_between_two_ranges_is_not_mixed(aws: S3Server, bucket: str) -> None:
    """Each range is asked for of the version that was listed, so that no file is half old and half new."""
    put(aws, bucket, "sync-day1/agents/a.json", b"a" * 300_000)
    with ObjectStream(one(f"s3a://{bucket}"), window=100_000) as stream:
        assert stream.read(100_000) == b"a" * 100_000
        put(aws, bucket, "sync-day1/agents/a.json", b"b" * 300_000)
        with pytest.raises(UnreadableFile, match="the object changed while it was read") as caught:
            stream.read(100_000)
    assert caught.value.transient


def test_parquet_that_changes_is_no_broken_file(aws: S3Server, bucket: str) -> None:
    """The library that asks for its ranges passes on what went wrong."""
    put(aws, bucket, "sync-day1/agents/a.parquet", as_parquet("agents", AGENTS))
    file = one(f"s3a://{bucket}")
    put(aws, bucket, "sync-day1/agents/a.parquet", as_parquet("agents", AGENTS[:1]))
    with pytest.raises(UnreadableFile, match="the object changed while it was read") as caught:
        list(read_records(file))
    assert caught.value.transient


def test_a_broken_file_is_named_by_its_address(database: str, aws: S3Server, bucket: str) -> None:
    """File, line and column, as of a file of this machine; a span of it, too."""
    base = put_day(aws, bucket)
    put(aws, bucket, "base/sync-day1/agents/b.jsonl.gz", b"\x1f\x8b\x08")
    with pytest.raises(UnreadableFile, match=rf"^{base}/sync-day1/agents/b\.jsonl\.gz:1:1: the compressed file is"):
        load(database, base)


def test_what_a_person_sees(
    monkeypatch: pytest.MonkeyPatch, aws: S3Server, bucket: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line takes the address, and what it says of the day names it."""
    base = put_day(aws, bucket, agentz=[])
    monkeypatch.setenv("DATABASE_URL", database)
    given = ["--project", str(ROOT), "--pipeline", "zluri", "--data", base, "--engine", "local"]
    assert cli.main(["load", "--day", "day1", *given]) == 0
    said = capsys.readouterr()
    assert f"{base}/sync-day1/agentz belongs to no entity and is not read; did you mean agents?" in said.err
    assert cli.main(["load", "--day", "day2", *given]) == 2
    said = capsys.readouterr()
    assert f"no files for day2: {base}/sync-day2 does not exist" in said.err
    assert "There is day1." in said.err


def test_the_doctor_looks_at_the_bucket(
    monkeypatch: pytest.MonkeyPatch, aws: S3Server, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It counts the days there, and names the fault where they cannot be listed."""
    monkeypatch.setenv("DATA_BASE_PATH", put_day(aws, bucket))
    cli.main(["doctor", "--project", str(ROOT)])
    assert re.search(rf"ok +data +s3a://{bucket}/base: 1 day\n", capsys.readouterr().out)
    monkeypatch.setenv("DATA_BASE_PATH", "s3a://no-such-bucket/base")
    assert cli.main(["doctor", "--project", str(ROOT)]) == 1
    assert re.search(r"fail +data +s3a://no-such-bucket/base: there is no such bucket\n", capsys.readouterr().out)


def without(*names: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Return what takes variables out of the environment."""
    return lambda patch: [patch.delenv(name) for name in names] and None


def having(**values: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Return what puts variables into the environment."""
    return lambda patch: [patch.setenv(name, value) for name, value in values.items()] and None


@pytest.mark.parametrize(
    ("address", "change", "kind", "told", "hint"),
    [
        ("s3a://no-such-bucket/x", having(), DayNotFound, "no such bucket", "Correct its name"),
        ("s3a://b$d/x", having(), DayNotFound, "no bucket can have that name", "Correct"),
        ("s3a:///x", having(), ConfigError, "no bucket is named", "s3a://BUCKET/FOLDER"),
        ("s3a://KEY:s3cret@days/x", having(), ConfigError, "credentials do not belong", "AWS_PROFILE"),
        ("gs://days/x", having(), ConfigError, "not from gs://", "Copy them"),
        ("s3a://days/x", without(*KEYS), ConfigError, "there are no credentials", "anonymous = true"),
        ("s3a://days/x", without("AWS_SECRET_ACCESS_KEY"), ConfigError, "not whole", "AWS_SECRET_ACCESS_KEY"),
        ("s3a://days/x", having(AWS_PROFILE="mine"), ConfigError, "no profile 'mine'", "AWS_PROFILE"),
        ("s3a://days/x", having(AWS_ENDPOINT_URL_S3="http://127.0.0.1:1"), StoreUnavailable, "no answer", "Is it up"),
        ("s3a://days/x", having(AWS_ENDPOINT_URL_S3="127.0.0.1:1"), ConfigError, "no endpoint of S3", "http://host"),
        ("s3a://days/x", having(AWS_REGION="nor th"), ConfigError, "no name of a region", "AWS_REGION"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str, change: Any,
    kind: type[RunnerError], told: str, hint: str,
) -> None:  # fmt: skip
    """One line and a next action, exit code 2, and neither a traceback nor a secret."""
    change(monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    given = ["--project", str(ROOT), "--pipeline", "zluri", "--data", address, "--engine", "local"]
    assert kind.exit_code == 2
    assert cli.main(["load", "--day", "day1", *given]) == 2
    said = "".join(capsys.readouterr())
    assert told in said
    assert hint in said
    for secret in (KEYS["AWS_SECRET_ACCESS_KEY"], "s3cret", "Traceback"):
        assert secret not in said


@pytest.mark.parametrize(
    ("key", "secret", "told"),
    [
        ("AKIAUNKNOWN000000000", "x", "the access key is not known there"),
        ("reader_id", "wrong-secret", "the secret key does not fit the access key"),
        ("stranger_id", "stranger_secret", "access is denied"),
    ],
)
def test_wrong_credentials_are_told(
    monkeypatch: pytest.MonkeyPatch, guarded: tuple[S3Server, dict[str, str]], key: str, secret: str, told: str
) -> None:
    """A server that checks signatures says which of the two keys is wrong, or that they may not do that."""
    aws, keys = guarded
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.get(key, key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.get(secret, secret))
    with pytest.raises(ConfigError, match=f"s3a://days/sync-day1/roles cannot be listed: {told}") as caught:
        open_store("s3a://days", Access(aws.url)).files("sync-day1", "roles")
    assert keys.get(secret, secret) not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("chain", ["environment", "profile", "container"])
def test_credentials_are_found_where_aws_tools_find_them(
    monkeypatch: pytest.MonkeyPatch, guarded: tuple[S3Server, dict[str, str]], tmp_path: Path, chain: str
) -> None:
    """In the environment, in a profile, or from the service of a container's role."""
    aws, keys = guarded
    for name in KEYS:
        monkeypatch.delenv(name)
    if chain == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["reader_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["reader_secret"])
    elif chain == "profile":
        profile = f"[mine]\naws_access_key_id = {keys['reader_id']}\naws_secret_access_key = {keys['reader_secret']}\n"
        (tmp_path / "credentials").write_text(profile)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "mine")
    else:
        given = {
            "AccessKeyId": keys["reader_id"],
            "SecretAccessKey": keys["reader_secret"],
            "Token": "",
            "Expiration": "2999-01-01T00:00:00Z",
        }
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", answering(json.dumps(given).encode()))
    (file,) = open_store("s3a://days", Access(aws.url)).files("sync-day1", "roles")
    assert list(read_records(file))


def answering(body: bytes) -> str:
    """Return the address of a server on the loopback interface that answers everything with a JSON document."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def test_what_is_not_public_is_denied_to_the_anonymous(aws: S3Server, bucket: str) -> None:
    """The error says that it was asked for without credentials."""
    put(aws, bucket, "sync-day1/agents/a.json", AGENTS)
    (file,) = open_store(f"s3a://{bucket}", Access(anonymous=True)).files("sync-day1", "agents")
    with pytest.raises(UnreadableFile, match="access is denied without credentials") as caught:
        list(read_records(file))
    assert not caught.value.transient


def test_a_store_that_is_none_is_told() -> None:
    """A web server that answers with something else is not taken for an empty bucket."""
    with pytest.raises(StoreUnavailable, match="the store is busy, or has a fault"):
        open_store("s3a://days", Access(answering(b"<html><body>hello"))).files("x")
