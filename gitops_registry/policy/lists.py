"""What an expression goes through: a list, which has an order, or a map, which has none.

The engine goes through a map in another order each time, so what a rule says of it would differ from run to run. Only what is
known to be a list before the expression runs may be gone through; `keys()` of a map is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitops_registry.policy import vocabulary
from gitops_registry.policy.grammar import ITEM, UNKNOWN, Node, Path

A_MAP = "a map has no order: go through keys(…)"
MAY_BE_A_MAP = "this may be a map, which has no order: go through keys(…), or through [] + … where it is a list"
_RETURN_LISTS = {"keys": "list(dyn)", "split": "list(string)"}


@dataclass(frozen=True)
class Known:
    """What is known of a value before it is worked out: its type as in the table of facts, the path it is read by, the type of
    its items, or, of parameters, all that it may be.
    """

    type: str = ""
    path: Path = ()
    item: Known | None = None
    values: tuple[Any, ...] | None = None

    @property
    def is_list(self) -> bool:
        """Whether it is a list, or null, whatever happens."""
        if self.values is not None:
            return bool(self.values) and all(isinstance(value, list | tuple) for value in self.values)
        return self.type.startswith("list")

    @property
    def is_map(self) -> bool:
        """Whether it is a map or a record, or null, whatever happens."""
        if self.values is not None:
            return bool(self.values) and all(isinstance(value, Mapping) for value in self.values)
        return self.type.startswith(("map", "record"))

    def at(self, step: str) -> Known:
        """Return what is known of a part of it."""
        if self.values is not None:
            return Known(values=tuple(part for value in self.values for part in _parts(value, step)))
        if self.is_list and step == UNKNOWN:
            step = ITEM
        item = self.type.removesuffix(" | null")[5:-1] if self.is_list and step == ITEM else ""  # list(int) is of int
        if self.path:
            path = (*self.path, step)
            return Known(vocabulary.type_of(path) or item, path)
        if self.is_list and step == ITEM:
            return self.item or Known(item)
        return Known()


def of_params(params: Mapping[str, Any]) -> Known:
    """Return what is known of the parameters of a policy."""
    return Known(values=(params,))


def known(node: Node, scope: Mapping[str, Known]) -> Known:
    """Return what is known of an expression; `scope` is what is known of names, those below `variables` as `variables.x`."""
    first = known(node.children[0], scope) if node.kind in {"macro", "call"} and node.children else Known()
    if node.kind == "read":
        return _read(node, scope)
    if node.kind == "list":
        return Known("list", item=_joined([known(child, scope) for child in node.children]))
    if node.kind == "macro" and node.name == "filter":
        return first
    if node.kind == "macro" and node.name == "map":
        inner = {**scope, node.bound: first.at(ITEM)}
        return Known("list", item=known(node.children[-1], inner))
    if node.kind == "call":
        if node.name == "[]" or node.name.startswith("."):
            return first.at(node.name[1:] if node.name != "[]" else ITEM)
        return Known(_RETURN_LISTS.get(node.name, ""))
    if node.kind == "operator" and node.name in {"+", "?"}:
        parts = [known(child, scope) for child in node.children]
        if node.name == "?":
            return _joined(parts[1:])
        if any(part.is_list for part in parts):  # a list and anything else is an error
            return Known("list", item=_joined([part.at(ITEM) for part in parts]))
    return Known()


def trouble(node: Node, scope: Mapping[str, Known]) -> tuple[int, str] | None:
    """Return where an expression goes through what is not known to be a list, and what is wrong with that; None if nowhere."""
    inner = scope
    for at, child in enumerate(node.children):
        found = trouble(child, inner)
        if found is None and at == 0 and node.kind == "macro":
            through = known(child, scope)
            inner = {**scope, node.bound: through.at(ITEM)}
            if not through.is_list:
                found = child.start, A_MAP if through.is_map else MAY_BE_A_MAP
        if found is not None:
            return found
    return None


def _read(node: Node, scope: Mapping[str, Known]) -> Known:
    root, *steps = node.path
    if root in scope:
        found = scope[root]
    elif root == "variables":
        found, steps = scope.get(".".join(node.path[:2]), Known()), steps[1:]
    else:
        is_record = root in vocabulary.ROOTS
        found = Known(vocabulary.type_of((root,)) or ("record" if is_record else ""), (root,))
    for step in steps:
        found = found.at(step)
    return found


def _joined(parts: list[Known]) -> Known:
    """Return what is known of a value that is one of some."""
    if parts and all(part == parts[0] for part in parts):
        return parts[0]
    if parts and all(part.is_list for part in parts):
        return Known("list", item=_joined([part.at(ITEM) for part in parts]))
    return Known("map") if parts and all(part.is_map for part in parts) else Known()


def _parts(value: Any, step: str) -> list[Any]:
    """Return what a step into a parameter may lead to."""
    if isinstance(value, Mapping):
        return list(value.values()) if step in {ITEM, UNKNOWN} else [value[step]] if step in value else []
    return list(value) if isinstance(value, list | tuple) and step in {ITEM, UNKNOWN} else []
