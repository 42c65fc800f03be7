"""`approve`: a member's signed word on a proposal, as an empty commit on its branch that names the plan it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitops_registry.approving import Verb, contribution, message, unplanned, who_speaks
from gitops_registry.changes import plan_digest
from gitops_registry.deciding import about_remote, again, deciding, message_of
from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.evidence import gatherer, said_by
from gitops_registry.git.landing import NO_COMMIT, write_commit
from gitops_registry.policy.check import check
from gitops_registry.policy.report import Report
from gitops_registry.proposals import locate
from gitops_registry.workplace import PREFIXES, Workplace


@dataclass(frozen=True)
class Review:
    """What was said of a proposal: by whom, of which plan, and the commit that says it (None of a dry run).

    `report` is what the check says of the plan, without this word.
    """

    branch: str
    verb: Verb
    member: str
    plan: str
    report: Report
    commit: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the review as JSON-ready data."""
        return {
            "branch": self.branch,
            "verb": self.verb,
            "member": self.member,
            "plan": self.plan,
            "commit": self.commit,
            "check": self.report.to_json(),
            "notes": list(self.notes),
        }


def approve(
    place: Workplace, branch: str, *, verb: Verb = "approve", comment: str = "", plan: str = "", dry_run: bool = False
) -> Review:
    """Approve or reject a proposal as it would land now, in the name of the member whose key signs here.

    With `plan`, the digest that somebody looked at, only that one. Raises RegistryError where nobody could count it,
    NotFound where there is no such proposal, Conflict where it cannot land or is another plan by now.
    """
    with deciding(place, dry_run=dry_run) as notes:
        return again(place, lambda: _approve(place, branch, verb, comment, plan, notes, dry_run=dry_run))


def _approve(
    place: Workplace, branch: str, verb: Verb, comment: str, plan: str, notes: list[str], *, dry_run: bool
) -> Review:
    ref, head = locate(place, branch)
    tip = place.tip()
    if place.repository.is_ancestor(head, tip):
        raise Conflict(f"{branch} has landed already", hint="see: gitops-registry log")
    before, after, changed = place.landed(tip, head)
    said = said_by(place, tip, head, is_decision=False)
    report = check(before, after, changed, gatherer(place, tip, said=said), place.engine)
    if not report.changes:
        raise RegistryError(
            f"{branch} has no plan that could be judged", hint=f"see: gitops-registry check --head {branch}"
        )
    member = who_speaks(place.repository, before, report.changes, verb)
    if verb == "approve" and member in said(report.changes).contributors:
        raise RegistryError(f"{member} wrote part of {branch}", hint="another member approves it")
    digest = plan_digest(report.changes, unplanned(changed, before))
    if plan and not digest.startswith(plan):
        raise Conflict(
            f"{branch} would land another plan by now: {digest[:12]}",
            hint=f"look at it again: gitops-registry plan {branch}",
        )
    if dry_run:
        return Review(branch, verb, member, digest, report, notes=tuple(notes))
    subject, trailers = message(verb, contribution(place.repository, head).subject, digest, tip)
    text = message_of(subject, comment, trailers)
    commit, scratch = write_commit(place.repository, {}, parents=[head], message=text)
    name = _branch_of(ref)
    there = place.repository.tip(f"refs/heads/{name}")
    place.move({f"refs/heads/{name}": (there or NO_COMMIT, commit)}, scratch=scratch)
    told = (*notes, *(() if place.mirror is not None else about_remote(place)))
    return Review(name, verb, member, digest, report, commit, told)


def _branch_of(ref: str) -> str:
    """Return the branch that carries the word: a remote's gets one here, which `push` brings there."""
    if ref.startswith("refs/remotes/"):
        parts = ref.removeprefix("refs/remotes/").split("/")
        start = next((at for at, part in enumerate(parts) if part in PREFIXES), 1)
        return "/".join(parts[start:])
    return ref.removeprefix("refs/heads/")
