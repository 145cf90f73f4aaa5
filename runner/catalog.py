"""Tables, columns, keys and functions, as the schema files make them: no server is asked.

What a schema file does not say in so many words (a `do` block, an extension, a table of a foreign
server) leaves the catalog `open`: then a name that it does not know is nothing to complain about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from runner import sqltree
from runner.sqltree import Node, Statement

# Extensions that bring functions and types, but no tables.
_TABLELESS = frozenset(
    {"btree_gin", "btree_gist", "citext", "fuzzystrmatch", "hstore", "intarray", "ltree", "pg_trgm", "pgcrypto"}
    | {"plpgsql", "tablefunc", "unaccent", "uuid-ossp", "vector"}
)


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
    partial_keys: bool = False
    """Whether it has a unique index with a condition or over expressions."""


@dataclass(frozen=True)
class Function:
    """What a function returns: the columns of a row (none for a single value, None where that is unknown)."""

    name: str
    columns: tuple[str, ...] | None
    is_table: bool
    acts: bool = False
    """Whether its text says that it changes something: rows, tables, settings."""


@dataclass
class Catalog:
    """What is known of a database; `made` counts the tables that the project's own files make."""

    tables: dict[str, Table] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    is_open: bool = False
    made: int = 0

    def table(self, name: str) -> Table | None:
        """Return the table that a statement calls `name` (`agents`, `public.agents`, `other.agents`)."""
        return self.tables.get(name.removeprefix("public."))

    def add(self, statements: Iterable[Statement]) -> None:
        """Take in what statements of a schema file do."""
        for statement in statements:
            handler = _HANDLERS.get(statement.node.kind)
            if handler is not None:
                handler(self, statement.node)


@cache
def _bookkeeping() -> str:
    from importlib.resources import files

    paths = sorted((files("runner") / "sql").iterdir(), key=lambda path: path.name)
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.name.endswith(".sql"))


def of_the_runner() -> Catalog:
    """Return a catalog with the runner's own tables, and no others."""
    catalog = Catalog()
    catalog.add(sqltree.parse(_bookkeeping()))
    catalog.made = 0
    return catalog


def type_of(node: Node | None) -> str:
    """Return a TypeName's last name: `timestamptz`, `int8`; arrays end in `[]`."""
    if node is None or not node.names:
        return ""
    return str(node.names[-1]) + ("[]" if node.arrayBounds else "")


def _create_table(catalog: Catalog, node: Node) -> None:
    name = sqltree.name_of(node.relation)
    if node.if_not_exists and name in catalog.tables:
        return
    table = Table(name)
    for parent in node.inhRelations or ():
        _copy(catalog, table, parent)
    if node.ofTypename is not None:
        table.is_open = True
    for element in node.tableElts or ():
        if element.kind == "ColumnDef":
            _add_column(table, element)
        elif element.kind == "Constraint":
            _add_key(table, element)
        elif element.kind == "TableLikeClause":
            _copy(catalog, table, element)
    for constraint in node.constraints or ():
        _add_key(table, constraint)
    catalog.tables[name] = table
    catalog.made += 1


def _copy(catalog: Catalog, table: Table, source: Node) -> None:
    """Take the columns of a parent (`inherits`, `partition of`) or of `like`."""
    other = catalog.table(sqltree.name_of(source if source.kind == "RangeVar" else source.relation))
    if other is None:
        table.is_open = True
        return
    table.columns |= other.columns
    table.is_open |= other.is_open
    if source.kind == "RangeVar":
        table.keys += other.keys
    else:
        # What `like` takes besides the columns depends on its options.
        table.is_open |= bool(source.options)


def _add_column(table: Table, column: Node) -> None:
    table.columns[column.colname] = type_of(column.typeName)
    for constraint in column.constraints or ():
        if constraint.contype in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            table.keys.append(frozenset({column.colname}))
        elif constraint.contype == "CONSTR_GENERATED" or (
            constraint.contype == "CONSTR_IDENTITY" and constraint.generated_when == "a"
        ):
            table.generated.add(column.colname)


