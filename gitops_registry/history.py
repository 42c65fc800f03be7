"""What git history says of one model, under all the names it had: who held a stage, and whether facts were altered.

It is read from what commits hold, never from a message somebody wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gitops_registry import paths
from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.git.line import ids
from gitops_registry.git.repository import Repository
from gitops_registry.manifest.kinds import Constitution, Model
from gitops_registry.manifest.reading import MAX_BYTES, parse
from gitops_registry.paths import place_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import PathChange, Snapshot

if TYPE_CHECKING:
    from gitops_registry.policy.report import Alteration

_IMMUTABLE = frozenset({"version", "pointer", "evaluation"})


def past(
    repository: Repository, tip: str, name: str, folders: Callable[[str], tuple[str, ...]]
) -> Iterator[tuple[str, str, list[PathChange]]]:
    """Yield (what the model was called, commit, paths changed) for every decision that touched its folders, newest first.

    A decision that renamed it comes once, with the paths of both names. Raises RegistryError in a shallow clone.
    """
    called: str | None = name
    while called:
        earlier: tuple[str, str] | None = None
        for oid, changed in repository.steps(tip, *folders(called)):
            earlier = _earlier(repository, oid, called, changed)
            if earlier is None:
                yield called, oid, changed
                continue
            old, tip = earlier
            both = repository.changed_paths(tip, oid, *folders(old), *folders(called))
            yield called, oid, [change for change in both if place_of(change.path).model in {old, called}]
            break
        called = earlier[0] if earlier else None


def called_at(repository: Repository, tip: str, name: str, revision: str) -> str:
    """Return what the model that is called `name` at `tip` was called at an earlier decision; empty before it was there.

    Raises RegistryError in a shallow clone.
    """
    by_then = set(ids(repository, revision))
    folders = lambda called: (f"{paths.MODELS}/{called}",)  # noqa: E731
    return next((called for called, oid, _ in past(repository, tip, name, folders) if oid in by_then), "")


def _earlier(repository: Repository, oid: str, name: str, changed: Sequence[PathChange]) -> tuple[str, str] | None:
    """Return what a model was called before a decision that renamed it, and the commit before it; None for any other."""
    if not any(change.new_oid and not change.old_oid for change in changed):
        return None
    commit = repository.commit(oid)
    for change in repository.changed_paths(commit.parents[0], oid, paths.MODELS) if commit.parents else ():
        place = place_of(change.path)
        if place.role == "model" and place.model != name and change.old_oid and change.new_oid:
            tombstone = _state(repository, change.path, change.new_oid)
            if tombstone is not None and tombstone.renamed_to == name:
                return place.model, commit.parents[0]
    return None


def states(repository: Repository, tip: str, name: str) -> Iterator[tuple[str, Model | None, Model | None]]:
    """Yield (commit, model before, model after) for every decision that touched `model.yaml`, newest first."""
    for called, oid, changed in past(repository, tip, name, lambda called: (paths.model_path(called),)):
        here = next((c for c in changed if c.path == paths.model_path(called) and c.new_oid), None)
        was = next((c for c in changed if c.old_oid), None)
        if here or was:
            before = _state(repository, was.path, was.old_oid) if was else None
            yield oid, before, _state(repository, here.path, here.new_oid) if here else None


def _state(repository: Repository, path: str, oid: str) -> Model | None:
    if not oid:
        return None
    try:
        data = repository.source(oid).read_object(oid, path, MAX_BYTES)
        return None if data is None else _parsed(data, path)
    except ManifestError:
        return None


@lru_cache(maxsize=2_000)
def _parsed(data: bytes, path: str) -> Model:
    """Return a state of a model. Who judges many decisions about one comes to each again and again."""
    return parse(data, path, Model).document


def held(repository: Repository, tip: str, name: str, stage: str) -> tuple[int, ...]:
    """Return the versions that decisions put into a stage, those that were there last first."""
    return tenures(repository, tip, name, stage)[0]


def tenures(
    repository: Repository, tip: str, name: str, stage: str, *, serving: bool = False
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the versions that decisions put into a stage, and those of them that came there as one is judged today.

    Those that were there last are first; of versions that left together (or are there now) the one that came later. Of a
    stage that serves (`serving`) only those came as today that came while it served: before, nobody asked anything.
    """
    seen: dict[int, tuple[int, int]] = {}
    earned: set[int] = set()
    for at, (oid, before, after) in enumerate(states(repository, tip, name)):  # newest first
        for number in after.stages.get(stage, ()) if after else ():
            first, last = seen.get(number, (at, at))
            if number not in seen or last == at - 1:
                seen[number] = (first, at)
            is_new = before is None or before.stage_of(number) != stage
            if number not in earned and is_new and (not serving or _served(repository, oid, stage)):
                earned.add(number)
    order = tuple(sorted(seen, key=lambda number: (*seen[number], -number)))
    return order, tuple(number for number in order if number in earned)


def came_back(repository: Repository, tip: str, name: str, stage: str) -> frozenset[int]:
    """Return the versions in a stage that decisions put there more than once: they held it, left it and were put back."""
    came: dict[int, int] = {}
    present: set[int] | None = None
    for _, before, after in states(repository, tip, name):  # newest first
        there = set(after.stages.get(stage, ())) if after else set()
        present = there if present is None else present
        for number in there & present - set(before.stages.get(stage, ()) if before else ()):
            came[number] = came.get(number, 0) + 1
    return frozenset(number for number, times in came.items() if times > 1)


