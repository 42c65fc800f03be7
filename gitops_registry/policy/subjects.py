"""What policies judge: each version that a change moves, names or touches while it serves, with the facts about it.

A version and its words are those that would land; where it was, who held the stage, what was measured and the registry's own
settings are those of the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitops_registry import paths
from gitops_registry.card import PROSE, unfinished
from gitops_registry.changes import Change
from gitops_registry.comparison import worst
from gitops_registry.manifest.facts import Evaluation, Version
from gitops_registry.manifest.kinds import Access, Model
from gitops_registry.manifest.parts import plain
from gitops_registry.policy.data import measurements
from gitops_registry.policy.keeping import stage_named
from gitops_registry.policy.report import Judgement
from gitops_registry.policy.vocabulary import Gathered
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

_TOUCHING = frozenset({"card_updated", "evaluation_added", "immutable_violated", "model_updated", "model_renamed"})
_LARGEST_INTEGER = 1 << 63


@dataclass(frozen=True)
class Subject:
    """One version that policies are asked about.

    `event` is why, `stage` where it goes or is, `alias` the name it gets. `is_rerun`: it is in that stage already, and
    something about it changes; `is_standing`: nothing changes, and it is looked at because it is there. `was` are the facts
    of a rerun before the change. `missing` is what nobody found out.
    """

    reference: Reference
    event: str
    stage: str = ""
    alias: str = ""
    is_serving: bool = False
    is_rerun: bool = False
    is_standing: bool = False
    change: Change | None = None
    names: tuple[str, ...] = ()
    tags: Mapping[str, str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    was: Mapping[str, Any] | None = None
    missing: frozenset[Gathered] = frozenset()


def subjects(judgement: Judgement) -> list[Subject]:
    """Return what the policies are asked about, in order of version: of a change, or of a registry as it stands."""
    found = _standing(judgement) if judgement.before is None else [*_moved(judgement), *_rerun(judgement)]
    distinct = {(one.reference, one.event, one.stage, one.alias): one for one in reversed(list(found))}
    ordered = sorted(distinct.values(), key=lambda one: (one.reference, one.event, one.stage, one.alias))
    return [_with_facts(judgement, one) for one in ordered]


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
                if touched and _stage_before(judgement, reference) == stage:
                    yield Subject(reference, "stage_transition", stage, is_serving=True, is_rerun=True, change=change)


def _standing(judgement: Judgement) -> Iterator[Subject]:
    serving = [stage.name for stage in judgement.law.stages if stage.serving]
    for name in judgement.models:
        model = None if paths.name_problem(name) else judgement.after.model(name)
        for stage in serving if model else ():
            for number in sorted(model.stages.get(stage, ()) if model else ()):
                if judgement.after.version(name, number) is not None:
                    yield Subject(Reference(name, number), "stage_transition", stage, is_serving=True, is_standing=True)


def origin(judgement: Judgement, reference: Reference) -> Reference:
    """Return what the base calls a version: it is another where this change renames its model."""
    renamed = {str(change.after): change.model for change in judgement.changes if change.kind == "model_renamed"}
    return Reference(renamed.get(reference.name, reference.name), reference.number)


def _stage_before(judgement: Judgement, reference: Reference) -> str:
    """Return the stage the base has a version in; the first one for a version it does not have."""
    home = origin(judgement, reference)
    model = judgement.before.model(home.name) if judgement.before else judgement.after.model(home.name)
    return (model.stage_of(home.number) if model else None) or judgement.law.first_stage


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
        "candidate": version_facts(judgement, after, reference, _stage_before(judgement, reference)),
        "model": model_facts(new, reference.name, after.versions(reference.name), is_new=old is None),
        "change": change,
        "registry": _registry_facts(judgement),
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
    if one.is_rerun and judgement.before is not None and judgement.before.version(*home) is not None:
        stage = _stage_before(judgement, reference)
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
        "kind": one.change.kind if one.change else one.event,
        "from": _stage_before(judgement, one.reference),
        "to": one.stage,
        "alias": one.alias,
        "is_rerun": one.is_rerun,
    }
    if facts.history is None:
        missing.add("history")
    else:
        held = facts.history.get((one.reference.name, one.stage), ())
        told["is_rollback"] = not one.is_rerun and one.reference.number in held
    if facts.actor is None:
        missing.add("actor")
    else:
        told["actor"] = _member(judgement.access, facts.actor)
    if facts.approvals is None:
        missing.add("approvals")
    else:
        told["approvals"] = [_member(judgement.access, name) for name in facts.approvals]
    return told, missing


def _champion(judgement: Judgement, one: Subject) -> tuple[dict[str, Any] | None, bool]:
    """Return the facts of the last holder of the stage that is still there, and whether it is known who that is."""
    if not one.stage or judgement.before is None:
        return None, judgement.before is not None
    last = champion_of(judgement, one.reference.name, one.stage)
    if last is None:
        return None, judgement.facts.history is not None
    return version_facts(judgement, judgement.before, last, judgement.before.stage_of(last)), True


def champion_of(judgement: Judgement, name: str, stage: str) -> Reference | None:
    """Return the last holder of a stage that the base still has; None where there is none, or nobody looked."""
    if judgement.before is None or judgement.facts.history is None:
        return None
    home = origin(judgement, Reference(name, 0)).name
    for number in judgement.facts.history.get((name, stage), ()):
        if number in judgement.before.versions(home) and judgement.before.version(home, number) is not None:
            return Reference(home, number)
    return None


def _member(access: Access | None, name: str) -> dict[str, Any]:
    member = next((member for member in access.members if member.name == name), None) if access else None
    return {"name": name, "kind": member.kind if member else "", "role": member.role if member else ""}


def _registry_facts(judgement: Judgement) -> dict[str, Any]:
    law = judgement.law
    return {
        "name": law.name,
        "approvals": law.approvals,
        "direct": law.direct,
        "language": law.card.language,
        "stages": [stage.name for stage in law.stages],
        "trusted_types": list(law.trusted_types),
    }


def model_facts(model: Model | None, name: str, versions: Sequence[int], *, is_new: bool) -> dict[str, Any]:
    """Return what expressions see as `model`; of one that is not there, a model that says nothing of itself."""
    told = model or Model(name=name)
    data = told.evaluation
    return {
        "name": name,
        "title": told.title,
        "description": told.description,
        "owners": list(told.owners),
        "tags": dict(told.tags),
        "is_new": is_new,
        "versions": list(versions),
        "stages": {stage: list(numbers) for stage, numbers in told.stages.items()},
        "aliases": dict(told.aliases),
        "evaluation": plain(data) if data else None,
    }


def version_facts(judgement: Judgement, side: Snapshot, reference: Reference, stage: str) -> dict[str, Any]:
    """Return what expressions see of a version as `candidate` or `champion`; its words are those of `side`."""
    version = side.version(*reference)
    assert version is not None
    told = plain(version)
    for key in ("kind", "schema_version", "confusion_matrix"):
        told.pop(key)
    card = side.card(*reference)
    return {
        **told,
        "name": reference.name,
        "version": reference.number,
        "stage": stage,
        "created": version.created,
        "params": {key: _bounded(value) for key, value in told["params"].items()},
        "metrics": {key: float(value) for key, value in version.metrics.items()},
        **_measured(judgement, reference, version),
        "formats": sorted({artifact.format for artifact in version.artifacts}),
        "card": {
            **{key: getattr(card, key) for key in PROSE},
            "tags": dict(card.tags),
            "unfinished": unfinished(card, PROSE),
        },
    }


def _measured(judgement: Judgement, reference: Reference, version: Version) -> dict[str, Any]:
    """Return the metrics that count, and what they were measured on.

    Where the base pins data, that is what earlier decisions recorded on it: of several the worst, for their times are what
    somebody wrote, and anybody who may write may add one. What the change itself brings counts for nothing.
    """
    base = judgement.before or judgement.after
    home = origin(judgement, reference)
    pinned = model.evaluation if (model := base.model(home.name)) else None
    if pinned is None:
        own = {key: float(value) for key, value in version.metrics.items() if key not in version.claimed}
        rows = version.evaluation.rows if version.evaluation else None
        on = "registered" if own else "nothing"
        return {"measured": own, "measured_on": on, "measured_at": version.created if own else None, "measured_rows": rows if own else None}  # fmt: skip
    now = model.evaluation if (model := judgement.after.model(origin_after(judgement, reference))) else None
    still = now is not None and (now.sha256, now.target) == (pinned.sha256, pinned.target)
    found = [one for one in measurements(base, home) if (one.dataset.sha256, one.dataset.target) == (pinned.sha256, pinned.target)] if still else []  # fmt: skip
    if not found:
        return {"measured": {}, "measured_on": "nothing", "measured_at": None, "measured_rows": None}
    return {
        "measured": _worst_of(found),
        "measured_on": "pinned",
        "measured_at": min(one.created for one in found),
        "measured_rows": min((one.dataset.rows for one in found if one.dataset.rows is not None), default=None),
    }


def origin_after(judgement: Judgement, reference: Reference) -> str:
    """Return what a version's model is called after the change."""
    renamed = {change.model: str(change.after) for change in judgement.changes if change.kind == "model_renamed"}
    return renamed.get(reference.name, reference.name)


def _worst_of(found: Sequence[Evaluation]) -> dict[str, float]:
    names = sorted(set().union(*(one.metrics for one in found)))
    return {name: float(worst(name, [one.metrics[name] for one in found if name in one.metrics])) for name in names}


def _bounded(value: Any) -> Any:
    """Return a parameter as the engine takes it: whole numbers have 64 bits there."""
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    is_large = (
        isinstance(value, int) and not isinstance(value, bool) and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER
    )
    return str(value) if is_large else value
