"""What the server says of an error, apart from its position."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Fault:
    """What the server says of an error, empty where it says nothing."""

    sqlstate: str = ""
    message: str = ""
    detail: str = ""
    table: str = ""
    column: str = ""
    constraint: str = ""
    domain: str = ""
    relation: str = ""
    """The table of the row that was worked on, where the context names it."""

    @classmethod
    def of(cls, error: psycopg.Error) -> Fault:
        """Return what an error of the server says."""
        diag = error.diag
        return cls(
            error.sqlstate or "",
            diag.message_primary or "",
            diag.message_detail or "",
            diag.table_name or "",
            diag.column_name or "",
            diag.constraint_name or "",
            diag.datatype_name or "",
            relation[1] if (relation := re.search(r'in relation "(.+?)"', diag.context or "")) else "",
        )
