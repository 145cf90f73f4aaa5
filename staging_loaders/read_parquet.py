"""Parquet: the same field names, nested or dotted, with types of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from runner.errors import UnreadableFile
from staging_loaders.record import Record, require_field
from staging_loaders.values import Number

_BATCH = 2000


def read_parquet(path: str, fields: Sequence[tuple[str, ...]] = ()) -> Iterator[Record]:
    """Yield one record a row, its values as JSON would hold them.

    Raises UnreadableFile for a broken file, and for one without a column of the `fields`.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            require_field(path, 1, [name for field in file.schema_arrow for name in _names(field)], fields)
            plain = pyarrow.schema([(field.name, _storable(field.type)) for field in file.schema_arrow])
            for batch in file.iter_batches(batch_size=_BATCH):
                table = pyarrow.Table.from_batches([batch]).cast(plain, safe=False)
                for row in table.to_pylist():
                    yield _nested({name: _value(value) for name, value in row.items()}), None
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFile(
            f"{path}:1:1: not a Parquet file, or a broken one: {problem}",
            hint="Fetch the file again or mend it; nothing was changed.",
        ) from error


def _names(field: Any) -> Iterator[str]:
    """Yield the dotted names of the values that a column holds."""
    from pyarrow import types

    if not types.is_struct(field.type):
        yield field.name
        return
    for inner in field.type:
        for name in _names(inner):
            yield f"{field.name}.{name}"


def _storable(kind: Any) -> Any:
    """Return the type to read `kind` as: times as text in UTC, since Python's do not span Parquet's."""
    import pyarrow
    from pyarrow import types

    if types.is_temporal(kind):
        return pyarrow.string()
    if types.is_struct(kind):
        return pyarrow.struct([(field.name, _storable(field.type)) for field in kind])
    if types.is_map(kind):
        return kind
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pyarrow.list_(_storable(kind.value_type))
    return kind.value_type if types.is_dictionary(kind) else kind


def _value(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return Number(repr(value))
    if kind is Decimal:
        return Number(format(value, "f"))
    if kind is bytes:
        return value.decode("utf-8", "replace")
    if kind is list or kind is tuple:  # the pairs of a map
        return [_value(item) for item in value]
    if kind is dict:
        return {name: _value(item) for name, item in value.items()}
    return value


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    """Move a column named `contact.email` into the object `contact`."""
    if not any("." in name for name in row):
        return row
    record: dict[str, Any] = {name: value for name, value in row.items() if "." not in name}
    for name, value in row.items():
        *parents, last = name.split(".")
        node = record
        for parent in parents:
            inner = node.get(parent)
            if not isinstance(inner, dict):
                inner = node[parent] = {}
            node = inner
        node[last] = value
    return record
