"""Inserts, updates, deletes and merges: their targets, values, guards and what they return."""

from __future__ import annotations

from runner import sqltree
from runner.definition import Table
from runner.lint.model import Column, Part, Query, Relation, leaves
from runner.lint.names import Names, table_like
from runner.lint.queries import Queries
from runner.sqltree import Node


class Writes:
    """Resolves what changes rows; `queries` resolves the selects in it."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.queries = Queries(names, self.write)

    def write(self, node: Node, parent: Query | None) -> bool:
        """Resolve an insert, update, delete or merge; return whether its `returning` may have other columns."""
        part = self._names.part
        frames = len(self._names.frames)
        if node.withClause is not None:
            self.queries.with_clause(node.withClause, parent)
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
        if len(part.kin) > 1:
            part.kin -= self._others(part)
        is_open = self._returning(node, part, target, parent)
        temporary = self._names.temporary_named(node.relation)
        if temporary is not None:
            temporary.makers.append(part)
            for column in temporary.relation.outputs:
                value = part.values.get(column.name)
                if value is not None:
                    column.sources = (*column.sources, value)
        del self._names.frames[frames:]
        return is_open

    def _others(self, part: Part) -> set[str]:
        """Return the partitions that a write may well leave alone: it gives constants, and none is of their list."""
        given = {sqltree.constant(leaf) for v in part.values.values() for leaf in leaves(v) if isinstance(leaf, Node)}
        given.discard(None)
        known = self._names.catalog
        below = {name for name in part.kin if part.target in known.above(name)}
        return {name for name in below if given and not given & known.bounds.get(name, frozenset())}

    def _target(self, node: Node) -> Relation:
        part = self._names.part
        part.target = sqltree.name_of(node)
        shown = node.alias.aliasname if node.alias else node.relname
        temporary = self._names.temporary_named(node)
        if temporary is not None:
            part.is_temporary = True
            part.target = f"pg_temp.{temporary.name}"
            own = temporary.relation
            return Relation(shown, own.outputs, is_open=own.is_open, part=temporary.makers[0], keys=own.keys)
        table = self._names.table(node)
        part.kin = self._names.catalog.kin(part.target)
        if table is None:
            return Relation(shown, [], is_open=True)
        return Relation(shown, self._names.columns(table), is_open=table.is_open, table=table, keys=table.keys)

    def writable(self, node: Node) -> Table | None:
        """Return the table that a utility statement names."""
        return None if self._names.temporary_named(node) is not None else self._names.table(node)

    def _insert(self, node: Node, part: Part, target: Relation, parent: Query | None) -> None:
        part.kind = "insert"
        names = [column.name for column in node.cols or ()]
        for column in node.cols or ():
            self._names.known_column(table_like(target), column.name, column)
        if not names and not target.is_open:
            names = list(target.columns)
        if node.selectStmt is not None:
            query = self.queries.select(node.selectStmt, parent)
            part.query = query
            part.values = dict(zip(names, query.outputs, strict=False))
            width = len(query.outputs)
            if (
                not query.is_open
                and (width > len(names) or (node.cols and width < len(names)))
                and (names or node.cols)
            ):
                message = f"{width} values are given for {len(names)} columns of '{node.relation.relname}'"
                self._names.report("insert-width", node.relation, message)
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
                    self._names.known_column(table_like(target), element.name, clause)
            if clause.infer.conname and target.table is not None and not target.table.is_open:
                self._names.known_constraint(clause.infer.conname, clause)
        if clause.action != "ONCONFLICT_UPDATE":
            return
        part.kind = "upsert"
        proposed = [Column(c.name, _sources(part.values.get(c.name))) for c in target.outputs]
        excluded = Relation("excluded", proposed, is_open=target.is_open)
        excluded.is_qualified_only = True
        inner.relations.append(excluded)
        part.updates = self._assignments(clause.targetList, inner, target)
        if clause.whereClause is not None:
            part.guards.append(clause.whereClause)
            self.queries.expression(clause.whereClause, inner)

    def _change(self, node: Node, part: Part, query: Query) -> None:
        """Resolve an update or delete."""
        part.kind = "update" if node.kind == "UpdateStmt" else "delete"
        for item in node.fromClause or node.usingClause or ():
            self.queries.sources.add(item, query)
        if part.target_relation is not None and node.targetList:
            part.values = self._assignments(node.targetList, query, part.target_relation)
        if node.whereClause is not None:
            query.conditions.append(node.whereClause)
            self.queries.expression(node.whereClause, query)

    def _merge(self, node: Node, part: Part, query: Query) -> None:
        part.kind = "merge"
        self.queries.sources.add(node.sourceRelation, query)
        self.queries.expression(node.joinCondition, query)
        target = query.relations[0]
        for clause in node.mergeWhenClauses or ():
            if clause.condition is not None:
                part.guards.append(clause.condition)
                self.queries.expression(clause.condition, query)
            if clause.commandType == "CMD_UPDATE":
                part.updates |= self._assignments(clause.targetList, query, target)
            elif clause.commandType == "CMD_INSERT":
                names = [item.name for item in clause.targetList or ()] or list(target.columns)
                for item in clause.targetList or ():
                    self._names.known_column(table_like(target), item.name, item)
                self.queries.expressions(clause.get("values") or (), query)
                part.values |= dict(zip(names, clause.get("values") or (), strict=False))

    def _assignments(self, targets: list[Node] | None, query: Query, target: Relation) -> dict[str, Node | Column]:
        found: dict[str, Node | Column] = {}
        for item in targets or ():
            self._names.known_column(table_like(target), item.name, item)
            if item.val is None:
                continue
            value = item.val
            if value.kind == "MultiAssignRef":
                source = value.source
                if value.get("colno", 1) == 1:
                    self.queries.expression(source, query)
                elements = source.args if source.kind == "RowExpr" else None
                number = value.get("colno", 1) - 1
                if elements is None or number >= len(elements):
                    found[item.name] = source
                    continue
                value = elements[number]
            else:
                self.queries.expression(value, query)
            found[item.name] = value
            self._generated(target, item.name, value, item)
        return found

    def _generated(self, target: Relation, name: str, value: Node | Column, at: Node) -> None:
        if target.table is None or name not in target.table.generated:
            return
        sources = value.sources if isinstance(value, Column) else (value,)
        if sources and all(isinstance(source, Node) and source.kind == "SetToDefault" for source in sources):
            return
        self._names.report(
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
        # Since PostgreSQL 18 the row before and after; a bare name never means one of these.
        for name in ("old", "new"):
            version = Relation(name, target.outputs, is_open=target.is_open, table=target.table, part=target.part)
            version.is_qualified_only = True
            query.relations.append(version)
        self.queries.targets(clause.exprs or (), query, stars)
        part.returning = query.outputs
        return query.is_open


def _sources(value: Node | Column | None) -> tuple[Node | Column, ...]:
    return () if value is None else (value,)


def _find(targets: list[Node] | None, name: str) -> Node | None:
    return next((target for target in targets or () if target.name == name), None)
