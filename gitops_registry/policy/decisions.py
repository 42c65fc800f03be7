"""Rules about a change: what may follow what, and what must be shown before a version serves.

Stages, roles and approvals are those of the base, never what the change itself writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from shlex import quote

from gitops_registry import paths
from gitops_registry.changes import Change
from gitops_registry.difference import is_in_our_folders
from gitops_registry.manifest.kinds import Constitution
from gitops_registry.policy import invariants
from gitops_registry.policy.keeping import arrivals, stage_named
from gitops_registry.policy.report import Finding, Judgement, Spot


def stage_order(judgement: Judgement) -> Iterator[Finding]:
    """A version comes to a stage only from where the constitution says, and under the name that it is judged by."""
    renamed = {change.after for change in judgement.changes if change.kind == "model_renamed"}
    for change, stage in arrivals(judgement):
        if change.model in renamed and stage.serving:
            message = f"{change.model} gets its name and version {change.version} its stage in one change"
            yield refused(judgement, "stage-order", change, message, "rename it first, then promote it")
        is_there = change.version in judgement.after.versions(change.model)
        if is_there and stage.from_ is not None and change.before not in stage.from_:
            hint = f"promote it to {stage.from_[0]} first: gitops-registry promote {change.model} {change.version} --to {stage.from_[0]}"
            yield refused(
                judgement,
                "stage-order",
                change,
                f"version {change.version} comes from {change.before}; {stage.name} takes from {', '.join(stage.from_)}",
                hint,
            )


def strangers(judgement: Judgement) -> Iterator[Finding]:
    """Files the registry does not know: refused in its folders, where bytes end up by accident; elsewhere pointed out."""
    for change in judgement.changes:
        if change.kind != "unknown_file_changed" or change.after is None:
            continue
        is_object = paths.place_of(change.subject).role == "store_object"
        if is_object and change.before is not None:
            continue  # the rule `store` speaks of those that were there
        if is_in_our_folders(change.subject):
            hint = f"bytes belong to DVC: git rm --cached {quote(change.subject)}; then gitops-registry register"
            hint = f"no version needs it: git rm {quote(change.subject)}" if is_object else hint
            if change.subject.startswith(f"{paths.POLICIES}/"):
                hint = f"policies lie at {paths.policy_path('NAME')}, waivers at {paths.waiver_path('NAME')}: rename it"
            yield Finding.error(
                "strangers", "is no file of a registry", hint, Spot(change.subject, 1, 1, change.model, change.version)
            )
        else:
            yield Finding.warning(
                "strangers",
                "is no file of a registry",
                "list it under unmanaged in registry.yaml if it belongs here",
                Spot(change.subject),
            )


def governance(judgement: Judgement) -> Iterator[Finding]:
    """A change to the rules is said, because it is judged by the rules that hold before it, and must fit what is there."""
    if judgement.before is not None and any(change.path == paths.CONSTITUTION for change in judgement.changed):
        yield from _fits(judgement, judgement.law)
    rules = {"policy_changed", "permission_changed", "registry_changed"}
    others = any(change.kind not in rules for change in judgement.changes)
    if judgement.before is None or not others:
        return
    for change in judgement.changes:
        if change.kind in rules:
            yield Finding.warning(
                "governance",
                "changes a rule; the rest of this change is judged by the rules before it",
                "change rules on their own",
                Spot(change.subject),
            )


def _fits(judgement: Judgement, old: Constitution) -> Iterator[Finding]:
    """The new constitution has the stages that models use, and moves no version that no stage lists."""
    after = judgement.after
    new = after.constitution
    everything = replace(judgement, law=new, models=after.models())
    yield from invariants.stages(everything)
    yield from invariants.aliases(everything)
    first = new.stages[0]
    if first.name != old.first_stage and (first.serving or stage_named(new, old.first_stage) is not None):
        yield Finding.error(
            "governance",
            f"with {first.name} as the first stage, every version that no stage lists would be in it",
            f"keep {old.first_stage} first",
            Spot(paths.CONSTITUTION, 1, 1),
        )


def refused(judgement: Judgement, rule: str, change: Change, message: str, hint: str) -> Finding:
    """A refusal of a move, at the line of `model.yaml` that makes it."""
    line, column = invariants.position(judgement, change.model, "stages", str(change.after))
    return Finding.error(
        rule, message, hint, Spot(paths.model_path(change.model), line, column, change.model, change.version)
    )
