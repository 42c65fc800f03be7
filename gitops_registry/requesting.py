"""A proposal as a pull request: the branch pushed, and one pull request that says what it would do.

Every step may be done again. What is there already is not made twice, what somebody else put on the branch stays, and a
run that was cut off is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitops_registry import deciding, paths
from gitops_registry.access import holds, needed
from gitops_registry.approving import contribution
from gitops_registry.audit.decision import reason_of
from gitops_registry.changes import Change, meaning
from gitops_registry.deciding import Intent, Outcome
from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.evidence import gatherer
from gitops_registry.forge.interface import Forge, Kind, PullRequest, Unanswered, Wanted
from gitops_registry.git.landing import NO_COMMIT, write_commit
from gitops_registry.git.remote import push
from gitops_registry.policy.check import check
from gitops_registry.policy.report import ADVICE, DECISION, Finding, Report
from gitops_registry.reference import Reference
from gitops_registry.reporting.request import body
from gitops_registry.reporting.review import Review
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

_MOST_REVIEWERS = 10


@dataclass(frozen=True)
class _Open:
    """A proposal that is open already: its newest commit, and where it is: `here`, at the remote (`there`), or both."""

    head: str
    here: str | None
    there: str | None


def request(place: Workplace, intent: Intent, forge: Forge, *, dry_run: bool = False, draft: bool = False) -> Outcome:
    """Propose a change as a pull request, or bring the one that is open for it up to what it would do now.

    A `draft` is proposed although the check refuses it. Raises Conflict where the branch of that name does something else,
    RegistryError where there is no remote or the forge cannot be asked; then what is pushed stays, and the same call goes on.
    """
    assert intent.branch is not None
    with deciding.deciding(place, dry_run=dry_run) as notes:
        tip = place.tip()
        before = place.snapshot(tip)
        branch = intent.branch(before)
        found = _found(place, branch, tip)
        after, report = deciding.judge(place, intent, tip, dry_run=dry_run)
        subject = intent.subject(before)
        if found is not None:
            report = _same(place, intent, found, tip, after, report)
        refusals = report.refusals(ADVICE)
        if dry_run or (refusals and not draft) or (found is None and not after.changed_paths()):
            return Outcome(subject, report, refusals, notes=tuple(notes))
        if found is not None and place.repository.is_torn(tip, found.head):
            found = _joined(place, branch, found, tip)
        if found is None:
            message = intent.message(before)
            commit, scratch = write_commit(place.repository, after.edits, parents=[tip], message=message)
            there = place.repository.tip(f"refs/heads/{branch}") or NO_COMMIT
            place.move({f"refs/heads/{branch}": (there, commit)}, scratch=scratch)
            found = _Open(commit, commit, place.repository.tip(f"refs/remotes/{place.follows}/{branch}"))
        bring(place, branch, found)
    opened = open_request(
        place, forge, branch=branch, head=found.head, title=subject, report=report, reason=intent.reason
    )
    return Outcome(
        subject, report, refusals, commit=found.head, proposal=branch, notes=(*notes, *opened[1]), request=opened[0]
    )


def _found(place: Workplace, branch: str, tip: str) -> _Open | None:
    """Return the open proposal of that name, here or at the remote. Raises Conflict where the two went apart."""
    repository = place.repository
    here = repository.tip(f"refs/heads/{branch}")
    remote = "" if place.mirror is not None else place.follows
    there = repository.tip(f"refs/remotes/{remote}/{branch}") if remote else here
    if here and there and not repository.is_ancestor(there, here):
        if not repository.is_ancestor(here, there):
            raise Conflict(
                f"{branch} and {remote}/{branch} went different ways",
                hint=f"keep theirs: gitops-registry proposals close {branch}; then run it again",
            )
        here = there
    head = here or there
    return None if head is None or repository.is_ancestor(head, tip) else _Open(head, here, there)


def _same(place: Workplace, intent: Intent, found: _Open, tip: str, after: Snapshot, wanted: Report) -> Report:
    """Return what the check says of the open proposal. Raises Conflict where it does not do what is wanted."""
    before, there, changed = place.landed(tip, found.head)
    report = check(before, there, changed, gatherer(place, tip), place.engine)
    if _gist(report.changes, there) != _gist(wanted.changes, after):
        who = place.repository.commit(found.head).author
        branch = intent.branch(before) if intent.branch else ""
        raise Conflict(
            f"the proposal {branch} is open already, last changed by {who}, and does something else",
            hint=f"look at it: gitops-registry proposals show {branch}; land it, or close it and propose again",
        )
    return report


def _joined(place: Workplace, branch: str, found: _Open, tip: str) -> _Open:
    """Put a commit on a proposal that joins it with what was decided, value by value, where a forge could not join the texts."""
    after = place.landed(tip, found.head)[1]
    told = contribution(place.repository, found.head, tip)
    commit, scratch = write_commit(place.repository, after.edits, parents=[tip, found.head], message=told.body)
    ref = f"refs/heads/{branch}"
    place.move({ref: (place.repository.tip(ref) or NO_COMMIT, commit)}, scratch=scratch)
    return _Open(commit, commit, found.there)


def _gist(changes: Sequence[Change], after: Snapshot) -> list[Any]:
    """Return what a plan means; of a version that it registers, what was measured: writing an estimator down gives other bytes
    each time, so only where nothing was measured the bytes must be the same.
    """
    found: list[Any] = []
    for kind, model, number, subject, was, becomes in meaning(changes):
        version = after.version(model, number) if kind == "version_registered" else None
        if version is not None:
            told = (version.release, version.params, version.metrics, version.model_type, version.signature)
            own = [(one.name, one.sha256) for one in version.artifacts if not one.derived_from]
            becomes = (*told, version.evaluation or own)
        found.append((kind, model, number, subject, was, becomes))
    return found


def bring(place: Workplace, branch: str, found: _Open) -> None:
    """Push a proposal to the remote where it has it not yet. Raises RegistryError where there is no remote."""
    if place.mirror is not None or found.there == found.head:
        return
    remote = place.follows
    if not remote:
        raise RegistryError(
            f"{place.branch} follows no branch of a remote, so there is nowhere to open a pull request",
            hint=f"git remote add origin URL; git push -u origin {place.branch}; then run it again",
        )
    moves = {f"refs/heads/{branch}": (found.there or NO_COMMIT, f"refs/heads/{branch}")}
    hint = f"the proposal {branch} is here: the same command goes on from there"
    push(place.repository, remote, moves, progress=place.progress, hint=hint)


def open_request(
    place: Workplace, forge: Forge, *, branch: str, head: str, title: str, report: Report, reason: str = ""
) -> tuple[PullRequest, tuple[str, ...]]:
    """Open the pull request of a branch that is pushed, or bring the open one up to date; return it with notes.

    Raises RegistryError where the forge does not, with what to do; the branch stays.
    """
    tip = place.tip()
    before = place.snapshot(tip)
    try:
        old = [r for r in forge.requests_of(head) if r.branch == branch and r.state == "open" and not r.is_foreign]
        author = old[0].author if old else None
        wanted = Wanted(
            branch,
            place.branch,
            title,
            body(
                Review(report, report.refusals(ADVICE), base=place.branch, head=branch),
                reason=reason or reason_of(place.repository.commit(head)),
                cards=_cards(forge, branch, report.changes, place.landed(tip, head)[1]),
                waiting=_waiting(report),
                old=old[0].body if old else "",
            ),
            labels(report.changes),
            tuple(login for login in reviewers(before, report.changes, forge.kind, place) if not author or login != author.login),
        )  # fmt: skip
        opened = forge.open(wanted)
    except Unanswered as error:
        raise RegistryError(
            f"{branch} is pushed, and whether its pull request is open is not known: {error.message}",
            hint="run the same command again: it looks, and finishes what is missing",
        ) from error
    except RegistryError as error:
        raise RegistryError(
            f"{branch} is pushed, and its pull request is not open: {error.message}",
            hint=error.hint or "run the same command again when that is mended",
        ) from error
    return opened.request, opened.notes


def _waiting(report: Report) -> list[Finding]:
    """Return what only people can give, in the words of the policy where nobody was asked yet."""
    needed = {f"{one.policy}/{one.rule}": one.needed for one in report.verdicts if one.needed}
    return [
        replace(one, message=needed.get(one.rule, one.message)) if one.result == "not-checked" else one
        for one in report.waiting(DECISION)
    ]


def labels(changes: Sequence[Change]) -> tuple[str, ...]:
    """Return what a pull request is filed under: `registry`, what happens, and to which models."""
    verbs = {
        "stage_transition": "promotion",
        "version_registered": "new version",
        "version_deleted": "deletion",
        "model_deleted": "deletion",
        "policy_changed": "policy",
        "permission_changed": "access",
        "alias_set": "alias",
        "alias_removed": "alias",
    }
    found = ["registry", *(verbs[change.kind] for change in changes if change.kind in verbs)]
    found += [str(change.after) for change in changes if change.kind == "stage_transition"]
    found += [change.model for change in changes if change.model]
    return tuple(dict.fromkeys(found))[:10]


def reviewers(before: Snapshot, changes: Sequence[Change], kind: Kind, place: Workplace) -> list[str]:
    """Return the logins of the people who may decide all of a plan, in the order of access.yaml; whoever proposes it is none."""
    access = before.access
    if access is None:
        return []
    pairs = needed(changes, before, before.constitution, access)
    name, email = place.repository.identity()
    own = place.witnesses.named(name, email, before)
    return [
        one.login
        for member in access.members
        if member.kind == "person" and member.name not in own
        if pairs and all(holds(access, member.name, *pair) for pair in pairs)
        for one in member.identities
        if one.forge == kind
    ][:_MOST_REVIEWERS]


def _cards(forge: Forge, branch: str, changes: Sequence[Change], after: Snapshot) -> dict[str, str]:
    """Return `name@number` → the page of its card on the branch, for the versions that a plan is about."""
    between = {"github": "blob", "gitlab": "-/blob", "gitea": "src/branch"}.get(forge.kind, "blob")
    found: dict[str, str] = {}
    for change in changes:
        reference = Reference(change.model, change.version)
        if change.version and after.version(*reference) is not None:
            found[str(reference)] = f"{forge.url}/{between}/{branch}/{paths.rendered_card_path(*reference)}"
    return dict(list(found.items())[:10])
