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
from gitops_registry.errors import ManifestError
from gitops_registry.gto import is_on
from gitops_registry.listing import committed_objects
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.members import Key, Member
from gitops_registry.manifest.parts import Document, plain
from gitops_registry.manifest.policies import Policy, Waiver
from gitops_registry.paths import Place, place_of
from gitops_registry.snapshot import PathChange, Snapshot

OUR_FOLDERS = ("models/", "cards/", "policies/", ".dvc/")
_ANYBODYS = ("unknown", "interop")
"""Roles of paths that may be other people's: whether dvc.yaml is, registry.yaml says."""
_DESCRIBING = ("title", "description", "owners", "name", "renamed_to")


def diff(before: Snapshot, after: Snapshot, changed: Sequence[PathChange]) -> list[Change]:
    """Return the changes that turn `before` into `after`, ordered by model, then version, then kind.

    `changed` are the paths that differ. Empty when the two mean the same, whatever their formatting. `diff(b, a)`
    is the exact undo of `diff(a, b)`. Paths that both sides' `unmanaged` globs name are somebody else's and left
    out. Raises ManifestError where a manifest of either side cannot be read.
    """
    globs = _unmanaged(before, after)
    groups: Groups = {}
    found: list[Change] = []
    objects: list[PathChange] = []
    for path in changed:
        place = place_of(path.path)
        if place.role == "store_object":
            objects.append(path)
        elif place.role in {"model", "version", "card", "pointer", "evaluation", "rendered_card", "evaluation_data"}:
            groups.setdefault((place.model, place.version), []).append((place, path))
        elif place.role == "interop" and (is_on(after) or (is_on(before) and not path.new_oid)):
            continue  # it follows from the rest, and the rule `interop` refuses any other
        elif not is_unmanaged(path.path, globs):
            found.append(
                _plain_change(
                    place, path, _fields_of(before, place, path.old_oid), _fields_of(after, place, path.new_oid)
                )
            )
    found += _take_renames(before, after, groups)
    for (name, number), members in groups.items():
        if number:
            found += _version_changes(name, number, members)
        else:
            found += _data_changes(before.model(name), after.model(name), name, members)
            found += [
                c for at, path in members if at.role == "model" for c in _model_changes(before, after, name, path)
            ]
    found += _owned_objects(before, after, found, objects)
    return sorted(found, key=lambda c: (c.model, c.version, c.kind, c.subject))


Groups = dict[tuple[str, int], list[tuple[Place, PathChange]]]


def _take_renames(before: Snapshot, after: Snapshot, groups: Groups) -> list[Change]:
    """Return the changes of models that were renamed, and take what belongs to them out of the groups.

    A rename moves every file of every version as it is and leaves a tombstone; whatever else it brings is a change of its own.
    """
    found: list[Change] = []
    for name, number in list(groups):
        old, new = (side.model(name) for side in (before, after)) if not number else (None, None)
        target = new.renamed_to if new else None
        if old is None or old.is_gone or target is None or before.model(target) is not None:
            continue
        moved = after.model(target)
        members = _moved_members(groups, name, target)
        if moved is None or members is None or after.versions(name):
            continue
        model_path = next(path for place, path in members if place == Place("model", target))
        found.append(Change("model_renamed", name, 0, target, name, target, tuple(path for _, path in members)))
        same = old.model_copy(update={"name": target})
        found += _described(target, same, moved, model_path) + _entries(target, same, moved, model_path)
        found += _state_changes(before, after, target, same, moved, model_path)
        found += _data_changes(same, moved, target, [(Place("model", target), model_path)])
        for key in [key for key in groups if key[0] in {name, target}]:
            del groups[key]
    return found


def _moved_members(groups: Groups, name: str, target: str) -> list[tuple[Place, PathChange]] | None:
    """Return the paths of both names where each file of a version went from the one to the other; None where one did not."""
    members = {side: [m for key, held in groups.items() if key[0] == side for m in held] for side in (name, target)}
    kept = ("version", "pointer", "card", "evaluation", "evaluation_data")
    gone = {(p.version, p.role, p.file): (c.old_oid, c.new_oid) for p, c in members[name] if p.role in kept}
    come = {(p.version, p.role, p.file): (c.new_oid, c.old_oid) for p, c in members[target] if p.role in kept}
    is_whole = gone == come and not any(new for _, new in gone.values())
    return [*members[name], *members[target]] if is_whole else None


def is_unmanaged(path: str, globs: Iterable[str]) -> bool:
    """Say whether a path belongs to somebody else's rules. Our own folders and files never do.

    A glob ending in `/**` names everything below a folder; any other is matched against the whole path.
    """
    if place_of(path).role not in _ANYBODYS or is_in_our_folders(path):
        return False
    return any(path.startswith(glob[:-2]) if glob.endswith("/**") else fnmatchcase(path, glob) for glob in globs)


def meaning_the_same(before: Snapshot, changes: Sequence[Change], changed: Sequence[PathChange]) -> list[str]:
    """Return the files that changed and stand in no change: what they say is what they said, in other words or bytes."""
    planned = {path.path for change in changes for path in change.paths}
    globs = before.constitution.unmanaged
    return [change.path for change in changed if change.path not in planned and not is_unmanaged(change.path, globs)]


