"""The log, newest first: what was decided about a registry, a model under all its names, or one version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from gitops_registry import paths
from gitops_registry.audit.decision import Event
from gitops_registry.audit.deriving import some
from gitops_registry.audit.storing import event_of, text_of
from gitops_registry.catalog.events import KeptEvents
from gitops_registry.changes import Change
from gitops_registry.git.line import ids
from gitops_registry.git.repository import Repository
from gitops_registry.history import past
from gitops_registry.identity import Witnesses
from gitops_registry.reference import Reference

_FEW, _MOST = 120, 1_000
"""Decisions that are read together: at first, and later on."""


def events(
    repository: Repository, tip: str, *, name: str = "", limit: int | None = None, anew: bool = False
) -> Iterator[Event]:
    """Yield the decisions that touched a model under all its names (or anything, without a name), newest first.

    What was read before is shown as it was kept, in a file that whoever owns the disk can write; `anew` reads all of it from
    git. Raises RegistryError in a shallow clone.
    """
    commits = (oid for _, oid, _ in past(repository, tip, name, _folders)) if name else _line(repository, tip)
    found = (event for event in _read(repository, commits, anew=anew) if event is not None)
    return islice(found, limit)


def _folders(called: str) -> tuple[str, ...]:
    return (f"{paths.MODELS}/{called}", f"cards/{called}")


def _line(repository: Repository, tip: str) -> Iterator[str]:
    """Yield the commits of the line newest first; whoever asks for few waits for few."""
    first = ids(repository, tip, limit=_FEW)
    yield from first
    if len(first) == _FEW:
        yield from ids(repository, tip)[_FEW:]


def _read(repository: Repository, commits: Iterable[str], *, anew: bool) -> Iterator[Event | None]:
    """Yield what commits of one line, newest first, decided, in blocks that grow: kept ones as they were kept."""
    witnesses = Witnesses(repository)
    kept = None if anew else KeptEvents(repository.common_dir / "gitops-registry")
    size, coming = _FEW, iter(commits)
    while block := list(islice(coming, size)):
        texts = kept.get(block) if kept else {}
        found: dict[str, Event | None] = {}
        for oid, text in texts.items():
            with suppress(ValueError):
                found[oid] = event_of(text)
        missing = [oid for oid in block[::-1] if oid not in found]
        if missing:
            new = dict(some(repository, witnesses, missing))
            if kept:
                kept.put((oid, text_of(event)) for oid, event in new.items())
            found |= new
        yield from (found.get(oid) for oid in block)
        size = min(size * 4, _MOST)


def life(repository: Repository, tip: str, reference: Reference, *, anew: bool = False) -> Iterator[Event]:
    """Yield the decisions about one version, newest first, each with what it did to that version and nothing else.

    Raises RegistryError in a shallow clone.
    """
    yield from of_version(events(repository, tip, name=reference.name, anew=anew), reference)


def of_version(found: Iterable[Event], reference: Reference) -> Iterator[Event]:
    """Yield those decisions about a model, newest first, that are about one version, with that part of their changes alone."""
    for event, own in _about(found, reference.name):
        if changes := tuple(change for change in own if reference.number in _concerned(change)):
            yield replace(event, changes=changes)


def by_version(found: Iterable[Event], name: str) -> dict[int, list[Event]]:
    """Return what `of_version` yields, for every version that decisions about a model were about."""
    lives: dict[int, list[Event]] = {}
    for event, own in _about(found, name):
        parts: dict[int, list[Change]] = {}
        for change in own:
            for number in _concerned(change):
                parts.setdefault(number, []).append(change)
        for number, changes in parts.items():
            lives.setdefault(number, []).append(replace(event, changes=tuple(changes)))
    return lives


def _about(found: Iterable[Event], name: str) -> Iterator[tuple[Event, list[Change]]]:
    """Yield events, newest first, each with what it did to a model under the name that it had then."""
    names = {name}
    for event in found:
        names |= {change.before for change in event.changes if change.kind == "model_renamed" and change.after in names}
        yield event, [change for change in event.changes if change.model in names]


def _concerned(change: Change) -> set[int]:
    """Return the numbers of the versions that a change is about."""
    aliased = (change.before, change.after) if change.kind in {"alias_set", "alias_removed"} else ()
    return {number for number in (change.version, *aliased) if isinstance(number, int) and number}
