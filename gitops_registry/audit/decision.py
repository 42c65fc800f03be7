"""One decision: a step of the first-parent history, what it changed, whose word it is and who agreed.

Everything but the claims (`commit.author`, `reason`, `attested`) is read from contents and signatures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from gitops_registry.changes import Change, to_json
from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.git.parsing import Commit
from gitops_registry.identity import Signature
from gitops_registry.snapshot import Snapshot

Grade = Literal["verified", "attested", "recorded", "claimed"]
"""How well it is proved who decided: by a member's signature, by what a forge says, by a server's own record, or not at all."""

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


_BUTTONS = {
    "github": re.compile(
        r"\AMerge pull request #(\d+) from |\A[^\n]*\(#(\d+)\)$|^Pull-Request: \S+/pull/(\d+)$", re.MULTILINE
    ),
    "gitlab": re.compile(r"^See merge request \S*!(\d+)$|^Pull-Request: \S+/merge_requests/(\d+)$", re.MULTILINE),
    "gitea": re.compile(
        r"\AMerge pull request '[^\n]*' \(#(\d+)\) from |^Reviewed-on: \S+/pulls/(\d+)$|^Pull-Request: \S+/pulls/(\d+)$",
        re.MULTILINE,
    ),
}
"""What forges write into the commits that their own buttons make."""


class Attested(NamedTuple):
    """A decision that nobody of the registry signed and that says a forge's button made it: which forge, through which pull
    request, and whether as a merge. A forge could be asked; here it is what the commit says.
    """

    forge: str
    number: int
    is_merge: bool

    def __str__(self) -> str:
        if self.is_merge:
            return f"attested by {self.forge} (pull request {self.number}), not verifiable offline"
        return (
            f"pull request {self.number}, squashed or rebased on {self.forge}: what was reviewed is not in the history"
        )


class Approval(NamedTuple):
    """Somebody's word on the plan that a decision landed.

    `grade`: verified where they signed it, attested where whoever signed the decision wrote down a review on a forge, claimed
    where nobody signed that either. `problem` says why it does not count; empty where it does. `source` is the signed commit, or
    the review as it was written down. `is_rejection` of one who was against it.
    """

    member: str
    grade: Grade
    source: str
    plan: str = ""
    role: str = ""
    problem: str = ""
    is_rejection: bool = False
    comment: str = ""

    def __str__(self) -> str:
        """`approved by bob (signed)`."""
        how = "signed" if self.grade == "verified" else f"{self.source}, {self.grade}"
        word = "rejected" if self.is_rejection else "approved"
        void = f", which does not count: {self.problem}" if self.problem else ""
        return f"{word} by {self.member or 'nobody known'} ({how}){void}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "member": self.member or None, "role": self.role or None, "word": "rejected" if self.is_rejection else "approved",
            "grade": self.grade, "counts": not self.problem, "problem": self.problem or None, "plan": self.plan or None,
            "source": self.source, "comment": self.comment or None,
        }  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One decision. `problem` says why its changes could not be read, where they could not.

    `signature` is judged by the keys of the registry it was made on (of the first one, by its own); None where nothing was
    signed and nobody has a key. `role` is the signer's then. `serving` are the stages that served by the rules it was judged
    by, so that a move into one is a deployment. `approvals` are None where nobody could read the commits it landed. `touched` are
    the models in whose folders it changed anything, by the names they had before and after it.
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

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON-ready data; `entries` are its changes as events of the audit log, each with a stable id."""
        from gitops_registry.audit.entries import entries_of

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
            "approvals": None if self.approvals is None else [one.to_json() for one in self.approvals],
            "attested": self.attested._asdict() if self.attested else None,
            "signature": self.signature.to_json() if self.signature else None,
            "changes": [to_json(change) for change in self.changes],
            "entries": [{"id": entry.id, "event": entry.event, "text": entry.text} for entry in entries_of(self)],
        }
        return data | ({"problem": self.problem} if self.problem else {})


def spelled(time: datetime) -> str:
    """Return a time in UTC as RFC 3339 has it: `2026-11-25T10:00:00Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def reason_of(commit: Commit) -> str:
    """Return what a commit's message says between its subject and our trailers."""
    paragraphs = commit.body.strip().split("\n\n")[1:]
    return "\n\n".join(part for part in paragraphs if not part.startswith("Proposal: ")).strip()


def attested_by(commit: Commit, before: Snapshot) -> Attested | None:
    """Return what a commit says about a forge's button; None in a registry whose pull requests are on no forge."""
    try:
        forge = before.constitution.forge
    except (ManifestError, NotFound):
        return None
    match = _BUTTONS[forge.kind].search(commit.body.strip()) if forge else None
    if forge is None or match is None:
        return None
    number = next(int(found) for found in match.groups() if found)
    return Attested(forge.kind, number, len(commit.parents) > 1)
