"""The one pipeline of every change: before → after → changes → facts → check → one commit → proposal or decision.

Nothing is written before it was judged, and what is judged is what is written: the check runs under the lock, on
the tip that the commit then follows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from gitops_registry.changes import Change, plan_digest, to_json
from gitops_registry.edits import Edit
from gitops_registry.errors import Conflict, Moved, RegistryError
from gitops_registry.evidence import gatherer, said_by
from gitops_registry.git.landing import NO_COMMIT, write_commit, writer
from gitops_registry.git.mirror import PATIENCE
from gitops_registry.git.remote import Caught
from gitops_registry.gto import agreed
from gitops_registry.policy.check import check
from gitops_registry.policy.report import ADVICE, DECISION, Finding, Report
from gitops_registry.relanding import reland
from gitops_registry.snapshot import Snapshot
from gitops_registry.tagging import keep_tags, since_of
from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.forge.interface import PullRequest

_TRIES = 20
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True, repr=False)
class Outcome:
    """What became of a change: its plan, what the check said, and where it went.

    `commit` is the decision or the proposal's commit, None where nothing was written (a dry run or a refusal).
    `proposal` is the branch that waits to be merged, `request` the pull request it waits in, where it does. `refusals` are
    the findings that stood in the way.
    """

    subject: str
    report: Report
    refusals: tuple[Finding, ...] = ()
    commit: str | None = None
    proposal: str | None = None
    notes: tuple[str, ...] = field(default=())
    request: PullRequest | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """The plan."""
        return self.report.changes

    @property
    def is_refused(self) -> bool:
        """Whether the check stood in the way."""
        return bool(self.refusals)

    def __bool__(self) -> bool:
        """A refusal is false, so that a script cannot take it for done."""
        return not self.is_refused

    def __repr__(self) -> str:
        if self.is_refused:
            state = f"refused: {self.refusals[0].message}"
        else:
            state = (
                f"proposed as {self.proposal}" if self.proposal else f"committed as {(self.commit or 'nothing')[:12]}"
            )
        return f"<{self.subject}: {state}>"

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON-ready data."""
        return {
            "subject": self.subject,
            "refused": self.is_refused,
            "commit": self.commit,
            "proposal": self.proposal,
            "plan": {"digest": plan_digest(self.changes), "changes": [to_json(change) for change in self.changes]},
            "findings": [finding.to_json() for finding in self.report.findings],
            "policies": [verdict.to_json() for verdict in self.report.verdicts],
            "moves": [move.to_json() for move in self.report.moves],
            "notes": list(self.notes),
            **({"pull_request": {"number": self.request.number, "url": self.request.url}} if self.request else {}),
        }


@dataclass(frozen=True)
class Intent:
    """A change somebody wants, in terms of the tip it will be made on: the edit, its commit's subject, its proposal's branch.

    `brings` are the SHA-256 of bytes that are put into the store before the commit; a dry run takes them as there.
    """

    edit: Edit
    subject: Callable[[Snapshot], str]
    branch: Callable[[Snapshot], str] | None = None
    reason: str = ""
    brings: frozenset[str] = frozenset()

    def message(self, before: Snapshot) -> str:
        """Return the commit message: the subject, then the reason."""
        return message_of(self.subject(before), self.reason)


def message_of(*parts: str) -> str:
    """Return a commit message of a subject and paragraphs; empty ones are left out, control characters shown as text."""
    told = (part.strip() for part in parts)
    text = "\n\n".join(part for part in told if part)
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text) + "\n"


def judge(
    place: Workplace, intent: Intent, tip: str, *, dry_run: bool, is_decision: bool = False
) -> tuple[Snapshot, Report]:
    """Return the registry as the edit makes it on the commit `tip`, and what the check says of it.

    A decision is asked who makes it; a proposal waits for those who will approve it.
    """
    before = place.snapshot(tip)
    after = before.with_edits(agreed(before, intent.edit(before)))
    said = said_by(place, tip) if is_decision else None
    gather = gatherer(place, tip, brings=intent.brings if dry_run else frozenset(), said=said)
    return after, check(before, after, after.changed_paths(), gather, place.engine)


@contextmanager
def deciding(place: Workplace, *, dry_run: bool, is_caught_up: bool = False) -> Iterator[list[str]]:
    """Hold the writers' lock on a branch that is caught up, and yield what to tell the user. A dry run touches nothing.

    Whoever decides many things in a row catches up once, and says so after that.

    Raises RegistryError for a registry that was opened at a revision: the past is not changed.
    """
    if place.revision is not None:
        raise RegistryError(
            f"this registry is read at {place.revision}, and the past is not changed", hint="leave out --revision"
        )
    if dry_run:
        yield []
        return
    if place.mirror is not None:
        with writer(place.repository, patience=PATIENCE):
            if not is_caught_up:
                place.mirror.refresh()
            since = since_of(place)
            yield []
            keep_tags(place, since)
        return
    caught = Caught() if is_caught_up else place.catch_up()
    with writer(place.repository):
        offline = f"{caught.unreachable}: working on {place.branch} as it is here" if caught.unreachable else ""
        relanded = reland(place, caught.theirs) if caught.theirs else ""
        since = since_of(place)
        yield [note for note in (caught.done, offline, relanded) if note]
        keep_tags(place, since)


