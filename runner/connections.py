"""Connections that deployments bring along: [connections.NAME] in runner.toml, each a block of Prefect's.

The connection string is a secret: it stands in an environment variable while `runner deploy` stores it, encrypted, and
is loaded from there where the settings say `url = "block:NAME"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runner.config import FILE, Settings
from runner.errors import ConfigError

SCHEME = "block:"
TYPE = "warehouse-connection"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def declared(settings: Settings) -> dict[str, str]:
    """Return name -> the environment variable that holds the connection string.

    Raises ConfigError for what [connections] may not say.
    """
    said, where = settings.connections, f"{settings.project / FILE}: connections"
    if not isinstance(said, Mapping):
        raise ConfigError(f"{where} is no table", hint="Write [connections.prod] above its keys.")
    found = {}
    for name, value in said.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{where}.{name} is no name", hint="Use small letters, digits and dashes.")
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}.{name} is no table", hint=f"Write [connections.{name}] above its keys.")
        if unknown := [key for key in value if key != "variable"]:
            raise ConfigError(f"{where}.{name}.{unknown[0]} is unknown", hint="There is variable.")
        variable = value.get("variable")
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            # What was written there instead may be the connection string, password and all.
            raise ConfigError(
                f"{where}.{name}.variable is not the name of an environment variable",
                hint='Put the connection string into one, and write variable = "PROD_DATABASE_URL".',
            )
        found[name] = variable
    return found


def block_name(url: str) -> str | None:
    """Return the name of the block that `block:NAME` means, None for what is a connection string.

    Raises ConfigError for a block that is none of ours.
    """
    if not url.startswith(SCHEME):
        return None
    name = url.removeprefix(SCHEME).removeprefix(f"{TYPE}/")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "database.url or DATABASE_URL begins with block:, and no block can have the name that follows",
            hint=f"Write {SCHEME}prod for the block {TYPE}/prod.",
        )
    return name
