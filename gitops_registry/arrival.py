"""One version of another registry on its way into this one: what it will be, and the decisions that bring it.

A version and everything that belongs to it (its stage, its aliases, numbers that are skipped) come in one commit; only a
move to a stage that serves is a second one, judged for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitops_registry import edits, paths
from gitops_registry.deciding import Intent
from gitops_registry.digests import Digest
from gitops_registry.errors import Conflict
from gitops_registry.foreign import MOST_SPENT, ForeignModel, ForeignVersion, following, stops
from gitops_registry.holding import Held, committed_with
from gitops_registry.manifest.facts import Artifact, Version
from gitops_registry.manifest.kinds import Card, Constitution
from gitops_registry.pointer import pointer
from gitops_registry.reference import Reference
from gitops_registry.series import Step
from gitops_registry.snapshot import Content, Edits, Snapshot
from gitops_registry.translation import lineage
from gitops_registry.workplace import Workplace

STAGE_RULES = frozenset({"stage-order", "default-deny", "policies", "approvals", "cards"})
"""What an administrator who takes stages over as they are answers for."""
UNREAD = Digest("0" * 32 + ".dir", "0" * 64, 0, 1)
"""Stands for a folder that a dry run does not read."""


@dataclass(frozen=True)
class Arrival:
    """A version on its way: the model it belongs to, what it was there, and what it will be here.

    `state` is the first state of its model, where that is new.
    """

    model: ForeignModel
    theirs: ForeignVersion
    reference: Reference
    facts: Version
    card: Card
    held: Held
    stage: str
    state: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def artifact(digest: Digest) -> Artifact:
    """Return the one artifact of a version that was imported."""
    return Artifact(
        name="model", file="model", format="mlflow",
        size=digest.size, files=digest.files, md5=digest.md5, sha256=digest.sha256,
    )  # fmt: skip


def standing(snapshot: Snapshot, name: str, versions: Sequence[ForeignVersion]) -> tuple[str, frozenset[int]]:
    """Return what a model is called here now, and the numbers that are here already or were.

    Raises Conflict for a model of that name which did not come from the same registry.
    """
    name = snapshot.present_name(name)
    model = snapshot.model(name)
    if model is None:
        twin = next((other for other in snapshot.models() if other.lower() == name.lower()), None)
        if twin is not None:
            raise Conflict(f"a model {twin} is here, and names are unique without regard to case", hint=_OTHER)
        return name, frozenset()
    if model.removed:
        raise Conflict(f"{name} was deleted here, and its name is spent", hint=_OTHER)
    theirs = {version.number: version for version in versions}
    here = snapshot.versions(name)
    both = [number for number in here if number in theirs]
    for number in both:
        version = snapshot.version(name, number)
        if version is None or not _is_same(version, theirs[number]):
            raise Conflict(f"{name} is here already, and its version {number} is another one", hint=_OTHER)
    if here and not both:
        raise Conflict(f"{name} is here already, and none of its versions came from there", hint=_OTHER)
    return name, frozenset((*both, *model.deleted))


_OTHER = "rename it in MLflow, or leave it out: --model names the others"


def _is_same(version: Version, theirs: ForeignVersion) -> bool:
    told = version.lineage.run if version.lineage else None
    return version.created == theirs.created and (told or "") == lineage(theirs)


def steps(place: Workplace, law: Constitution, arrival: Arrival, *, source: str, keep_stages: bool) -> list[Step]:
    """Return the decisions that bring a version and put it into its stage, as far as the rules allow.

    With `keep_stages` it comes into the stage it had, whatever the rules of stages say.
    """
    brings = frozenset(one.sha256 for one in arrival.facts.artifacts)
    words = _words(arrival, source)

    def coming(stage: str) -> Intent:
        def edit(before: Snapshot) -> Edits:
            return _edits(place, before, arrival, stage)

        return Intent(
            edit, lambda _: f"import {arrival.reference.name} {arrival.reference.number}", None, words, brings
        )

    if keep_stages:
        return [Step((coming(arrival.stage),), STAGE_RULES)]
    if not law.direct:  # a move is a proposal there, and an import makes none
        return [Step((coming(law.first_stage),))]
    found = [Step(tuple(coming(stage) for stage in stops(law, arrival.stage)))]
    wanted = law.stage(arrival.stage)
    if wanted is not None and wanted.serving:
        found.append(Step((_promotion(arrival, wanted.name),)))
    return found


def _promotion(arrival: Arrival, stage: str) -> Intent:
    reference = arrival.reference
    return Intent(
        lambda before: edits.promote(before, reference, stage),
        lambda _: f"promote {reference.name} {reference.number} to {stage}",
        reason=f"It was in {arrival.theirs.stage} where it was imported from.",
        brings=frozenset(one.sha256 for one in arrival.facts.artifacts),
    )


def bare_model(name: str, state: Mapping[str, Any], spent: Sequence[int]) -> Step:
    """Return the decision that makes a model which has no version."""

    def edit(before: Snapshot) -> Edits:
        return edits.spend(before, name, (), model=state) if before.model(name) is None else {}

    reason = "Numbers that were given there: " + ", ".join(map(str, spent[:100])) if spent else ""
    return Step((Intent(edit, lambda _: f"import {name}", reason=reason),))


def _words(arrival: Arrival, source: str) -> str:
    theirs = arrival.theirs
    first = (
        f"Version {theirs.number} of {theirs.model!r} in {source}, "
        f"created {theirs.created.isoformat(timespec='seconds')}, in stage {theirs.stage or 'None'}."
    )
    return "\n".join((first, *(f"- {note}" for note in arrival.told)))


def _edits(place: Workplace, before: Snapshot, arrival: Arrival, stage: str) -> Edits:
    """Return the edit that adds a version with its stage, its aliases and the numbers around it that are gone."""
    name, number = arrival.reference
    written: dict[str, Content | None] = {}

    def now() -> Snapshot:
        return before.with_edits(written)

    skipped = range(edits.next_number(before, name), number)
    if len(skipped) > MOST_SPENT:
        raise Conflict(f"{len(skipped):,} numbers before version {number} are missing", hint="is that registry sound?")
    if skipped:
        written |= edits.spend(before, name, skipped, model=arrival.state)
    if edits.next_number(now(), name) != number:
        raise Conflict(
            f"number {number} of {name} cannot be given: a higher one is here", hint=f"see: gitops-registry show {name}"
        )
    files = {f"{one.file}.dvc": pointer(one) for one in arrival.facts.artifacts}
    written |= edits.register(now(), name, arrival.facts, card=arrival.card, files=files, model=arrival.state)
    if stage != before.constitution.first_stage:
        written |= edits.promote(now(), arrival.reference, stage)
    if gone := following(number, arrival.model.spent):
        written |= edits.spend(now(), name, gone)
    for alias in arrival.aliases:
        written |= edits.set_alias(now(), arrival.reference, alias)
    written[paths.rendered_card_path(name, number)] = place.card(now(), arrival.reference)
    return {**written, **committed_with(place, before, [arrival.held])}