T = TypeVar("T")


def again(place: Workplace, once: Callable[[], T]) -> T:
    """Return what became of a change, made again on what the branch holds by now as long as somebody else is first.

    Called within `deciding`. Raises Moved where that does not end.
    """
    end = time.monotonic() + PATIENCE
    attempt = 0
    while True:
        try:
            return once()
        except Moved:
            attempt += 1
            if (place.mirror is None and attempt >= _TRIES) or time.monotonic() > end:
                raise
        if place.mirror is not None:
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**attempt)))
            place.mirror.refresh()


def decide(place: Workplace, intent: Intent, *, dry_run: bool = False) -> Outcome:
    """Commit a change on the branch of decisions, if it is accepted.

    Raises Moved where somebody else keeps moving the branch, and whatever the edit itself raises.
    """
    with deciding(place, dry_run=dry_run) as notes:

        def once() -> Outcome:
            tip = place.tip()
            before = place.snapshot(tip)
            after, report = judge(place, intent, tip, dry_run=dry_run, is_decision=True)
            subject, refusals = intent.subject(before), report.refusals(DECISION)
            if refusals or dry_run or not after.changed_paths():
                return Outcome(subject, report, refusals, notes=tuple(notes))
            commit, scratch = write_commit(place.repository, after.edits, parents=[tip], message=intent.message(before))
            kept = place.move({place.ref: (tip, commit)}, scratch=scratch)
            return Outcome(subject, report, commit=commit, notes=(*notes, *about_kept(kept), *about_branch(place)))

        return again(place, once)


def propose(place: Workplace, intent: Intent, *, dry_run: bool = False, draft: bool = False) -> Outcome:
    """Commit a change on a new proposal branch from the tip; a `draft` is written although the check refuses it.

    Raises Conflict where that proposal is open already.
    """
    assert intent.branch is not None
    with deciding(place, dry_run=dry_run) as notes:
        tip = place.tip()
        before = place.snapshot(tip)
        branch = intent.branch(before)
        ref = f"refs/heads/{branch}"
        _refuse_twin(place, branch, tip)
        after, report = judge(place, intent, tip, dry_run=dry_run)
        subject, refusals = intent.subject(before), report.refusals(ADVICE)
        if dry_run or (refusals and not draft) or not after.changed_paths():
            return Outcome(subject, report, refusals, notes=tuple(notes))
        commit, scratch = write_commit(place.repository, after.edits, parents=[tip], message=intent.message(before))
        place.move({ref: (NO_COMMIT, commit)}, scratch=scratch)
        return Outcome(subject, report, refusals, commit=commit, proposal=branch, notes=(*notes, *about_remote(place)))


def _refuse_twin(place: Workplace, branch: str, tip: str) -> None:
    """Raise Conflict where that proposal is open, here or on a remote."""
    if place.repository.tip(f"refs/heads/{branch}") is not None:
        raise Conflict(
            f"the proposal {branch} is open already",
            hint=f"look at it: gitops-registry proposals show {branch}; then merge it, or close it and propose again",
        )
    there = next(iter(place.repository.branches(f"refs/remotes/*/{branch}", beyond=tip)), "").removeprefix(
        "refs/remotes/"
    )
    if there:
        raise Conflict(f"the proposal is open already, as {there}", hint=f"gitops-registry merge {there}")


def about_branch(place: Workplace) -> list[str]:
    """Return what to tell a user who looks at another branch than the one that decisions land on, or whose others do not
    see it yet.
    """
    if place.mirror is not None:
        return [f"it landed on {place.branch} of {place.mirror.url}"]
    notes = []
    if place.repository.work_tree is not None and (here := place.repository.head_branch) != place.branch:
        where = here or "a detached HEAD"
        notes.append(f"it landed on {place.branch}, and {where} is checked out: git switch {place.branch}")
    return notes + about_remote(place)


def about_remote(place: Workplace) -> list[str]:
    """Return how others get to see it; nothing where there are no others."""
    remote = place.follows
    return [f"others see it after: gitops-registry push (to {remote})"] if remote else []


def about_kept(kept: list[str]) -> list[str]:
    """Return what to tell the user about files that were left alone."""
    return [
        f"{path} holds edits of yours and was left as it is; compare with: git diff HEAD -- {path}" for path in kept
    ]
