"""The words in which tests of policies are said: policies in a line or two, and what a check makes of them.

Nothing is committed for a check: both sides are values on top of a real commit, and the facts are found as `check` finds
them, unless a test hands in its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from builder import CREATED, FINISHED_CARD, World

from gitops_registry import edits, paths
from gitops_registry.cel import CommonExpressions
from gitops_registry.changes import Change
from gitops_registry.evidence import gatherer
from gitops_registry.history import tenures
from gitops_registry.manifest.facts import Evaluation, EvaluationData, Person, PinnedData
from gitops_registry.manifest.figures import Slice
from gitops_registry.manifest.policies import Waiver
from gitops_registry.manifest.writing import dump
from gitops_registry.pointer import pointer
from gitops_registry.policy.check import check
from gitops_registry.policy.report import Facts, Finding, Report, Tenures
from gitops_registry.reference import Reference
from gitops_registry.snapshot import FILE_MODE, Content, PathChange, Snapshot

MODEL = "models/fraud/model.yaml"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ENGINE = CommonExpressions()
Files = Mapping[str, Content | None]


def policy(name: str = "x", **said: Any) -> dict[str, Content | None]:
    """Return a policy as the file it lies in.

    `rules` are expressions by id; `enforcement` is that of all of them; anything else is a field of the file as it is.
    """
    rules = said.pop("rules", {"holds": "true"})
    kind = said.pop("enforcement", "hard")
    more = said.pop("each", {})
    document = {
        "kind": "Policy",
        "schema_version": 1,
        "name": name,
        "match": said.pop("match", {"to": ["production"]}),
        "validations": [{"id": rule, "expression": text, "enforcement": kind, **more} for rule, text in rules.items()],
        **said,
    }
    return {paths.policy_path(name): json.dumps(document, ensure_ascii=False, indent=1).encode()}


def proven(name: str = "x", **said: Any) -> dict[str, Content | None]:
    """Return a policy whose only rule asks for a title, with the tests that every rule needs."""
    tests = [
        {"name": "with a title", "expect": {"titled": "pass"}},
        {"name": "without one", "set": {"model.title": ""}, "expect": {"titled": "fail"}},
    ]
    return policy(name, **{"rules": {"titled": "model.title != ''"}, "tests": tests, **said})


def promoted(world: World, number: int, stage: str = "production", *, base: Snapshot | None = None) -> Files:
    """Return the edit that promotes a version of fraud."""
    return edits.promote(base or world.registry.place.snapshot("main"), Reference("fraud", number), stage)


def weighed(world: World, files: Files, *, on: Files | None = None, base: str = "main", **facts: Any) -> Report:
    """Return what the check says of files, as they would land on `base` after the edits `on`.

    `facts` are handed in instead of those that would be found; it is always the same moment.
    """
    place = world.registry.place
    commit = place.commit(base)
    before = place.snapshot(base).with_edits(on or {})
    after = before.with_edits(files)
    changed = [
        PathChange(path, FILE_MODE if before.oid(path) else "", FILE_MODE if after.oid(path) else "", before.oid(path), after.oid(path))
        for path in sorted(files)
        if before.oid(path) != after.oid(path)
    ]  # fmt: skip

    def gather(after: Snapshot, changes: Sequence[Change], models: Sequence[str] | None = None) -> Facts:
        found = gatherer(place, commit)(after, changes, models)
        if on and found.history is not None:  # what is on top may ask for stages that nobody asked for there
            names = {change.model: change.model for change in changes if change.model}
            names |= {str(change.after): change.model for change in changes if change.kind == "model_renamed"}
            stages = [stage.name for stage in before.constitution.stages]
            found = replace(
                found, history={(n, s): _held(world, commit, home, s) for n, home in names.items() for s in stages}
            )
        return replace(found, **{"now": NOW, **facts})

    return check(before, after, changed, gather, ENGINE)


@lru_cache
def _held(world: World, commit: str, name: str, stage: str) -> Tenures:
    serves = stage == "production"
    return Tenures(*tenures(world.registry.place.repository, commit, name, stage, serving=serves))


def came(report: Report) -> dict[str, str]:
    """Return what each rule came to, by policy/rule."""
    return {f"{verdict.policy}/{verdict.rule}": verdict.result for verdict in report.verdicts}


def said(report: Report, rule: str) -> Finding:
    """Return the only finding of a rule."""
    found = [finding for finding in report.findings if finding.rule == rule]
    assert len(found) == 1, report.findings
    return found[0]


def pinned(before: Snapshot, name: str = "fraud", content: bytes = b"score,label\n1,1\n", rows: int = 500) -> Files:
    """Return the edit that pins evaluation data."""
    from hashlib import md5, sha256

    data = PinnedData(
        file="holdout.csv", target="label", rows=rows, size=len(content), md5=md5(content).hexdigest(),
        sha256=sha256(content).hexdigest(),
    )  # fmt: skip
    store: dict[str, Content | None] = {
        paths.store_path(data.md5): content,
        paths.data_path(name, data.file): pointer(data.as_artifact()),
    }
    return {**store, **edits.set_evaluation(before, name, data)}


def measured(
    before: Snapshot, number: int, name: str = "fraud", rows: int | None = 500, slices: Sequence[Slice] = (), **metrics: float
) -> Files:  # fmt: skip
    """Return the edit that records a measurement on the data that the model pins, by groups where there are any."""
    data = before.known_model(name).evaluation
    assert data is not None
    found = Evaluation(
        created=CREATED, author=Person(name="Bob"), metrics=metrics, slices=tuple(slices),
        dataset=EvaluationData(dataset="holdout", rows=rows, target=data.target, sha256=data.sha256),
    )  # fmt: skip
    return edits.add_evaluation(before, Reference(name, number), found)


def card_of(world: World, before: Snapshot, number: int, **words: str) -> Files:
    """Return other words of a version of fraud, with the card rendered from them."""
    reference = Reference("fraud", number)
    path = paths.card_path(*reference)
    written: dict[str, Content | None] = {path: dump(FINISHED_CARD.model_copy(update=words), path)}
    rendered = world.registry.place.card(before.with_edits(written), reference)
    return {**written, paths.rendered_card_path(*reference): rendered}


def waiver(world: World, number: int, name: str = "w", **changed: Any) -> dict[str, Content | None]:
    """Return a waiver of the floors for a version of fraud, ten days from five days ago."""
    told: dict[str, Any] = {
        "policy": "floors", "rules": ("metrics",), "model": "fraud", "reason": "The holiday season.",
        "version_yaml": world.registry.place.snapshot("main").oid(paths.version_path("fraud", number)),
        "not_before": NOW - timedelta(days=5), "expires": NOW + timedelta(days=5), **changed,
    }  # fmt: skip
    path = paths.waiver_path(name)
    return {path: dump(Waiver(**told), path)}
