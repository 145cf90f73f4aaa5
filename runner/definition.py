"""A table as the schema files define it: columns, types, keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runner.sqltree import Node

SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


@dataclass
class Table:
    """A table or view; `columns` maps names to types (`timestamptz`, empty where unknown).

    `keys` are the columns of each primary key, unique constraint and whole unique index. `is_open`
    says that there may be columns and keys besides.
    """

    name: str
    columns: dict[str, str] = field(default_factory=dict)
    keys: list[frozenset[str]] = field(default_factory=list)
    generated: set[str] = field(default_factory=set)
    is_open: bool = False
    is_view: bool = False
    is_partitioned: bool = False
    partial_keys: bool = False
    """Whether it has a unique index with a condition or over expressions."""

    def copy(self, other: Table | None, source: Node) -> None:
        """Take the columns of a parent (`inherits`, `partition of`) or of `like`; None is one that is not known."""
        if other is None:
            self.is_open = True
            return
        self.columns |= other.columns
        self.is_open |= other.is_open
        if source.kind == "RangeVar":
            self.keys += other.keys
        else:
            # What `like` takes besides the columns depends on its options.
            self.is_open |= bool(source.options)

    def add_column(self, column: Node) -> None:
        """Take in a ColumnDef."""
        self.columns[column.colname] = type_of(column.typeName)
        for constraint in column.constraints or ():
            if constraint.contype in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
                self.keys.append(frozenset({column.colname}))
            elif constraint.contype == "CONSTR_GENERATED" or (
                constraint.contype == "CONSTR_IDENTITY" and constraint.generated_when == "a"
            ):
                self.generated.add(column.colname)

    def add_key(self, constraint: Node) -> None:
        """Take in a Constraint of the table."""
        if constraint.contype in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            if "keys" in constraint:
                self.keys.append(frozenset(constraint["keys"]))
            else:
                self.partial_keys = True  # `using index`
        elif constraint.contype == "CONSTR_EXCLUSION":
            self.partial_keys = True

    def add_index(self, index: Node) -> None:
        """Note the key of a unique index."""
        columns = [element.name for element in index.indexParams or ()]
        if index.whereClause is not None or None in columns:
            self.partial_keys = True
        else:
            self.keys.append(frozenset(columns))

    def alter(self, command: Node) -> None:
        """Take in one command of an `alter table`."""
        kind = command.subtype
        definition: Any = command.get("def")
        if kind == "AT_AddColumn":
            self.add_column(definition)
        elif kind == "AT_DropColumn":
            self.columns.pop(command.name, None)
            self.generated.discard(command.name)
            self.keys = [key for key in self.keys if command.name not in key]
        elif kind == "AT_AddConstraint":
            self.add_key(definition)
        elif kind == "AT_DropConstraint":
            # Which key it was is only known where constraints are named, and they need not be.
            self.partial_keys = True
        elif kind == "AT_AlterColumnType":
            self.columns[command.name] = type_of(definition.typeName)
        elif kind == "AT_DropExpression":
            self.generated.discard(command.name)
        elif kind in ("AT_AddInherit", "AT_AddOf"):
            self.is_open = True

    def rename_column(self, old: str, new: str) -> None:
        """Give a column another name."""
        self.columns = {new if name == old else name: kind for name, kind in self.columns.items()}
        self.keys = [frozenset(new if name == old else name for name in key) for key in self.keys]
        self.generated = {new if name == old else name for name in self.generated}


def type_of(node: Node | None) -> str:
    """Return a TypeName's last name: `timestamptz`, `int8`; arrays end in `[]`."""
    if node is None or not node.names:
        return ""
    return str(node.names[-1]) + ("[]" if node.arrayBounds else "")
