"""What a decision put into files, held to the rules about any revision: plain files, names, pointers, the store.

Whether bytes are in a store outside is not asked, nor what a rendered card must be: neither follows from the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitops_registry.audit.decision import Event
from gitops_registry.audit.deriving import Landed
from gitops_registry.audit.walking import Step
from gitops_registry.auditing.findings import Breach
from gitops_registry.changes import Kind
from gitops_registry.paths import place_of
from gitops_registry.policy import invariants
from gitops_registry.policy.check import touched_versions
from gitops_registry.policy.report import Facts, Judgement, Rule

_RULES: Mapping[str, tuple[Rule, frozenset[Kind]]] = {
    "names": (invariants.names, frozenset({"model_registered", "model_renamed"})),
    "pointers": (invariants.pointers, frozenset({"version_registered", "immutable_violated"})),
}
"""Rules, with the changes after which they are asked: they list folders, and most decisions change none."""


def look(step: Step, event: Event | None, landed: Landed | None) -> Iterator[Breach]:  # noqa: ARG001
    """Yield what a decision wrote that no decision may write."""
    if event is not None and event.problem:
        return
    changes = event.changes if event else ()
    models = {change.model for change in changes} - {""}
    models |= {str(change.after) for change in changes if change.kind == "model_renamed"}
    judgement = Judgement(
        step.before, step.after, changes, step.changed, Facts(), law=step.law.constitution, access=None,
        models=tuple(sorted(models)), versions=touched_versions(step.after, changes),
    )  # fmt: skip
    kinds = {change.kind for change in changes}
    rules: dict[str, Rule] = {name: rule for name, (rule, after) in _RULES.items() if after & kinds}
    if any(place_of(change.path).role == "store_object" for change in step.changed):
        rules["store"] = invariants.store
    for name, rule in {"modes": invariants.modes, **rules}.items():
        for finding in rule(judgement):
            if finding.result == "error":
                yield Breach(name, step.commit.oid, f"{finding.where or 'it'} {finding.message}", finding.path)
