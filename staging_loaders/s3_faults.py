"""What goes wrong with a bucket, in words that name the next action and no secret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from runner.errors import ConfigError, DayNotFound, RunnerError, StoreUnavailable, UnreadableFile
from staging_loaders import s3
from staging_loaders.s3 import Access

_LONGEST = 200
_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE"
_PUBLIC = "a public bucket is read with anonymous = true under [s3] in runner.toml (RUNNER_S3_ANONYMOUS=1)"
_ENDPOINT = "endpoint under [s3] in runner.toml, AWS_ENDPOINT_URL_S3"
_AGAIN = "Nothing was changed; try again."


@dataclass(frozen=True)
class Fault:
    """What happened and what to do; `passing` says that another attempt may do, `there` that the bucket exists."""

    problem: str
    hint: str
    passing: bool = False
    there: bool = True


# The codes are those of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html;
# an answer without a body, as to HEAD, has its status for a code.
_CODES = {
    "NoSuchBucket": Fault("there is no such bucket", f"Correct its name, or the endpoint ({_ENDPOINT}).", there=False),
    "InvalidBucketName": Fault("no bucket can have that name", "Correct it.", there=False),
    "NoSuchKey": Fault("the object is gone since it was listed", _AGAIN, passing=True),
    "PreconditionFailed": Fault("the object changed while it was read", _AGAIN, passing=True),
    "InvalidRange": Fault("the object changed while it was read", _AGAIN, passing=True),
    "InvalidAccessKeyId": Fault("the access key is not known there", f"{_KEYS} of that store."),
    "SignatureDoesNotMatch": Fault("the secret key does not fit the access key", f"{_KEYS}, whole."),
    "ExpiredToken": Fault("the credentials have expired", "Get new ones (aws sso login), then try again."),
    "InvalidToken": Fault(
        "the session token does not fit the access key", f"{_KEYS}; AWS_SESSION_TOKEN must fit, too."
    ),
    "RequestTimeTooSkewed": Fault("this machine's clock is wrong", "Set it."),
    "InvalidObjectState": Fault("the object is archived", "Restore it (aws s3api restore-object), then try again."),
    "SlowDown": Fault("the store is busy, or has a fault", _AGAIN, passing=True),
}
_SAME = {
    "404": "NoSuchKey", "412": "PreconditionFailed", "416": "InvalidRange",
    "InvalidClientTokenId": "InvalidAccessKeyId", "TokenRefreshRequired": "ExpiredToken",
    "ExpiredTokenException": "ExpiredToken", "500": "SlowDown",
    "502": "SlowDown", "503": "SlowDown", "504": "SlowDown", "InternalError": "SlowDown", "RequestTimeout": "SlowDown",
    "ServiceUnavailable": "SlowDown", "Throttling": "SlowDown", "ThrottlingException": "SlowDown",
    "RequestLimitExceeded": "SlowDown", "OperationAborted": "SlowDown",
}  # fmt: skip
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "Unauthorized", "401", "403")
_ELSEWHERE = ("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "301", "307", "400")


@contextmanager
def listing(address: str, access: Access) -> Iterator[None]:
    """Turn what fails into an error about `address`: DayNotFound, StoreUnavailable or ConfigError."""
    with _translated(address, access, _of_listing):
        yield


@contextmanager
def reading(path: str, access: Access) -> Iterator[None]:
    """Turn what fails into UnreadableFile, transient where another attempt may succeed."""
    with _translated(path, access, _of_reading):
        yield


@contextmanager
def _translated(address: str, access: Access, made: Any) -> Iterator[None]:
    try:
        yield
    except RunnerError as error:
        if made is _of_reading and not isinstance(error, UnreadableFile):
            raise UnreadableFile(f"{address}: {error.message}", hint=error.hint) from error
        raise
    except Exception as error:
        fault = explain(error, access)
        if fault is None:
            raise
        if not fault.passing:
            s3.forget()
        raise made(address, fault) from error


def _of_listing(address: str, fault: Fault) -> RunnerError:
    if fault is _CODES["NoSuchKey"]:
        fault = _CODES["NoSuchBucket"]
    if not fault.there:
        return DayNotFound(f"{address}: {fault.problem}", hint=fault.hint)
    kind = StoreUnavailable if fault.passing else ConfigError
    return kind(f"{address} cannot be listed: {fault.problem}", hint=fault.hint, transient=fault.passing)


def _of_reading(path: str, fault: Fault) -> RunnerError:
    return UnreadableFile(f"{path}: {fault.problem}", hint=fault.hint, transient=fault.passing)


def explain(error: Exception, access: Access) -> Fault | None:
    """Return what an error of botocore means; None for one that is none of the store's."""
    from botocore import exceptions, parsers

    if isinstance(error, exceptions.ClientError):
        return _answered(error.response, access)
    if isinstance(error, parsers.ResponseParserError):
        return Fault(f"what answers at {access.shown} is no S3", f"Correct the endpoint ({_ENDPOINT}).")
    if isinstance(error, exceptions.NoCredentialsError):
        return Fault("there are no credentials", f"{_KEYS}; {_PUBLIC}.")
    if isinstance(error, exceptions.PartialCredentialsError):
        return Fault(f"the credentials are not whole: {error.kwargs.get('cred_var')} is missing", f"{_KEYS}.")
    if isinstance(error, exceptions.ProfileNotFound):
        return Fault(f"there is no profile {error.kwargs.get('profile')!r}", "Correct AWS_PROFILE.")
    if isinstance(error, exceptions.SSOError):
        return Fault("the login has expired", "Log in again: aws sso login")
    if isinstance(error, (exceptions.CredentialRetrievalError, exceptions.TokenRetrievalError)):
        # What the provider said may hold what it was to provide.
        return Fault(
            f"{error.kwargs.get('provider') or 'the provider'} gives no credentials",
            "See what it says to: aws sts get-caller-identity",
        )
    if isinstance(error, (exceptions.InvalidRegionError, exceptions.NoRegionError)):
        return Fault("that is no name of a region", "Name one: region under [s3] in runner.toml, or AWS_REGION.")
    if isinstance(error, exceptions.ParamValidationError):
        return Fault("no bucket can have that name", "Correct it.", there=False)
    if isinstance(error, (exceptions.SSLError, exceptions.ProxyConnectionError)):
        return Fault(
            f"no safe connection to {access.shown} can be made: {_first(error.kwargs.get('error'))}",
            "Is it https, and the certificate known (AWS_CA_BUNDLE)? Is HTTPS_PROXY right?",
        )
    if is_broken(error):
        return Fault(
            f"no answer comes from {access.shown}", f"Is it up, and the right one ({_ENDPOINT})?", passing=True
        )
    if isinstance(error, (exceptions.BotoCoreError, ValueError, KeyError)):
        return Fault(f"{type(error).__name__}: {_first(error)}", "Look at the configuration of AWS and [s3].")
    return None


