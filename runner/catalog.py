"""Tables and functions, as the schema files make them: no server is asked.

What a schema file does not say in so many words (a `do` block, an extension, a table of a foreign
server) leaves the catalog `open`: then a name that it does not know is nothing to complain about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from runner import headings, sqltree, treenames
from runner.definition import Table, type_of
from runner.sqltree import Node, Statement

# Extensions that bring functions and types, but no tables.
_TABLELESS = frozenset(
    {"btree_gin", "btree_gist", "citext", "fuzzystrmatch", "hstore", "intarray", "ltree", "pg_trgm", "pgcrypto"}
    | {"plpgsql", "tablefunc", "unaccent", "uuid-ossp", "vector"}
)


@dataclass(frozen=True)
class Function:
    """What a function returns: the columns of a row (none for a single value, None where that is unknown)."""

    name: str
    columns: tuple[str, ...] | None
    acts: bool = False
    """Whether its text says that it changes something: rows, tables, settings."""


@dataclass
class Catalog:
    """What is known of a database; `made` counts the tables that the project's own files make."""

    tables: dict[str, Table] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    sequences: set[str] = field(default_factory=set)
    schemas: set[str] = field(default_factory=set)
    """Schemas that the project makes, or makes tables in: it says what is in them."""
    parents: dict[str, str] = field(default_factory=dict)
    """Partition -> its table."""
    bounds: dict[str, frozenset[str]] = field(default_factory=dict)
    """Partition of a list -> the constants of its rows."""
    constraints: set[str] = field(default_factory=set)
    """Names that keys and indexes are given."""
    is_open: bool = False
    made: int = 0

    def table(self, name: str) -> Table | None:
        """Return the table that a statement calls `name` (`agents`, `public.agents`, `other.agents`)."""
        return self.tables.get(name.removeprefix("public."))

    def put(self, table: Table) -> None:
        """Take in a table that the project makes."""
        self.tables[table.name] = table
        schema = table.name.rpartition(".")[0]
        self.schemas |= {schema} if schema else set()
        self.made += 1

    def add(self, statements: Iterable[Statement]) -> None:
        """Take in what statements of a schema file do."""
        for statement in statements:
            handler = _HANDLERS.get(statement.node.kind)
            if handler is not None:
                handler(self, statement.node)
            if statement.node.kind in _NAMING:
                self._learn(statement.node)

    def _learn(self, node: Node) -> None:
        """Take in the names of keys and indexes, and what is whose partition."""
        for child, parent, is_partition in treenames.parents(node):
            if is_partition:
                self.parents[child] = parent
        if node.kind == "CreateStmt" and node.partbound is not None and node.partbound.listdatums:
            constants = [sqltree.constant(each) for each in node.partbound.listdatums]
            if None not in constants:
                self.bounds[treenames.table(node.relation)] = frozenset(map(str, constants))
        if node.kind in ("IndexStmt", "RenameStmt"):
            self.constraints |= {name for name in (node.idxname, node.newname) if name}
        else:
            self.constraints |= {each.conname for each in sqltree.walk(node) if each.kind == "Constraint"} - {None}

    def kin(self, table: str) -> frozenset[str]:
        """Return a table with the tables it is a partition of, and its partitions at any depth."""
        if not self.parents:
            return frozenset([table])
        found = {table, *self.above(table)}
        return frozenset(found | {other for other in self.parents if table in self.above(other)})

    def above(self, table: str) -> list[str]:
        """Return the tables that a table is a partition of, the nearest first."""
        found: list[str] = []
        while (parent := self.parents.get(table)) is not None and parent not in found:
            found.append(parent)
            table = parent
        return found


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
    catalog.schemas.clear()
    return catalog


