"""What an expression may read: whether it is in the table of facts, of which type, and who must have found it out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gitops_registry.policy.fact_table import FACTS as FACTS
from gitops_registry.policy.fact_table import Fact as Fact
from gitops_registry.policy.fact_table import Gathered as Gathered
from gitops_registry.policy.grammar import ITEM, UNKNOWN, Path

ROOTS = ("candidate", "champion", "model", "change", "params", "variables", "registry", "now")
CONDITION_ROOTS = ("model", "change", "params", "registry", "now")
"""What a match condition sees: the base and the event, nothing that the change's author wrote."""
_LONGEST_EXAMPLE = 70
_CHAMPION = {"version": 2, "stage": "production", "release": "1.1.0"}
_CHAMPIONS_METRICS = {"accuracy": 0.94, "f1": 0.93, "r2": 0.79}


@dataclass
class _Entry:
    fact: Fact | None = None
    inside: dict[str, _Entry] = field(default_factory=dict)


def _tree() -> _Entry:
    root = _Entry()
    for fact in FACTS:
        entry = root
        for step in fact.path.split("."):
            entry = entry.inside.setdefault(step, _Entry())
        entry.fact = fact
    return root


_TREE = _tree()


def problem(path: Path, known: Mapping[str, tuple[str, ...]]) -> str:
    """Say why an expression cannot read a path; empty where it can. `known` are the names below `params` and `variables`."""
    root = path[0]
    if root in known:
        if len(path) > 1 and path[1] != UNKNOWN and path[1] not in known[root]:
            return f"{root} has no {path[1]!r}{_close(path[1], known[root])}"
        return ""
    if root not in _TREE.inside:
        return ""  # the engine says it, with what it knows of namespaces and types
    entry = _TREE.inside[root]
    for at, step in enumerate(path[1:], 1):
        told = ".".join(path[:at]).replace(f".{ITEM}", ITEM)
        if entry.inside and ITEM not in entry.inside:
            if step == UNKNOWN:
                return f"{told} is read by a key that is only known later; name the field"
            if step not in entry.inside:
                return f"{told} has no {step!r}{_close(step, tuple(entry.inside))}"
            entry = entry.inside[step]
            continue
        kind = entry.fact.type.removesuffix(" | null") if entry.fact else ""
        if kind.startswith("list"):
            if step not in {ITEM, UNKNOWN}:
                return f"{told} is a list; its items are read with exists(), all() or [0]"
            if ITEM not in entry.inside:
                return ""
            entry = entry.inside[ITEM]
            continue
        if kind.startswith("map") or kind == "dyn":
            return ""
        return f"{told} is of type {kind} and has no {step!r}"
    return ""


def _close(name: str, names: tuple[str, ...]) -> str:
    found = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {found[0]!r}?" if found else f"; it has {', '.join(names)}" if names else ""


def type_of(path: Path) -> str:
    """Return the type that the table gives a path: of what a map or a list holds, that; empty where it says nothing."""
    entry: _Entry | None = _TREE.inside.get(path[0])
    for step in path[1:]:
        if entry is None:
            return ""
        kind = entry.fact.type.removesuffix(" | null") if entry.fact else ""
        if kind.startswith("map(") and not entry.inside:
            return kind[4:-1].partition(", ")[2]
        entry = entry.inside.get(step)
    return entry.fact.type if entry and entry.fact else ""


def mistyped(facts: Mapping[str, Any]) -> str:
    """Say which of some facts is no record, list or map though the table says so; empty where all are."""
    found = (_mistyped(_TREE.inside[root], facts[root], root) for root in _TREE.inside if root in facts)
    return next(filter(None, found), "")


def _mistyped(entry: _Entry, value: Any, path: str) -> str:
    kind = entry.fact.type if entry.fact else "record"
    if value is None and ("| null" in kind or "." in path):
        return ""
    kind = kind.removesuffix(" | null")
    shape: Any = list if kind.startswith("list") else dict if kind == "record" or kind.startswith("map") else object
    if not isinstance(value, shape):
        return f"{path} is a {kind} and cannot be set to {shown_value(value)}"
    inside: list[tuple[_Entry, Any, str]] = []
    if kind == "record":
        inside = [(entry.inside[name], value[name], f"{path}.{name}") for name in entry.inside if name in value]
    elif ITEM in entry.inside:
        inside = [(entry.inside[ITEM], item, f"{path}.{ITEM}") for item in value]
    elif kind.startswith("map") and "list" in kind:
        inside = [(_Entry(Fact("", "list(int)", None, "")), item, f"{path}.{key}") for key, item in value.items()]
    return next(filter(None, (_mistyped(*one) for one in inside)), "")


def gathered_for(path: Path) -> set[Gathered]:
    """Return who must have found out what a path reads, that of everything below it too; empty for what files say."""
    entry = _TREE.inside.get(path[0])
    for step in path[1:]:
        if entry is None:
            return set()
        if step not in entry.inside:
            break
        entry = entry.inside[step]
    return set(_sources(entry)) - {""} if entry else set()


def missing_without(path: Path) -> set[Gathered]:
    """Return what nobody found out where a path is not there: who holds the stage without `champion`, nothing without its metrics."""
    above: _Entry | None = None
    entry = _TREE
    for step in path:
        if step not in entry.inside:
            return set()
        above, entry = entry, entry.inside[step]
    found = entry.fact.gathered if entry.fact else ""
    is_part = above is not None and above.fact is not None and above.fact.gathered == found
    return {found} if found and not is_part else set()


def _sources(entry: _Entry) -> Iterator[Gathered]:
    if entry.fact:
        yield entry.fact.gathered
    if entry.fact is None:
        for inner in entry.inside.values():
            yield from _sources(inner)


def shown_example(fact: Fact) -> str:
    """Return the example of a fact as one line of text; empty for a record, whose fields have their own."""
    if fact.example is ...:
        return ""
    if isinstance(fact.example, datetime):
        return fact.example.isoformat().replace("+00:00", "Z")
    return shown_value(fact.example)


def shown_value(value: Any) -> str:
    """Return a value as the start of one line of text."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_EXAMPLE else f"{text[: _LONGEST_EXAMPLE - 1]}…"


def example() -> dict[str, Any]:
    """Return the facts that a test of a policy starts from: a version that meets what one would ask for, and its champion."""
    facts = {name: _example_of(entry) for name, entry in _TREE.inside.items()}
    metrics = {"metrics": dict(_CHAMPIONS_METRICS), "measured": dict(_CHAMPIONS_METRICS)}
    facts["champion"] = {**facts["champion"], **_CHAMPION, **metrics}
    return facts


def _example_of(entry: _Entry) -> Any:
    if entry.fact is not None and entry.fact.example is not ...:
        value = entry.fact.example
        return (
            [dict(item) if isinstance(item, dict) else item for item in value]
            if isinstance(value, list)
            else (dict(value) if isinstance(value, dict) else value)
        )
    return {name: _example_of(inner) for name, inner in entry.inside.items()}