def is_broken(error: Exception) -> bool:
    """Tell whether a connection was not made, or did not last."""
    from botocore import exceptions
    from urllib3.exceptions import HTTPError

    kinds = (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.ResponseStreamingError,
        HTTPError,
        OSError,
    )
    return isinstance(error, kinds) and not isinstance(error, (exceptions.SSLError, exceptions.ProxyConnectionError))


def _answered(response: Any, access: Access) -> Fault:
    """Return what an answer of the store means; its own words hold what was signed, so that few are told."""
    error, headers = response.get("Error", {}), response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    code = str(error.get("Code", ""))
    if fault := _CODES.get(_SAME.get(code, code)):
        return fault
    if code in _DENIED:
        if access.anonymous:
            return Fault(
                "access is denied without credentials", "Leave out anonymous under [s3], and name credentials."
            )
        return Fault("access is denied", f"These credentials need s3:ListBucket and s3:GetObject; {_PUBLIC}.")
    region = error.get("Region") or headers.get("x-amz-bucket-region")
    if code in _ELSEWHERE and (region or code != "400"):
        where = f"the bucket is in {region}" if region else "the bucket is in another region, or at another endpoint"
        return Fault(where, f'Write region = "{region or "…"}" under [s3] in runner.toml, or set AWS_REGION.')
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500:
        return _CODES["SlowDown"]
    return Fault(
        f"{code}: {_first(error.get('Message', ''))}", "Look at the address, the endpoint and the credentials."
    )


def _first(said: object) -> str:
    """Return the first line of what was said, without what is secret."""
    text = str(said).strip().partition("\n")[0]
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if secret := os.environ.get(name):
            text = text.replace(secret, "********")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
