"""Parquet: the same field names, nested or dotted, with types of its own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from math import isfinite
from typing import Any

from runner.errors import UnreadableFile
from staging_loaders.files import SourceFile
from staging_loaders.record import ODD_CELL, Batch, Cells, Record, require_field
from staging_loaders.values import Number

_BATCH = 2000


def read_parquet(source: SourceFile | str, fields: Sequence[tuple[str, ...]] = ()) -> Iterator[Batch]:
    """Yield one record a row, many at a time, its values as JSON would hold them.

    Raises UnreadableFile for a broken file, and for one without a column of the `fields`.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    path = source if isinstance(source, str) else source.path
    with _told(path), _opened(source) as opened, parquet.ParquetFile(opened) as file:
        require_field(path, 1, [name for field in file.schema_arrow for name in _names(field)], fields)
        in_utc = pyarrow.schema([(field.name, _with(_in_utc, field.type)) for field in file.schema_arrow])
        plain = pyarrow.schema([(field.name, _with(_storable, field.type)) for field in in_utc])
        chosen = _chosen(plain, fields)
        for batch in file.iter_batches(batch_size=_BATCH):
            table = pyarrow.Table.from_batches([batch]).cast(in_utc).cast(plain, safe=False)
            table.validate(full=True)  # not all of it is looked at
            columns = None if chosen is None else [_cells(_column(table, path)) for path in chosen.values()]
            cells = None if chosen is None or columns is None else Cells(tuple(chosen), columns, blank_is_null=False)
            yield Batch(table.num_rows, None, _Rows(path, table), cells)


def _opened(source: SourceFile | str) -> Any:
    """Return a context with what the library reads from: a path, or an object, of which it takes parts in its order."""
    if isinstance(source, str) or source.access is None:
        return nullcontext(source if isinstance(source, str) else source.path)
    if source.content is not None:
        return io.BytesIO(source.content)
    from staging_loaders.object_stream import ObjectStream

    return ObjectStream(source)


class _Rows:
    """The rows of a table as records, one by one."""

    def __init__(self, path: str, table: Any) -> None:
        self.path = path
        self.table = table

    def __call__(self, index: int) -> Record:
        with _told(self.path):
            (row,) = self.table.slice(index, 1).to_pylist()
        return _nested({name: _value(value) for name, value in row.items()}), None


@contextmanager
def _told(path: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFile(
            f"{path}:1:1: not a Parquet file, or a broken one: {problem}",
            hint="Fetch the file again or mend it; nothing was changed.",
        ) from error


def _chosen(schema: Any, fields: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]] | None:
    """Return the names that lead to the column of each of `fields` which there is; None where one is no column.

    That is an object where a value is to be, a value where an object is to be, or a name that is there twice.
    """
    leaves: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for field in schema:
        for names, leads in _leaves(field):
            leaf = (*names[0].split("."), *names[1:])  # as `_nested` puts them
            leaves.setdefault(leaf, []).append(names if leads else ())
    wanted = set(fields)
    around = {path[:depth] for path in wanted for depth in range(1, len(path))}
    chosen = {}
    for leaf, found in leaves.items():
        if leaf in around or any(leaf[:depth] in wanted for depth in range(1, len(leaf))):
            return None
        if leaf in wanted:
            if len(found) > 1 or not found[0]:
                return None
            chosen[leaf] = found[0]
    return chosen


def _leaves(field: Any) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the names down to each value that a column holds, and whether it is one that cells have."""
    from pyarrow import types

    if types.is_struct(field.type) and field.type.num_fields:
        for inner in field.type:
            for names, leads in _leaves(inner):
                yield (field.name, *names), leads
        return
    element = field.type.value_type if types.is_list(field.type) else field.type
    yield (field.name,), not (types.is_nested(element) or types.is_binary(element) or types.is_large_binary(element))


def _column(table: Any, names: tuple[str, ...]) -> Any:
    from pyarrow import compute

    column = table.column(names[0])
    return compute.struct_field(column, list(names[1:])) if len(names) > 1 else column


def _cells(column: Any) -> list[Any]:
    """Return a column's values as a record has them; what is no number, and is not told apart later, as ODD_CELL."""
    from pyarrow import types

    values = column.to_pylist()
    if types.is_string(column.type) or types.is_integer(column.type) or types.is_boolean(column.type):
        return values  # type: ignore[no-any-return]
    if types.is_floating(column.type):
        return [None if value is None else Number(repr(value)) if isfinite(value) else ODD_CELL for value in values]
    return list(map(_value, values))


def _names(field: Any) -> Iterator[str]:
    """Yield the dotted names of the values that a column holds."""
    from pyarrow import types

    if not types.is_struct(field.type):
        yield field.name
        return
    for inner in field.type:
        for name in _names(inner):
            yield f"{field.name}.{name}"


def _with(change: Callable[[Any], Any], kind: Any) -> Any:
    """Return a type with `change` made to each type of values within it; of a dictionary only its values stay."""
    import pyarrow
    from pyarrow import types

    if types.is_struct(kind):
        return pyarrow.struct([(field.name, _with(change, field.type)) for field in kind])
    if types.is_map(kind):
        return pyarrow.map_(_with(change, kind.key_type), _with(change, kind.item_type))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pyarrow.list_(_with(change, kind.value_type))
    return change(kind.value_type if types.is_dictionary(kind) else kind)


def _in_utc(kind: Any) -> Any:
    """Return the type of the same times in UTC: an old time's offset may have seconds, which its text has not."""
    import pyarrow
    from pyarrow import types

    return pyarrow.timestamp(kind.unit, "UTC") if types.is_timestamp(kind) and kind.tz is not None else kind


def _storable(kind: Any) -> Any:
    """Return the type to read `kind` as: times as text, since Python's do not span Parquet's."""
    import pyarrow
    from pyarrow import types

    return pyarrow.string() if types.is_temporal(kind) else kind


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
        if not parents:
            continue
        node = record
        for parent in parents:
            inner = node.get(parent)
            if not isinstance(inner, dict):
                inner = node[parent] = {}
            node = inner
        node[last] = value
    return record
