"""What landed on the branch of decisions, judged as it was made: by whom, approved by whom, and as which merge.

A decision that a member signed is proved here. One that a forge's own button made has the forge's word only, and counts
where its tree is the one we would make. A squash or a rebase puts other commits into history than were reviewed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gitops_registry.changes import Change
from gitops_registry.errors import RegistryError
from gitops_registry.evidence import Said, agreed, gatherer
from gitops_registry.forge.interface import Forge, PullRequest
from gitops_registry.git.parsing import Commit
from gitops_registry.policy.check import check
from gitops_registry.policy.report import DECISION, Fact, Facts, Finding, Report, Spot
from gitops_registry.vouching import Vouched, member_of, said_with
from gitops_registry.workplace import Workplace

REQUIRED: frozenset[Fact] = DECISION | {"actor"}
_MERGES = "let the repository make merge commits only, and land what is on main again as a decision: gitops-registry doctor --forge"


@dataclass(frozen=True)
class Landed:
    """One decision as it was judged; `request` is the pull request it came through, as far as a forge said."""

    commit: Commit
    report: Report
    request: PullRequest | None = None


def landed(place: Workplace, *, base: str, head: str, forge: Forge | None = None) -> Report:
    """Return what is to say of every decision after `base` up to `head`, each judged under the rules of the one before.

    Raises RegistryError where `head` does not follow `base` by first parents: history was rewritten, or joined the wrong
    way round.
    """
    tip, start = place.commit(head), place.commit(base)
    if not place.repository.follows(tip, start):
        raise RegistryError(
            f"{head} does not follow {base} by first parents: decisions that were made are no longer in its line",
            hint="somebody forced a push, or merged main into a branch and pushed that: bring the old line back",
        )
    found = Report(())
    for one in steps(place, start, tip, forge):
        told = f"{one.commit.oid[:12]} ({one.commit.subject[:60]})"
        findings = tuple(replace(f, message=f"{told}: {f.message}") for f in one.report.findings)
        report = replace(one.report, findings=findings, changes=(*found.changes, *one.report.changes))
        found = found.with_report(report)
    return found


def steps(place: Workplace, start: str, tip: str, forge: Forge | None) -> Iterator[Landed]:
    """Yield the decisions after `start` up to `tip`, oldest first, each judged on its own first parent."""
    parent = start
    for oid in place.repository.own_steps(tip, start):
        yield _step(place, place.repository.commit(oid), parent, forge)
        parent = oid


def _step(place: Workplace, commit: Commit, parent: str, forge: Forge | None) -> Landed:
    kept, branch = place.decided, place.branch  # a place that knows a last decision does not look for its branch
    place.decided = parent
    try:
        before, after = place.snapshot(parent), place.snapshot(commit.oid)
        request = _request(branch, commit, forge)
        facts, findings = _maker(place, commit, parent, forge, request)
        changed = place.repository.changed_paths(parent, commit.oid)
        said = _said(place, commit, parent, forge, request, facts)
        report = check(before, after, changed, gatherer(place, parent, said=said), place.engine)
        findings += _shape(place, commit, parent, forge, request)
        return Landed(commit, replace(report, findings=(*findings, *report.findings)), request)
    except RegistryError as error:
        finding = Finding.error("schema", error.message, error.hint, Spot())
        return Landed(commit, Report((finding,)))
    finally:
        place.decided = kept


def _request(branch: str, commit: Commit, forge: Forge | None) -> PullRequest | None:
    """Return the merged pull request that a decision came through, as the forge says."""
    if forge is None:
        return None
    asked = (commit.oid, *commit.parents[1:2])
    found = [one for oid in asked for one in forge.requests_of(oid) if one.state == "merged"]
    return next((one for one in found if one.base == branch), None)


def _maker(
    place: Workplace, commit: Commit, parent: str, forge: Forge | None, request: PullRequest | None
) -> tuple[Facts, list[Finding]]:
    """Return who made a decision, proved by a signature or attested by the forge; else why nobody is known to have."""
    before = place.snapshot(parent)
    access = before.access
    signature = place.witnesses.signature(commit.oid, before)
    if signature.is_good:
        return Facts(actor=signature.member), []
    if forge is not None and request is not None and request.merged_by is not None and request.merged_as == commit.oid:
        member, problem = member_of(access, forge.kind, request.merged_by)
        note = Finding.warning(
            "attested",
            f"pull request {request.number} was merged on {forge.kind} by {request.merged_by.login}: attested by {forge.kind}, not verifiable offline",
            "a merge that a member signs proves itself: gitops-registry merge BRANCH",
            Spot(),
        )
        return Facts(actor=member.name if member else "", signer=problem or ""), [note]
    if access is None or not access.members:
        return Facts(), []
    hint = "decisions are signed by members, or come through a pull request: gitops-registry log"
    return Facts(actor="", signer="whoever made it"), [
        Finding.error("signature", f"is {signature}, and no pull request landed as it", hint, Spot())
    ]


def _said(
    place: Workplace, commit: Commit, parent: str, forge: Forge | None, request: PullRequest | None, facts: Facts
) -> Said:
    """Return what finds out who approved a decision."""
    head = commit.parents[1] if len(commit.parents) == 2 else ""
    if head and forge is not None and request is not None:
        return said_with(place, Vouched(forge.kind, request, tuple(forge.reviews(request))), parent, head, facts=facts)

    def said(changes: Sequence[Change]) -> Facts:
        return agreed(place, parent, head, changes, facts)

    return said


def _shape(
    place: Workplace, commit: Commit, parent: str, forge: Forge | None, request: PullRequest | None
) -> list[Finding]:
    """Say why a decision is not the merge that would be made of its proposal."""
    if len(commit.parents) > 2:
        message = f"joins {len(commit.parents)} histories, and a decision lands one proposal"
        return [Finding.error("landing", message, "merge one proposal at a time", Spot())]
    if len(commit.parents) == 2 and not _brings_another(place, commit, request):
        return _merge(place, commit, parent)
    if request is None or forge is None:
        return []
    how = "squashed" if _is_whole(place, commit, parent, request) else "rebased"
    message = (
        f"pull request {request.number} was {how} on {forge.kind}: this commit is nobody's that was reviewed,"
        " and its branch's signatures and approvals are not in the history"
    )
    return [Finding.error("landing", message, _MERGES, Spot())]


def _brings_another(place: Workplace, commit: Commit, request: PullRequest | None) -> bool:
    """Say whether a merge commit brings something else than its pull request's head: GitLab so lands what it squashed."""
    if request is None or request.merged_as != commit.oid or request.head == commit.parents[1]:
        return False
    try:
        return not place.repository.is_ancestor(place.commit(request.head), commit.parents[1])
    except RegistryError:  # what it brings is here whole, and the head is not
        return True