def is_in_our_folders(path: str) -> bool:
    """Say whether a path lies where only registry files may, also on a disk that takes `Policies` for `policies`."""
    folded = _as_a_disk_reads(path)
    owners = folded.replace("codeowners", "CODEOWNERS")
    return any(place_of(p).role not in _ANYBODYS for p in (owners, owners + "/")) or f"{folded}/".startswith(
        OUR_FOLDERS
    )


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
    """Return the fields of a rule's file by their path (`stages.production.serving`); None for other files, and a broken policy."""
    if not oid or place.role not in {"constitution", "access", "policy", "waiver"}:
        return None
    if place.role in {"constitution", "access"}:
        access = side.access if place.role == "access" else None
        if access is not None:
            told = {**plain(access), "members": {one.name: _told(one) for one in access.members}}
            return dict(_flat({field: value for field, value in told.items() if value or field != "members"}))
        document: Document | None = side.constitution if place.role == "constitution" else None
        return dict(_flat(plain(document))) if document else None
    kind, path = (
        (Policy, paths.policy_path(place.file)) if place.role == "policy" else (Waiver, paths.waiver_path(place.file))
    )
    try:
        parsed = side.parsed(path, kind)
    except ManifestError:  # a base that holds a broken policy must be mended by a change
        return None
    return dict(_flat(plain(parsed.document))) if parsed else None


def _told(member: Member) -> dict[str, Any]:
    """Return a member as a reviewer reads them: what they may do first, each key by its fingerprint, nothing that is empty."""
    keys = {key.public.fingerprint: _counts(key) for key in member.keys}
    called = [":".join(str(part) for part in (one.forge, one.login, one.id) if part) for one in member.identities]
    told = {
        "role": member.role,
        "keys": keys,
        "models": list(member.models),
        "kind": member.kind,
        "email": member.email,
        "identities": called,
    }
    return {field: value for field, value in told.items() if value}


def _counts(key: Key) -> str:
    return "revoked" if key.revoked else f"until {plain(key)['not_after']}" if key.not_after else "counts"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single value with its path; items of a list that have a name or an id are found by it."""
    for key in ("name", "id"):
        if isinstance(value, list) and all(isinstance(item, dict) and key in item for item in value):
            value = {item[key]: item for item in value}
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
        "waiver": "policy_changed",
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
    elif old.removed != new.removed:  # a tombstone holds nothing to compare
        return [Change("model_deleted" if new.removed else "model_registered", name, 0, "", *_ids(path), (path,))]
    else:
        found += _described(name, old, new, path) + _entries(name, old, new, path)
    return found + _state_changes(before, after, name, old or Model(name=name), new or Model(name=name), path)


def _data_changes(
    old: Model | None, new: Model | None, name: str, members: list[tuple[Place, PathChange]]
) -> list[Change]:
    """The one change of a model's evaluation data: what `model.yaml` says of it, and its pointer."""
    was, now = (plain(side.evaluation) if side and side.evaluation else None for side in (old, new))
    pointers = [path for place, path in members if place.role == "evaluation_data"]
    if was == now and not pointers:
        return []
    carried = [path for place, path in members if place.role == "model"] if was != now else []
    return [Change("model_updated", name, 0, "evaluation", was, now, (*carried, *pointers))]


def _described(name: str, old: Model, new: Model, path: PathChange) -> list[Change]:
    fields = [(field, getattr(old, field), getattr(new, field)) for field in _DESCRIBING]
    return [Change("model_updated", name, 0, field, was, now, (path,)) for field, was, now in fields if was != now]


def _state_changes(
    before: Snapshot, after: Snapshot, name: str, old: Model, new: Model, path: PathChange
) -> list[Change]:
    """Moves between stages and of aliases. A version that is deleted (or comes back) leaves its stage with that."""
    found: list[Change] = []
    firsts = (_first_stage(before, after), _first_stage(after, before))
    spent = {*old.deleted} ^ {*new.deleted}
    for number in sorted({n for state in (old, new) for held in state.stages.values() for n in held} - spent):
        was, becomes = old.stage_of(number) or firsts[0], new.stage_of(number) or firsts[1]
        if was != becomes:
            found.append(Change("stage_transition", name, number, str(number), was, becomes, (path,)))
    for alias in sorted({*old.aliases, *new.aliases}):
        points, pointed = new.aliases.get(alias), old.aliases.get(alias)
        if points != pointed:
            kind: Kind = "alias_removed" if points is None else "alias_set"
            found.append(Change(kind, name, points or pointed or 0, alias, pointed, points, (path,)))
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
                for name in committed_objects(side, artifact):
                    owners.setdefault(paths.store_path(name), position)
        elif change.subject == "evaluation" and change.after:
            owners.setdefault(paths.store_path(change.after["md5"]), position)
    stray: list[Change] = []
    for path in objects:
        if path.path in owners:
            position = owners[path.path]
            found[position] = replace(found[position], paths=(*found[position].paths, path))
        else:
            stray.append(_plain_change(Place("unknown"), path))
    return stray
