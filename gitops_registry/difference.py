"""The semantic difference of two registries: typed changes from the paths that differ.

Computed from those paths alone, so its cost grows with the change.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from gitops_registry import paths
from gitops_registry.changes import Change, Kind
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.parts import plain
from gitops_registry.paths import Place, place_of
from gitops_registry.snapshot import PathChange, Snapshot

OUR_FOLDERS = ("models/", "cards/", "policies/", ".dvc/")
_DESCRIBING = ("title", "description", "owners", "name")


def diff(before: Snapshot, after: Snapshot, changed: Sequence[PathChange]) -> list[Change]:
    """Return the changes that turn `before` into `after`, ordered by model, then version, then kind.

    `changed` are the paths that differ. Empty when the two mean the same, whatever their formatting. `diff(b, a)`
    is the exact undo of `diff(a, b)`. Paths that both sides' `unmanaged` globs name are somebody else's and left
    out. Raises ManifestError where a manifest of either side cannot be read.
    """
    globs = _unmanaged(before, after)
    groups: dict[tuple[str, int], list[tuple[Place, PathChange]]] = {}
    found: list[Change] = []
    objects: list[PathChange] = []
    for path in changed:
        place = place_of(path.path)
        if place.role == "store_object":
            objects.append(path)
        elif place.role in {"model", "version", "card", "pointer", "evaluation", "rendered_card"}:
            groups.setdefault((place.model, place.version), []).append((place, path))
        elif not is_unmanaged(path.path, globs):
            found.append(
                _plain_change(
                    place, path, _fields_of(before, place, path.old_oid), _fields_of(after, place, path.new_oid)
                )
            )
    for (name, number), members in groups.items():
        if number:
            found += _version_changes(name, number, members)
        else:
            found += _model_changes(before, after, name, members[0][1])
    found += _owned_objects(before, after, found, objects)
    return sorted(found, key=lambda c: (c.model, c.version, c.kind, c.subject))


def is_unmanaged(path: str, globs: Iterable[str]) -> bool:
    """Say whether a path belongs to somebody else's rules. Our own folders and files never do.

    A glob ending in `/**` names everything below a folder; any other is matched against the whole path.
    """
    if place_of(path).role != "unknown" or is_in_our_folders(path):
        return False
    return any(path.startswith(glob[:-2]) if glob.endswith("/**") else fnmatchcase(path, glob) for glob in globs)


def is_in_our_folders(path: str) -> bool:
    """Say whether a path lies where only registry files may, also on a disk that takes `Policies` for `policies`."""
    folded = _as_a_disk_reads(path)
    owners = folded.replace("codeowners", "CODEOWNERS")
    return any(place_of(p).role != "unknown" for p in (owners, owners + "/")) or f"{folded}/".startswith(OUR_FOLDERS)


def _as_a_disk_reads(path: str) -> str:
    """Return what any disk may take a path for: some ignore case, compatible signs, invisible signs, final dots and spaces."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())
    seen = "".join(sign for sign in folded if unicodedata.category(sign) != "Cf")
    return "/".join(part.rstrip(". ") or part for part in seen.replace("\\", "/").split("/"))


