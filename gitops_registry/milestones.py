"""The decisions that stand for versions: the one that registered it, and the one whose dvc.yaml leads DVC to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from gitops_registry import gto
from gitops_registry.paths import DVC_YAML, MODELS, place_of
from gitops_registry.reference import Reference
from gitops_registry.workplace import Workplace


class Milestones(NamedTuple):
    """Version → the decision whose dvc.yaml leads to it; and of versions without one, those whose own decision has no dvc.yaml
    that speaks of their model, with that decision.
    """

    leading: dict[Reference, str]
    mute: dict[Reference, str]


def registered(place: Workplace) -> dict[Reference, str]:
    """Return for every version there is now the decision that brought it under its present name, in order of name and number.

    One read of the history of `models/`. Raises RegistryError in a shallow clone.
    """
    snapshot = place.snapshot(place.tip())
    waiting = {Reference(name, number) for name in snapshot.live_models() for number in snapshot.versions(name)}
    found: dict[Reference, str] = {}
    for oid, changed in place.repository.steps(place.tip(), MODELS):
        for change in changed:
            at = place_of(change.path)
            reference = Reference(at.model, at.version)
            if at.role == "version" and change.new_oid and not change.old_oid and reference in waiting:
                waiting.remove(reference)
                found[reference] = oid
        if not waiting:
            break
    return dict(sorted(found.items()))


def milestones(place: Workplace) -> Milestones:
    """Return them for every version there is now: the decision that registered it, else the first one that leads to it.

    Raises RegistryError in a shallow clone.
    """
    found: dict[Reference, str] = {}
    mute: dict[Reference, str] = {}
    missing: set[Reference] = set()
    for reference, oid in registered(place).items():
        led_to = gto.number_listed(gto.written(place.snapshot(oid)), reference.name)
        if led_to == reference.number:
            found[reference] = oid
            continue
        missing.add(reference)
        if not led_to:
            mute[reference] = oid
    if missing:
        steps = [oid for oid, _ in place.repository.steps(place.tip(), DVC_YAML)]
        found |= _first_to_lead(place, reversed(steps), missing)
    return Milestones(found, {reference: oid for reference, oid in mute.items() if reference not in found})


def milestones_since(place: Workplace, since: str, names: Collection[str]) -> Milestones:
    """Return version → the first decision after `since` whose dvc.yaml leads to it, for models of those names."""
    steps = place.repository.own_steps(place.tip(), since) if names else []
    return Milestones({r: oid for r, oid in _first_to_lead(place, steps).items() if r.name in names}, {})


def _first_to_lead(
    place: Workplace, steps: Iterable[str], wanted: Collection[Reference] | None = None
) -> dict[Reference, str]:
    """Return version → the first of the steps that leads to it; what a step says as the one before it did is not read again."""
    found: dict[Reference, str] = {}
    before: frozenset[gto.Entry] = frozenset()
    for oid in steps:
        entries = gto.entries(gto.written(place.snapshot(oid)))
        for name, number in gto.numbers_of(entries - before).items():
            reference = Reference(name, number)
            if wanted is None or reference in wanted:
                found.setdefault(reference, oid)
        before = entries
    return found
