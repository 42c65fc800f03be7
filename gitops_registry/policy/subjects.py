"""What policies judge: each version that a change moves, names or touches while it serves, with the facts about it.

A version and its words are those that would land; where it was, who held the stage, what was measured and the registry's own
settings are those of the base.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gitops_registry import paths
from gitops_registry.changes import Change
from gitops_registry.policy.facts import (
    champion_of,
    member_facts,
    model_facts,
    origin,
    registry_facts,
    stage_before,
    version_facts,
)
from gitops_registry.policy.keeping import stage_named
from gitops_registry.policy.report import Judgement
from gitops_registry.policy.vocabulary import Gathered
from gitops_registry.reference import Reference

_TOUCHING = frozenset({"card_updated", "evaluation_added", "immutable_violated", "model_updated", "model_renamed"})


@dataclass(frozen=True)
class Subject:
    """One version that policies are asked about.

    `event` is why, `stage` where it goes or is, `alias` the name it gets. `is_rerun`: it is in that stage already, and
    something about it changes; `is_standing`: nothing changes, and it is looked at because it is there. `was` are the facts
    of a rerun before the change. `came_back`: whether a version that stands there held the stage, left it and was put
    back; None where nobody looked. `missing` is what nobody found out.
    """

    reference: Reference
    event: str
    stage: str = ""
    alias: str = ""
    is_serving: bool = False
    is_rerun: bool = False
    is_standing: bool = False
    came_back: bool | None = None
    change: Change | None = None
    names: tuple[str, ...] = ()
    tags: Mapping[str, str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    was: Mapping[str, Any] | None = None
    missing: frozenset[Gathered] = frozenset()


def subjects(judgement: Judgement, events: frozenset[str] | None = None) -> list[Subject]:
    """Return what the policies are asked about, in order of version: of a change, or of a registry as it stands.

    `events` are those that some policy is about; what serves is asked about in any case, and with None everything.
    """
    if judgement.before is None:
        found: Iterable[Subject] = _standing(judgement)
    else:
        found = [*_moved(judgement), *_rerun(judgement), *_opened(judgement)]
    distinct = {(one.reference, one.event, one.stage, one.alias): one for one in reversed(list(found))}
    ordered = sorted(distinct.values(), key=lambda one: (one.reference, one.event, one.stage, one.alias))
    return [_with_facts(judgement, one) for one in ordered if events is None or one.event in events or one.is_serving]


def _moved(judgement: Judgement) -> Iterator[Subject]:
    for change in judgement.changes:
        name = change.model
        if not change.version or paths.name_problem(name) or judgement.after.version(name, change.version) is None:
            continue
        reference = Reference(change.model, change.version)
        if change.kind == "stage_transition" and (stage := stage_named(judgement.law, str(change.after))):
            yield Subject(reference, change.kind, stage.name, is_serving=stage.serving, change=change)
        elif change.kind == "alias_set":
            yield Subject(reference, change.kind, alias=change.subject, change=change)
        elif change.kind in {"version_registered", "card_updated", "evaluation_added"}:
            yield Subject(reference, change.kind, change=change)


def _rerun(judgement: Judgement) -> Iterator[Subject]:
    """Versions that serve, before and after, and that the change touches: themselves, or what is said of their model."""
    serving = [stage.name for stage in judgement.law.stages if stage.serving]
    for change in judgement.changes:
        if change.kind not in _TOUCHING:
            continue
        name = str(change.after) if change.kind == "model_renamed" else change.model
        model = None if paths.name_problem(name) else judgement.after.model(name)
        for stage in serving if model else ():
            for number in sorted(model.stages.get(stage, ()) if model else ()):
                reference = Reference(name, number)
                touched = change.version in (0, number) and judgement.after.version(*reference) is not None
                if touched and stage_before(judgement, reference) == stage:
                    yield Subject(reference, "stage_transition", stage, is_serving=True, is_rerun=True, change=change)


def _opened(judgement: Judgement) -> Iterator[Subject]:
    """Versions in a stage that the change makes serve: they come before customers without a move."""
    law = next((change for change in judgement.changes if change.subject == paths.CONSTITUTION), None)
    if law is None or judgement.before is None or judgement.before.read(paths.CONSTITUTION) is None:
        return
    old = {stage.name for stage in judgement.law.stages if stage.serving}
    new = [stage.name for stage in judgement.after.constitution.stages if stage.serving and stage.name not in old]
    for name in judgement.after.live_models() if new else ():
        for stage in new:
            for number in judgement.after.in_stage(name, stage):
                yield Subject(
                    Reference(name, number), "stage_transition", stage, is_serving=True, is_rerun=True, change=law
                )


def _standing(judgement: Judgement) -> Iterator[Subject]:
    serving = [stage.name for stage in judgement.law.stages if stage.serving]
    for name in judgement.models:
        model = None if paths.name_problem(name) else judgement.after.model(name)
        for stage in serving if model else ():
            for number in sorted(model.stages.get(stage, ()) if model else ()):
                if judgement.after.version(name, number) is not None:
                    yield Subject(Reference(name, number), "stage_transition", stage, is_serving=True, is_standing=True)


def _with_facts(judgement: Judgement, one: Subject) -> Subject:
    """Return a subject with everything that is known of it."""
    after, reference = judgement.after, one.reference
    home = origin(judgement, reference)
    old = judgement.before.model(home.name) if judgement.before else after.model(reference.name)
    new = after.model(reference.name)
    change, missing = _change_facts(judgement, one)
    champion, is_known = _champion(judgement, one)
    if not is_known:
        missing.add("history")
    facts: dict[str, Any] = {
        "candidate": version_facts(judgement, after, reference, stage_before(judgement, reference)),
        "model": model_facts(new, reference.name, after.versions(reference.name), is_new=old is None),
        "change": change,
        "registry": registry_facts(judgement),
    }
    if is_known:
        facts["champion"] = champion
    if judgement.facts.now is not None:
        facts["now"] = judgement.facts.now
    else:
        missing.add("now")
    versions = judgement.before.versions(home.name) if judgement.before else after.versions(home.name)
    known: dict[str, Any] = {key: facts[key] for key in ("change", "registry", "now") if key in facts}
    base: dict[str, Any] = {**known, "model": model_facts(old, home.name, versions, is_new=old is None)}
    was: dict[str, Any] | None = None
    is_old = one.change is not None and one.change.subject != paths.CONSTITUTION
    if one.is_rerun and is_old and judgement.before is not None and judgement.before.version(*home) is not None:
        stage = stage_before(judgement, reference)
        was = {**facts, **base, "candidate": version_facts(judgement, judgement.before, home, stage)}
    return replace(
        one,
        names=tuple(dict.fromkeys((reference.name, home.name))),
        tags=None if old is None else old.tags,
        facts=facts,
        base=base,
        was=was,
        missing=frozenset(missing),
    )


def _change_facts(judgement: Judgement, one: Subject) -> tuple[dict[str, Any], set[Gathered]]:
    facts = judgement.facts
    missing: set[Gathered] = set()
    told: dict[str, Any] = {
        "kind": one.event,
        "from": stage_before(judgement, one.reference),
        "to": one.stage,
        "alias": one.alias,
        "is_rerun": one.is_rerun,
    }
    if facts.history is None:
        missing.add("history")
    else:
        tenures = facts.history.get((one.reference.name, one.stage))
        told["is_rollback"] = not one.is_rerun and tenures is not None and one.reference.number in tenures.earned
    if facts.actor is None:
        missing.add("actor")
    else:
        told["actor"] = member_facts(judgement.access, facts.actor)
    if facts.approvals is None:
        missing.add("approvals")
    else:
        told["approvals"] = [member_facts(judgement.access, name) for name in facts.approvals]
    return told, missing


def _champion(judgement: Judgement, one: Subject) -> tuple[dict[str, Any] | None, bool]:
    """Return the facts of whom a version would follow, and whether it is known who that is.

    Of a stage that is its last holder, of an alias what it named before.
    """
    if judgement.before is None:
        return None, False
    if one.alias:
        home = origin(judgement, one.reference).name
        model = judgement.before.model(home)
        named = next((n for a, n in model.aliases.items() if a.lower() == one.alias.lower()), None) if model else None
        last = (judgement.before, Reference(home, named)) if named else None
    elif not one.stage:
        return None, True
    elif judgement.facts.history is None:
        return None, False
    else:
        last = champion_of(judgement, one.reference.name, one.stage)
    if last is None:
        return None, True
    side, reference = last
    return version_facts(judgement, side, reference, side.stage_of(reference), is_champion=True), True