def _unmanaged(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """The globs that hold on both sides, so that no change can unmanage what it touches (all of the new side's at the start)."""
    new = after.constitution.unmanaged if after.read(paths.CONSTITUTION) is not None else ()
    if before.read(paths.CONSTITUTION) is None:
        return new
    old = before.constitution.unmanaged
    return old if after.read(paths.CONSTITUTION) is None else tuple(glob for glob in old if glob in new)


def _ids(path: PathChange) -> tuple[str | None, str | None]:
    return (path.old_oid or None, path.new_oid or None)


def _fields_of(side: Snapshot, place: Place, oid: str) -> dict[str, Any] | None:
    """Return the fields of the constitution or the access rules by their path (`stages.production.serving`); None for others."""
    if not oid or place.role not in {"constitution", "access"}:
        return None
    document = side.constitution if place.role == "constitution" else side.access
    return dict(_flat(plain(document))) if document else None


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single value with its path; items of a list that have a name are found by it."""
    named = isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value)
    if named:
        value = {item["name"]: item for item in value}
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _plain_change(
    place: Place, path: PathChange, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None
) -> Change:
    kinds: dict[str, Kind] = {
        "constitution": "registry_changed", "governance": "registry_changed", "access": "permission_changed", "policy": "policy_changed",
    }  # fmt: skip
    old: Any
    new: Any
    old, new = _ids(path)
    if before is not None and after is not None:
        unlike = [key for key in dict.fromkeys((*before, *after)) if before.get(key) != after.get(key)]
        old, new = ({key: side[key] for key in unlike if key in side} for side in (before, after))
    return Change(
        kinds.get(place.role, "unknown_file_changed"), place.model, place.version, path.path, old, new, (path,)
    )


def _model_changes(before: Snapshot, after: Snapshot, name: str, path: PathChange) -> list[Change]:
    old, new = before.model(name), after.model(name)
    found: list[Change] = []
    if old is None or new is None:
        found.append(Change("model_registered" if old is None else "model_deleted", name, 0, "", *_ids(path), (path,)))
    empty = Model(name=name)
    old_state, new_state = old or empty, new or empty
    if old is not None and new is not None:
        for field in _DESCRIBING:
            was, becomes = getattr(old, field), getattr(new, field)
            if was != becomes:
                found.append(Change("model_updated", name, 0, field, was, becomes, (path,)))
        found += _entries(name, old, new, path)
    firsts = (_first_stage(before, after), _first_stage(after, before))
    for number in sorted({n for state in (old_state, new_state) for held in state.stages.values() for n in held}):
        was, becomes = old_state.stage_of(number) or firsts[0], new_state.stage_of(number) or firsts[1]
        if was != becomes:
            found.append(Change("stage_transition", name, number, str(number), was, becomes, (path,)))
    for alias in sorted({*old_state.aliases, *new_state.aliases}):
        points, pointed = new_state.aliases.get(alias), old_state.aliases.get(alias)
        if points != pointed:
            found.append(
                Change(
                    "alias_removed" if points is None else "alias_set",
                    name,
                    points or pointed or 0,
                    alias,
                    pointed,
                    points,
                    (path,),
                )
            )
    return found


def _entries(name: str, old: Model, new: Model, path: PathChange) -> list[Change]:
    """One change for each tag and each spent number, so that the entries of two people stay two changes as they land."""
    tags = [
        Change("model_updated", name, 0, f"tags.{key}", old.tags.get(key), new.tags.get(key), (path,))
        for key in {**old.tags, **new.tags}
        if old.tags.get(key) != new.tags.get(key)
    ]
    spent = [Change("model_updated", name, n, "deleted", n, None, (path,)) for n in {*old.deleted} - {*new.deleted}]
    spent += [Change("model_updated", name, n, "deleted", None, n, (path,)) for n in {*new.deleted} - {*old.deleted}]
    return tags + spent


def _first_stage(snapshot: Snapshot, other: Snapshot) -> str:
    side = snapshot if snapshot.read(paths.CONSTITUTION) is not None else other
    return side.constitution.first_stage


def _version_changes(name: str, number: int, members: list[tuple[Place, PathChange]]) -> list[Change]:
    all_paths = tuple(path for _, path in members)
    facts = next((path for place, path in members if place.role == "version"), None)
    if facts is not None and not facts.old_oid:
        return [Change("version_registered", name, number, "", None, facts.new_oid, all_paths)]
    if facts is not None and not facts.new_oid:
        return [Change("version_deleted", name, number, "", facts.old_oid, None, all_paths)]
    found: list[Change] = []
    words = [(place, path) for place, path in members if place.role in {"card", "rendered_card"}]
    if words:
        path = next((path for place, path in words if place.role == "card"), words[0][1])
        found.append(Change("card_updated", name, number, path.path, *_ids(path), tuple(path for _, path in words)))
    for place, path in members:
        if place.role == "evaluation" and not path.old_oid:
            found.append(Change("evaluation_added", name, number, path.path, None, path.new_oid, (path,)))
        elif place.role in {"version", "pointer", "evaluation"}:
            found.append(Change("immutable_violated", name, number, path.path, *_ids(path), (path,)))
    return found


def _owned_objects(before: Snapshot, after: Snapshot, found: list[Change], objects: list[PathChange]) -> list[Change]:
    """Give each stored object to the version that brought or took it; return changes for those nobody owns."""
    if not objects:
        return []
    owners: dict[str, int] = {}
    for position, change in enumerate(found):
        if change.kind in {"version_registered", "version_deleted"}:
            side = after if change.kind == "version_registered" else before
            version = side.version(change.model, change.version)
            for artifact in version.artifacts if version else ():
                owners.setdefault(paths.store_path(artifact.md5), position)
    stray: list[Change] = []
    for path in objects:
        if path.path in owners:
            position = owners[path.path]
            found[position] = replace(found[position], paths=(*found[position].paths, path))
        else:
            stray.append(_plain_change(Place("unknown"), path))
    return stray
