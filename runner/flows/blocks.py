"""A warehouse's connection as a block of Prefect's: stored by `runner deploy`, loaded where the settings name it."""

from __future__ import annotations

import os
from functools import cache
from typing import ClassVar, Literal

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings
from pydantic import Field, SecretStr

from runner import connections, console, database
from runner.config import Settings
from runner.errors import ConfigError, RunnerError
from runner.flows.marks import Change


class WarehouseConnection(Block):
    """How to reach the PostgreSQL that holds a warehouse. The settings name it: `url = "block:NAME"`."""

    _block_type_name: ClassVar[str] = "Warehouse Connection"
    _block_type_slug: ClassVar[str] = connections.TYPE
    _description: ClassVar[str] = "How to reach the PostgreSQL that holds a warehouse."
    _code_example: ClassVar[str] = (
        "```python\nfrom runner.flows.blocks import WarehouseConnection\n\n"
        'WarehouseConnection(url="postgresql://user:password@host:5432/warehouse").save("prod")\n```'
    )

    url: SecretStr = Field(
        title="Connection string",
        description="A libpq URL or conninfo string, with its password: postgresql://user:password@host:5432/warehouse",
    )
    address: str = Field(default="", title="Address", description="Where it leads, for people; filled in when stored.")

    def block_initialization(self) -> None:
        database.check(self.url.get_secret_value(), "the block's url")
        self.address = database.describe(self.url.get_secret_value())


def plan(client: SyncPrefectClient, settings: Settings) -> list[Change]:
    """Return what becomes of the blocks of [connections].

    Raises ConfigError where a connection's variable is not set and the server has no such block.
    """
    return [_change(client, name, variable) for name, variable in connections.declared(settings).items()]


def _change(client: SyncPrefectClient, name: str, variable: str) -> Change:
    shown = f"{connections.TYPE}/{name}"
    try:
        known = client.read_block_document_by_name(name, connections.TYPE).data.get("url")
    except ObjectNotFound:
        known = None
    url = os.environ.get(variable)
    if not url and known is None:
        raise ConfigError(
            f"the environment variable {variable}, which [connections.{name}] names, is not set",
            hint=f"Set it where runner deploy is called: export {variable}=postgresql://…",
        )
    if not url or url == known:
        return Change("block", shown, "unchanged", detail="" if url else f"{variable} is not set here")
    database.check(url, f"the environment variable {variable}, which [connections.{name}] names,")
    block = WarehouseConnection(url=SecretStr(url))
    what: Literal["created", "updated"] = "created" if known is None else "updated"
    return Change("block", shown, what, lambda: block.save(name, overwrite=True), block.address)


def register() -> None:
    """Have the server know the type, so that its page can make such blocks."""
    WarehouseConnection.register_type_and_schema()


@cache
def load(name: str) -> str:
    """Return the connection string of a block, which is asked for once a process.

    Raises ConfigError without a server that could have it, or where it has none of that name.
    """
    if get_current_settings().api.url is None:
        raise ConfigError(
            f"the settings name the block {name}, and no Prefect server that has it",
            hint="Name the server with PREFECT_API_URL, or set DATABASE_URL to the connection string itself.",
        )
    try:
        with get_client(sync_client=True) as client:
            document = client.read_block_document_by_name(name, connections.TYPE)
    except ObjectNotFound as error:
        raise ConfigError(
            f"Prefect's server has no block {connections.TYPE}/{name}",
            hint=f"Store it: [connections.{name}] in runner.toml, then runner deploy; or on Prefect's page.",
        ) from error
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise RunnerError(
            f"Prefect's server, which has the block {name}, does not answer: {console.printable(said[0])}",
            hint="Check PREFECT_API_URL, or set DATABASE_URL to the connection string itself.",
            transient=True,
        ) from error
    return str(document.data["url"])
