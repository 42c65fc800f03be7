"""Proposals without a forge: branches whose changes ask to be merged, and the merge.

A proposal is a branch under one of our prefixes. It is judged as it would land on the tip, never as it was
written, and lands as one merge commit whose tree is exactly what was judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitops_registry.approving import contribution
from gitops_registry.audit.decision import reason_of
from gitops_registry.changes import Change, meaning, to_json
from gitops_registry.deciding import Outcome, about_branch, about_kept, again, deciding, message_of
from gitops_registry.difference import diff
from gitops_registry.errors import Conflict, NotFound, RegistryError
from gitops_registry.evidence import gatherer, said_by
from gitops_registry.forge.interface import Forge
from gitops_registry.git.landing import NO_COMMIT, write_commit, writer
from gitops_registry.git.parsing import Commit
from gitops_registry.git.worktree import is_checked_out
from gitops_registry.policy.check import check
from gitops_registry.policy.report import DECISION, Finding, Report
from gitops_registry.reference import Reference
from gitops_registry.vouching import Vouched, asked, counted, said_with
from gitops_registry.workplace import PREFIXES, Workplace


def promote_branch(reference: Reference, stage: str) -> str:
    """Return the branch that proposes a move to a stage."""
    return f"promote/{reference.name}/{reference.number}/{stage}"


@dataclass(frozen=True)
class Proposal:
    """One open proposal as it would land now. `problem` says why it cannot land at all; empty when it could."""

    branch: str
    head: Commit
    report: Report | None
    problem: str = ""

    @property
    def reason(self) -> str:
        """Why it is proposed, in the words of whoever proposes it."""
        return reason_of(self.head)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Its plan; empty where it cannot land."""
        return self.report.changes if self.report else ()

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that stand in its way."""
        return self.report.refusals(DECISION) if self.report else ()

    @property
    def state(self) -> str:
        """In a few words, what merging it would do."""
        if self.problem:
            return f"cannot land: {self.problem}"
        return f"refused: {self.refusals[0].message}" if self.refusals else "lands as it is"

    def to_json(self) -> dict[str, Any]:
        """Return the proposal as JSON-ready data."""
        return {
            "branch": self.branch,
            "commit": self.head.oid,
            "author": {"name": self.head.author, "email": self.head.email},
            "time": self.head.time,
            "subject": self.head.subject,
            "reason": self.reason or None,
            "changes": [to_json(change) for change in self.changes],
            "state": self.state,
            "problem": self.problem or None,
            "check": self.report.to_json(DECISION) if self.report else None,
        }


def open_proposals(place: Workplace) -> Iterator[Proposal]:
    """Yield the open proposals in order of branch: those here, then those only a remote has."""
    for branch in _open_branches(place):
        yield proposal(place, branch)


def _open_branches(place: Workplace) -> list[str]:
    """The proposals that have not landed."""
    tip = place.tip()
    here = place.repository.branches(*(f"refs/heads/{prefix}" for prefix in PREFIXES), beyond=tip)
    there = place.repository.branches(*(f"refs/remotes/*/{prefix}/**" for prefix in PREFIXES), beyond=tip)
    known = {ref.removeprefix("refs/heads/") for ref in here}
    names = (ref.removeprefix("refs/remotes/") for ref in there)
    return [*sorted(known), *(name for name in names if name.partition("/")[2] not in known)]


def proposal(place: Workplace, branch: str) -> Proposal:
    """Return one proposal with the plan it would land as. Raises NotFound."""
    _, head = locate(place, branch)
    commit = contribution(place.repository, head, place.tip())
    try:
        return Proposal(branch, commit, examine(place, place.tip(), head))
    except RegistryError as error:  # one that cannot even be judged hides no other
        return Proposal(branch, commit, None, error.message)


def locate(place: Workplace, branch: str) -> tuple[str, str]:
    """Return the full ref name and the commit of a proposal, here or on a remote. Raises NotFound."""
    for ref in (f"refs/heads/{branch}", f"refs/remotes/{branch}", f"refs/remotes/origin/{branch}"):
        head = place.repository.tip(ref)
        if head is not None:
            return ref, head
    names = _open_branches(place) if branch.split("/")[0] in PREFIXES else []
    raise NotFound(
        f"no proposal {branch!r} here",
        hint=f"open: {', '.join(names)}" if names else "see: gitops-registry proposals list",
    )


def _is_proposal(ref: str) -> bool:
    """Say whether a full ref name is that of a proposal of this repository."""
    return any(ref.startswith(f"refs/heads/{prefix}/") for prefix in PREFIXES)


def close(place: Workplace, branch: str, *, dry_run: bool = False) -> str:
    """Delete a proposal's branch without landing it and return the commit it was at.

    Raises RegistryError for what is no proposal of this repository, or is checked out.
    """
    ref, head = locate(place, branch)
    if not _is_proposal(ref):
        remote, _, name = branch.partition("/")
        is_remote = ref.startswith("refs/remotes/") and name.split("/")[0] in PREFIXES
        hint = (
            f"it is the remote's: git push {remote} --delete {name}"
            if is_remote
            else "see: gitops-registry proposals list"
        )
        raise RegistryError(f"{branch} is no proposal of this repository", hint=hint)
    if is_checked_out(place.repository, ref):
        raise RegistryError(f"{branch} is checked out", hint=f"first, where it is: git switch {place.branch}")
    if not dry_run:
        with writer(place.repository):
            place.move({ref: (head, NO_COMMIT)}, scratch="")
    return head


def examine(place: Workplace, base: str, head: str) -> Report:
    """Return what the check says of `head` as it would land on `base`. Raises Conflict where it cannot land."""
    before, after, changed = place.landed(base, head)
    tip = place.commit(base)
    said = said_by(place, tip, place.commit(head), is_decision=False)
    return check(before, after, changed, gatherer(place, tip, said=said), place.engine)


def merge(
    place: Workplace, branch: str, *, reason: str = "", dry_run: bool = False, forge: Forge | None = None
) -> Outcome:
    """Land a proposal on the tip as one merge commit, if the check accepts what would land.

    The proposal's branch goes in the same transaction, unless it is checked out, a remote's or no proposal's. With a `forge`,
    reviews of its pull request are approvals, and the merge writes down which. Raises Conflict where it cannot land, NotFound
    where there is no such proposal.
    """
    if branch == place.branch:
        raise RegistryError(f"{branch} is where proposals land", hint="see: gitops-registry proposals list")
    with deciding(place, dry_run=dry_run) as notes:
        return again(place, lambda: _merge(place, branch, reason, notes, forge, dry_run=dry_run))


def _merge(
    place: Workplace, branch: str, reason: str, notes: list[str], forge: Forge | None, *, dry_run: bool
) -> Outcome:
    ref, head = locate(place, branch)
    tip = place.tip()
    if place.repository.is_ancestor(head, tip):
        raise Conflict(f"{branch} has landed already", hint=f"gitops-registry proposals close {branch}")
    before, after, changed = place.landed(tip, head)
    proposed = contribution(place.repository, head, tip)
    subject = proposed.subject
    vouched = asked(forge, head, place.branch) if forge is not None else None
    said = said_by(place, tip, head) if vouched is None else said_with(place, vouched, tip, head, is_decision=True)
    report = check(before, after, changed, gatherer(place, tip, said=said), place.engine)
    refusals = report.refusals(DECISION)
    if not refusals and meaning(report.changes) != meaning(own_plan(place, tip, head)):
        raise Conflict(
            f"{branch} would land as something else than it says",
            hint=f"make it again: gitops-registry proposals close {branch}",
        )
    if refusals or dry_run:
        request = vouched.request if vouched else None
        return Outcome(subject, report, refusals, proposal=branch, notes=tuple(notes), request=request)
    if not report.changes and not changed:
        raise Conflict(f"{branch} changes nothing any more", hint=f"gitops-registry proposals close {branch}")
    why = (reason_of(proposed), reason)
    message = message_of(
        subject, *why, "\n".join((f"Proposal: {branch}", *_attested(place, vouched, tip, head, report)))
    )
    commit, scratch = write_commit(place.repository, after.edits, parents=[tip, head], message=message)
    moves = {place.ref: (tip, commit)}
    if _is_proposal(ref) and not is_checked_out(place.repository, ref):
        moves[ref] = (head, NO_COMMIT)
    kept = place.move(moves, scratch=scratch)
    return Outcome(subject, report, commit=commit, notes=(*notes, *about_kept(kept), *about_branch(place)))


def _attested(place: Workplace, vouched: Vouched | None, tip: str, head: str, report: Report) -> list[str]:
    """Return the trailers that say which reviews on a forge were taken for approvals: the word of whoever signs the merge."""
    if vouched is None:
        return []
    found = counted(place, vouched, tip, head, report.changes)
    reviews = [
        f"Attested-Approval: {one.member} {vouched.kind}:{one.review.author.id} review:{one.review.id} commit:{one.review.commit} plan:{one.plan}"
        for one in found
    ]
    return [f"Pull-Request: {vouched.request.url}", *reviews]


def own_plan(place: Workplace, tip: str, head: str) -> list[Change]:
    """What a proposal says: its own changes, against where it was made."""
    origin = place.repository.merge_base(tip, head)
    return diff(place.snapshot(origin), place.snapshot(head), place.repository.changed_paths(origin, head))