def _served(repository: Repository, oid: str, stage: str) -> bool:
    """Whether a stage served by the rules that a decision was judged by: those before it."""
    before = next(iter(repository.commit(oid).parents), oid)
    data = repository.source(before).read(paths.CONSTITUTION, MAX_BYTES)
    try:
        law = parse(data, paths.CONSTITUTION, Constitution).document if data else None
    except ManifestError:
        return False
    found = law.stage(stage) if law else None
    return found is not None and found.serving


def departed(repository: Repository, tip: str, name: str, number: int) -> tuple[str, Reference] | None:
    """Return the commit before a version was deleted, and what it was called there; None where it never was."""
    folders = lambda called: (paths.version_folder(called, number),)  # noqa: E731
    for called, oid, changed in past(repository, tip, name, folders):
        if any(change.path == paths.version_path(called, number) and not change.new_oid for change in changed):
            return repository.commit(oid).parents[0], Reference(called, number)
    return None


def altered(repository: Repository, tip: str, reference: Reference | None = None) -> dict[Reference, Alteration]:
    """Return the versions (or the one that is named) whose facts are not those they were registered with.

    A file that has its first bytes again is as it was, and so is one that a rename moved.
    """
    if reference is None:
        return dict(read_past(repository, tip).altered)
    folders = lambda called: (paths.version_folder(called, reference.number),)  # noqa: E731
    return _compared((oid, changed) for _, oid, changed in past(repository, tip, reference.name, folders))[0]


@dataclass(frozen=True)
class Past:
    """What the history to a commit says of all facts: what was altered, and the paths that were there and are not now."""

    tip: str
    altered: Mapping[Reference, Alteration]
    gone: frozenset[str]


def read_past(repository: Repository, tip: str, known: Past | None = None) -> Past:
    """Return what the history to `tip` says, continued from what is known of it at an earlier commit, where that can be.

    It can where `tip` comes after that commit, and every step since only adds facts at paths that never held any.
    """
    if known is not None and (known.tip == tip or _only_adds(repository, known, tip)):
        return Past(tip, known.altered, known.gone)
    found, gone = _compared(repository.steps(tip, paths.MODELS))
    return Past(tip, found, gone)


def _only_adds(repository: Repository, known: Past, tip: str) -> bool:
    if not repository.follows(tip, known.tip):
        return False
    return all(
        not change.old_oid and change.path not in known.gone
        for _, changed in repository.steps(f"{known.tip}..{tip}", paths.MODELS)
        for change in changed
        if place_of(change.path).role in _IMMUTABLE
    )


def _compared(
    steps: Iterable[tuple[str, Sequence[PathChange]]],
) -> tuple[dict[Reference, Alteration], frozenset[str]]:
    """Return what those steps, newest first, altered, and the paths of facts that the newest of them leave out."""
    first: dict[str, tuple[str, str]] = {}
    last: dict[str, tuple[str, str]] = {}
    came_from: dict[str, str] = {}
    for oid, changed in steps:
        facts = [change for change in changed if place_of(change.path).role in _IMMUTABLE]
        if any(not change.new_oid for change in facts):
            came_from |= _moves(facts)
        for change in facts:
            last.setdefault(change.path, (change.new_oid, oid))
            first[change.path] = (change.new_oid or change.old_oid, oid)
    return _unlike(first, last, came_from), frozenset(path for path, (now, _) in last.items() if not now)


def _moves(facts: Sequence[PathChange]) -> dict[str, str]:
    """Return new path → old path of files that one decision moved from a model to another, as they were."""
    gone = {(_tail(change.path), change.old_oid): change.path for change in facts if not change.new_oid}
    come = {change.path: (_tail(change.path), change.new_oid) for change in facts if not change.old_oid}
    return {path: gone[key] for path, key in come.items() if key in gone}


def _tail(path: str) -> tuple[str, int, str]:
    place = place_of(path)
    return place.role, place.version, place.file


def _unlike(
    first: Mapping[str, tuple[str, str]], last: Mapping[str, tuple[str, str]], came_from: Mapping[str, str]
) -> dict[Reference, Alteration]:
    from gitops_registry.policy.report import Alteration

    found: dict[Reference, Alteration] = {}
    moved = frozenset(came_from.values())
    for path, (now, changed_in) in last.items():
        origin = path
        while origin in came_from:
            origin = came_from[origin]
        registered, brought_in = first[origin]
        if (now and now != registered) or (not now and path not in moved):
            place = place_of(path)
            found.setdefault(Reference(place.model, place.version), Alteration(path, changed_in, brought_in))
    return found


@dataclass(frozen=True)
class Return:
    """What a rollback goes back to: the version, and the stage each present holder came from."""

    reference: Reference
    back: Mapping[int, str]


def before_present(
    repository: Repository, tip: str, snapshot: Snapshot, *, name: str, stage: str, to: int | None = None
) -> Return:
    """Return who held a stage before whoever holds it now, read from history (or `to`, if that was it).

    Raises NotFound where nobody else ever held it, or `to` never did.
    """
    present = set(snapshot.in_stage(name, stage))
    if to in present:
        raise NotFound(f"version {to} of {name} is in {stage} already", hint=f"see: gitops-registry show {name}")
    there = set(snapshot.versions(name)) if to is None else {to}
    back: dict[int, str] = {}
    for _, before, after in states(repository, tip, name):
        for number in present:
            was = before.stage_of(number) if before else None
            if number not in back and after and after.stage_of(number) == stage and was != stage:
                back[number] = was or snapshot.constitution.first_stage
        earlier = (set(before.stages.get(stage, ())) if before else set()) - present
        if earlier & there:
            return Return(Reference(name, max(earlier & there)), back)
    who = f"version {to}" if to is not None else "no other version"
    raise NotFound(
        f"{who} of {name} {'never' if to is not None else 'ever'} was in {stage}",
        hint=f"see: gitops-registry log {name}",
    )
