"""Which Prefect server is meant: the one that is named, or that of `runner serve`; and Prefect's own surroundings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner import extras, serving
from runner.config import Settings
from runner.errors import ConfigError, RunnerError
from runner.flows.server import QUIET

if TYPE_CHECKING:
    import httpx
    from prefect.client.orchestration import SyncPrefectClient


def prepare(settings: Settings) -> None:
    """Make Prefect quiet and offline, and import it; what the environment and a person's own profile say stays."""
    if not os.environ.get("PREFECT_HOME") and not (Path.home() / ".prefect" / "profiles.toml").exists():
        from runner.cluster_setup import make_home

        make_home(settings.home)
        home = settings.home / "prefect"
        home.mkdir(mode=0o700, exist_ok=True)
        os.environ["PREFECT_HOME"] = str(home)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import prefect  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"deployments need Prefect, which is not installed: {error}",
            hint=f"Install it: {extras.install('prefect')}",
        ) from error


def named() -> str | None:
    """Return the API that PREFECT_API_URL or Prefect's profile names, None where neither does."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


@contextmanager
def client(settings: Settings) -> Iterator[SyncPrefectClient]:
    """Have a client of the server that is named, else of the `runner serve` that runs; ConfigError without either."""
    url = named()
    if url is None and (served := serving.who(settings.home)):
        url = served.api_url
    if url is None:
        raise ConfigError(
            "no Prefect server is named, and none runs here",
            hint="Start one with its page: runner serve. Or name yours: PREFECT_API_URL=http://HOST:4200/api",
        )
    with reached(url) as found:
        yield found


@contextmanager
def reached(url: str, password: str | None = None) -> Iterator[SyncPrefectClient]:
    """Have a client of the API at `url`; ConfigError where nobody answers there."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    given = {PREFECT_API_URL: url, **({PREFECT_API_AUTH_STRING: password} if password else {})}
    with temporary_settings(given), get_client(sync_client=True) as found:
        if (fault := found.api_healthcheck()) is not None:
            raise ConfigError(
                f"Prefect's server does not answer at {shown(url)}: {fault}",
                hint="Check PREFECT_API_URL and that the server runs; runner serve starts one.",
            )
        try:
            yield found
        except httpx.HTTPStatusError as error:
            raise _refused(url, error) from error
        except httpx.TransportError as error:
            raise RunnerError(
                f"Prefect's server at {shown(url)} answers no more: {str(error) or type(error).__name__}",
                hint="See that it runs, and run this again: what was done is found done.",
                transient=True,
            ) from error


def _refused(url: str, error: httpx.HTTPStatusError) -> RunnerError:
    """Return what the server's refusal means, in its own words where it has some."""
    if error.response.status_code in (401, 403):
        return ConfigError(
            f"Prefect's server at {shown(url)} does not let us in",
            hint="Set PREFECT_API_AUTH_STRING=user:password, or PREFECT_API_KEY for Prefect's cloud.",
        )
    try:
        said = error.response.json().get("detail")
    except ValueError:
        said = None
    asked = f"{error.request.method} {error.request.url.path}"
    return RunnerError(
        f"Prefect's server at {shown(url)} refused {asked}: {said or f'status {error.response.status_code}'}",
        hint="Look at its log; runner deploy --dry-run tells what is asked of it.",
    )


def shown(url: str) -> str:
    """Return an address without the password that may be in it."""
    return re.sub("//[^/@]*@", "//", url)
