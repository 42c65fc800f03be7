"""From steps of history to decisions: the semantic difference, whose word it is, and who agreed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitops_registry.audit.approved import Agreement, role_of
from gitops_registry.audit.decision import Event
from gitops_registry.audit.proof import Approval, Author, attested_by
from gitops_registry.audit.walking import Step, Walk, is_readable, is_registry
from gitops_registry.changes import Change
from gitops_registry.difference import diff
from gitops_registry.errors import ManifestError, NotFound, RegistryError
from gitops_registry.git.line import ids
from gitops_registry.git.parsing import Commit
from gitops_registry.git.repository import Repository
from gitops_registry.identity import Signature, Witnesses
from gitops_registry.paths import place_of

Landed = list[tuple[Commit, bytes]]


def decisions(repository: Repository, tip: str, after: str = "") -> Iterator[Event]:
    """Yield what was decided up to `tip` (after a commit, where one is given), oldest first.

    A commit that changes nothing a registry knows is no decision. Raises RegistryError in a shallow clone.
    """
    for _, event, _ in judged(repository, Witnesses(repository), tip, after):
        if event is not None:
            yield event


def judged(
    repository: Repository, witnesses: Witnesses, tip: str, after: str = ""
) -> Iterator[tuple[Step, Event | None, Landed | None]]:
    """Yield every step up to `tip`, oldest first, with the decision it is (None where it decides nothing) and the commits that it
    landed, which are None where they are more than anybody reads.
    """
    commits = ids(repository, tip, after)[::-1]
    return _judged(Walk(repository, commits), witnesses, Agreement(repository, witnesses, tip, after, is_whole=True))


def some(repository: Repository, witnesses: Witnesses, commits: Sequence[str]) -> Iterator[tuple[str, Event | None]]:
    """Yield those commits of one line, which are given oldest first, each with the decision it is."""
    first = repository.commit(commits[0]).parents
    agreement = Agreement(repository, witnesses, commits[-1], first[0] if first else "", is_whole=False)
    for step, event, _ in _judged(Walk(repository, commits), witnesses, agreement):
        yield step.commit.oid, event


def _judged(
    walk: Walk, witnesses: Witnesses, agreement: Agreement
) -> Iterator[tuple[Step, Event | None, Landed | None]]:
    for step in walk.steps():
        landed = agreement.contributed(step) if len(step.commit.parents) > 1 else []
        event = _event(witnesses, agreement, step, landed)
        yield step, event, landed
        agreement.see(step)


def _event(witnesses: Witnesses, agreement: Agreement, step: Step, landed: Landed | None) -> Event | None:
    if not is_registry(step.before) and not is_registry(step.after):
        return None
    changes, problem = _changes(step)
    if not changes and not problem:
        return None
    signature, role = _signature(witnesses, step)
    signer = signature.member if signature and signature.is_good else ""
    approvals, authors = _told(agreement, step, changes, landed, signer)
    return Event(
        step.commit, changes, problem, signature,
        None if signer else attested_by(step.commit, step.before),
        role=role if signer else "",
        serving=_serving(step) if any(change.kind == "stage_transition" for change in changes) else (),
        approvals=approvals,
        authors=authors,
        touched=tuple(sorted({place_of(path.path).model for path in step.changed} - {""})),
    )  # fmt: skip


def _changes(step: Step) -> tuple[tuple[Change, ...], str]:
    try:
        return tuple(diff(step.before, step.after, step.changed)), ""
    except (ManifestError, NotFound) as error:
        return (), error.message


def _signature(witnesses: Witnesses, step: Step) -> tuple[Signature | None, str]:
    """Return what is known of a decision's signature, None where nothing is signed and nobody has a key, and the signer's role."""
    try:
        access = witnesses.members(step.law)
        found = witnesses.signature_of(step.data, step.law)
        if found.state == "unsigned" and not any(member.keys for member in access.members):
            return None, ""
        return found, role_of(access, found.member)
    except ManifestError as error:
        return Signature("unknown", problem=error.message), ""


def _serving(step: Step) -> tuple[str, ...]:
    law = step.law
    return tuple(stage.name for stage in law.constitution.stages if stage.serving) if is_readable(law) else ()


def _told(
    agreement: Agreement, step: Step, changes: tuple[Change, ...], landed: Landed | None, signer: str
) -> tuple[tuple[Approval, ...] | None, tuple[Author, ...]]:
    if len(step.commit.parents) < 2:
        return (), ()
    if landed is None or not changes:
        return None, ()
    try:
        approvals, authors = agreement.told(step, changes, landed, signer)
        return tuple(approvals), tuple(authors)
    except RegistryError:  # members or rules of that time cannot be read
        return None, ()
