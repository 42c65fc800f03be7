"""When models and versions were made and last changed, as MLflow counts it: read from the log, decision by decision.

A description, a stage, a version that comes or goes and a new name are changes; a tag and an alias are none. What is known is
kept, so that a call reads the decisions that came since the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import NamedTuple

from gitops_registry.audit import Event
from gitops_registry.changes import Change
from gitops_registry.errors import ManifestError
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.reading import MAX_BYTES, parse
from gitops_registry.paths import place_of
from gitops_registry.registry import Registry

_WORDS = frozenset({"title", "description", "owners"})


class Moment(NamedTuple):
    """When something was made and last changed, in milliseconds, and the place of that change among all decisions."""

    created: int = 0
    updated: int = 0
    order: int = 0


_Key = tuple[str, int]
"""A model's name here, and a version's number; 0 for the model itself."""


class Moments:
    """What is known of one registry at one commit."""

    def __init__(self) -> None:
        self._at = ""
        self._order = 0
        self._known: dict[_Key, Moment] = {}

    def read(self, registry: Registry, tip: str) -> None:
        """Know what the log says up to a commit. Raises RegistryError in a shallow clone."""
        if tip == self._at:
            return
        seen = self._at
        new = list(takewhile(lambda event: event.commit.oid != seen, registry.log()))
        is_older = bool(seen) and len(new) > 0 and not _follows(registry, seen, new)
        if is_older:  # the history was rewritten, or another branch is decided on now
            self._known, self._order = {}, 0
            new = list(registry.log())
        for event in reversed(new):
            self._take(event, lambda change: _is_reworded(registry, change))
        self._at = tip

    def of_model(self, name: str) -> Moment:
        """Return the moments of a model; zeros where the log says nothing of it."""
        return self._known.get((name, 0), Moment())

    def of_version(self, name: str, number: int) -> tuple[int, int]:
        """Return when a version was last changed, and the place of that among all decisions."""
        found = self._known.get((name, number), Moment())
        return found.updated, found.order

    def _take(self, event: Event, is_reworded: Callable[[Change], bool]) -> None:
        self._order += 1
        now = event.commit.time * 1000
        for change in event.changes:
            if change.kind == "model_renamed":
                self._rename(change.model, str(change.after), now)
            elif change.kind == "model_deleted":
                for key in [key for key in self._known if key[0] == change.model]:
                    del self._known[key]
            else:
                for key, is_made in _touched(change, is_reworded):
                    before = None if is_made else self._known.get(key)
                    self._known[key] = Moment(before.created if before else now, now, self._order)

    def _rename(self, old: str, new: str, now: int) -> None:
        for key in [key for key in self._known if key[0] == old]:
            self._known[new, key[1]] = self._known.pop(key)._replace(updated=now, order=self._order)


def _follows(registry: Registry, seen: str, new: list[Event]) -> bool:
    return seen in new[-1].commit.parents or registry.place.repository.is_ancestor(seen, new[-1].commit.oid)


def _touched(change: Change, is_reworded: Callable[[Change], bool]) -> Iterator[tuple[_Key, bool]]:
    """Yield what a change is a change of, and whether that makes it."""
    model, version = (change.model, 0), (change.model, change.version)
    if change.kind == "model_registered":
        yield model, True
    elif change.kind == "version_registered":
        yield version, True
        yield model, False
    elif change.kind == "version_deleted":
        yield model, False
    elif change.kind == "stage_transition":
        yield version, False
        yield model, False
    elif change.kind == "model_updated" and change.subject in _WORDS:
        yield model, False
    elif change.kind == "card_updated" and is_reworded(change):
        yield version, False


def _is_reworded(registry: Registry, change: Change) -> bool:
    """Whether a version has other words by a change, not only other tags or another template of its card."""
    card = next((path for path in change.paths if place_of(path.path).role == "card"), None)
    if card is None or not (card.old_oid and card.new_oid):
        return card is not None
    words = []
    for oid in (card.old_oid, card.new_oid):
        found = registry.place.repository.objects.get(oid, limit=MAX_BYTES)
        if found is None or found.data is None:
            return True
        try:
            words.append(parse(found.data, card.path, Card).document.model_copy(update={"tags": {}}))
        except ManifestError:
            return True
    return words[0] != words[1]
