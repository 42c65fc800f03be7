"""What expressions see of a version, its model, the registry and its members, as plain values by the names of the table.

A version and its words are those of the side they are read from; what was measured, and where it was, is what the base says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from gitops_registry.card.words import PROSE, unfinished
from gitops_registry.comparison import is_lower_better
from gitops_registry.manifest.facts import Evaluation, PinnedData, Version
from gitops_registry.manifest.figures import Group, Slice
from gitops_registry.manifest.kinds import Access, Model
from gitops_registry.manifest.parts import plain
from gitops_registry.policy.data import measurements
from gitops_registry.policy.report import Judgement
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot

_LARGEST_INTEGER = 1 << 63
SKEW = timedelta(minutes=5)
"""As much as the clocks of two machines may differ."""


def origin(judgement: Judgement, reference: Reference) -> Reference:
    """Return what the base calls a version: it is another where this change renames its model."""
    return Reference(judgement.renamed.get(reference.name, reference.name), reference.number)


def stage_before(judgement: Judgement, reference: Reference) -> str:
    """Return the stage the base has a version in; the first one for a version it does not have."""
    home = origin(judgement, reference)
    model = judgement.before.model(home.name) if judgement.before else judgement.after.model(home.name)
    return (model.stage_of(home.number) if model else None) or judgement.law.first_stage


def champion_of(judgement: Judgement, name: str, stage: str) -> tuple[Snapshot, Reference] | None:
    """Return the last holder of a stage and the registry it is read from: the base, or what it was before it was deleted.

    None where nobody ever held it, or nobody looked.
    """
    if judgement.before is None or judgement.facts.history is None:
        return None
    tenures = judgement.facts.history.get((name, stage))
    if tenures is None or not tenures.order:
        return None
    home = origin(judgement, Reference(name, 0)).name
    if judgement.before.version(home, tenures.order[0]) is not None:
        return judgement.before, Reference(home, tenures.order[0])
    return tenures.departed


def member_facts(access: Access | None, name: str) -> dict[str, Any]:
    member = next((member for member in access.members if member.name == name), None) if access else None
    return {"name": name, "kind": member.kind if member else "", "role": member.role if member else ""}


def registry_facts(judgement: Judgement) -> dict[str, Any]:
    law = judgement.law
    return {
        "name": law.name,
        "approvals": law.approvals,
        "direct": law.direct,
        "language": law.card.language,
        "stages": [stage.name for stage in law.stages],
        "trusted_types": list(law.trusted_types),
        "trusted_formats": list(law.trusted_formats),
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


def version_facts(
    judgement: Judgement, side: Snapshot, reference: Reference, stage: str, *, is_champion: bool = False
) -> dict[str, Any]:
    """Return what expressions see of a version as `candidate` or `champion`; its words are those of `side`."""
    version = side.version(*reference)
    assert version is not None
    told = plain(version)
    for key in ("kind", "schema_version", "confusion_matrix"):
        told.pop(key)
    for column in [one for way in ("inputs", "outputs") for one in (told["signature"] or {}).get(way, ())]:
        column |= {key: None if column[key] is None else float(column[key]) for key in ("minimum", "maximum")}
    card = side.card(*reference)
    return {
        **told,
        "name": reference.name,
        "version": reference.number,
        "stage": stage,
        "created": version.created,
        "params": {key: _bounded(value) for key, value in told["params"].items()},
        "metrics": {key: float(value) for key, value in version.metrics.items()},
        "slices": by_group([version.slices]),
        **_measured(judgement, side, reference, version, is_champion=is_champion),
        "formats": sorted({artifact.format for artifact in version.artifacts}),
        "card": {
            **{key: getattr(card, key) for key in PROSE},
            "tags": dict(card.tags),
            "unfinished": unfinished(card, PROSE),
        },
    }


def _measured(
    judgement: Judgement, side: Snapshot, reference: Reference, version: Version, *, is_champion: bool
) -> dict[str, Any]:
    """Return the metrics that count, and what they were measured on.

    Where the base pins data, that is what earlier decisions recorded on it: of several the worst of a candidate and the
    best of a champion, for anybody who may write may add one. What the change itself brings counts for nothing, so a
    candidate's are read from the base; a champion's from its `side`, for the base may have it no more.
    """
    base = judgement.before or judgement.after
    home = origin(judgement, reference)
    model = base.model(home.name)
    pinned = model.evaluation if model else None
    if pinned is None:
        own = {key: float(value) for key, value in version.metrics.items() if key not in version.claimed}
        known = version.evaluation.rows if version.evaluation and own else None
        on, when = ("registered", version.created) if own else ("nothing", None)
        counted = by_group([version.slices], is_champion=is_champion) if own else {}
        return {
            "measured": own,
            "measured_slices": counted,
            "measured_on": on,
            "measured_at": when,
            "measured_rows": known,
        }
    new = judgement.after.model(judgement.renames.get(reference.name, reference.name))
    now = new.evaluation if new else None
    is_still = now is not None and (now.sha256, now.target) == (pinned.sha256, pinned.target)
    there = (side, reference) if is_champion else (base, home)
    found = _on_pinned(judgement, *there, pinned) if is_still else []
    if not found:
        nothing: dict[str, Any] = {"measured": {}, "measured_slices": {}}
        return {**nothing, "measured_on": "nothing", "measured_at": None, "measured_rows": None}
    rows = [one.dataset.rows for one in found if one.dataset.rows is not None]
    return {
        "measured": _weighed([one.metrics for one in found], is_champion=is_champion),
        "measured_slices": by_group([one.slices for one in found], is_champion=is_champion),
        "measured_on": "pinned",
        "measured_at": min(one.created for one in found),
        "measured_rows": min(*rows, pinned.rows) if len(rows) == len(found) else None,
    }


def _on_pinned(judgement: Judgement, side: Snapshot, reference: Reference, pinned: PinnedData) -> list[Evaluation]:
    """Return the measurements of a version on the pinned data; none that says it comes from the future, nor what measured
    something else than the model's quality, such as a comparison of formats.
    """
    now = judgement.facts.now
    return [
        one
        for one in measurements(side, reference)
        if one.metrics
        and (one.dataset.sha256, one.dataset.target) == (pinned.sha256, pinned.target)
        and (now is None or one.created <= now + SKEW)
    ]


def by_group(found: Sequence[Sequence[Slice]], *, is_champion: bool = False) -> dict[str, Any]:
    """Return column → group → metric → its value, of several measurements the one that counts; `rows` are the fewest.

    A group is named as its value is written in JSON, text without quotes.
    """
    told: dict[str, dict[str, list[Group]]] = {}
    for slices in found:
        for one in slices:
            groups = told.setdefault(one.column, {})
            for group in one.groups:
                groups.setdefault(_told_as(group.value), []).append(group)
    return {
        column: {
            name: {
                **_weighed([group.metrics for group in same], is_champion=is_champion),
                "rows": float(min(group.rows for group in same)),  # last: a metric may be called so, too
            }
            for name, same in groups.items()
        }
        for column, groups in told.items()
    }


def _told_as(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _weighed(found: Sequence[Mapping[str, float]], *, is_champion: bool) -> dict[str, float]:
    """Return metric → its worst value (of a champion its best), without those that differ and nobody knows which way is up."""
    told = {}
    for name in sorted(set().union(*found)):
        values = sorted({float(one[name]) for one in found if name in one})
        lower = is_lower_better(name)
        if len(values) == 1:
            told[name] = values[0]
        elif lower is not None:
            told[name] = values[0] if lower == is_champion else values[-1]
    return told


def _bounded(value: Any) -> Any:
    """Return a parameter as the engine takes it: whole numbers have 64 bits there."""
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    is_large = (
        isinstance(value, int) and not isinstance(value, bool) and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER
    )
    return str(value) if is_large else value
