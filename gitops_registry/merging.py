"""Landing a proposal on the tip: values are merged, path by path, never lines of text.

A path that only the proposal changed is taken. `model.yaml` changed on both sides is merged by value: what
the two sides changed must be different things. Anything else that both changed is a conflict, said in our words.
No rename is guessed and no merge driver is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitops_registry.edits import rewritten
from gitops_registry.errors import Conflict, ManifestError
from gitops_registry.gto import is_on
from gitops_registry.manifest.kinds import Constitution, Model
from gitops_registry.paths import place_of, version_folder, version_path
from gitops_registry.snapshot import Content, Edits, PathChange, Snapshot, Stored

_MODEL_FIELDS = ("title", "description", "owners", "name", "evaluation")


def land(
    base: Snapshot, head: Snapshot, tip: Snapshot, *, ours: Sequence[PathChange], theirs: Sequence[PathChange]
) -> Edits:
    """Return the edits that the proposal makes on the tip.

    `ours` are the paths that differ from `base` to `head`, `theirs` those from `base` to `tip`. What lands means
    exactly what the proposal meant, or nothing lands: raises Conflict with every reason, in order of path.
    """
    meanwhile = {change.path: change for change in theirs}
    edits: dict[str, Content | None] = {}
    conflicts = _in_the_way(ours, theirs) + _half_deleted(ours, theirs)
    for change in ours:
        other = meanwhile.get(change.path)
        place = place_of(change.path)
        if other is None:
            edits[change.path] = Stored(change.new_oid, change.new_mode) if change.new_oid else None
        elif place.role == "model":
            merged, problems = _merge_model(
                base.model(place.model), head.model(place.model), tip.model(place.model), tip.constitution
            )
            conflicts += [f"{place.model}: {problem}" for problem in problems]
            if merged is not None:
                edits |= rewritten(tip, merged)
        elif place.role == "interop" and is_on(tip):
            continue  # whoever lands it writes it anew from what there is then
        elif place.role != "store_object" or other.new_oid != change.new_oid:
            conflicts.append(f"{change.path} was {'removed' if not other.new_oid else 'changed'} meanwhile")
    conflicts += [f"{model}: {problem}" for model, problem in _other_versions(head, tip, ours)]
    if conflicts:
        raise Conflict(
            "; ".join(conflicts),
            hint="close the proposal and make it again on the present state: gitops-registry proposals close BRANCH",
        )
    return edits


def _other_versions(head: Snapshot, tip: Snapshot, ours: Sequence[PathChange]) -> list[tuple[str, str]]:
    """Versions that the proposal names in `model.yaml`, or adds to, and that are not what they were when it was made."""
    found = []
    places = [place_of(change.path) for change in ours]
    brought = {
        (at.model, at.version)
        for at, change in zip(places, ours, strict=True)
        if at.role == "version" and change.new_oid
    }
    for name, number in sorted({(at.model, at.version) for at in places if at.version} - brought):
        here, there = (side.oid(version_path(name, number)) for side in (head, tip))
        if here and there and here != there:
            found.append((name, f"version {number} is another one than when this was proposed"))
    for name in sorted({at.model for at in places if at.role == "model"}):
        try:
            model = head.model(name)
        except ManifestError:
            continue  # the check says so, with the place
        named = {n for held in model.stages.values() for n in held} | set(model.aliases.values()) if model else set()
        for number in sorted(named):
            here, there = (side.oid(version_path(name, number)) for side in (head, tip))
            if here and there and here != there:
                found.append((name, f"version {number} is another one than when this was proposed"))
    return list(dict.fromkeys(found))


def landed_paths(after: Snapshot, ours: Sequence[PathChange], theirs: Sequence[PathChange]) -> list[PathChange]:
    """Return the paths that `land` changes on the tip, in order, with their modes.

    What only the proposal changed is exactly what it was there, a mere change of mode included.
    """
    meanwhile = {change.path for change in theirs}
    taken = {change.path: change for change in ours if change.path not in meanwhile}
    merged = {change.path: change for change in after.changed_paths() if change.path in meanwhile}
    return [change for _, change in sorted({**taken, **merged}.items())]


def _in_the_way(ours: Sequence[PathChange], theirs: Sequence[PathChange]) -> list[str]:
    """What both sides added where there is room for one: names that differ in case, a file where a folder is."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for change in theirs:
        if change.new_oid:
            files[change.path.lower()] = change.path
            folders |= dict.fromkeys(_parents(change.path.lower()), change.path)
    found = []
    for path in (change.path for change in ours if change.new_oid):
        folded = path.lower()
        twin = files.get(folded, path)
        if twin != path:
            found.append(f"{path} and {twin}, added meanwhile, differ only in case")
        blocking = folders.get(folded) or next((files[up] for up in _parents(folded) if up in files), None)
        if blocking:
            found.append(f"{path} cannot be where {blocking} is since")
    return found


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _half_deleted(ours: Sequence[PathChange], theirs: Sequence[PathChange]) -> list[str]:
    """Versions that one side deleted and the other added files to."""
    found = set()
    for deleting, other in ((ours, theirs), (theirs, ours)):
        gone = {place_of(change.path) for change in deleting if not change.new_oid}
        folders = {version_folder(place.model, place.version) for place in gone if place.role == "version"}
        for change in other:
            place = place_of(change.path)
            if change.new_oid and place.version and version_folder(place.model, place.version) in folders:
                found.add(f"version {place.version} of {place.model} was deleted on one side and changed on the other")
    return sorted(found)


