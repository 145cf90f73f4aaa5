"""How a bucket is reached: addresses, options and the client, which finds credentials where AWS's own tools do."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from runner import extras
from runner.errors import ConfigError

SCHEMES = ("s3", "s3a")

_CONNECT_SECONDS, _READ_SECONDS = 10, 60
_CONNECTIONS = 16
# Variables of AWS that say what a machine is, and would tell another one wrongly; and those that are secrets.
_OF_MACHINES = ("AWS_CONTAINER_", "AWS_EXECUTION_ENV", "AWS_LAMBDA_", "AWS_WEB_IDENTITY_TOKEN_FILE")
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
# Several threads ask at once, and making one takes a third of a second.
_making = threading.Lock()


@dataclass(frozen=True)
class Access:
    """How a bucket is reached, as it travels to the workers: no secrets, which each process finds by itself.

    None leaves a choice to the AWS configuration; `anonymous` signs nothing.
    """

    endpoint: str | None = None
    region: str | None = None
    anonymous: bool = False

    @property
    def shown(self) -> str:
        """The endpoint as people may read it."""
        if self.endpoint is None:
            return "the endpoint of AWS's configuration" if _is_set_elsewhere() else "AWS"
        scheme, _, rest = self.endpoint.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if rest else self.endpoint


def variables(environ: Mapping[str, str], anonymous: bool = False) -> dict[str, str]:
    """Return the variables of AWS that workers on other machines need as they are here; no secrets if `anonymous`."""
    left_out = _OF_MACHINES + (SECRETS if anonymous else ())
    return {name: value for name, value in environ.items() if name.startswith("AWS_") and not name.startswith(left_out)}


def _is_set_elsewhere() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))


def is_address(base: str) -> bool:
    """Tell whether `base` names a bucket."""
    scheme, separator, _ = base.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def split_address(address: str) -> tuple[str, str]:
    """Return the bucket and the key, which may be empty, of `s3a://bucket/key`; nothing in them is decoded.

    Raises ConfigError without a bucket, and for credentials in the address, which others would read.
    """
    scheme, _, rest = address.partition("://")
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        raise ConfigError(
            f"{scheme}://…@{bucket.rpartition('@')[2]}: credentials do not belong into an address",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE.",
        )
    if not bucket:
        raise ConfigError(f"{address}: no bucket is named", hint=f"Write {scheme}://BUCKET/FOLDER.")
    return bucket, key


def client(access: Access) -> Any:
    """Return this process's client; one serves all threads. What botocore raises is for s3_faults.py to explain.

    Raises ConfigError without boto3, and for an endpoint that is no address.
    """
    with _making:
        # A fork must not share its parent's connections.
        return _client(access, os.getpid())


@cache
def _client(access: Access, process: int) -> Any:
    try:
        from boto3.session import Session
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError as error:
        raise ConfigError(
            f"reading from a bucket needs boto3, which is not installed: {error}",
            hint=f"Install it: {extras.install('s3')}",
        ) from error
    _check_endpoint(access)
    options: dict[str, Any] = {"signature_version": UNSIGNED} if access.anonymous else {}
    if not any(os.environ.get(name) for name in ("AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS")):
        options["retries"] = {"mode": "standard"}  # three attempts; a read has more of its own
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        user_agent_extra="warehouse-runner",
        # Files are read in ranges, of which there are no checksums; TLS and the length say whether one is whole.
        response_checksum_validation="when_required",
        **options,
    )
    return Session().client("s3", region_name=access.region, endpoint_url=access.endpoint, config=config)


def _check_endpoint(access: Access) -> None:
    if access.endpoint is None:
        return
    hint = "Write http://host:port or https://host: endpoint under [s3] in runner.toml, or AWS_ENDPOINT_URL_S3."
    try:
        parts = urlsplit(access.endpoint)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"{access.shown!r} is no endpoint of S3", hint=hint)
    if "@" in parts.netloc:
        raise ConfigError(f"{access.shown}: credentials do not belong into an endpoint", hint=hint)


def forget() -> None:
    """Let the next client look for its credentials anew, in case they are others by then."""
    _client.cache_clear()
