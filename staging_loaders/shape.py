"""The declared paths of an entity as one msgspec struct: what a record holds besides is skipped, not decoded.

A struct only chooses: a declared value is decoded as it would be without one (any type, numbers as they
are written), so that there is nothing about types that the two ways could see differently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from staging_loaders.entity import Entity
from staging_loaders.values import Number

Path = tuple[str, ...]


@dataclass(eq=False)
class Node:
    """A name of a record and what is declared below it; `name` is what its struct and the code call it.

    A `raw` one is taken as JSON text, and decoded from that where fields are declared below it.
    """

    name: str
    raw: bool = False
    inner: dict[str, Node] = field(default_factory=dict)

    def at(self, path: Path) -> Node:
        """Return the node that `path` leads to from here."""
        found = self
        for part in path:
            found = found.inner[part]
        return found


@dataclass(frozen=True)
class Shape:
    """The nodes of the declared paths, and what decodes a record (and each raw node, by its name) into structs."""

    root: Node
    decode: Callable[[Any], Any]
    decoders: dict[str, Callable[[Any], Any]]


def shape(entity: Entity) -> Shape | None:
    """Return the shape of `entity`; None for one that no struct has.

    Those are a field that is also the object around another, unless it is `json`, one path both as `json`
    and as another type, and names with quotes, backslashes or control characters.
    """
    root = Node("record")
    leaves: dict[Path, bool] = {}
    for declared in entity.fields:
        for path in declared.paths:
            is_json = declared.type == "json"
            if leaves.setdefault(path, is_json) != is_json:
                return None
    count = 0
    for path, is_json in leaves.items():
        node = root
        for part in path:
            if part not in node.inner:
                count += 1
                node.inner[part] = Node(f"n{count}")
            node = node.inner[part]
        node.raw = is_json
    if any(root.at(path).inner and not is_json for path, is_json in leaves.items()):
        return None
    decoders: dict[str, Callable[[Any], Any]] = {}
    try:
        decode = _decoder(_struct(root, decoders))
    except ValueError:  # a name that msgspec does not take
        return None
    return Shape(root, decode, decoders)


def _struct(node: Node, decoders: dict[str, Callable[[Any], Any]]) -> Any:
    import msgspec

    fields: list[tuple[str, Any, Any]] = []
    for child in node.inner.values():
        kind: Any = Any
        if child.inner:
            kind = _struct(child, decoders) | None
        if child.raw:
            if child.inner:
                decoders[child.name] = _decoder(kind)
            kind = msgspec.Raw
        fields.append((child.name, kind, None))
    names = {child.name: key for key, child in node.inner.items()}
    return msgspec.defstruct(f"S{node.name}", fields, rename=names, gc=False)


def _decoder(kind: Any) -> Callable[[Any], Any]:
    import msgspec

    return msgspec.json.Decoder(kind, float_hook=Number).decode
