"""Names to meanings, after PostgreSQL's rules: one walk over each statement of a script.

What is not understood is left open, and an open relation may have any column: so nothing that
PostgreSQL accepts is complained about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runner import sqlnodes
from runner.catalog import Catalog, Table, add_index, named_after, output_name
from runner.lint.model import Column, Part, Query, Relation, Script, Temporary
from runner.sqlnodes import Node, Statement

_SYSTEM = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
# Functions of PostgreSQL's own that return one value a row, called like their alias in a `from`.
_VALUES = frozenset(
    {"unnest", "generate_series", "generate_subscripts", "regexp_split_to_table", "string_to_table", "jsonb_path_query"}
)
_ELEMENTS = frozenset(
    {"json_array_elements", "jsonb_array_elements", "json_array_elements_text", "jsonb_array_elements_text"}
)
_PAIRS = frozenset({"json_each", "jsonb_each", "json_each_text", "jsonb_each_text"})

Report = Callable[[str, Node, str], None]
"""Takes the rule, the node and the message of something wrong."""


class _Cte:
    """A common table expression in scope."""

    def __init__(self, node: Node, part: Part, depth: int) -> None:
        self.node, self.part, self.depth = node, part, depth
        self.outputs: list[Column] = []
        self.is_open = True
        self.is_begun = False


class Resolver:
    """Resolves the statements of one script against a catalog; what it finds wrong goes to `report`."""

    def __init__(self, catalog: Catalog, report: Report) -> None:
        self.catalog = catalog
        self.script = Script()
        self._report = report
        self._frames: list[dict[str, _Cte]] = []
        self._parts: list[Part] = []
        self._part = Part("", Node(), 0)
        self._base: dict[str, list[Column]] = {}

    def statement(self, statement: Statement) -> None:
        """Take in one statement."""
        node = statement.node
        self._parts = []
        self._frames = []
        handler = _STATEMENTS.get(node.kind)
        if handler is None:
            return
        self._part = Part("", node, len(self.script.statements))
        handler(self, node)
        self._parts.append(self._part)
        self.script.statements.append(self._parts)

    # Statements

    def _top_select(self, node: Node) -> None:
        query = self._select(node, None)
        self._part.query = query
        into = into_clause(node)
        if into is not None:
            self._make_temporary(into.rel, query, None)

    def _top_write(self, node: Node) -> None:
        self._write(node, None)

    def _create_as(self, node: Node) -> None:
        body = node.get("query")
        if not isinstance(body, Node) or body.kind != "SelectStmt":
            return
        query = self._select(body, None)
        self._part.query = query
        self._make_temporary(node.into.rel, query, node.into.colNames)

    def _make_temporary(self, relation: Node, query: Query, names: list[str] | None) -> None:
        if relation.relpersistence != "t":
            if self.catalog.table(sqlnodes.name_of(relation)) is None:
                table = Table(sqlnodes.name_of(relation), dict.fromkeys((c.name for c in query.outputs), ""))
                table.is_open = query.is_open
                self.catalog.tables[table.name] = table
            return
        outputs = _renamed([Column(c.name, (c,)) for c in query.outputs], names)
        self._temporary(relation, Relation(None, outputs, is_open=query.is_open, query=query))

    def _temporary(self, node: Node, relation: Relation) -> None:
        self.script.temporaries[node.relname] = Temporary(node.relname, relation, [self._part], node)

    def _create(self, node: Node) -> None:
        own = Catalog(dict(self.catalog.tables))
        own.add([Statement(node, 0, 0)])
        name = sqlnodes.name_of(node.relation)
        table = own.tables.get(name)
        if table is None:
            return
        if node.relation.relpersistence == "t":
            relation = Relation(None, [Column(c) for c in table.columns], is_open=table.is_open, keys=table.keys)
            self._temporary(node.relation, relation)
        elif self.catalog.table(name) is None:
            self.catalog.tables[name] = table

    def _index(self, node: Node) -> None:
        temporary = self._temporary_named(node.relation)
        table = None
        if temporary is not None:
            table = Table(temporary.name, dict.fromkeys(temporary.relation.columns, ""))
            if node.unique:
                add_index(table, node)
                temporary.relation.keys += table.keys
            table.is_open = temporary.relation.is_open
        else:
            table = self._table(node.relation)
        for element in node.indexParams or ():
            self._known_column(table, element.name, node.relation)

    def _analyze(self, node: Node) -> None:
        for item in node.rels or ():
            if item.relation is None:
                continue
            temporary = self._temporary_named(item.relation)
            table = self._table(item.relation) if temporary is None else _table_like(temporary.relation, temporary.name)
            for name in item.va_cols or ():
                self._known_column(table, name, item.relation)

    def _tables(self, node: Node) -> None:
        for relation in node.relations or ():
            self._writable(relation)

    def _alter(self, node: Node) -> None:
        if not node.missing_ok and node.objtype == "OBJECT_TABLE":
            self._writable(node.relation)

    def _copy(self, node: Node) -> None:
        if node.relation is not None:
            self._writable(node.relation)
        inner = node.get("query")
        if isinstance(inner, Node):
            self._inner_statement(inner)

    def _around(self, node: Node) -> None:
        inner = node.get("query")
        if isinstance(inner, Node):
            self._inner_statement(inner)

    def _inner_statement(self, node: Node) -> None:
        if node.kind == "SelectStmt":
            self._part.query = self._select(node, None)
        elif node.kind in _WRITES:
            self._write(node, None)

    def _opaque(self, _node: Node) -> None:
        self.script.is_opaque = True

    def _drop(self, node: Node) -> None:
        if node.removeType != "OBJECT_TABLE":
            return
        for item in node.objects or ():
            name = item[-1] if isinstance(item, list) else item
            temporary = self.script.temporaries.get(str(name))
            if temporary is not None:
                temporary.is_dropped = True

    def _discard(self, _node: Node) -> None:
        for temporary in self.script.temporaries.values():
            temporary.is_dropped = True

    # Queries

    def _select(self, node: Node, parent: Query | None, on_left: Callable[[Query], None] | None = None) -> Query:
        """Resolve a select. `on_left` is told the left side of a union, which a recursive one refers to."""
        query = Query(node, self._part, parent)
        self._part.queries.append(query)
        frames = len(self._frames)
        if node.withClause is not None:
            self._with(node.withClause, parent)
        if node.larg is not None:
            left = self._select(node.larg, parent)
            if on_left is not None:
                on_left(left)
            right = self._select(node.rarg, parent)
            query.arms = left, right
            query.is_open = left.is_open or right.is_open
            query.outputs = [
                Column(a.name, (a, b)) for a, b in zip(left.outputs, right.outputs, strict=False)
            ] or left.outputs
        elif node.valuesLists:
            self._values(node, query)
        else:
            self._plain(node, query)
        self._sort(node, query)
        for limit in (node.limitCount, node.limitOffset):
            if limit is not None:
                self._expression(limit, Query(None, self._part, parent))
        del self._frames[frames:]
        return query

    def _values(self, node: Node, query: Query) -> None:
        rows = node.valuesLists
        for row in rows:
            self._expressions(row, query)
        query.outputs = [
            Column(f"column{i + 1}", tuple(row[i] for row in rows if i < len(row))) for i in range(len(rows[0]))
        ]

    def _plain(self, node: Node, query: Query) -> None:
        stars: list[tuple[list[Column], bool]] = []
        for item in node.fromClause or ():
            stars.append(self._from(item, query))
        self._targets(node.targetList or (), query, stars)
        if node.whereClause is not None:
            query.conditions.append(node.whereClause)
            self._expression(node.whereClause, query)
        for item in node.groupClause or ():
            self._group(item, query)
        if node.havingClause is not None:
            self._expression(node.havingClause, query)
        for window in node.windowClause or ():
            self._expression(window, query)

    def _targets(self, targets: Iterable[Node], query: Query, stars: list[tuple[list[Column], bool]]) -> None:
        """Resolve a select list, or that of `returning`."""
        for target in targets:
            value = target.val
            if value.kind == "ColumnRef" and isinstance(value.fields[-1], Node):
                self._star(value, query, stars)
                continue
            self._expression(value, query)
            query.outputs.append(Column(output_name(target) or "?column?", (value,)))

    def _star(self, node: Node, query: Query, stars: list[tuple[list[Column], bool]]) -> None:
        if len(node.fields) == 1:
            found = stars
        else:
            relation = self._relation(node, node.fields[-2], query)
            if relation is None:
                query.is_open = True
                return
            found = [(relation.outputs, relation.is_open)]
        for columns, is_open in found:
            query.outputs += columns
            query.is_open |= is_open
            for column in columns:
                if column.table is not None:
                    self._part.read_columns.add((column.table.name, column.name))

    def _sort(self, node: Node, query: Query) -> None:
        named = {column.name: column for column in reversed(query.outputs)}
        for item in node.sortClause or ():
            key = item.node
            name = _bare(key)
            if name in named:
                key.meaning = named[name]
            elif query.arms:
                pass  # only the names of the result can stand here
            else:
                self._expression(key, query)
            query.sort.append(_positioned(key, query))
        for key in node.distinctClause or ():
            name = _bare(key) if isinstance(key, Node) and key.kind else None
            if name in named:
                key.meaning = named[name]
            elif isinstance(key, Node) and key.kind:
                self._expression(key, query)

    def _group(self, node: Node, query: Query) -> None:
        name = _bare(node)
        if name is not None and self._lookup(name, query) is None:
            for column in query.outputs:
                if column.name == name:
                    node.meaning = column
                    return
        self._expression(node, query)

    def _with(self, clause: Node, parent: Query | None) -> None:
        frame: dict[str, _Cte] = {}
        self._frames.append(frame)
        depth = len(self._frames)
        entries = [_Cte(node, Part(node.ctename, node.ctequery, self._part.number), depth) for node in clause.ctes]
        if clause.recursive:
            frame |= {entry.node.ctename: entry for entry in entries}
        for entry in entries:
            self._cte(entry, parent)
            frame[entry.node.ctename] = entry

    def _cte(self, entry: _Cte, parent: Query | None) -> None:
        if entry.is_begun:
            return
        entry.is_begun = True
        outer, frames, self._part = self._part, self._frames, entry.part
        self._frames = frames[: entry.depth]
        names = entry.node.aliascolnames

        def of_left(query: Query) -> None:
            entry.outputs, entry.is_open = _renamed(query.outputs, names), query.is_open

        body = entry.node.ctequery
        if body.kind == "SelectStmt":
            query = self._select(body, parent, of_left if body.larg is not None else None)
            entry.part.query = query
            outputs, entry.is_open = query.outputs, query.is_open
        else:
            entry.is_open = self._write(body, parent)
            outputs = entry.part.returning
        entry.outputs = _renamed([Column(c.name, (c,)) for c in outputs], names)
        search, cycle = entry.node.search_clause, entry.node.cycle_clause
        if search is not None:
            entry.outputs.append(Column(search.search_seq_column))
        if cycle is not None:
            entry.outputs += [Column(cycle.cycle_mark_column), Column(cycle.cycle_path_column)]
        self._part, self._frames = outer, frames
        self._parts.append(entry.part)

    # What stands in a `from`

    def _from(self, node: Node, query: Query) -> tuple[list[Column], bool]:
        """Add the relations of a `from` item; return what `*` makes of it, and whether there is more."""
        kind = node.kind
        if kind == "JoinExpr":
            return self._join(node, query)
        if kind == "RangeVar":
            relation = self._range(node)
        elif kind == "RangeSubselect":
            sub = self._select(node.subquery, query if node.lateral else query.parent)
            alias = node.alias
            outputs = _renamed([Column(c.name, (c,)) for c in sub.outputs], alias.colnames if alias else None)
            relation = Relation(alias.aliasname if alias else None, outputs, is_open=sub.is_open, query=sub)
        elif kind == "RangeFunction":
            relation = self._function(node, query)
        elif kind == "RangeTableSample":
            self._expressions([*(node.args or ()), *([node.repeatable] if node.repeatable else [])], query)
            return self._from(node.relation, query)
        else:
            for child in sqlnodes.inner(node):
                if child.kind:
                    self._expression(child, query)
            relation = Relation(node.alias.aliasname if node.alias else None, [], is_open=True)
        query.relations.append(relation)
        return relation.outputs, relation.is_open

    def _join(self, node: Node, query: Query) -> tuple[list[Column], bool]:
        first = len(query.relations)
        left, left_open = self._from(node.larg, query)
        middle = len(query.relations)
        right, right_open = self._from(node.rarg, query)
        if node.quals is not None:
            self._expression(node.quals, query)
            if node.jointype == "JOIN_INNER":
                query.conditions.append(node.quals)
        nullable = {"JOIN_LEFT": (middle, None), "JOIN_RIGHT": (first, middle), "JOIN_FULL": (first, None)}
        if node.jointype in nullable:
            start, stop = nullable[node.jointype]
            for relation in query.relations[start:stop]:
                relation.is_nullable = True
        shared = list(node.usingClause or ())
        if node.isNatural:
            names = {column.name for column in right}
            shared = [column.name for column in left if column.name in names]
        lefts, rights = ({c.name: c for c in side} for side in (left, right))
        merged = [Column(name, tuple(side[name] for side in (lefts, rights) if name in side)) for name in shared]
        rest = [c for c in (*left, *right) if c.name not in shared]
        outputs, is_open = [*merged, *rest], left_open or right_open
        if node.alias is not None:
            for relation in query.relations[first:]:
                relation.alias, relation.columns, relation.is_open = None, {}, False
            outputs = _renamed(outputs, node.alias.colnames)
            query.relations.append(Relation(node.alias.aliasname, outputs, is_open=is_open))
        if node.join_using_alias is not None:
            query.relations.append(Relation(node.join_using_alias.aliasname, merged))
        return outputs, is_open

    def _range(self, node: Node) -> Relation:
        """Return the relation that a name in a `from` means."""
        name, alias = node.relname, node.alias
        shown = alias.aliasname if alias else name
        names = alias.colnames if alias else None
        if not node.schemaname:
            for frame in reversed(self._frames):
                entry = frame.get(name)
                if entry is None:
                    continue
                if not entry.is_begun:
                    self._cte(entry, None)
                if entry.part is not self._part:
                    self._part.uses.add(entry.part)
                return Relation(shown, _renamed(entry.outputs, names), is_open=entry.is_open, part=entry.part)
        temporary = self._temporary_named(node)
        if temporary is not None:
            self._part.uses.update(temporary.makers)
            self._part.reads.add(f"pg_temp.{temporary.name}")
            own = temporary.relation
            return Relation(
                shown,
                _renamed(own.outputs, names),
                is_open=own.is_open,
                part=temporary.makers[0],
                keys=own.keys,
            )
        self._part.reads.add(sqlnodes.name_of(node))
        table = self._table(node)
        if table is None:
            return Relation(shown, [], is_open=True)
        return Relation(
            shown, _renamed(self._columns(table), names), is_open=table.is_open, table=table, keys=table.keys
        )

    def _columns(self, table: Table) -> list[Column]:
        if table.name not in self._base or len(self._base[table.name]) != len(table.columns):
            self._base[table.name] = [Column(name, (), table) for name in table.columns]
        return self._base[table.name]

    def _temporary_named(self, node: Node) -> Temporary | None:
        if node.schemaname not in (None, "pg_temp"):
            return None
        return self.script.temporaries.get(node.relname)

    def _table(self, node: Node) -> Table | None:
        """Return the table of a name; what the project cannot know is None without a report."""
        name = sqlnodes.name_of(node)
        table = self.catalog.table(name)
        if table is None and self.catalog.made and not self.catalog.is_open:
            foreign = node.schemaname not in (None, "public") or node.relname.startswith("pg_")
            if not foreign:
                close = _closest(node.relname, self.catalog.tables)
                meant = f"; did you mean '{close}'?" if close else ""
                self._report("unknown-table", node, f"no schema file makes a table '{name}'{meant}")
        return table

    def _function(self, node: Node, query: Query) -> Relation:
        alias = node.alias
        outputs: list[Column] = []
        is_open = False
        for entry in node.functions or ():
            call = entry[0]
            self._expression(call, query)
            definitions = entry[1] if len(entry) > 1 and isinstance(entry[1], list) else []
            columns, opens = self._returned(call, definitions or node.coldeflist or [], alias)
            outputs += [Column(name, (call,)) for name in columns]
            is_open |= opens
        if node.ordinality:
            outputs.append(Column("ordinality"))
        names = alias.colnames if alias else None
        shown = alias.aliasname if alias else named_after(node.functions[0][0])
        if is_open and names:
            outputs = [Column(name) for name in names]
        return Relation(shown, _renamed(outputs, names), is_open=is_open)

    def _returned(self, call: Node, definitions: list[Node], alias: Node | None) -> tuple[list[str], bool]:
        """Return the columns of a function in a `from`, and whether there may be others."""
        if definitions:
            return [definition.colname for definition in definitions], False
        if call.kind != "FuncCall":
            return [], True
        name = sqlnodes.function(call)
        own = self.catalog.functions.get(name)
        one = alias.aliasname if alias is not None else name
        if own is not None:
            return (list(own.columns) or [one], False) if own.columns is not None else ([], True)
        if name == "unnest" and len(call.args or ()) > 1:
            return [f"unnest{i}" for i in range(len(call.args))], False
        if name == "unnest":
            # Of an array of rows it returns their columns.
            return [one], False
        if name in _VALUES:
            return [one], False
        if name in _ELEMENTS:
            return ["value"], False
        return (["key", "value"], False) if name in _PAIRS else ([], True)

    # Writing

    def _write(self, node: Node, parent: Query | None) -> bool:
        """Resolve an insert, update, delete or merge; return whether its `returning` may have other columns."""
        part = self._part
        frames = len(self._frames)
        if node.withClause is not None:
            self._with(node.withClause, parent)
        target = self._target(node.relation)
        part.target_relation = target
        if node.kind == "InsertStmt":
            self._insert(node, part, target, parent)
        else:
            query = Query(node, part, parent)
            part.query = query
            part.queries.append(query)
            query.relations.append(target)
            if node.kind == "MergeStmt":
                self._merge(node, part, query)
            else:
                self._change(node, part, query)
        open_end = self._returning(node, part, target, parent)
        temporary = self._temporary_named(node.relation)
        if temporary is not None:
            temporary.makers.append(part)
            if part.kind == "update" or part.kind in ("insert", "upsert"):
                for column in temporary.relation.outputs:
                    value = part.values.get(column.name)
                    if value is not None:
                        column.sources = (*column.sources, value)
        del self._frames[frames:]
        return open_end

    def _target(self, node: Node) -> Relation:
        part = self._part
        part.target = sqlnodes.name_of(node)
        shown = node.alias.aliasname if node.alias else node.relname
        temporary = self._temporary_named(node)
        if temporary is not None:
            part.is_temporary = True
            part.target = f"pg_temp.{temporary.name}"
            own = temporary.relation
            return Relation(shown, own.outputs, is_open=own.is_open, part=temporary.makers[0], keys=own.keys)
        table = self._table(node)
        if table is None:
            return Relation(shown, [], is_open=True)
        return Relation(shown, self._columns(table), is_open=table.is_open, table=table, keys=table.keys)

    def _writable(self, node: Node) -> Table | None:
        """Return the table that a utility statement names."""
        return None if self._temporary_named(node) is not None else self._table(node)

    def _insert(self, node: Node, part: Part, target: Relation, parent: Query | None) -> None:
        part.kind = "insert"
        names = [column.name for column in node.cols or ()]
        for column in node.cols or ():
            self._known_column(_table_like(target), column.name, column)
        if not names and not target.is_open:
            names = list(target.columns)
        if node.selectStmt is not None:
            query = self._select(node.selectStmt, parent)
            part.query = query
            part.values = dict(zip(names, query.outputs, strict=False))
            self._width(node, target, names, query)
            for name, value in part.values.items():
                self._generated(target, name, value, _find(node.cols, name) or node.relation)
        clause = node.onConflictClause
        if clause is None:
            return
        inner = Query(node, part, parent)
        part.queries.append(inner)
        inner.relations.append(target)
        if clause.infer is not None:
            for element in clause.infer.indexElems or ():
                if element.name:
                    self._known_column(_table_like(target), element.name, clause)
        if clause.action != "ONCONFLICT_UPDATE":
            return
        part.kind = "upsert"
        proposed = [Column(c.name, _sources(part.values.get(c.name))) for c in target.outputs]
        inner.relations.append(Relation("excluded", proposed, is_open=target.is_open))
        part.updates = self._assignments(clause.targetList, inner, target)
        if clause.whereClause is not None:
            part.guards.append(clause.whereClause)
            self._expression(clause.whereClause, inner)

    def _width(self, node: Node, target: Relation, names: list[str], query: Query) -> None:
        """Report an insert of more or fewer values than columns."""
        select = node.selectStmt
        if query.is_open or (not node.cols and target.is_open):
            return
        width = len(query.outputs)
        if width > len(names) or (node.cols and width < len(names)):
            self._report(
                "insert-width",
                node.relation,
                f"{width} values are given for {len(names)} columns of '{node.relation.relname}'",
            )
        del select

    def _change(self, node: Node, part: Part, query: Query) -> None:
        """Resolve an update or delete."""
        part.kind = "update" if node.kind == "UpdateStmt" else "delete"
        for item in node.fromClause or node.usingClause or ():
            self._from(item, query)
        if part.target_relation is not None and node.targetList:
            part.values = self._assignments(node.targetList, query, part.target_relation)
        if node.whereClause is not None:
            query.conditions.append(node.whereClause)
            self._expression(node.whereClause, query)

    def _merge(self, node: Node, part: Part, query: Query) -> None:
        part.kind = "merge"
        self._from(node.sourceRelation, query)
        self._expression(node.joinCondition, query)
        target = query.relations[0]
        for clause in node.mergeWhenClauses or ():
            if clause.condition is not None:
                part.guards.append(clause.condition)
                self._expression(clause.condition, query)
            if clause.commandType == "CMD_UPDATE":
                part.updates |= self._assignments(clause.targetList, query, target)
            elif clause.commandType == "CMD_INSERT":
                names = [item.name for item in clause.targetList or ()] or list(target.columns)
                for item in clause.targetList or ():
                    self._known_column(_table_like(target), item.name, item)
                self._expressions(clause.get("values") or (), query)
                part.values |= dict(zip(names, clause.get("values") or (), strict=False))

    def _assignments(self, targets: list[Node] | None, query: Query, target: Relation) -> dict[str, Node | Column]:
        found: dict[str, Node | Column] = {}
        for item in targets or ():
            self._known_column(_table_like(target), item.name, item)
            if item.val is None:
                continue
            value = item.val
            if value.kind == "MultiAssignRef":
                source = value.source
                if value.get("colno", 1) == 1:
                    self._expression(source, query)
                elements = source.args if source.kind == "RowExpr" else None
                number = value.get("colno", 1) - 1
                if elements is None or number >= len(elements):
                    found[item.name] = source
                    continue
                value = elements[number]
            else:
                self._expression(value, query)
            found[item.name] = value
            self._generated(target, item.name, value, item)
        return found

    def _generated(self, target: Relation, name: str, value: Node | Column, at: Node) -> None:
        if target.table is None or name not in target.table.generated:
            return
        sources = value.sources if isinstance(value, Column) else (value,)
        if sources and all(isinstance(source, Node) and source.kind == "SetToDefault" for source in sources):
            return
        self._report(
            "generated-column", at, f"'{name}' of '{target.table.name}' is generated: nothing can be written to it"
        )

    def _returning(self, node: Node, part: Part, target: Relation, parent: Query | None) -> bool:
        clause = node.returningClause
        if clause is None:
            return False
        query = Query(None, part, parent)
        part.queries.append(query)
        stars = [(target.outputs, target.is_open)]
        if part.query is not None and part.kind in ("update", "delete", "merge"):
            query.relations += part.query.relations
            others = part.query.relations[1:]
            stars += [(relation.outputs, relation.is_open) for relation in others]
            if part.kind == "merge":
                stars = [*stars[1:], stars[0]]
        else:
            query.relations.append(target)
        # PostgreSQL 18: the row before and after.
        for name in ("old", "new"):
            query.relations.append(Relation(name, [], is_open=False))
            query.relations[-1].columns = {}
        self._old_new(query, target)
        self._targets(clause.exprs or (), query, stars)
        part.returning = query.outputs
        return query.is_open

    @staticmethod
    def _old_new(query: Query, target: Relation) -> None:
        """Let `old.x` and `new.x` mean the target's columns, without letting a bare `x` mean them."""
        for relation in query.relations[-2:]:
            relation.query = None
            relation.part = target.part
            relation.table = target.table
            relation.is_open = False
            relation.outputs = target.outputs

    # Expressions

    def _expressions(self, nodes: Iterable[Node], query: Query) -> None:
        for node in nodes:
            self._expression(node, query)

    def _expression(self, node: Node, query: Query) -> None:
        kind = node.kind
        if kind == "ColumnRef":
            self._column(node, query)
            return
        if kind == "A_Const":
            return
        part = self._part
        if kind == "SubLink":
            if node.testexpr is not None:
                self._expression(node.testexpr, query)
            node.meaning = self._select(node.subselect, query)
            node.owner = query
            part.sublinks.append(node)
            return
        if kind == "SelectStmt":
            node.meaning = self._select(node, query)
            return
        if kind == "FuncCall":
            node.owner = query
            part.calls.append(node)
            if node.over is not None:
                self.script.windows.append((node, query))
        elif kind == "SQLValueFunction":
            node.owner = query
            part.calls.append(node)
            return
        elif kind == "A_Expr":
            part.comparisons.append(node)
        elif kind == "NullTest":
            part.null_tests.append(node)
        elif kind == "BoolExpr":
            if node.boolop == "NOT_EXPR":
                part.negations.append(node)
        elif kind == "BooleanTest":
            part.negations.append(node)
        elif kind == "TypeCast":
            self._expression(node.arg, query)
            return
        for value in node.values():
            if type(value) is Node:
                self._expression(value, query)
            elif type(value) is list:
                self._list(value, query)

    def _list(self, values: list[object], query: Query) -> None:
        for item in values:
            if type(item) is Node:
                self._expression(item, query)
            elif type(item) is list:
                self._list(item, query)

    def _column(self, node: Node, query: Query) -> None:
        fields = node.fields
        name = fields[-1]
        if type(name) is not str:
            if len(fields) > 1:
                self._relation(node, fields[-2], query)
            return
        if len(fields) == 1:
            found = self._lookup(name, query)
            if found is None:
                if name in self.catalog.functions:
                    return
                self._unknown(node, name, query)
        else:
            relation = self._relation(node, fields[-2], query)
            if relation is None:
                return
            column = relation.columns.get(name)
            if column is None and relation.alias in ("old", "new"):
                column = next((c for c in relation.outputs if c.name == name), None)
            found = column if column is not None else _UNKNOWN
            if column is None:
                if relation.is_open or name in self.catalog.functions or name in _SYSTEM or not relation.outputs:
                    return
                close = _closest(name, relation.columns)
                meant = f"; did you mean '{close}'?" if close else ""
                self._report("unknown-column", node, f"'{fields[-2]}' has no column '{name}'{meant}")
                return
        node.meaning = found if found is not _UNKNOWN else None
        node.owner = query
        if isinstance(found, Column) and found.table is not None:
            self._part.read_columns.add((found.table.name, found.name))

    def _lookup(self, name: str, query: Query | None) -> Column | Relation | None:
        """Return what a bare name means; `_UNKNOWN` where it may mean something, None where it cannot."""
        level = query
        while level is not None:
            for relation in level.relations:
                column = relation.columns.get(name)
                if column is not None and relation.alias not in ("excluded",):
                    return column
            for relation in level.relations:
                if relation.is_open:
                    return _UNKNOWN
                if relation.alias == name:
                    return relation
            if level.relations and name in _SYSTEM:
                return _UNKNOWN
            level = level.parent
        return None

    def _relation(self, node: Node, name: object, query: Query) -> Relation | None:
        """Return the relation that a qualified name means; None, reported, where there is none."""
        level: Query | None = query
        while level is not None:
            for relation in level.relations:
                if relation.alias == name:
                    return relation
            level = level.parent
        if len(node.fields) == 2:
            what = f"nothing in this query is called '{name}'"
            self._report("unknown-column", node, what)
        return None

    def _unknown(self, node: Node, name: str, query: Query) -> None:
        known: dict[str, object] = {}
        level: Query | None = query
        while level is not None:
            for relation in level.relations:
                known |= relation.columns
            level = level.parent
        close = _closest(name, known)
        meant = f"; did you mean '{close}'?" if close else ""
        self._report("unknown-column", node, f"no table here has a column '{name}'{meant}")

    def _known_column(self, table: Table | None, name: str | None, at: Node) -> None:
        if table is None or table.is_open or name is None or name in table.columns:
            return
        close = _closest(name, table.columns)
        meant = f"; did you mean '{close}'?" if close else ""
        self._report("unknown-column", at, f"'{table.name}' has no column '{name}'{meant}")


