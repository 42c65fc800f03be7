"""One decision: a step of the first-parent history, what it changed, whose word it is and who agreed, and the events it is told as.

Everything but the claims (`commit.author`, `reason`, `attested`) is read from contents and signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gitops_registry.audit.entries import DEPLOYED, UNREADABLE, Entry, identity
from gitops_registry.audit.proof import Approval, Attested, Author, Grade, spelled
from gitops_registry.changes import Change, to_json
from gitops_registry.git.parsing import Commit
from gitops_registry.identity import Signature

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


@dataclass(frozen=True)
class Event:
    """One decision. `problem` says why its changes could not be read, where they could not.

    `signature` is judged by the keys of the registry it was made on (of the first one, by its own); None where nothing was
    signed and nobody has a key. `role` is the signer's then. `serving` are the stages that served by the rules it was judged
    by, so that a move into one is a deployment. `approvals` are None where nobody could read the commits it landed. `touched` are
    the models in whose folders it changed anything, by the names they had before and after it. `authors` wrote what a merge
    landed, which whoever signed the merge need not have; of a direct decision there are none, whoever signed it made it.
    """

    commit: Commit
    changes: tuple[Change, ...]
    problem: str = ""
    signature: Signature | None = None
    attested: Attested | None = None
    role: str = ""
    serving: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] | None = ()
    touched: tuple[str, ...] = ()
    authors: tuple[Author, ...] = ()

    @property
    def grade(self) -> Grade:
        """How well it is proved who decided."""
        if self.signature is not None and self.signature.is_good:
            return "verified"
        is_forges = self.signature is None or self.signature.state in {
            "unsigned",
            "not-canonical",
        }  # forges sign with PGP
        return "attested" if self.attested is not None and self.attested.is_merge and is_forges else "claimed"

    @property
    def proof(self) -> str:
        """What stands behind it, in words: `signed by alice`, or why nobody's word does."""
        if self.attested is not None and (self.grade == "attested" or not self.attested.is_merge):
            return str(self.attested)
        return str(self.signature) if self.signature else "no member had a key then"

    @property
    def pull_request(self) -> str:
        """The page of the pull request it landed, as whoever signed the merge says; empty where nobody does."""
        return self.commit.trailer("Pull-Request") if len(self.commit.parents) > 1 else ""

    @property
    def reviews(self) -> tuple[str, ...]:
        """The reviews on a forge that it took for approvals, as whoever signed the merge wrote them down."""
        return tuple(self.commit.trailers("Attested-Approval")) if len(self.commit.parents) > 1 else ()

    @property
    def proposal(self) -> str:
        """The proposal it landed, as the merge says; empty for a direct decision, whatever its message says."""
        return self.commit.trailer("Proposal") if len(self.commit.parents) > 1 else ""

    @property
    def reason(self) -> str:
        """Why it was decided, in the words of whoever did; empty where nobody said."""
        return reason_of(self.commit)

    @property
    def time(self) -> datetime:
        """When the decision was committed, in UTC, as far as a calendar reaches: who commits may write any number."""
        return datetime.fromtimestamp(min(self.commit.time, _LAST_SECOND), UTC)

    @property
    def signer(self) -> str:
        """The member whose key signed it; empty where nobody's word stands behind it."""
        return self.signature.member if self.signature is not None and self.signature.is_good else ""

    @property
    def makers(self) -> tuple[Author, ...]:
        """Who made what it changed: the authors of a proposal, whoever signed a direct decision; none where nobody is known."""
        if len(self.commit.parents) > 1:
            return self.authors
        return (Author(self.signer, "verified", self.role),) if self.signer else ()

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON-ready data; `entries` are its changes as events of the audit log, each with a stable id."""
        data: dict[str, Any] = {
            "commit": self.commit.oid,
            "time": spelled(self.time),
            "actor": {"name": self.commit.author, "email": self.commit.email},
            "grade": self.grade,
            "signer": self.signer or None,
            "role": self.role or None,
            "subject": self.commit.subject,
            "reason": self.reason or None,
            "proposal": self.proposal or None,
            "pull_request": self.pull_request or None,
            "reviews": list(self.reviews),
            "authors": [one.to_json() for one in self.authors],
            "approvals": None if self.approvals is None else [one.to_json() for one in self.approvals],
            "attested": self.attested._asdict() if self.attested else None,
            "signature": self.signature.to_json() if self.signature else None,
            "changes": [to_json(change) for change in self.changes],
            "entries": [entry.brief() for entry in entries_of(self)],
        }
        return data | ({"problem": self.problem} if self.problem else {})


def reason_of(commit: Commit) -> str:
    """Return what a commit's message says between its subject and our trailers."""
    paragraphs = commit.body.strip().split("\n\n")[1:]
    return "\n\n".join(part for part in paragraphs if not part.startswith("Proposal: ")).strip()


def entries_of(event: Event) -> list[Entry]:
    """Return the events that a decision is told as, in the order of its changes; none where it changed nothing we know."""
    if event.problem:
        told = f"what this decision changed cannot be read: {event.problem}"
        return [_entry(event, UNREADABLE, Change("unknown_file_changed"), told)]
    found = []
    for change in event.changes:
        found.append(_entry(event, change.kind, change, str(change)))
        if change.kind == "stage_transition" and change.after in event.serving:
            told = f"{change.model}: version {change.version} deployed to {change.after}"
            found.append(_entry(event, DEPLOYED, change, told))
    return found


def _entry(event: Event, kind: str, change: Change, text: str) -> Entry:
    commit = event.commit
    return Entry(
        identity(commit.oid, kind, change), kind, text, spelled(event.time), event.grade,
        actor=commit.author, email=commit.email, signer=event.signer, role=event.role,
        model=change.model, version=change.version, subject=change.subject, before=change.before, after=change.after,
        approvers=tuple(one for one in event.approvals or () if not one.problem and not one.is_rejection),
        authors=event.authors, pull_request=event.pull_request, proposal=event.proposal, commit=commit.oid, reason=event.reason, proof=event.proof,
    )  # fmt: skip
