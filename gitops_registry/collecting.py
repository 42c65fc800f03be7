"""`gc`: the objects that no version and no proposal needs, and taking them away from the default remote and the cache.

Needed is every object that a pointer names at any branch, remote-tracking branch, tag or checkout, here or at a remote of
git, or in a work tree as it lies there; and every file of a folder that is named. History is no reason to keep bytes: a
version that was deleted stays in the log and loses them. What is younger than two weeks stays, because bytes are pushed
before the commit that names them. Whatever cannot be read, listed or reached ends it before anything is removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from gitops_registry import paths
from gitops_registry.artifact import Store
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.git.tips import Found, committed, newest, once_committed, require_whole, uncommitted
from gitops_registry.inventory import SPARED, Inventory, Stocked
from gitops_registry.listing import DIR
from gitops_registry.workplace import Workplace

_PATTERNS = ("*.dvc", "*dvc.lock", "models/*/model.yaml", "models/*/versions/*/version.yaml")
_NAME = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{32}(?:\.dir)?(?![0-9A-Za-z])")


@dataclass(frozen=True)
class Garbage:
    """One object that nobody needs, and the artifacts of past versions it once was, as far as history says."""

    name: str
    size: int
    written: datetime | None
    once: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "object": self.name,
            "size": self.size,
            "written": self.written.isoformat() if self.written else None,
            "once": list(self.once),
        }


@dataclass(frozen=True)
class Collection:
    """What was found in one place: what nobody needs, in order of name, and how much stays because it is needed or young.

    `removed` says how many objects were taken away; None when it was only looked.
    """

    location: str
    garbage: tuple[Garbage, ...] = ()
    needed: int = 0
    young: int = 0
    removed: int | None = None
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes that nobody needs."""
        return sum(one.size for one in self.garbage)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "location": self.location,
            "garbage": [one.to_json() for one in self.garbage],
            "bytes": self.size,
            "needed": self.needed,
            "young": self.young,
            "removed": self.removed,
            "note": self.note or None,
        }


def collect(
    place: Workplace, *, cache: bool = False, remove: bool = False, now: datetime | None = None
) -> list[Collection]:
    """Look for objects that nobody needs in the default remote (and with `cache` in the cache), and `remove` them.

    The store inside the repository is never touched. Raises RegistryError, with nothing removed, where this clone is
    shallow, partial or damaged, a pointer cannot be read, or git's remotes or the default remote cannot be reached.
    """
    require_whole(place.repository)
    place.tip()
    store = place.store()
    before = (now or datetime.now(UTC)) - SPARED
    found: list[Collection] = []
    with newest(place.repository):
        place.tell("looking for what is needed")
        needed = _needed(place)
        inventories: list[Inventory] = []
        if store.is_embedded:
            found.append(Collection(store.location, note="it is committed with git and only grows: nothing to remove"))
        else:
            inventories.append(store.inventory())
        inventories += [store.inventory(of_cache=True)] if cache else []
        seen = [(inventory, _sorted_out(inventory, store, needed, before)) for inventory in inventories]
        once = _once(place, {one.name for _, (garbage, _, _) in seen for one in garbage})
        place.tell("")
        for inventory, (garbage, kept, young) in seen:
            told = tuple(Garbage(one.name, one.size, one.written, once.get(one.name, ())) for one in garbage)
            removed = _removed(inventory, garbage, before) if remove else None
            found.append(Collection(inventory.location, told, kept, young, removed))
    return found


def _needed(place: Workplace) -> set[str]:
    """Return the names of all objects that somebody needs."""
    stands: dict[str, Found] = {}
    for files in (committed(place.repository, _PATTERNS), uncommitted(place.repository, _PATTERNS)):
        for file in files:
            for name in _names(file):
                stands.setdefault(name, file)
    needed = set(stands)
    for name, file in stands.items():
        if name.endswith(DIR):
            snapshot = place.snapshot(file.commit) if file.commit else place.snapshot()
            needed |= _children(place.store(snapshot), name, file.where)
    return needed


def _names(file: Found) -> set[str]:
    """Return the names of objects in a pointer of ours or any file of DVC's, however they are spelled there."""
    try:
        text = file.data.decode()
        found = set(_NAME.findall(text))
        stack, seen = [yaml.compose(text, Loader=yaml.CSafeLoader)], set[int]()
    except (yaml.YAMLError, UnicodeError, RecursionError, ValueError) as error:
        raise _unreadable(file, "it is no YAML") from error
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            found |= set(_NAME.findall(node.value))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == "md5" and not (isinstance(value, yaml.ScalarNode) and _NAME.fullmatch(value.value)):
                    raise _unreadable(file, "an md5 in it is none")
                stack += [key, value]
        else:
            stack += node.value
    if "models/" in file.where and ".dvc" in file.where and not found:
        raise _unreadable(file, "it names no object")
    return {name.lower() for name in found}


def _unreadable(file: Found, why: str) -> Damaged:
    return Damaged(
        f"{file.where} cannot be read, so nobody knows what it needs: {why}",
        hint="mend or remove it; nothing was removed from the store",
    )


def _children(store: Store, name: str, where: str) -> set[str]:
    """Return the objects of a folder's files. Raises Damaged where its list cannot be read: they may be needed."""
    try:
        entries = json.loads(store.listed(name, where))
        found = {entry["md5"].lower() for entry in entries}
        if all(_NAME.fullmatch(md5) for md5 in found):
            return found
        why = "it is no list of files"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        why = "it is no list of files"
    except RegistryError as error:
        why = error.message
    raise Damaged(
        f"nobody knows what the folder {name} needs, which {where} names: {why}",
        hint="bring its list back with `dvc push` from a computer that has it; nothing was removed",
    )


def _sorted_out(
    inventory: Inventory, store: Store, needed: set[str], before: datetime
) -> tuple[list[Stocked], int, int]:
    """Return what nobody needs in order of name, how many objects are needed, and how many are spared as too young.

    The files of a folder that is spared are spared with it, however old they are.
    """
    names = inventory.names()
    free = {one.name: one for one in inventory.look(names - needed)}
    young = {name for name, one in free.items() if one.written is None or one.written >= before}
    for name in [name for name in young if name.endswith(DIR)]:
        young |= _children(store, name, inventory.location) & set(free)
    return [one for name, one in sorted(free.items()) if name not in young], len(names & needed), len(young)


def _once(place: Workplace, names: set[str]) -> dict[str, tuple[str, ...]]:
    """Return object → the artifacts of past versions that it was, as the pointers that were taken away say."""
    found: dict[str, set[str]] = {}
    for path, data in once_committed(place.repository, paths.MODELS, "*.dvc") if names else ():
        where = paths.place_of(path)
        for name in set(_NAME.findall(data.decode(errors="replace"))) & names:
            found.setdefault(name, set()).add(f"{where.model}@{where.version} {where.file}")
    return {name: tuple(sorted(labels)) for name, labels in found.items()}


def _removed(inventory: Inventory, garbage: Iterable[Stocked], before: datetime) -> int:
    """Remove objects, lists of folders first, so that none is left alone; one that was written again meanwhile stays."""
    in_order = sorted(garbage, key=lambda one: (not one.name.endswith(DIR), one.name))
    keep = lambda one: one.written is None or one.written >= before  # noqa: E731
    return sum(inventory.remove(one.name, unless=keep) for one in in_order)
