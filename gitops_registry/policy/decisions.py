"""Rules about a change: what may follow what, and what must be shown before a version serves.

Stages, roles and approvals are those of the base, never what the change itself writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from shlex import quote

from gitops_registry import paths
from gitops_registry.access import holds, needed
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
            yield _refused(judgement, "stage-order", change, message, "rename it first, then promote it")
        is_there = change.version in judgement.after.versions(change.model)
        if is_there and stage.from_ is not None and change.before not in stage.from_:
            hint = f"promote it to {stage.from_[0]} first: gitops-registry promote {change.model} {change.version} --to {stage.from_[0]}"
            yield _refused(
                judgement,
                "stage-order",
                change,
                f"version {change.version} comes from {change.before}; {stage.name} takes from {', '.join(stage.from_)}",
                hint,
            )


def approvals(judgement: Judgement) -> Iterator[Finding]:
    """A move into a serving stage has the approvals that the constitution of the base asks for."""
    wanted = judgement.law.approvals
    for change, stage in arrivals(judgement):
        if not stage.serving or not wanted:
            continue
        given = judgement.facts.approvals
        if given is None:
            yield Finding.unchecked(
                "approvals",
                "approvals",
                f"{stage.name} asks for {_counted(wanted)}, and nobody verified any",
                "approvals are gathered where a proposal lands: gitops-registry check --head BRANCH",
                Spot(paths.model_path(change.model), 1, 1, change.model, change.version),
            )
        elif len(set(given)) < wanted:
            message = f"{stage.name} asks for {_counted(wanted)}, and {_holding(len(set(given)))}"
            hint = "another member who may deploy it looks and approves: gitops-registry approve BRANCH"
            yield _refused(judgement, "approvals", change, message, hint)


def _counted(count: int) -> str:
    return f"{count} approval{'' if count == 1 else 's'}"


def _holding(count: int) -> str:
    return f"{count or 'none'} {'hold' if count > 1 else 'holds'}"


def objections(judgement: Judgement) -> Iterator[Finding]:
    """A rejection stays until whoever rejected approves; an approval that does not count is told with the reason."""
    about = Spot(paths.ACCESS)
    for member, comment in judgement.facts.objections:
        told = f": {comment.splitlines()[0]}" if comment else ""
        hint = f"answer it, and ask {member} to look again: gitops-registry approve BRANCH"
        yield Finding.error("objections", f"{member} rejected it{told}", hint, about)
    for reason in judgement.facts.discounted:
        yield Finding.warning("objections", reason, "ask them to look at the plan as it is now", about)


def second_administrator(judgement: Judgement) -> Iterator[Finding]:
    """Who rules the registry is changed by two administrators, where there are two."""
    access, facts = judgement.access, judgement.facts
    if access is None or judgement.before is None or facts.approvals is None or facts.actor is None:
        return
    asked = [
        pair for pair in needed(judgement.changes, judgement.before, judgement.law, access) if pair[0] == "administer"
    ]
    people = {m.name for m in access.members if m.kind == "person" and m.keys and holds(access, m.name, "administer")}
    if not asked or len(people) < 2:
        return
    alone = set(facts.contributors) if len(facts.contributors) == 1 else set()
    agreed = people & {facts.actor, *facts.approvals, *alone}
    if len(agreed) < 2:
        others = " or ".join(sorted(people - agreed))
        yield Finding.error(
            "second-administrator",
            f"this changes who or what rules the registry, and {'one administrator' if agreed else 'no administrator'} of {len(people)} agreed",
            f"propose it, and let {others} approve it: gitops-registry approve BRANCH",
            Spot(paths.ACCESS),
        )


def permissions(judgement: Judgement) -> Iterator[Finding]:
    """Whoever decides holds every permission that the plan needs, under the roles of the base."""
    access = judgement.access
    if access is None or not access.members or judgement.before is None or not judgement.changes:
        return
    actor = judgement.facts.actor
    for permission, model in needed(judgement.changes, judgement.before, judgement.law, access):
        about = f"for {model}" if model else "for the registry itself"
        if actor is None:
            yield Finding.unchecked(
                "permissions",
                "actor",
                f"this needs {permission!r} {about}, and nobody verified who decides",
                "a verified identity comes with a signature or a forge; here it is advice",
                Spot(paths.ACCESS, 0, 0, model),
            )
        elif not holds(access, actor, permission, model):
            yield Finding.error(
                "permissions",
                f"{actor} may not {permission} {about}" if actor else f"{judgement.facts.signer} belongs to no member",
                f"see who may: gitops-registry access who-can {permission} {model}".rstrip(),
                Spot(paths.ACCESS, 1, 1, model),
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


def _refused(judgement: Judgement, rule: str, change: Change, message: str, hint: str) -> Finding:
    """A refusal of a move, at the line of `model.yaml` that makes it."""
    line, column = invariants.position(judgement, change.model, "stages", str(change.after))
    return Finding.error(
        rule, message, hint, Spot(paths.model_path(change.model), line, column, change.model, change.version)
    )
