"""Names of types: as the server calls them in its messages, and as SQL writes them."""

from __future__ import annotations

# A type as the server calls it in messages -> how else SQL writes it.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "bigint": ("bigint", "int8"),
    "boolean": ("boolean", "bool"),
    "double precision": ("double", "float8", "float"),
    "integer": ("integer", "int", "int4"),
    "json": ("json", "jsonb"),
    "numeric": ("numeric", "decimal", "dec"),
    "real": ("real", "float4"),
    "smallint": ("smallint", "int2"),
    "timestamp with time zone": ("timestamptz", "timestamp"),
    "timestamp without time zone": ("timestamp",),
    "time with time zone": ("timetz", "time"),
    "time without time zone": ("time",),
    "character varying": ("varchar", "character"),
    "character": ("char", "character"),
}
