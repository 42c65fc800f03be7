"""The log, newest first: what was decided about a registry, a model under all its names, or one version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from gitops_registry.audit.decision import Event
from gitops_registry.audit.deriving import decisions
from gitops_registry.changes import Change
from gitops_registry.git.repository import Repository
from gitops_registry.reference import Reference


def events(repository: Repository, tip: str, *, name: str = "", limit: int | None = None) -> Iterator[Event]:
    """Yield the decisions that touched a model under all its names (or anything, without a name), newest first.

    Raises RegistryError in a shallow clone.
    """
    found: Iterable[Event] = reversed(list(decisions(repository, tip)))
    return islice(about(found, name) if name else iter(found), limit)


def about(found: Iterable[Event], name: str) -> Iterator[Event]:
    """Yield those decisions, newest first, that touched a model, which is called `name` by the newest one."""
    called = name
    for event in found:
        renamed = next((c for c in event.changes if c.kind == "model_renamed" and c.after == called), None)
        if renamed is not None or called in event.touched:
            yield event
        called = renamed.model if renamed is not None else called


def life(repository: Repository, tip: str, reference: Reference) -> Iterator[Event]:
    """Yield the decisions about one version, newest first, each with what it did to that version and nothing else.

    Raises RegistryError in a shallow clone.
    """
    yield from of_version(events(repository, tip, name=reference.name), reference)


def of_version(found: Iterable[Event], reference: Reference) -> Iterator[Event]:
    """Yield those decisions about a model, newest first, that are about one version, with that part of their changes alone."""
    names = {reference.name}
    for event in found:
        names |= {change.before for change in event.changes if change.kind == "model_renamed" and change.after in names}
        own = tuple(change for change in event.changes if change.model in names and _concerns(change, reference.number))
        if own:
            yield replace(event, changes=own)


def _concerns(change: Change, number: int) -> bool:
    is_alias = change.kind in {"alias_set", "alias_removed"}
    return change.version == number or (is_alias and number in {change.before, change.after})
