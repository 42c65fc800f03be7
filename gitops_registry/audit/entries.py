"""Events of the audit log: one decision is told as one for each thing it changed, and one more for each deployment.

An event's id is a digest of the commit and the change, so it is the same wherever and whenever it is read. Its type is
the change's kind in the words of the design; `model_deployed` comes beside the move of a version into a stage that served by
the rules before the decision, `decision_unreadable` stands for changes that nobody can read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from gitops_registry.audit.proof import Approval, Author, Grade
from gitops_registry.changes import Change, Kind

DEPLOYED, UNREADABLE, DENIED = "model_deployed", "decision_unreadable", "access_denied"
TYPES: tuple[str, ...] = (*get_args(Kind), DEPLOYED, UNREADABLE, DENIED)
"""Every type of event there is."""
NOT_CHECKED: Literal["not-checked"] = "not-checked"
"""What is said of policy results that nobody worked out."""


@dataclass(frozen=True)
class Entry:
    """One event. `time` is RFC 3339; `actor` is what the commit claims (or who was turned away), `signer` who is proved.

    `approvers` are those whose approval counts, `authors` those who wrote what a merge landed. `policies` are what the rules of policies came to, or `not-checked`.
    `reasons` say why a push was refused, and `about` are all models it was refused for, each with a version, or 0.
    """

    id: str
    event: str
    text: str
    time: str
    grade: Grade
    actor: str = ""
    email: str = ""
    signer: str = ""
    role: str = ""
    model: str = ""
    version: int = 0
    subject: str = ""
    before: Any = None
    after: Any = None
    approvers: tuple[Approval, ...] = ()
    pull_request: str = ""
    proposal: str = ""
    commit: str = ""
    reason: str = ""
    proof: str = ""
    policies: Sequence[dict[str, Any]] | Literal["not-checked"] = NOT_CHECKED
    reasons: tuple[str, ...] = field(default=())
    authors: tuple[Author, ...] = ()
    about: tuple[tuple[str, int], ...] = ()

    def brief(self) -> dict[str, Any]:
        """Return what is its own beside the decision that it is a part of, as JSON-ready data."""
        whole = self.to_json()
        return {key: whole[key] for key in ("id", "event", "text", "grade", "policies")}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data, every key always there."""
        return {
            "id": self.id, "event": self.event, "time": self.time, "text": self.text, "grade": self.grade, "proof": self.proof,
            "actor": {"name": self.actor or None, "email": self.email or None}, "signer": self.signer or None,
            "role": self.role or None, "model": self.model or None, "version": self.version or None,
            "subject": self.subject or None, "before": self.before, "after": self.after,
            "authors": [one.to_json() for one in self.authors],
            "approvers": [one.to_json() for one in self.approvers], "pull_request": self.pull_request or None,
            "proposal": self.proposal or None, "commit": self.commit or None, "reason": self.reason or None,
            "policies": self.policies if self.policies == NOT_CHECKED else list(self.policies), "reasons": list(self.reasons),
        }  # fmt: skip


def identity(commit: str, kind: str, change: Change) -> str:
    """Return the id of an event: SHA-256 of the commit and of what the change means, in hexadecimal."""
    told = [1, commit, kind, change.model, change.version, change.subject, change.before, change.after]
    text = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode()).hexdigest()