def _add_key(table: Table, constraint: Node) -> None:
    if constraint.contype in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        if "keys" in constraint:
            table.keys.append(frozenset(constraint["keys"]))
        else:
            table.partial_keys = True  # `using index`
    elif constraint.contype == "CONSTR_EXCLUSION":
        table.partial_keys = True


def _alter_table(catalog: Catalog, node: Node) -> None:
    table = catalog.table(sqltree.name_of(node.relation))
    if table is None:
        return
    for command in node.cmds or ():
        kind, definition = command.subtype, command.get("def")
        if kind == "AT_AddColumn":
            _add_column(table, definition)
        elif kind == "AT_DropColumn":
            table.columns.pop(command.name, None)
            table.generated.discard(command.name)
            table.keys = [key for key in table.keys if command.name not in key]
        elif kind == "AT_AddConstraint":
            _add_key(table, definition)
        elif kind == "AT_DropConstraint":
            # Which key it was is only known where constraints are named, and they need not be.
            table.partial_keys = True
        elif kind == "AT_AlterColumnType":
            table.columns[command.name] = type_of(definition.typeName)
        elif kind == "AT_DropExpression":
            table.generated.discard(command.name)
        elif kind in ("AT_AddInherit", "AT_AddOf"):
            table.is_open = True


def _rename(catalog: Catalog, node: Node) -> None:
    if node.relation is None:
        return
    name = sqltree.name_of(node.relation)
    table = catalog.table(name)
    if table is None:
        return
    if node.renameType == "OBJECT_COLUMN":
        table.columns = {node.newname if c == node.subname else c: kind for c, kind in table.columns.items()}
        table.keys = [frozenset(node.newname if c == node.subname else c for c in key) for key in table.keys]
        table.generated = {node.newname if c == node.subname else c for c in table.generated}
    elif node.renameType in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
        del catalog.tables[table.name]
        schema = table.name.rpartition(".")[0]
        table.name = f"{schema}.{node.newname}" if schema else node.newname
        catalog.tables[table.name] = table


def _index(catalog: Catalog, node: Node) -> None:
    table = catalog.table(sqltree.name_of(node.relation))
    if table is None or not node.unique:
        return
    add_index(table, node)


def add_index(table: Table, node: Node) -> None:
    """Note the key of a unique index."""
    columns = [element.name for element in node.indexParams or ()]
    if node.whereClause is not None or None in columns:
        table.partial_keys = True
    else:
        table.keys.append(frozenset(columns))


def output_names(select: Node) -> tuple[list[str], bool]:
    """Return the names of a select's columns, and whether there may be others (`*`)."""
    while select.larg is not None:
        select = select.larg
    if select.valuesLists:
        return [f"column{i}" for i in range(1, len(select.valuesLists[0]) + 1)], False
    names, is_open = [], False
    for target in select.targetList or ():
        name = output_name(target)
        if name is None:
            is_open = True
        else:
            names.append(name)
    return names, is_open


def output_name(target: Node) -> str | None:
    """Return the name of a select's column; None for `*`."""
    return str(target.name) if target.name else named_after(target.val)


def named_after(node: Node | None) -> str | None:
    """Return what PostgreSQL calls a column that has no name of its own; None for `*`."""
    kind = node.kind if node is not None else ""
    if node is None:
        return "?column?"
    if kind == "ColumnRef":
        last = node.fields[-1]
        return last if isinstance(last, str) else None
    if kind in ("FuncCall", "SQLValueFunction"):
        return sqltree.function(node)
    if kind == "TypeCast":
        inner = named_after(node.arg)
        return type_of(node.typeName) if inner == "?column?" else inner
    if kind == "CollateClause":
        return named_after(node.arg)
    if kind == "A_Indirection":
        names = [part for part in node.indirection if isinstance(part, str)]
        return names[-1] if names else named_after(node.arg)
    if kind == "SubLink":
        if node.subLinkType == "EXPR_SUBLINK":
            names, _ = output_names(node.subselect)
            return names[0] if names else "?column?"
        return {"EXISTS_SUBLINK": "exists", "ARRAY_SUBLINK": "array"}.get(node.subLinkType, "?column?")
    if kind == "CaseExpr":
        default = named_after(node.defresult) if node.defresult is not None else "?column?"
        return "case" if default == "?column?" else default
    return _NAMED.get(kind, "?column?") if kind != "MinMaxExpr" else str(node.op).removeprefix("IS_").lower()