def _merge(place: Workplace, commit: Commit, parent: str) -> list[Finding]:
    try:
        wanted = place.landed(parent, commit.parents[1])[2]
    except RegistryError as error:
        return [Finding.error("landing", f"joins what could not land: {error.message}", error.hint, Spot())]
    there = {(c.path, c.new_mode, c.new_oid) for c in place.repository.changed_paths(parent, commit.oid)}
    unlike = sorted(path for path, _, _ in there ^ {(c.path, c.new_mode, c.new_oid) for c in wanted})
    if not unlike:
        return []
    message = f"is not the merge that would be made of its proposal: {unlike[0]} differs"
    hint = f"undo it: git revert -m 1 {commit.oid[:12]}; then gitops-registry merge BRANCH"
    return [Finding.error("landing", message, hint, Spot(unlike[0]))]


def _is_whole(place: Workplace, commit: Commit, parent: str, request: PullRequest) -> bool:
    """Say whether one commit has all that a pull request changes: then it was squashed, else rebased.

    Where the branch's commits are not here, the commit that the forge names decides: a rebase of several ends with it.
    """
    try:
        wanted = place.landed(parent, place.commit(request.head))[2]
    except RegistryError:
        return request.merged_as == commit.oid
    there = {(c.path, c.new_oid) for c in place.repository.changed_paths(parent, commit.oid)}
    return there == {(c.path, c.new_oid) for c in wanted}
