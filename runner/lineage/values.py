"""Where a value comes from: its origins, each taken as it is or worked on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, order=True)
class Origin:
    """One thing that values come from.

    kind        name                      table
    `column`    the column                its table; `step` is the step whose temporary table it is.
                                          `*` stands for which rows the table has
    `field`     a path in source records  the entity
    `setting`   `app.day`
    `constant`  as SQL writes it
    `function`  `now()`, `count(*)`: what has no arguments
    `argument`  of a function or a prepared statement
    `unknown`   a name that nothing makes
    """

    kind: str
    name: str
    table: str = ""
    step: str = ""

    def __str__(self) -> str:
        if self.kind == "column":
            return f"rows of {self.table}" if self.name == "*" else f"{self.table}.{self.name}"
        if self.kind == "field":
            return f"field {self.table}: {self.name}"
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Value:
    """The origins of a value, and whether it is each of them as it is.

    `made` is the node of the outermost expression that works it out, None for a copy. `fields` are those
    of a whole row or JSON document, by name, where they are known.
    """

    origins: Mapping[Origin, bool] = field(default_factory=dict)
    made: Any = None
    fields: Mapping[str, Value] | None = None

    def get(self, name: str) -> Value | None:
        """Return a field of a row or document; None where that is not known."""
        return None if self.fields is None else self.fields.get(name)


DEFAULT = Origin("function", "default")
"""Stands for the default of the column that is written, until that is known."""


def single(kind: str, name: str, table: str = "", step: str = "") -> Value:
    """Return the value of one origin, as it is."""
    return Value({Origin(kind, name, table, step): True})


def either(values: Iterable[Value]) -> Value:
    """Return a value that is one of `values`: of a set operation, of several assignments to one column."""
    origins: dict[Origin, bool] = {}
    made: Any = None
    fields: dict[str, Value] | None = None
    for value in values:
        for origin, copied in value.origins.items():
            origins[origin] = copied and origins.get(origin, True)
        made = made or value.made
        if value.fields is not None:
            fields = {**(fields or {}), **value.fields}
    return Value(_without_null(origins), made, fields)


def chosen(tested: Iterable[Value], results: Iterable[Value], made: Any) -> Value:
    """Return the value of a `case` or `coalesce`: what is tested counts, and each result, constants too."""
    origins = dict.fromkeys((o for value in tested for o in value.origins if o.kind != "constant"), False)
    for value in results:
        origins |= dict.fromkeys(value.origins, False)
    return Value(_without_null(origins), made)


def computed(values: Iterable[Value], made: Any, fields: Mapping[str, Value] | None = None) -> Value:
    """Return what is worked out from `values`; constants matter only where there is nothing else."""
    origins = dict.fromkeys((origin for value in values for origin in value.origins), False)
    kept = {origin: False for origin in origins if origin.kind != "constant"}
    return Value(kept or origins, made, fields)


def _without_null(origins: dict[Origin, bool]) -> dict[Origin, bool]:
    """Leave out null, which says nothing beside other origins."""
    kept = {origin: copied for origin, copied in origins.items() if (origin.kind, origin.name) != ("constant", "null")}
    return kept or origins


@dataclass
class Relation:
    """Named columns in order, and what is known of other names (`more`); `filters` decide which rows there are."""

    columns: list[tuple[str, Value]] = field(default_factory=list)
    more: Callable[[str], Value | None] | None = None
    filters: Value = Value()

    def get(self, name: str) -> Value | None:
        """Return the value of a column, None where there is none."""
        for column, value in self.columns:
            if column == name:
                return value
        return self.more(name) if self.more is not None else None

    def row(self) -> Value:
        """Return a whole row as one value."""
        every = computed((value for _, value in self.columns), None)
        return Value(every.origins, None, dict(reversed(self.columns)))

    def renamed(self, names: Iterable[str]) -> Relation:
        """Return the relation with new names for its first columns."""
        given = list(names)
        if not given:
            return self
        kept = [name for name, _ in self.columns]
        columns = [(name, value) for name, (_, value) in zip(given + kept[len(given) :], self.columns, strict=False)]
        return Relation(columns, self.more, self.filters)


@dataclass
class Item:
    """What one part of a `from` brings: the columns that `*` means, and relations by their names."""

    columns: list[tuple[str, Value]]
    names: dict[str, Relation]
    more: list[Relation] = field(default_factory=list)
    """Relations that may have columns besides."""

    @classmethod
    def of(cls, name: str, relation: Relation) -> Item:
        return cls(list(relation.columns), {name: relation}, [relation] if relation.more else [])


@dataclass
class Scope:
    """What names mean at a place: those of its `from`, then those around it; and common table expressions."""

    parent: Scope | None = None
    items: list[Item] = field(default_factory=list)
    ctes: dict[str, Relation] = field(default_factory=dict)
    windows: dict[str, Any] = field(default_factory=dict)

    def _outwards(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def cte(self, name: str) -> Relation | None:
        """Return the common table expression of that name."""
        return next((scope.ctes[name] for scope in self._outwards() if name in scope.ctes), None)

    def filters(self, column: str) -> Value:
        """Return what decides whether there is a row with a bare column: nothing where that is not known."""
        for scope in self._outwards():
            for item in scope.items:
                for relation in item.names.values():
                    if any(name == column for name, _ in relation.columns):
                        return relation.filters
        return Value()

    def relation(self, name: str) -> Relation | None:
        """Return the relation that `name.column` means."""
        for scope in self._outwards():
            for item in scope.items:
                if name in item.names:
                    return item.names[name]
        return None

    def column(self, name: str) -> Value | None:
        """Return what a bare name means: a column, or else a whole row."""
        for scope in self._outwards():
            for item in scope.items:
                for column, value in item.columns:
                    if column == name:
                        return value
            for item in scope.items:
                if name in item.names:
                    return item.names[name].row()
            for item in scope.items:
                for relation in item.more:
                    found = relation.get(name)
                    if found is not None:
                        return found
        return None