_UNKNOWN = Relation("?", [], is_open=True)


def into_clause(node: Node) -> Node | None:
    """Return the `into` of a select; of a union it stands in the first one."""
    while node.larg is not None:
        node = node.larg
    return node.intoClause if isinstance(node.intoClause, Node) else None


def _closest(name: str, known: Iterable[str]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)), None)


def _bare(node: Node) -> str | None:
    """Return the name of an unqualified column."""
    if node.kind == "ColumnRef" and len(node.fields) == 1 and isinstance(node.fields[0], str):
        return node.fields[0]
    return None


def _positioned(key: Node, query: Query) -> Node | Column:
    """Return the output that `order by 2` means, or the key itself."""
    number = sqlnodes.constant(key)
    if key.kind == "A_Const" and number is not None and number.isdigit() and 0 < int(number) <= len(query.outputs):
        return query.outputs[int(number) - 1]
    return key


def _renamed(columns: list[Column], names: list[str] | None) -> list[Column]:
    """Return columns with the names that an alias gives the first of them."""
    if not names:
        return columns
    first = [Column(name, (column,)) for name, column in zip(names, columns, strict=False)]
    return [*first, *columns[len(first) :]]


def _sources(value: Node | Column | None) -> tuple[Node | Column, ...]:
    return () if value is None else (value,)


