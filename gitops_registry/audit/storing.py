"""A decision as text and back: what the cache of the log holds."""

from __future__ import annotations

import json
from typing import Any

from gitops_registry.audit.decision import Event
from gitops_registry.audit.proof import Approval, Attested, Author
from gitops_registry.changes import Change, Kind
from gitops_registry.git.parsing import Commit
from gitops_registry.identity import Signature
from gitops_registry.snapshot import PathChange

NOTHING = "null"
"""The text of a commit that decides nothing."""


def text_of(event: Event | None) -> str:
    """Return a decision as text."""
    if event is None:
        return NOTHING
    signature = event.signature
    data = {
        "commit": event.commit,
        "changes": [(c.kind, c.model, c.version, c.subject, c.before, c.after, c.paths) for c in event.changes],
        "problem": event.problem,
        "signature": (signature.state, signature.member, signature.fingerprint, signature.problem) if signature else None,
        "attested": event.attested, "role": event.role, "serving": event.serving, "approvals": event.approvals,
        "touched": event.touched, "authors": event.authors,
    }  # fmt: skip
    return json.dumps(data, separators=(",", ":"), default=list)


def event_of(text: str) -> Event | None:
    """Return the decision in a text, None where it is none. Raises ValueError for a text that was not made here."""
    try:
        data: dict[str, Any] | None = json.loads(text)
        if data is None:
            return None
        oid, parents, *rest = data["commit"]
        approvals = data["approvals"]
        return Event(
            Commit(oid, tuple(parents), *rest),
            tuple(_change(*row) for row in data["changes"]),
            data["problem"],
            Signature(*data["signature"]) if data["signature"] else None,
            Attested(*data["attested"]) if data["attested"] else None,
            role=data["role"], serving=tuple(data["serving"]),
            approvals=None if approvals is None else tuple(Approval(*one) for one in approvals),
            touched=tuple(data["touched"]),
            authors=tuple(Author(*one) for one in data["authors"]),
        )  # fmt: skip
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("this is no decision") from error


def _change(
    kind: Kind, model: str, version: int, subject: str, before: Any, after: Any, carried: list[list[str]]
) -> Change:
    return Change(kind, model, version, subject, before, after, tuple(PathChange(*path) for path in carried))
