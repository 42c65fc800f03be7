"""What stands behind a decision: somebody's signature, a forge's word, a server's record, or nothing; and who agreed to it.

Words that a commit only claims are taken for no more than that.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.git.parsing import Commit
from gitops_registry.snapshot import Snapshot

Grade = Literal["verified", "attested", "recorded", "claimed"]
"""How well it is proved who decided: by a member's signature, by what a forge says, by a server's own record, or not at all."""

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


class Author(NamedTuple):
    """Somebody who wrote part of what a merge landed: verified where their key signed it, claimed where its commits only name them."""

    name: str
    grade: Grade
    role: str = ""

    def __str__(self) -> str:
        """`alice (signed)`."""
        return f"{self.name} ({'signed' if self.grade == 'verified' else 'claimed'})"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {"name": self.name, "role": self.role or None, "grade": self.grade}


def spelled(time: datetime) -> str:
    """Return a time in UTC as RFC 3339 has it: `2026-11-25T10:00:00Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