def _create_table(catalog: Catalog, node: Node) -> None:
    name = sqltree.name_of(node.relation)
    if node.if_not_exists and name in catalog.tables:
        return
    table = Table(name, is_partitioned=node.partspec is not None)
    for parent in node.inhRelations or ():
        table.copy(catalog.table(sqltree.name_of(parent)), parent)
    if node.ofTypename is not None:
        table.is_open = True
    for element in node.tableElts or ():
        if element.kind == "ColumnDef":
            table.add_column(element)
        elif element.kind == "Constraint":
            table.add_key(element)
        elif element.kind == "TableLikeClause":
            table.copy(catalog.table(sqltree.name_of(element.relation)), element)
    for constraint in node.constraints or ():
        table.add_key(constraint)
    catalog.put(table)


def _alter_table(catalog: Catalog, node: Node) -> None:
    table = catalog.table(sqltree.name_of(node.relation))
    if table is None:
        return
    for command in node.cmds or ():
        table.alter(command)


def _rename(catalog: Catalog, node: Node) -> None:
    if node.relation is None:
        return
    name = sqltree.name_of(node.relation)
    table = catalog.table(name)
    if table is None:
        return
    if node.renameType == "OBJECT_COLUMN":
        table.rename_column(node.subname, node.newname)
    elif node.renameType in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
        schema = table.name.rpartition(".")[0]
        _move(catalog, table, f"{schema}.{node.newname}" if schema else node.newname)


def _move(catalog: Catalog, table: Table, name: str) -> None:
    del catalog.tables[table.name]
    table.name = name
    catalog.put(table)


def _set_schema(catalog: Catalog, node: Node) -> None:
    table = catalog.table(sqltree.name_of(node.relation)) if node.relation is not None else None
    if table is not None:
        name = table.name.rpartition(".")[2]
        _move(catalog, table, name if node.newschema == "public" else f"{node.newschema}.{name}")


def _index(catalog: Catalog, node: Node) -> None:
    table = catalog.table(sqltree.name_of(node.relation))
    if table is not None and node.unique:
        table.add_index(node)


def _view(catalog: Catalog, node: Node) -> None:
    _add_view(catalog, node.view, node["query"], node.aliases)


def _create_as(catalog: Catalog, node: Node) -> None:
    _add_view(catalog, node.into.rel, node.get("query"), node.into.colNames)


def _add_view(catalog: Catalog, relation: Node, query: Node | None, aliases: list[str] | None) -> None:
    table = Table(sqltree.name_of(relation), is_view=True)
    if query is None or query.kind != "SelectStmt":
        table.is_open = True
    else:
        names, table.is_open = headings.of_select(query)
        names[: len(aliases or ())] = aliases or ()
        table.columns = dict.fromkeys(names, "")
    catalog.put(table)


def _function(catalog: Catalog, node: Node) -> None:
    name = str(node.funcname[-1])
    modes = {"FUNC_PARAM_TABLE", "FUNC_PARAM_OUT", "FUNC_PARAM_INOUT"}
    out = tuple(p.name or "" for p in node.parameters or () if p.mode in modes)
    columns = out or (() if type_of(node.returnType) in _SCALARS else None)
    if name in catalog.functions:  # overloaded: which one is meant depends on the types
        columns = None
    body = " ".join(_texts(node.options or ()))
    catalog.functions[name] = Function(name, columns, _ACTS.search(body) is not None)


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


def _sequence(catalog: Catalog, node: Node) -> None:
    catalog.sequences.add(sqltree.name_of(node.sequence))


def _schema(catalog: Catalog, node: Node) -> None:
    if node.schemaname and not node.schemaElts:
        catalog.schemas.add(node.schemaname)
    else:
        catalog.is_open = True


def _set(catalog: Catalog, node: Node) -> None:
    # What follows is made elsewhere than it says.
    setting = node if node.kind == "VariableSetStmt" else node.setstmt
    catalog.is_open |= setting.name == "search_path"


def _anything(catalog: Catalog, _node: Node) -> None:
    catalog.is_open = True


_NAMING = ("AlterTableStmt", "CreateStmt", "IndexStmt", "RenameStmt")
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
    "CreateSchemaStmt": _schema,
    "CreateSeqStmt": _sequence,
    "AlterObjectSchemaStmt": _set_schema,
    "VariableSetStmt": _set,
    "AlterDatabaseSetStmt": _set,
    "AlterRoleSetStmt": _set,
}