_NAMED = {
    "CoalesceExpr": "coalesce",
    "A_ArrayExpr": "array",
    "RowExpr": "row",
    "GroupingFunc": "grouping",
    "MergeSupportFunc": "merge_action",
}


def _view(catalog: Catalog, node: Node) -> None:
    _add_view(catalog, node.view, node["query"], node.aliases)


def _create_as(catalog: Catalog, node: Node) -> None:
    _add_view(catalog, node.into.rel, node.get("query"), node.into.colNames)


def _add_view(catalog: Catalog, relation: Node, query: Node | None, aliases: list[str] | None) -> None:
    table = Table(sqltree.name_of(relation), is_view=True)
    if query is None or query.kind != "SelectStmt":
        table.is_open = True
    else:
        names, table.is_open = output_names(query)
        names[: len(aliases or ())] = aliases or ()
        table.columns = dict.fromkeys(names, "")
    catalog.tables[table.name] = table
    catalog.made += 1


def _function(catalog: Catalog, node: Node) -> None:
    name = str(node.funcname[-1])
    modes = {"FUNC_PARAM_TABLE", "FUNC_PARAM_OUT", "FUNC_PARAM_INOUT"}
    out = tuple(p.name or "" for p in node.parameters or () if p.mode in modes)
    returns = node.returnType
    is_set = bool(returns is not None and returns.setof)
    columns = out or (() if type_of(returns) in _SCALARS else None)
    if name in catalog.functions:  # overloaded: which one is meant depends on the types
        columns, is_set = None, True
    body = " ".join(_texts(node.options or ()))
    catalog.functions[name] = Function(name, columns, is_set or bool(out), _ACTS.search(body) is not None)


def _texts(options: Iterable[Node]) -> Iterable[str]:
    """Return the texts of a function: its body, and for one in C where that is."""
    for option in options:
        if option.defname == "as":
            yield from option.arg if isinstance(option.arg, list) else [str(option.arg)]


_ACTS = re.compile(r"\b(insert|update|delete|merge|create|truncate|drop|execute|set_config|call)\b", re.IGNORECASE)


_SCALARS = frozenset(
    ("text", "varchar", "bool", "int2", "int4", "int8", "numeric", "float8", "date", "timestamptz", "uuid", "void")
)


def _drop(catalog: Catalog, node: Node) -> None:
    if node.removeType not in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
        return
    for item in node.objects or ():
        parts = item if isinstance(item, list) else [item]
        catalog.tables.pop(".".join(str(part) for part in parts).removeprefix("public."), None)


def _extension(catalog: Catalog, node: Node) -> None:
    catalog.is_open |= node.extname not in _TABLELESS


def _anything(catalog: Catalog, _node: Node) -> None:
    catalog.is_open = True


_HANDLERS = {
    "CreateStmt": _create_table,
    "AlterTableStmt": _alter_table,
    "RenameStmt": _rename,
    "IndexStmt": _index,
    "ViewStmt": _view,
    "CreateTableAsStmt": _create_as,
    "CreateFunctionStmt": _function,
    "DropStmt": _drop,
    "CreateExtensionStmt": _extension,
    "DoStmt": _anything,
    "CallStmt": _anything,
    "ImportForeignSchemaStmt": _anything,
    "CreateForeignTableStmt": _anything,
    "CreateSchemaStmt": _anything,
    "AlterObjectSchemaStmt": _anything,
}
