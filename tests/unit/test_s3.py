"""Addresses and endpoints of buckets, and what errors of the store mean, without a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner import config
from runner.errors import ConfigError, DayNotFound, RunnerError, StoreUnavailable, UnreadableFile
from staging_loaders import s3, s3_faults, store
from staging_loaders.s3 import Access


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("s3a://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b", ("bucket", "a/b")),
        ("s3://bucket//a//", ("bucket", "/a//")),
        ("s3a://bucket/a%20b?c#d@e", ("bucket", "a%20b?c#d@e")),
    ],
)
def test_an_address_is_bucket_and_key(address: str, parts: tuple[str, str]) -> None:
    """Nothing in a key is decoded or tidied."""
    assert s3.split_address(address) == parts


@pytest.mark.parametrize(
    ("base", "is_one"),
    [("s3a://b", True), ("S3://b", True), ("/s3/b", False), ("s3n://b", False), ("file:///s3", False), ("s3", False)],
)
def test_what_names_a_bucket(base: str, is_one: bool) -> None:
    """Only the two schemes that are in use."""
    assert s3.is_address(base) is is_one


def test_other_addresses(tmp_path: Path) -> None:
    """A folder may be written as an address; one of another kind is refused, without what it may hold of a password."""
    assert store.open_store(tmp_path.as_uri()).where() == str(tmp_path)
    with pytest.raises(ConfigError, match="gs://bucket/x: days are read from folders, s3:// and s3a://") as caught:
        store.open_store("gs://me:s3cret@bucket/x")
    assert "s3cret" not in str(caught.value)


def test_settings_name_how_a_bucket_is_reached(tmp_path: Path) -> None:
    """AWS's own variables are stronger than runner.toml, the one for S3 alone stronger than that for all services."""
    (tmp_path / "migrations" / "shop").mkdir(parents=True)
    (tmp_path / "runner.toml").write_text('[s3]\nendpoint = "http://file"\nregion = "file-1"\nanonymous = true\n')
    found = config.load({}, {}, tmp_path)
    assert (found.s3_endpoint, found.s3_region, found.s3_anonymous) == ("http://file", "file-1", True)
    environ = {"AWS_ENDPOINT_URL": "http://all", "AWS_DEFAULT_REGION": "all-1", "RUNNER_S3_ANONYMOUS": "0"}
    found = config.load({}, environ, tmp_path)
    assert (found.s3_endpoint, found.s3_region, found.s3_anonymous) == ("http://all", "all-1", False)
    environ |= {"AWS_ENDPOINT_URL_S3": "http://s3", "AWS_REGION": "own-1"}
    found = config.load({}, environ, tmp_path)
    assert (found.s3_endpoint, found.s3_region) == ("http://s3", "own-1")


def answer(code: str, status: int = 400, message: str = "said", **more: Any) -> Exception:
    """Return the error of an answer of the store."""
    from botocore.exceptions import ClientError

    headers = {"x-amz-bucket-region": more.pop("region")} if "region" in more else {}
    told = {"Code": code, "Message": message, **more}
    return ClientError({"Error": told, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}, "X")


def raised(error: Exception, wrapper: Any) -> RunnerError:
    """Return what an error becomes in `wrapper`."""
    with pytest.raises(RunnerError) as caught, wrapper("s3://b/k", Access()):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "told", "hint"),
    [
        (answer("NoSuchBucket", 404), DayNotFound, "no such bucket", "Correct its name"),
        (answer("404", 404), DayNotFound, "no such bucket", "endpoint"),
        (answer("AccessDenied", 403), ConfigError, "access is denied", "s3:ListBucket"),
        (answer("403", 403), ConfigError, "access is denied", "anonymous = true"),
        (answer("ExpiredToken"), ConfigError, "have expired", "aws sso login"),
        (answer("RequestTimeTooSkewed", 403), ConfigError, "clock", "Set it"),
        (answer("PermanentRedirect", 301, region="eu-west-1"), ConfigError, "is in eu-west-1", 'region = "eu-west-1"'),
        (answer("AuthorizationHeaderMalformed", Region="eu-1"), ConfigError, "is in eu-1", "AWS_REGION"),
        (answer("SlowDown", 503), StoreUnavailable, "busy", "try again"),
        (answer("SomethingNew", 507), StoreUnavailable, "busy", "try again"),
        (answer("SomethingElse", 400, "a\nb"), ConfigError, "SomethingElse: a", "Look at"),
    ],
)
def test_what_a_store_answers_to_a_listing(error: Exception, kind: type[RunnerError], told: str, hint: str) -> None:
    """Each has words of its own and a next action; what may pass is told from what will not."""
    found = raised(error, s3_faults.listing)
    assert type(found) is kind
    assert told in found.message
    assert "\n" not in found.message
    assert hint in (found.hint or "")
    assert found.transient is (kind is StoreUnavailable)


@pytest.mark.parametrize(
    ("error", "told", "transient"),
    [
        (answer("PreconditionFailed", 412), "changed while it was read", True),
        (answer("412", 412), "changed while it was read", True),
        (answer("InvalidRange", 416), "changed while it was read", True),
        (answer("NoSuchKey", 404), "is gone", True),
        (answer("InternalError", 500), "busy, or has a fault", True),
        (ConnectionResetError("reset"), "no answer comes from AWS", True),
        (answer("InvalidObjectState", 403), "archived", False),
        (answer("AccessDenied", 403), "access is denied", False),
        (ConfigError("boto3 is not installed", hint="Install it"), "boto3 is not installed", False),
    ],
)
def test_what_goes_wrong_with_an_object(error: Exception, told: str, transient: bool) -> None:
    """The object is named, and whether another attempt may succeed."""
    found = raised(error, s3_faults.reading)
    assert isinstance(found, UnreadableFile)
    assert found.message.startswith("s3://b/k: ")
    assert told in found.message
    assert found.transient is transient


def test_secrets_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what the environment holds, nor what a provider of credentials said."""
    from botocore.exceptions import CredentialRetrievalError

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    found = [
        raised(answer("Odd", 400, "you signed with s3cret"), s3_faults.listing),
        raised(CredentialRetrievalError(provider="custom-process", error_msg="it said s3cret"), s3_faults.listing),
    ]
    assert "********" in found[0].message
    assert "custom-process gives no credentials" in found[1].message
    assert not any("s3cret" in f"{error.message} {error.hint}" for error in found)


def test_other_errors_are_not_explained_away() -> None:
    """A fault of ours stays one."""
    with pytest.raises(ZeroDivisionError), s3_faults.listing("s3://b", Access()):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "endpoint", ["localhost:9000", "ftp://x", "http://", "http://x:y", "http://x:99999", "http://["]
)
def test_an_endpoint_is_an_address(endpoint: str) -> None:
    """It has a scheme and a host; said before anything is asked."""
    with pytest.raises(ConfigError, match="is no endpoint of S3"):
        s3.client(Access(endpoint))