def _find(targets: list[Node] | None, name: str) -> Node | None:
    return next((target for target in targets or () if target.name == name), None)


def _table_like(relation: Relation, name: str = "") -> Table:
    """Return a relation's table, or what stands for it where it is temporary."""
    if relation.table is not None:
        return relation.table
    return Table(name or relation.alias or "", dict.fromkeys(relation.columns, ""), is_open=relation.is_open)


_WRITES = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
_STATEMENTS: dict[str, Callable[[Resolver, Node], None]] = {
    "SelectStmt": Resolver._top_select,
    **dict.fromkeys(_WRITES, Resolver._top_write),
    "CreateTableAsStmt": Resolver._create_as,
    "CreateStmt": Resolver._create,
    "IndexStmt": Resolver._index,
    "VacuumStmt": Resolver._analyze,
    "TruncateStmt": Resolver._tables,
    "LockStmt": Resolver._tables,
    "AlterTableStmt": Resolver._alter,
    "CopyStmt": Resolver._copy,
    "ViewStmt": Resolver._around,
    "PrepareStmt": Resolver._around,
    "DeclareCursorStmt": Resolver._around,
    "ExplainStmt": Resolver._around,
    "DoStmt": Resolver._opaque,
    "CallStmt": Resolver._opaque,
    "DropStmt": Resolver._drop,
    "DiscardStmt": Resolver._discard,
}