def _merge_model(
    base: Model | None, ours: Model | None, theirs: Model | None, constitution: Constitution
) -> tuple[Model | None, list[str]]:
    """Return the model with both sides' changes, and what they both changed."""
    if ours is None or theirs is None:
        return None, ["the model was deleted on one side and changed on the other"]
    if base is None:
        return None, ["the model was registered meanwhile"]
    gone = next((model for model in (theirs, ours) if model.is_gone), None)
    if gone is not None:
        return None, [f"the model was {'deleted' if gone.removed else f'renamed to {gone.renamed_to}'} on one side"]
    start = base
    problems: list[str] = []
    update: dict[str, Any] = {}
    for field in _MODEL_FIELDS:
        update[field] = _either(getattr(start, field), getattr(ours, field), getattr(theirs, field), field, problems)
    update["tags"] = _merge_map(start.tags, ours.tags, theirs.tags, "tag", problems)
    update["aliases"] = _merge_map(start.aliases, ours.aliases, theirs.aliases, "alias", problems)
    update["deleted"] = tuple(sorted(_merge_set(set(start.deleted), set(ours.deleted), set(theirs.deleted))))
    update["stages"] = _merge_stages(start, ours, theirs, constitution, problems)
    problems += _touched_deleted(start, ours, theirs) + _touched_deleted(start, theirs, ours)
    problems += _same_but_for_case(update["aliases"])
    if problems:
        return None, problems
    return theirs.model_copy(update=update), []


def _either(start: Any, ours: Any, theirs: Any, what: str, problems: list[str]) -> Any:
    if ours != start and theirs != start:
        problems.append(f"{what} was changed meanwhile")
    return ours if ours != start else theirs


def _merge_map(
    start: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], what: str, problems: list[str]
) -> dict[str, Any]:
    merged = {}
    for key in dict.fromkeys((*theirs, *ours, *start)):
        value = _either(start.get(key), ours.get(key), theirs.get(key), f"{what} {key}", problems)
        if value is not None:
            merged[key] = value
    return merged


def _merge_set(start: set[int], ours: set[int], theirs: set[int]) -> set[int]:
    return (start | (ours - start) | (theirs - start)) - (start - ours) - (start - theirs)


def _same_but_for_case(aliases: Mapping[str, int]) -> list[str]:
    folded: dict[str, str] = {}
    return [
        f"alias {alias} and {folded[alias.lower()]}, added meanwhile, differ only in case"
        for alias in aliases
        if folded.setdefault(alias.lower(), alias) != alias
    ]


def _merge_stages(
    start: Model, ours: Model, theirs: Model, constitution: Constitution, problems: list[str]
) -> dict[str, tuple[int, ...]]:
    for stage in constitution.stages:
        held = [set(model.stages.get(stage.name, ())) for model in (start, ours, theirs)]
        if stage.exclusive and held[1] != held[0] and held[2] != held[0]:
            now = ", ".join(map(str, sorted(held[2]))) or "nothing"
            problems.append(f"{stage.name} holds {now} since, and the proposal changes it too")
    merged: dict[str, list[int]] = {stage: [] for stage in (*theirs.stages, *ours.stages)}
    numbers = {n for model in (start, ours, theirs) for held in model.stages.values() for n in held}
    for number in sorted(numbers):
        was, mine, yours = start.stage_of(number), ours.stage_of(number), theirs.stage_of(number)
        if mine != was and yours != was:
            problems.append(f"version {number} was moved to {yours or constitution.first_stage} meanwhile")
        stage_name = mine if mine != was else yours
        if stage_name is not None:
            merged[stage_name].append(number)
    return {stage: tuple(held) for stage, held in merged.items() if held}


def _touched_deleted(start: Model, one: Model, other: Model) -> list[str]:
    gone = set(one.deleted) - set(start.deleted)
    touched = {n for n in gone if other.stage_of(n) != start.stage_of(n) or n in other.deleted}
    touched |= {n for alias, n in other.aliases.items() if n in gone and start.aliases.get(alias) != n}
    return [f"version {number} was deleted on one side and changed on the other" for number in sorted(touched)]
