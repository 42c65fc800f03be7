"""Rules about who decides: permissions of the signer, approvals that hold, rejections, and who rules the registry.

Members, roles and keys are those of the base, never what the change itself writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitops_registry import paths
from gitops_registry.access import holds, needed
from gitops_registry.manifest.members import Access
from gitops_registry.policy.decisions import refused
from gitops_registry.policy.keeping import arrivals
from gitops_registry.policy.report import Facts, Finding, Judgement, Spot


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
            why = "; ".join(judgement.facts.discounted[:3])
            message = f"{stage.name} asks for {_counted(wanted)}, and {_holding(len(set(given)))}{why and f': {why}'}"
            hint = "another member who may deploy it looks and approves: gitops-registry approve BRANCH"
            yield refused(judgement, "approvals", change, message, hint)


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
    """Who rules the registry is changed by two administrators, where there are two: one decides, another approved this plan."""
    access, facts = judgement.access, judgement.facts
    if access is None or judgement.before is None or facts.approvals is None or facts.actor is None:
        return
    asked = [
        pair for pair in needed(judgement.changes, judgement.before, judgement.law, access) if pair[0] == "administer"
    ]
    people = _administrators(access, facts)
    if not asked or len(people) < 2:
        return
    agreed = people & {facts.actor, *facts.approvals}
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


def administrators(judgement: Judgement) -> Iterator[Finding]:
    """Somebody who can sign administers the registry after a change of its members, where somebody did before."""
    before, after, facts = judgement.access, judgement.after.access, judgement.facts
    if before is None or not any(change.kind == "permission_changed" for change in judgement.changes):
        return
    if _administrators(before, facts) and not (after and _administrators(after, facts)):
        message = "nobody who can sign would administer the registry any more"
        hint = "let somebody else in first: gitops-registry access add NAME --role admin --key FILE"
        yield Finding.error("administrators", message, hint, Spot(paths.ACCESS))


def _administrators(access: Access, facts: Facts) -> set[str]:
    """The people who administer and have a key that counts now: whoever cannot sign cannot agree either."""
    return {
        member.name
        for member in access.members
        if member.kind == "person" and access.may(member, "administer")
        if any(not key.revoked and (facts.now is None or key.is_good(facts.now)) for key in member.keys)
    }
